"""``rlra benchmark``: who is timed, and what is said about it."""

import json
import sys

import numpy as np
import pytest
import scipy.sparse

from rlra_torch import cli
from rlra_torch.applications.timing import Point, Timing

DRAW = np.random.default_rng(0)
Y = DRAW.random((30, 3)) @ DRAW.random((3, 20))
QUICK = ["--rank", "3", "--max-iter", "60", "--check-every", "20", "--seconds", "60"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own, with one small matrix in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    np.save("y.npy", Y)


def run(capsys, *words):
    assert cli.main(["benchmark", *QUICK, *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("loss", ["frobenius", "kl", "0.5"])
def test_json(capsys, loss):
    found = json.loads(run(capsys, "--data", "y.npy", "--loss", loss, "--json"))
    assert found["shape"] == [30, 20]
    methods = found["methods"]
    assert {"mu", "amu"} <= set(methods) and ("hals" in methods) == (loss == "frobenius")
    assert found["lowest"] == min(row["objective"] for row in methods.values())
    assert any(row["seconds_to_gap"] is not None for row in methods.values())
    for row in methods.values():
        assert row["iterations"] == 60
        assert 0 < row["seconds_per_iteration"] and 0 < row["seconds"]
    assert not set(methods) & set(found["left_out"])


def test_peers_do_what_ours_do(capsys):
    """They are given the data, the start and the count that ours are."""
    pytest.importorskip("sklearn")
    words = ["--data", "y.npy", "--dtype", "float64", "--max-iter", "300", "--json"]
    methods = json.loads(run(capsys, *words))["methods"]
    assert methods["scikit-learn CD"]["objective"] < 1e-2
    assert methods["TensorLy HALS"]["objective"] < 1e-2 > methods["hals"]["objective"]


def test_sparse(capsys):
    scipy.sparse.save_npz("y.npz", scipy.sparse.csr_array(Y * (Y > 1)))
    found = json.loads(run(capsys, "--data", "y.npz", "--json"))
    assert found["left_out"]["TensorLy HALS"] == "not for sparse data"
    assert "hals" in found["methods"]


@pytest.mark.parametrize("name", ["mixture", "topics"])
def test_made_up_data_and_a_table(capsys, name):
    few = ["--max-iter", "2", "--seconds", "0"]
    lines = run(capsys, "--data", name, "--loss", "kl", *few).splitlines()
    assert max(map(len, lines)) <= 80 and lines[0].strip().startswith(f"{name}: ")
    assert "ms/iteration" in lines[2] and "s to gap 0.001" in lines[2]
    assert "hals (not for this loss)" in " ".join(" ".join(lines).split())


def test_without_peers(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("rlra_torch.applications.timing.find_spec", lambda name: None)
    found = json.loads(run(capsys, "--data", "y.npy", "--json"))
    assert found["left_out"]["scikit-learn CD"] == "not installed"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data", "none.npy"], "none.npy"),
        (["--loss", "l1"], "unknown loss 'l1'"),
        (["--data", "holes.npy"], "must be nonnegative, without missing"),
        (["--data", "negative.npy"], "must be nonnegative, without missing"),
    ],
)
def test_errors_are_one_sentence(capsys, words, sentence):
    np.save("negative.npy", Y - 1)
    np.save("holes.npy", np.where(Y == Y.max(), np.nan, Y))
    assert cli.main(["benchmark", *QUICK, *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


def test_the_arithmetic():
    timing = Timing([Point(10, 1.0, 8.0), Point(20, 3.0, 4.0), Point(30, 6.0, 5.0)])
    assert timing.step == pytest.approx(0.2)
    assert (timing.seconds_to(4.5), timing.seconds_to(3.0)) == (3.0, None)
