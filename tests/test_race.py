"""The races of the benchmark: the judge, those who race, the clockwork and the tables."""

import argparse
import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from race import contests, report
from race.judge import judge, multiplied
from race.ours import OURS
from race.peers import PEERS
from race.running import Check, Step, Track, race, schedule, seconds_to, steps
from race.tasks import TASKS, Data, Task, start
from race.track import Setting

from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative

LOSSES = {"frobenius": Frobenius, "kl": KullbackLeibler}
DRAW = np.random.default_rng(0)
Y = (DRAW.random((30, 3)) @ DRAW.random((3, 20)) * 4).astype(np.float32)
COUNTS = DRAW.poisson(0.7 * Y).astype(np.float32)
SEEN = DRAW.random(Y.shape) > 0.2
DENSE, SPARSE = Data(Y), Data(scipy.sparse.csr_array(COUNTS))
MASKED = Data(np.where(SEEN, Y, 0), SEEN)


class TestJudge:
    @pytest.mark.parametrize("loss", ["frobenius", "kl"])
    @pytest.mark.parametrize("data", [DENSE, MASKED, Data(COUNTS)])
    def test_agrees_with_the_problem(self, data, loss):
        factors = start(data, 3, 0)
        weights = None if data.observed is None else torch.from_numpy(data.observed).double()
        regs = (NonNegative(), NonNegative())
        y = torch.from_numpy(data.y).double()
        problem = Problem(y, NMF(), LOSSES[loss](), regs, weights)
        doubled = tuple(torch.from_numpy(x).double() for x in factors)
        expected = (problem.objective(doubled).item(), problem.kkt(doubled).item())
        assert judge(data, loss, factors) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("loss", ["frobenius", "kl"])
    def test_sparse_as_dense(self, loss, monkeypatch):
        monkeypatch.setattr("race.judge._ENTRIES", 50)
        factors = start(SPARSE, 3, 1)
        dense = judge(Data(COUNTS), loss, factors)
        assert judge(SPARSE, loss, factors) == pytest.approx(dense, rel=1e-12)

    def test_stored_zeros_and_zero_predictions(self):
        stored = scipy.sparse.csr_array((np.float32([0, 2]), [0, 1], [0, 2]), shape=(1, 2))
        ones = (np.ones((1, 1), np.float32), np.ones((2, 1), np.float32))
        assert judge(Data(stored), "kl", ones)[0] == pytest.approx(1 + 2 * np.log(2) - 2 + 1)
        zeros = (np.zeros((1, 1)), np.ones((2, 1)))
        assert np.isfinite(judge(Data(stored), "kl", zeros)[0])
        assert np.isnan(judge(DENSE, "kl", (np.full((30, 1), np.nan), np.ones((20, 1))))).all()

    @pytest.mark.parametrize("loss", ["frobenius", "kl"])
    @pytest.mark.parametrize("data", [DENSE, SPARSE])
    def test_updates_are_those_of_the_textbook(self, data, loss):
        w, h = (x.astype(float) for x in start(data, 3, 0))
        y = data.y if isinstance(data.y, np.ndarray) else data.y.toarray()
        for _ in range(3):
            for flip in (False, True):
                x, z, a = (h, w, y.T) if flip else (w, h, y)
                if loss == "kl":
                    x = x * ((a / (x @ z.T)) @ z) / z.sum(0)
                else:
                    x = x * (a @ z) / (x @ (z.T @ z))
                w, h = (w, x) if flip else (x, h)
        found = multiplied(data, loss, start(data, 3, 0), 3)
        np.testing.assert_allclose(found[0], w, rtol=1e-10)
        np.testing.assert_allclose(found[1], h, rtol=1e-10)


class TestStart:
    def test_has_the_mean_of_the_observed_data(self):
        for data in (DENSE, SPARSE, MASKED):
            w, h = start(data, 200, 0)
            seen = np.ones(Y.shape, bool) if data.observed is None else data.observed
            y = data.y.toarray() if data.sparse else data.y
            assert w.dtype == h.dtype == np.float32
            assert (w @ h.T).mean() == pytest.approx(y[seen].mean(), rel=0.15)
            assert not np.array_equal(w, start(data, 200, 1)[0])


def raced(method, data, loss, count):
    """The factors after some iterations, in pieces."""
    reason = method.why_not(data, "cpu")
    if reason:
        pytest.skip(f"{method.name}: {reason}")
    with warnings.catch_warnings():
        # Other packages: of torch.jit, of runs that did not converge.
        warnings.simplefilter("ignore")
        native = method.native(data, loss, "cpu")
        begin = start(data, 3, 0)
        racer = method.begin(native, begin)
        racer.advance(2)
        racer.advance(count - 2)
        found = racer.factors()
    assert all(np.array_equal(a, b) for a, b in zip(begin, start(data, 3, 0), strict=True))
    assert found[0].shape == (30, 3) and found[1].shape == (20, 3)
    assert all(isinstance(x, np.ndarray) and (x >= 0).all() for x in found)
    return found


