"""``rlra factorize``: whole, in chunks, on two processes, interrupted and gone on with."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
from conformance import close
from killed import ended, moments, said

from rlra_torch import cli, nmf
from rlra_torch.data import Chunks
from rlra_torch.datasets import open_matrix
from rlra_torch.estimators.results import Factorization
from rlra_torch.report.page import COMMAND, PAGE

FILES = ["factors.npz", "progress.pt", "run.json"]
ROOT = Path(__file__).parents[1]
GENERATOR = np.random.default_rng(0)
Y = GENERATOR.poisson(3 * GENERATOR.random((31, 4)) @ GENERATOR.random((4, 23))).astype(float)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own, with one small matrix in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    np.save("y.npy", Y)
    scipy.sparse.save_npz("y.npz", scipy.sparse.csr_matrix(Y))
    return tmp_path


def arguments(**changes):
    """The words of a quick run; an option that is None is left out."""
    options = {"data": "y.npy", "rank": 3, "loss": "kl", "init": "random", "out": "out"}
    words = ["factorize"]
    for name, value in {**options, "max_iter": 30, "checkpoint_seconds": 0, **changes}.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words


def run(**changes):
    assert cli.main(arguments(**changes)) == 0
    return Factorization.load(Path(changes.get("out", "out")) / "factors.npz")


def nearly(found, expected, tolerance=1e-9):
    for x, y in zip(found.factors, expected.factors, strict=True):
        close(torch.as_tensor(x), torch.as_tensor(y), tolerance)
    assert found.n_iter == expected.n_iter
    close(torch.tensor(found.objective), torch.tensor(expected.objective), 1e-10)


def same(found, expected):
    """Bit by bit, but for the time it took."""
    for x, y in zip(found.factors, expected.factors, strict=True):
        assert np.array_equal(np.asarray(x), np.asarray(y))
    ours, theirs = (
        [(c.iteration, c.objective, c.kkt) for c in f.history] for f in (found, expected)
    )
    assert ours == theirs


class TestOneProcess:
    @pytest.mark.parametrize("method", ["mu", "joint", None])
    def test_is_nmf(self, method, capsys):
        same(run(method=method), nmf(Y, 3, "kl", method, init="random", max_iter=30))
        lines = capsys.readouterr().out.splitlines()
        assert "y.npy: 31 x 23; rank 3, kl" in lines[0] and lines[-2] == "out/factors.npz"
        assert max(len(line) for line in lines) <= 80
        assert sorted(os.listdir("out")) == sorted([*FILES, COMMAND, PAGE])

    def test_default_start_and_types(self):
        same(run(loss=None, init=None), nmf(Y, 3, max_iter=30))
        single = run(dtype="float32", out="single")
        assert torch.as_tensor(single.factors[0]).dtype == torch.float32
        np.save("counts.npy", Y.astype(np.int16))
        same(run(data="counts.npy", out="counts"), single)

    def test_json(self, capsys):
        fit = run(json=True)
        said = json.loads(capsys.readouterr().out)
        assert said["run"] == "new" and said["report"]["objective"] == fit.objective

    @pytest.mark.parametrize("loss", ["kl", "frobenius", "1.5"])
    @pytest.mark.parametrize("data", ["y.npy", "y.npz"])
    def test_chunks_equal_whole(self, loss, data):
        whole = run(data=data, loss=loss, method="mu", out="whole")
        nearly(run(data=data, loss=loss, method="mu", chunk_rows=7), whole)

    @pytest.mark.parametrize("loss", ["kl", "frobenius"])
    def test_missing_entries(self, loss):
        """NaN in one chunk only, or 0 in weights or a mask, dense or sparse."""
        mask = np.ones_like(Y, dtype=bool)
        mask[2, 3] = mask[4, 5] = False
        np.save("holes.npy", np.where(mask, Y, np.nan))
        np.save("mask.npy", mask)
        scipy.sparse.save_npz("mask.npz", scipy.sparse.csr_matrix(mask.astype(float)))
        whole = run(data="holes.npy", loss=loss, method="mu", out="whole")
        options = {"loss": loss, "method": "mu", "chunk_rows": 10}
        nearly(run(data="holes.npy", out="chunks", **options), whole)
        nearly(run(weights="mask.npy", out="mask", **options), whole)
        nearly(run(weights="mask.npz", out="sparse", **options), whole)


class TestFiles:
    def test_formats(self):
        expected = run(data="y.npz", out="npz")
        scipy.io.mmwrite("y.mtx", scipy.sparse.csr_matrix(Y))
        scipy.sparse.save_npz("coo.npz", scipy.sparse.coo_matrix(Y))
        np.savez("dense.npz", Y)
        np.savetxt("y.csv", Y, delimiter=",")
        for name in ("y.mtx", "coo.npz", "dense.npz", "y.csv"):
            nearly(run(data=name, out=name[:3], dtype="float64"), expected)

    def test_hdf5(self):
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")
        with h5py.File("y.h5", "w") as file:
            file["y"], file["other"] = Y, np.ones(3)
        nearly(run(data="y.h5", chunk_rows=5), run(out="whole"))
        assert cli.main(arguments(data="y.h5", variable="z", out="z")) == 2

    def test_zarr(self):
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        zarr.save("y.zarr", Y)
        nearly(run(data="y.zarr", chunk_rows=5), run(out="whole"))

    @pytest.mark.parametrize("name", ["y.h5", "y.zarr"])
    def test_missing_libraries(self, name, monkeypatch, capsys):
        Path(name).write_bytes(b"")
        for module in ("h5py", "zarr"):
            monkeypatch.setitem(sys.modules, module, None)
        assert cli.main(arguments(data=name)) == 2
        assert "install rlra_torch[io]" in capsys.readouterr().err

    def test_rows_of_a_sparse_file(self):
        matrix = open_matrix("y.npz")
        assert matrix.shape == (31, 23) and matrix.dtype == np.float64
        for rows in (slice(0, 5), slice(5, 9), slice(2, 31), slice(30, 31)):
            assert np.array_equal(matrix[rows].toarray(), Y[rows])


class TestFolder:
    def test_finished_and_gone_on_with(self, capsys):
        first = run()
        before = Path("out/factors.npz").stat().st_mtime_ns
        same(run(), first)
        assert "finished before" in capsys.readouterr().out
        assert Path("out/factors.npz").stat().st_mtime_ns == before
        same(run(max_iter=50), nmf(Y, 3, "kl", init="random", max_iter=50))
        assert "resumed from iteration 30" in capsys.readouterr().out

    @pytest.mark.parametrize("change", [{"rank": 4}, {"seed": 1}, {"loss": "2"}, {"tol": 0.1}])
    def test_other_settings(self, change, capsys):
        run()
        assert cli.main(arguments(**change)) == 2
        err = capsys.readouterr().err
        assert "other settings" in err and next(iter(change)) in err and len(err.splitlines()) == 1

    def test_other_data(self, capsys):
        run()
        np.save("y.npy", Y + 1)
        assert cli.main(arguments()) == 2
        assert "data fingerprint" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"data": "no.npy"}, "no file at no.npy"),
            ({"data": "y.csv"}, "no file"),
            ({"resume": True}, "no checkpoint in 'out'"),
            ({"chunk_rows": 5, "init": "nndsvda"}, "use random"),
            ({"variable": "x"}, "leave variable out"),
            ({"weights": "small.npy"}, "weights have shape (2, 2)"),
            ({"data": "line.npy"}, "needs a matrix of real numbers"),
            ({"data": "negative.npy"}, "negative"),
            ({"data": "two.npz"}, "2 2-D variables"),
            ({"data": "broken.npy"}, "broken.npy"),
        ],
    )
    def test_bad_input(self, change, words, capsys):
        np.save("small.npy", np.ones((2, 2)))
        np.save("line.npy", np.ones(3))
        np.save("negative.npy", -Y)
        np.savez("two.npz", a=Y, b=Y)
        Path("broken.npy").write_bytes(b"nothing")
        assert cli.main(arguments(**change)) == 2
        err = capsys.readouterr().err
        assert words in err and len(err.splitlines()) == 1 and "Traceback" not in err


def test_chunks_and_random_starts_are_for_nmf():
    data = Chunks.of(Y, rows=6)
    nearly(nmf(data, 3, "kl", max_iter=20), nmf(Y, 3, "kl", init="random", max_iter=20))
    with pytest.raises(ValueError, match="init='random'"):
        nmf(data, 3, "kl", init="nndsvda")
    with pytest.raises(ValueError, match="weights of its own"):
        nmf(data, 3, "kl", weights=np.ones_like(Y))


# --- Several processes -------------------------------------------------------------------------


def torchrun(*words):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    return subprocess.run(
        [*launcher, "-m", "rlra_torch", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("y.npy", {"method": "joint"}),
        ("y.npz", {"loss": "frobenius", "chunk_rows": 6}),
        ("holes.npy", {"loss": "frobenius", "method": "hals"}),
    ],
)
def test_two_processes_equal_one(data, options):
    holes = Y.copy()
    holes[1, 2] = np.nan  # in the rows of one process only
    np.save("holes.npy", holes)
    words = {"data": data, "method": "mu", **options}
    done = torchrun(*arguments(**words))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("factors.npz") == 1
    found = Factorization.load("out/factors.npz")
    expected = run(**{**words, "chunk_rows": None, "out": "one"})
    nearly(found, expected, 1e-8)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped():
    run(method="fista", loss="frobenius", max_iter=20)
    done = torchrun(*arguments(method="fista", loss="frobenius", max_iter=40, json=True))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    assert (said["run"], said["resumed_from"]) == ("resumed", 20)
    found = Factorization.load("out/factors.npz")
    nearly(found, run(method="fista", loss="frobenius", max_iter=40, out="one"), 1e-7)
    one = run(method="fista", loss="frobenius", max_iter=60)
    nearly(one, run(method="fista", loss="frobenius", max_iter=60, out="whole"), 1e-7)


# --- Interruptions -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children must not import everything again")
def test_twenty_kills():
    """Killed or Ctrl-C at a random moment after the first checkpoint; then the same command."""
    options = {"method": "joint", "tol": 0, "check_every": 1, "max_iter": 60, "quiet": True}
    torch.set_num_threads(1)
    whole = run(**options, out="whole")
    assert ended(arguments(**options, out="warm")) == 0, said()
    begin = time.perf_counter()
    same(run(**options, out="timed"), whole)
    length, hit = time.perf_counter() - begin, 0
    for kill, (after, number, status) in enumerate(moments(0.6 * length, 20)):
        out = Path(f"out{kill}")
        words = arguments(**options, out=out)
        hit += ended(words, after, number, (out / "progress.pt").exists) == status
        assert ended(words) == 0, said()
        same(Factorization.load(out / "factors.npz"), whole)
        assert sorted(os.listdir(out)) == sorted([*FILES, COMMAND, PAGE])
    assert hit >= 10
