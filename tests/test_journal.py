"""Solves that are kept in a folder: what is interrupted ends as if it had not been."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rlra_torch import cli, nmf
from rlra_torch.solvers import EarlyStop, Journal, Watching, journal

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.rand(12, 9, generator=GENERATOR, dtype=torch.float64)
RANKS = (2, 3)


class StopAfter(Watching):
    """Ctrl-C at one check of all."""

    def __init__(self, checks):
        self.left = checks

    def opened(self, start, max_iter):
        return start, self.seen

    def seen(self, progress):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def work(iteration="fista"):
    return [nmf(Y, rank, iteration=iteration, max_iter=30, tol=0, seed=1) for rank in RANKS]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one.factors, other.factors, strict=True))
        assert [c.objective for c in one.history] == [c.objective for c in other.history]


@pytest.mark.parametrize(
    ("iteration", "checks", "seconds"),
    [
        *(("fista", checks, seconds) for checks in (1, 4, 6) for seconds in (0.0, 1e6)),
        ("hals", 6, 0.0),
        ("admm", 6, 0.0),
    ],
)
def test_two_solves_interrupted_anywhere(tmp_path, iteration, checks, seconds):
    folder = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt), Journal(folder, {}, seconds), StopAfter(checks):
        work(iteration)
    assert folder.is_dir()
    with Journal(folder, {}, seconds) as kept:
        assert kept.resumed
        same(work(iteration), work_alone(iteration))
    assert not folder.exists()


def work_alone(iteration, known={}):  # noqa: B006
    if iteration not in known:
        known[iteration] = work(iteration)
    return known[iteration]


def test_what_had_ended_is_not_done_again(tmp_path):
    """Four checks a solve; of those that had ended there is the last one."""
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "kept", {}, 0.0), StopAfter(6):
        work()
    with Journal(tmp_path / "kept", {}, 0.0), StopAfter(100) as counter:
        work()
    assert 100 - counter.left == 1 + 2


def test_a_solve_with_callbacks_sees_every_check(tmp_path):
    class Counts(EarlyStop):
        seen = 0

        def __call__(self, progress):
            self.seen += 1
            return False

    for _ in range(2):
        counts = Counts(0.0)
        with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "kept", {}, 0.0):
            nmf(Y, 2, max_iter=20, tol=0, callbacks=[counts])
            raise KeyboardInterrupt
        assert counts.seen == 3


def test_other_settings(tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path, {"rank": 2}, 0.0), StopAfter(3):
        work()
    with pytest.raises(ValueError, match="other settings .rank 2, not 3.; give these"):
        Journal(tmp_path, {"rank": 3})


def test_outside_of_a_journal_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work()
    assert os.listdir() == []


# --- Commands ----------------------------------------------------------------------------------

SCENE = torch.rand(6, 7, 12, generator=GENERATOR).numpy()
TRACES = torch.rand(2, 60, generator=GENERATOR).numpy()
SHARED = "--max-iter 40 --tol 0 --seed 3 --quiet"
COMMANDS = {
    "unmix": "--data scene.npy --rank 3 --method mu hals --max-iter 40 --tol 0 --seed 3 --quiet",
    "deconvolve": f"--data traces.npy --kernel-size 5 --reweights 2 {SHARED}",
    "segment": "--data movie.npy --decay 3 --columns 8 --max-iter 20 --tol 0 --quiet",
    "recover": "--data scene.npy --rank 3 --ratio 2 --max-iter 20 --seed 3 --quiet",
    "singlepixel": "--data counts.npy --shape 4 4 --rank 2 --max-iter 40 --tol 0 --quiet",
}


def arrays(folder):
    found = {}
    for path in sorted(Path(folder).glob("*.npz")):
        with np.load(path) as file:
            found |= {f"{path.name} {name}": file[name] for name in file.files}
    # The second column of a history is seconds.
    without = {n: np.delete(x, 1, 1) if " history" in n else x for n, x in found.items()}
    return {name: x for name, x in without.items() if x.dtype.kind in "fi"}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupted_command_goes_on(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("scene.npy", SCENE)
    np.save("traces.npy", TRACES)
    np.save("movie.npy", SCENE.transpose(2, 0, 1))
    np.save("counts.npy", 100 * torch.rand(31, 5, generator=GENERATOR).numpy())
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (0.0,))
    words = [command, *COMMANDS[command].split()]
    assert cli.main([*words, "--out", "whole"]) == 0
    assert cli.main([*words, "--out", "out", "--resume"]) == 2
    assert "there is no interrupted work in 'out' to resume" in capsys.readouterr().err
    with StopAfter(2):
        assert cli.main([*words, "--out", "out"]) == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "the same command goes on from there" in err
    assert os.listdir("out") == ["unfinished"]
    other = [word if word != "3" else "2" for word in words]
    if other != words:
        assert cli.main([*other, "--out", "out"]) == 2
        assert "holds a run with other settings" in capsys.readouterr().err
    assert cli.main([*words, "--out", "out", "--resume"]) == 0
    assert sorted(os.listdir("out")) == sorted(os.listdir("whole"))
    found, expected = arrays("out"), arrays("whole")
    assert found.keys() == expected.keys() and found
    for name, x in expected.items():
        np.testing.assert_array_equal(found[name], x, err_msg=name)