ENTRANTS = [(m, loss) for m in (*OURS, *PEERS) for loss in m.losses]


UPDATES = [(m, loss) for m, loss in ENTRANTS if contests._is_mu(m.name, loss)]


def name_of(value):
    return getattr(value, "name", value)


class TestEntrants:
    @pytest.mark.parametrize(("method", "loss"), ENTRANTS, ids=name_of)
    def test_come_closer(self, method, loss):
        data = MASKED if getattr(method, "missing", False) and method in PEERS else DENSE
        begin = judge(data, loss, start(data, 3, 0))[0]
        assert judge(data, loss, raced(method, data, loss, 20))[0] < 0.5 * begin

    @pytest.mark.parametrize(("method", "loss"), UPDATES, ids=name_of)
    def test_mu_is_the_same_everywhere(self, method, loss):
        truth = multiplied(DENSE, loss, start(DENSE, 3, 0), 12)
        for found, expected in zip(raced(method, DENSE, loss, 12), truth, strict=True):
            assert np.abs(found - expected).max() < 1e-4 * expected.max()

    @pytest.mark.parametrize(("method", "loss"), UPDATES, ids=name_of)
    def test_mu_on_sparse_data(self, method, loss):
        truth = multiplied(SPARSE, loss, start(SPARSE, 3, 0), 12)
        for found, expected in zip(raced(method, SPARSE, loss, 12), truth, strict=True):
            assert np.abs(found - expected).max() < 1e-3 * expected.max()


class TestClockwork:
    def test_pieces_grow(self):
        counts = schedule(most=1000)
        assert counts[:6] == (1, 1, 1, 1, 2, 3) and sum(counts[:-1]) < 1000 <= sum(counts)

    def test_time_to_a_gap_between_two_points(self):
        run = [Check(i, 2.0 * i, 5 + 10.0**-i, 1.0) for i in range(6)]
        assert seconds_to(run, 5.0, 2e-3) == pytest.approx(4.0)
        assert seconds_to(run, 5.0, 2e-3 / 10**0.5) == pytest.approx(5.0)
        assert seconds_to(run, 5.0, 10.0) == 0.0
        assert seconds_to(run, 5.0, 1e-9) == float("inf")
        assert seconds_to([run[0], Check(1, 1.0, float("nan"), 1.0)], 5.0, 1e-3) == float("inf")

    def test_medians_over_rounds_of_the_pieces_that_all_did(self):
        runs = [[Check(i, s * i, 2.0 + s / (1 + i), 0.1) for i in range(4)] for s in (1, 2, 6)]
        curve = Track("a", True, [runs[0], runs[1], runs[2][:3]]).curve([1.0, 2.0, 2.0])
        assert [check.iteration for check in curve] == [0, 1, 2]
        assert curve[2].seconds == 4 and curve[2].objective == pytest.approx(1)

    @pytest.mark.slow
    def test_methods_take_turns_in_processes_of_their_own(self, tmp_path):
        setting = Setting(DENSE, "kl", 3, "cpu", 1)
        starts = [start(DENSE, 3, seed) for seed in (0, 1)]
        one, two = race(setting, ["mu", "burg"], starts, 0.05)
        for track in (one, two):
            assert not track.failure and len(track.runs) == 2 and track.memory >= 0
            for run in track.runs:
                assert run[0].iteration == 0 and run[0].seconds == 0
                assert all(a.seconds < b.seconds for a, b in zip(run, run[1:], strict=False))
                assert run[-1].objective < 0.5 * run[0].objective
        # The same start, and the iterations that they say.
        count = one.runs[0][5].iteration
        value = judge(DENSE, "kl", multiplied(DENSE, "kl", starts[0], count))[0]
        assert one.runs[0][5].objective == pytest.approx(value, rel=1e-3)

    @pytest.mark.slow
    def test_what_fails_does_not_stop_the_others(self):
        wrong = Setting(Data(np.full_like(Y, np.nan)), "frobenius", 3, "cpu", 1)
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        (track,) = race(wrong, ["scikit-learn MU"], [start(DENSE, 3, 0)], 0.05)
        assert "contains NaN" in track.failure and not track.runs
        (step,) = steps(wrong, ["scikit-learn MU"], start(DENSE, 3, 0), 1, 2)
        assert step.failure == track.failure


def tracks():
    def run(rate):
        return [Check(2 * i, i / 10, 3 + rate**i, rate**i) for i in range(60)]

    return [
        Track("hals, extrapolated", True, [run(0.7), run(0.8)], 12.0),
        Track("mu", True, [run(0.99), run(0.98)], 1.0),
        Track("scikit-learn CD", False, [run(0.84), run(0.89)], 1.0),
        Track("nmf-torch", False, [], failure="RuntimeError: no"),
    ]


