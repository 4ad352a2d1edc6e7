"""``rlra rank``, in this process and interrupted."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from rlra_torch import cli
from rlra_torch.report.page import COMMAND, PAGE

ROOT = Path(__file__).parents[1]
FILES = ["ranks.csv", "ranks.json", "ranks.png"]
RNG = np.random.default_rng(0)
Y = RNG.poisson(5 * RNG.gamma(0.7, size=(24, 3)) @ RNG.gamma(0.7, size=(3, 20))).astype(float)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    np.save("y.npy", Y)
    return tmp_path


def words(**changes):
    """Of a quick run; an option that is None is left out."""
    options = {
        "data": "y.npy", "ranks": "1:3", "out": "out", "loss": "kl", "folds": 2,
        "replicates": 2, "max_iter": 20, **changes,
    }  # fmt: skip
    found = ["rank"]
    for name, value in options.items():
        if value is not None:
            found += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return found


def test_prints_a_table_and_writes_files(capsys):
    assert cli.main(words()) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and max(len(line) for line in lines) <= 80
    assert lines[0] == "24 x 20, KullbackLeibler(beta=1), AcceleratedMU; 2 folds, 2 starts"
    assert lines[-4:] == [str(Path("out") / name) for name in [*FILES, PAGE]]
    names = [f"rank_{rank:03d}.npz" for rank in (1, 2, 3)]
    assert sorted(os.listdir("out")) == [COMMAND, *names, *FILES, PAGE]
    with open("out/ranks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open("out/ranks.json") as file:
        content = json.load(file)
    assert [int(row["rank"]) for row in rows] == [1, 2, 3]
    held_out = [row["held_out"] for row in content["table"]]
    assert [float(row["held_out"]) for row in rows] == held_out
    with np.load("out/rank_002.npz") as file:
        assert file["consensus"].shape == (20, 20) and file["W"].shape == (24, 2)
        assert file["W"].dtype == np.float32


def test_options_reach_the_fit(capsys):
    options = {"loss": 1.5, "folds": 3, "held_out": 0.1, "seed": 4, "tol": 1e-3}
    assert cli.main(words(**options, json=True, method="msom", samples="rows")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["loss"] == "BetaDivergence(beta=1.5)" and found["iteration"] == "MSOM"
    assert found["held_out"] == [48] * 3 and found["samples"] == "rows"
    assert (found["seed"], found["tol"], found["max_iter"]) == (4, 1e-3, 20)
    assert cli.main(words(dtype="float64", quiet=True, out="exact")) == 0
    assert capsys.readouterr().out == ""
    with np.load("exact/rank_001.npz") as file:
        assert file["W"].dtype == np.float64


@pytest.mark.parametrize(
    ("text", "ranks"),
    [("2", [2]), ("1:3", [1, 2, 3]), ("1:6:2", [1, 3, 5]), ("3,1", [1, 3]), ("2,2", [2])],
)
def test_ranks(text, ranks, capsys):
    assert cli.main(words(ranks=text, json=True, max_iter=2)) == 0
    assert [row["rank"] for row in json.loads(capsys.readouterr().out)["table"]] == ranks


def test_tables_with_holes_and_sparse_matrices(capsys):
    holes = np.where(RNG.random(Y.shape) < 0.1, np.nan, Y)
    np.savetxt("y.csv", holes, delimiter=",")
    assert cli.main(words(data="y.csv", json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["held_out"]) == np.isfinite(holes).sum()
    thin = np.where(RNG.random(Y.shape) < 0.3, Y, 0)
    scipy.sparse.save_npz("y.npz", scipy.sparse.csr_matrix(thin))
    assert cli.main(words(data="y.npz", json=True, out="sparse")) == 0
    found = json.loads(capsys.readouterr().out)
    # More than half are zeros: no more is held out than is stored.
    stored = int((thin > 0).sum())
    assert 2 * stored < Y.size and max(found["held_out"]) == stored
    assert cli.main(words(data="y.npz", json=True, out="half", held_out=0.5)) == 0
    assert sum(json.loads(capsys.readouterr().out)["held_out"]) == Y.size


def test_finished_ranks_are_not_done_again(capsys):
    assert cli.main(words(quiet=True)) == 0
    before = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("rank_*")}
    assert cli.main(words(ranks="1:4", quiet=True)) == 0
    after = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("rank_*")}
    assert all(after[name] == then for name, then in before.items()) and len(after) == 4
    assert cli.main(words(ranks="1:2", seed=1, quiet=True)) == 0
    again = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("rank_*")}
    assert [name for name in again if again[name] != after[name]] == [
        "rank_001.npz",
        "rank_002.npz",
    ]


def test_an_interruption_keeps_what_is_finished(capsys):
    changes = {"ranks": "1,40", "max_iter": 2000, "tol": 0, "folds": 3, "method": "mu"}
    process = subprocess.Popen(
        [sys.executable, "-m", "rlra_torch", *words(**changes)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not Path("out/rank_001.npz").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.startswith("rlra: interrupted; finished ranks are kept in 'out', and the same")
    assert os.listdir("out") == ["rank_001.npz"]
    then = Path("out/rank_001.npz").stat().st_mtime_ns
    assert cli.main(words(**{**changes, "ranks": "1"}, json=True)) == 0
    assert Path("out/rank_001.npz").stat().st_mtime_ns == then
    assert json.loads(capsys.readouterr().out)["chosen"]["minimum"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": "0:3"}, "needs ranks such as 2:12 or 2,4,8, got 0:3"),
        ({"ranks": "5:2"}, "needs ranks such as"),
        ({"ranks": "1:5:0"}, "needs ranks such as"),
        ({"ranks": "few"}, "needs ranks such as"),
        ({"folds": 0}, "needs an integer of at least 1"),
        ({"data": "nowhere.npy"}, "no file at nowhere.npy"),
        ({"data": "y.txt"}, "matrices are read from"),
        ({"loss": "huber"}, "unknown loss 'huber'"),
        ({"method": "svd"}, "unknown iteration 'svd'"),
        ({"method": "hals"}, "HALS needs a least-squares block"),
        ({"held_out": 0.7}, "held_out must be in"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
        ({"out": "y.npy"}, "'y.npy' is not a folder"),
    ],
)
def test_bad_input_gets_one_sentence(change, message, capsys):
    assert cli.main(words(**change)) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and len(err.splitlines()) == 1
    assert sorted(os.listdir()) == ["y.npy"]


def test_help_fits_80_columns(capsys):
    assert cli.main(["rank", "--help"]) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80