class TestReport:
    def test_table(self):
        text = report.race_table(tracks(), [3.0, 3.0], {"TensorLy HALS": "no sparse data"})
        first = text.splitlines()[2]
        # 0.1% of 3 at rate 0.7 after log(0.003) / log(0.7) tenths of a second, and so on.
        times = [np.log(0.003) / np.log(rate) / 10 for rate in (0.7, 0.8)]
        assert first.startswith("| hals, extrapolated | 118 | 50 |")
        assert float(first.split("|")[5]) == pytest.approx(np.mean(times), abs=0.01)
        assert "| mu | 118 | 50 | - | - | - | 1e-01 |" in text
        assert "nmf-torch (RuntimeError: no); TensorLy HALS (no sparse data)." in text
        ratio = np.median([np.log(0.7) / np.log(0.84), np.log(0.8) / np.log(0.89)])
        assert f"scikit-learn CD takes {ratio:.1f} times as long" in text
        assert all(len(line) <= 80 for line in text.splitlines())

    def test_verdicts(self):
        hals, mu, cd, _ = tracks()
        assert "no other package came there" in report.race_table([hals], [3.0, 3.0], {})
        assert "None came within 0.1%" in report.race_table([mu], [3.0, 3.0], {})
        assert "CD is the first; none of ours" in report.race_table([mu, cd], [3.0, 3.0], {})

    def test_best_known_is_remembered(self, tmp_path):
        assert report.best_known(tracks(), ["a", "b"], tmp_path) == pytest.approx([3.0, 3.0])
        worse = [Track("mu", True, [[Check(0, 0.0, 9.0, 1.0)], [Check(0, 0.0, np.nan, 1.0)]])]
        assert report.best_known(worse, ["a", "b"], tmp_path) == pytest.approx([3.0, 3.0])
        assert report.best_known(worse, ["c"], tmp_path) == [9.0]

    def test_figure_tells_ours_from_others(self):
        figure = report.race_plot(tracks(), [3.0, 3.0], "title")
        markers = [line.get_marker() for line in figure.axes[0].get_lines()[:3]]
        assert markers[:2] == ["None", "None"] and markers[2] == "o"

    def test_step_table(self):
        begin = start(DENSE, 3, 0)
        off = (begin[0] + 0.01 * begin[0].max(), begin[1])
        found = [
            Step("mu", [0.001, 0.002, 0.004], begin, 1.0),
            Step("other", [0.002, 0.008, 0.004], off, 2.0),
            Step("third", failure="ValueError: no"),
        ]
        text = report.step_table(found, DENSE, begin, begin)
        assert "| mu | 1 | 2 | 1.00 | 0e+00 | 0e+00 | 1 |" in text
        assert "| other | 2 | 4 | 2.00 | 1e-02 | 0e+00 | 2 |" in text
        assert "| third | failed: ValueError: no |" in text
        assert all(len(line) <= 80 for line in text.splitlines())


class TestContests:
    def test_families(self):
        assert contests.family("race") == [f"race-{name}" for name in TASKS]
        assert "step-debian" in contests.family("step") and contests.family("pines") == ["pines"]
        assert all(task.loss in LOSSES and task.seconds > 0 for task in TASKS.values())

    def test_refuses_unknown_methods(self):
        setting = Setting(DENSE, "kl", 3, "cpu", 1)
        names, absent = contests._ready(setting, "mu; burg")
        assert names == ["mu", "burg"] and not absent
        with pytest.raises(SystemExit, match="no method 'hals' here; there are mu"):
            contests._ready(setting, "mu;hals")

    def test_says_who_cannot(self):
        pytest.importorskip("nmf", reason="nmf-torch is not installed")
        names, absent = contests._ready(Setting(SPARSE, "kl", 3, "cpu", 1), None)
        assert absent["nmf-torch"] == "no sparse data" and "TensorLy MU" not in absent
        names, absent = contests._ready(Setting(MASKED, "frobenius", 3, "cpu", 1), None)
        assert absent["torchnmf MU"] == "no missing entries" and "TensorLy MU" in names
        _, absent = contests._ready(Setting(DENSE, "kl", 3, "cuda", 1), None)
        assert absent["scikit-learn MU"] == "no cuda"

    @pytest.mark.slow
    def test_a_race_from_the_command_line(self, tmp_path, monkeypatch):
        task = Task("small", "kl", 3, 0.05, lambda small: DENSE)
        monkeypatch.setitem(TASKS, "toy", task)
        parser = argparse.ArgumentParser()
        contests.add_options(parser)
        options = parser.parse_args(["--methods", "mu;burg", "--threads", "1"])
        options.rounds, options.device, options.out = 2, "cpu", tmp_path
        text = contests.run("race-toy", options)
        assert "30 x 20, rank 3, float32." in text and "| burg |" in text
        assert {path.name for path in tmp_path.iterdir()} == {
            "best.json",
            "race-toy.json",
            "race-toy.png",
        }
        assert "| mu |" in contests.run("step-toy", options)

    def test_data_that_are_not_there_are_left_out(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RLRA_DATA", str(tmp_path))
        options = argparse.Namespace(small=True)
        assert "left out: no file" in contests.run("race-debian", options)
