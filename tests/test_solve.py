"""The one loop: freezing, stopping, callbacks, resuming, and what it reports."""

import importlib
import math
import os
from dataclasses import replace

import pytest
import torch
from conformance import close, run
from zoo import ITERATIONS, MADE_FOR, example, uniform

from rlra_torch import cp, nmf
from rlra_torch.iterations import FISTA, HALS, MSOM, MU, Alternating, Iteration, State
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative, Support
from rlra_torch.solvers import (
    Checkpoint,
    EarlyStop,
    History,
    Progress,
    ProgressBar,
    Record,
    load_checkpoint,
    solve,
)
from rlra_torch.solvers.running import running

# Of those that take any start; the others have residuals of their own.
every_iteration = pytest.mark.parametrize("name", [n for n in ITERATIONS if n not in MADE_FOR])


def made(name):
    make, losses = ITERATIONS[name]
    return make(), losses[0]


def same_bits(one, two):
    return all(torch.equal(x, y) for x, y in zip(one, two, strict=True))


# --- The loop and its stopping -----------------------------------------------------------------


@every_iteration
def test_a_solve_is_so_many_iterations(name, generator):
    iteration, loss = made(name)
    problem, start = example(generator, loss=loss)
    start = iteration.init(start, problem).factors
    fit = solve(iteration, problem, start, max_iter=7, tol=0, check_every=3)
    with torch.no_grad():  # as in a solve
        assert same_bits(fit.factors, run(iteration, problem, start, 7)[-1])
    assert [record.iteration for record in fit.history] == [0, 3, 6, 7]
    assert fit.n_iter == 7 and not fit.converged
    close(fit.objective, problem.objective(fit.factors), atol=0.0)
    close(fit.kkt, problem.kkt(fit.factors), atol=0.0)
    close(fit.history[0].objective, problem.objective(start), atol=0.0)
    seconds = [record.seconds for record in fit.history]
    assert seconds == sorted(seconds) and fit.seconds == seconds[-1] > 0
    assert not any(x.requires_grad for x in fit.factors)


def test_it_stops_at_the_tolerance(generator):
    problem, start = example(generator)
    fits = [
        solve(Alternating(MU()), problem, start, max_iter=5000, tol=tol, check_every=5)
        for tol in (1e-3, 1e-6)
    ]
    for fit, tol in zip(fits, (1e-3, 1e-6), strict=True):
        assert fit.converged and fit.kkt <= tol
        assert (fit.history[-2].kkt > tol) and fit.n_iter == fit.history[-1].iteration
    assert fits[0].n_iter < fits[1].n_iter < 5000
    short = solve(Alternating(MU()), problem, start, max_iter=5, tol=1e-6)
    assert not short.converged and short.kkt > 1e-6 and short.n_iter == 5


def test_zero_tolerance_runs_all():
    """Even where the residual is exactly zero."""
    y = torch.ones(4, 3, dtype=torch.float64)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = (y[:, :1], y[0, :, None])
    assert problem.kkt(start) == 0
    assert solve(Alternating(HALS()), problem, start, max_iter=20, tol=0).n_iter == 20
    at_once = solve(Alternating(HALS()), problem, start, max_iter=20, tol=1e-9)
    assert at_once.converged and at_once.n_iter == 0 and len(at_once.history) == 1


@every_iteration
def test_each_problem_of_a_batch_stops_on_its_own(name, generator):
    """One starts at its solution; all stay where they finished, bit by bit."""
    iteration, loss = made(name)
    problem, start = example(generator, loss=loss, batch=(4,))
    start = iteration.init(start, problem).factors
    y = problem.y.clone()
    y[2] = problem.model(start)[2]
    y[1] = problem.model(start)[1] * 1.0001
    problem = replace(problem, y=y)
    states = []
    tol = float(problem.kkt(start)[[0, 3]].min()) * 0.5
    fit = solve(
        iteration, problem, start, max_iter=6, tol=tol, check_every=1, callbacks=[states.append]
    )
    assert fit.n_iter[2] == 0 and fit.converged[2]
    assert same_bits([x[2] for x in fit.factors], [x[2] for x in start])
    for i in range(4):
        stop = int(fit.n_iter[i])
        kkts = [float(record.kkt[i]) for record in fit.history]
        assert all(k > tol for k in kkts[:stop])
        assert fit.converged[i] == (kkts[stop] <= tol)
        still = [x[i] for x in states[stop].state.factors]
        assert same_bits(still, [x[i] for x in fit.factors])
        # And they went their way as if alone.
        alone = replace(problem, y=problem.y[i])
        single = solve(
            iteration, alone, tuple(x[i] for x in start), max_iter=6, tol=tol, check_every=1
        )
        assert single.n_iter == stop
        for x, y in zip(single.factors, fit.factors, strict=True):
            close(x, y[i], 1e-7)
    assert len({int(n) for n in fit.n_iter}) > 1


@every_iteration
@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_shrinks_as_its_problems_finish(name, weighted, generator, monkeypatch):
    """The same solve, problem by problem, and what is done is never computed again."""
    iteration, loss = made(name)
    problem, start = example(generator, loss=loss, batch=(2, 3))
    y, exact = problem.y.clone(), problem.model(start)
    for i, j in ((0, 0), (0, 2), (1, 1)):  # these begin at their solution
        y[i, j] = exact[i, j]
    weights = uniform(generator, *y.shape, low=0.1) if weighted else None
    problem = replace(problem, y=y, weights=weights)
    settings = {"max_iter": 9, "tol": 1e-9, "check_every": 3}
    sizes, seen = [], []
    keep = Problem.measure

    def counted(self, factors, squares=None):
        sizes.append(self.batch_shape.numel())
        return keep(self, factors, squares)

    monkeypatch.setattr(Problem, "measure", counted)
    fit = solve(iteration, problem, start, callbacks=[seen.append], **settings)
    # Gains by convolution have three dimensions, as if they could differ between problems.
    assert sizes[0] == 6 and max(sizes[1:]) == (6 if "convolutions" in name else 3)
    monkeypatch.setattr(importlib.import_module(solve.__module__), "running", lambda *parts: None)
    whole = solve(iteration, problem, start, **settings)
    assert torch.equal(fit.n_iter, whole.n_iter) and torch.equal(fit.converged, whole.converged)
    for ours, theirs in zip(fit.factors, whole.factors, strict=True):
        close(ours, theirs, 1e-10)
    for ours, theirs in zip(fit.history, whole.history, strict=True):
        close(ours.objective, theirs.objective, 1e-10)
        close(ours.kkt, theirs.kkt, 1e-7)
    for progress in seen:
        assert progress.done.shape == (2, 3)
        same_shapes = zip(progress.state.factors, start, strict=True)
        assert all(x.shape == old.shape for x, old in same_shapes)


def test_what_differs_between_problems_shrinks_with_them(generator):
    """Penalties, known zeros; and data that all share is not copied."""
    problem, start = example(generator, batch=(4,))
    weight = torch.tensor([0.0, 0.1, 0.2, 0.3], dtype=torch.float64)[:, None, None]
    mask = uniform(generator, 4, 5, 3) < 0.8
    regs = (Support(mask, NonNegative(ridge=0.1)), NonNegative(l1=weight))
    problem = replace(problem, y=problem.y[:1].expand(4, 5, 4), regs=regs)
    done = torch.tensor([True, False, True, False])
    part = running(Alternating(HALS()), problem, start, done, None)
    assert part is not None and part.problem.y.stride() == problem.y.stride()
    assert part.problem.y.data_ptr() == problem.y.data_ptr()
    assert torch.equal(part.problem.regs[0].mask, mask[[1, 3]])
    assert torch.equal(part.problem.regs[1].l1, weight[[1, 3]])
    assert part.problem.regs[0].reg.ridge is regs[0].reg.ridge
    assert regs[1].l1.shape == (4, 1, 1), "the problem itself stays as it is"
    for k, i in enumerate((1, 3)):
        alone = running(Alternating(HALS()), problem, start, torch.arange(4) != i, None)
        some = tuple(x[[i]] for x in start)
        assert torch.equal(alone.problem.kkt(some)[0], part.problem.kkt(part.gather(start))[k])
    assert running(Alternating(HALS()), problem, start, done, part) is part
    assert running(Alternating(HALS()), problem, start, done & False, part) is None


def test_a_batch_stays_whole_where_it_cannot_be_parted(generator):
    problem, (w, h) = example(generator, batch=(4,))
    done = torch.tensor([True, False, True, True])
    assert running(Alternating(MSOM()), problem, (w, h), done, None) is not None
    steps = torch.full((4, 1, 1), 1.5, dtype=torch.float64)
    assert running(Alternating(MSOM(steps)), problem, (w, h), done, None) is None
    shared = replace(problem, free=(1,))
    assert running(Alternating(MSOM()), shared, (w[0], h), done, None) is None
    few = torch.tensor([True, False, False, False])
    assert running(Alternating(MSOM()), problem, (w, h), few, None) is None


def test_frozen_factors_stay(generator):
    problem, start = example(generator)
    fit = solve(Alternating(HALS()), problem.freeze(0), start, max_iter=20)
    assert torch.equal(fit.factors[0], start[0]) and not torch.equal(fit.factors[1], start[1])


# --- Callbacks ---------------------------------------------------------------------------------


def test_callbacks_see_every_check_and_can_stop(generator):
    problem, start = example(generator)
    seen = []

    def stop_at_third(progress):
        seen.append(progress.history[-1].iteration)
        return len(seen) == 3

    later = []
    fit = solve(
        Alternating(MU()),
        problem,
        start,
        max_iter=100,
        check_every=5,
        callbacks=[stop_at_third, lambda p: later.append(p.n_iter)],
    )
    assert seen == [0, 5, 10] and len(later) == 3
    assert fit.n_iter == 10 and not fit.converged
    # Only True stops, not any value.
    assert solve(Alternating(MU()), problem, start, max_iter=10, callbacks=[len_of]).n_iter == 10


def len_of(progress):
    return len(progress.history)


def test_early_stop(generator):
    problem, start = example(generator, batch=(3,))
    fit = solve(
        Alternating(MU()), problem, start, max_iter=5000, tol=0, callbacks=[EarlyStop(1e-3)]
    )
    objective = torch.stack([record.objective for record in fit.history])
    falls = (objective[:-1] - objective[1:]) / objective[:-1]
    assert (falls[-1] <= 1e-3).all() and (falls[:-1] > 1e-3).any(-1).all()
    assert 0 < int(fit.n_iter[0]) < 5000
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="the decrease must be"):
            EarlyStop(bad)


def test_progress_bar_is_silent_when_piped(generator, capfd):
    problem, start = example(generator)
    solve(Alternating(MU()), problem, start, max_iter=20, callbacks=[ProgressBar(20)])
    assert capfd.readouterr().out == ""


# --- Checkpoints -------------------------------------------------------------------------------


@every_iteration
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_resumed_solve_equals_an_undisturbed_one(name, batch, generator, tmp_path):
    """Bit by bit: factors, memory, counters and history."""
    iteration, loss = made(name)
    problem, start = example(generator, loss=loss, batch=batch)
    path = tmp_path / "deep" / "run.pt"
    settings = {"tol": 1e-4, "check_every": 2}
    whole = solve(iteration, problem, start, max_iter=13, **settings)
    solve(iteration, problem, start, max_iter=6, callbacks=[Checkpoint(path)], **settings)
    progress = load_checkpoint(path)
    assert isinstance(progress.state, State) and progress.history[-1].iteration <= 6
    resumed = solve(iteration, problem, progress, max_iter=13, **settings)
    assert same_bits(resumed.factors, whole.factors)
    assert torch.equal(resumed.n_iter, whole.n_iter)
    assert torch.equal(resumed.converged, whole.converged)
    assert len(resumed.history) == len(whole.history)
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert ours.iteration == theirs.iteration
        assert torch.equal(ours.kkt, theirs.kkt) and torch.equal(ours.objective, theirs.objective)
    assert resumed.seconds >= progress.history[-1].seconds
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_resuming_what_is_finished_changes_nothing(generator, tmp_path):
    problem, start = example(generator)
    path = tmp_path / "run.pt"
    fit = solve(Alternating(HALS()), problem, start, tol=1e-3, callbacks=[Checkpoint(path)])
    again = solve(Alternating(HALS()), problem, load_checkpoint(path), tol=1e-3)
    assert same_bits(again.factors, fit.factors) and again.n_iter == fit.n_iter


def test_checkpoint_intervals(generator, tmp_path):
    problem, start = example(generator)
    path, written = tmp_path / "run.pt", []

    def note(progress):
        written.append(load_checkpoint(path).history[-1].iteration if path.is_file() else None)

    solve(
        Alternating(MU()),
        problem,
        start,
        max_iter=5,
        tol=0,
        check_every=1,
        callbacks=[Checkpoint(path, every=2), note],
    )
    assert written == [0, 0, 2, 2, 4, 4]
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(path, every=0)


def test_damaged_checkpoints(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(path)
    for content in (b"", b"noise"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a checkpoint of a solve"):
            load_checkpoint(path)
    torch.save({"state": 1}, path)
    with pytest.raises(ValueError, match="is not a checkpoint of a solve"):
        load_checkpoint(path)


# --- What can go wrong -------------------------------------------------------------------------


class Explodes(Iteration):
    """Good for some steps, then infinite."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def init(self, factors, problem):
        return State(factors, (torch.zeros(()),))

    def forward(self, state, problem):
        (count,) = state.memory
        grown = 1.0 if count < self.after else torch.inf
        return State(tuple(grown * x for x in state.factors), (count + 1,))


def test_an_objective_that_is_not_finite(generator):
    problem, start = example(generator)
    with pytest.warns(RuntimeWarning, match="not finite after 6 iterations") as caught:
        fit = solve(Explodes(4), problem, start, max_iter=50, tol=0, check_every=2)
    assert caught[0].filename == __file__, "the warning points to who called"
    assert same_bits(fit.factors, start) and fit.n_iter == 4
    assert fit.objective.isfinite() and not fit.converged


class ExplodesInPlaces(Iteration):
    """MU, but one problem of a batch becomes infinite after some steps."""

    def __init__(self, which, after):
        super().__init__()
        self.which, self.after, self.inner = which, after, Alternating(MU())

    def init(self, factors, problem):
        return State(factors, (torch.zeros(problem.batch_shape),))

    def forward(self, state, problem):
        factors = self.inner(self.inner.init(state.factors, problem), problem).factors
        count = state.memory[0] + 1
        lost = (torch.arange(len(count)) == self.which) & (count > self.after)
        w = torch.where(lost[:, None, None], torch.inf, factors[0])
        return State((w, factors[1]), (count,))


def test_one_lost_problem_does_not_stop_the_others(generator):
    problem, start = example(generator, batch=(4,))
    settings = {"max_iter": 12, "tol": 1e-9, "check_every": 3}
    with pytest.warns(RuntimeWarning, match="objective of 1 of 4 problems is not") as caught:
        fit = solve(ExplodesInPlaces(2, 4), problem, start, **settings)
    assert len(caught) == 1
    assert fit.n_iter.tolist() == [12, 12, 3, 12] and not fit.converged.any()
    assert fit.objective.isfinite().all() and fit.kkt.isfinite().all()
    whole = solve(Alternating(MU()), problem, start, **settings)
    early = solve(Alternating(MU()), problem, start, max_iter=3, tol=0)
    for x, y, z in zip(fit.factors, whole.factors, early.factors, strict=True):
        assert torch.equal(x[[0, 1, 3]], y[[0, 1, 3]]) and torch.equal(x[2], z[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_iter": 0}, "max_iter must be an integer of at least 1"),
        ({"max_iter": 2.5}, "max_iter must be an integer of at least 1"),
        ({"max_iter": True}, "max_iter must be an integer of at least 1"),
        ({"check_every": 0}, "check_every must be an integer of at least 1"),
        ({"tol": -1.0}, "tol must be"),
        ({"tol": math.nan}, "tol must be"),
    ],
)
def test_settings(settings, message, generator):
    problem, start = example(generator)
    with pytest.raises(ValueError, match=message):
        solve(Alternating(HALS()), problem, start, **settings)


def test_nothing_is_done_before_the_parts_fit(generator):
    problem, start = example(generator)
    called = []
    for bad, error in (
        (replace(problem, loss=KullbackLeibler()), TypeError),
        (replace(problem, y=problem.y * torch.nan), ValueError),
    ):
        with pytest.raises(error):
            solve(Alternating(FISTA()), bad, start, callbacks=[called.append])
    assert called == []


# --- Reproducibility ---------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["random", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize("iteration", ["hals", "mu", "fista"])
def test_same_seed_same_bits(init, iteration, generator):
    y = uniform(generator, 12, 9)
    state = torch.get_rng_state()
    fits = [nmf(y, 3, iteration=iteration, init=init, seed=s, max_iter=30) for s in (5, 5, 6)]
    assert same_bits(fits[0].factors, fits[1].factors)
    if init != "nndsvda":
        assert not torch.equal(fits[0].factors[0], fits[2].factors[0])
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    tensor = uniform(generator, 5, 4, 3)
    one, two = (cp(tensor, 2, init="random", seed=1, max_iter=20) for _ in range(2))
    assert same_bits(one.factors, two.factors)


def test_progress_is_what_callbacks_get(generator):
    problem, start = example(generator, batch=(2,))
    seen = []
    solve(Alternating(MU()), problem, start, max_iter=4, check_every=2, callbacks=[seen.append])
    assert all(isinstance(p, Progress) for p in seen)
    assert [p.n_iter.tolist() for p in seen] == [[0, 0], [2, 2], [4, 4]]
    assert [len(p.history) for p in seen] == [1, 2, 3]


# --- The history ------------------------------------------------------------------------------


def record(i: int, shape: tuple[int, ...] = ()) -> Record:
    values = torch.full((2, *shape), float(i), dtype=torch.float64)
    return Record(i, 0.1 * i, values[0], -values[1])


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_history_is_a_sequence_of_its_records(shape):
    records = [record(i, shape) for i in range(200)]
    history = History()
    for entry in records:
        history = history.followed(entry)
    assert len(history) == 200 and [r.iteration for r in history] == list(range(200))
    for got, want in zip((history[-1], *history[3:7]), (records[-1], *records[3:7]), strict=True):
        assert got[:2] == want[:2]
        assert torch.equal(got.objective, want.objective) and torch.equal(got.kkt, want.kkt)
    with pytest.raises(IndexError):
        history[200]


def test_histories_that_part_do_not_disturb_each_other():
    start = History([record(0)])
    one, two = start.followed(record(1)), start.followed(record(2))
    one, changed = one.followed(record(3)), one.replaced(record(4))
    assert [r.iteration for r in one] == [0, 1, 3]
    assert [r.iteration for r in two] == [0, 2]
    assert [r.iteration for r in changed] == [0, 4] and len(start) == 1
    assert float(one[1].objective) == 1 and float(two[1].objective) == 2


def test_a_long_solve_needs_no_more_memory_than_a_short_one():
    sizes = []

    def watch(progress: Progress) -> None:
        if len(progress.history) % 300 == 0:
            with open("/proc/self/statm") as file:
                sizes.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read the memory from")
    y = torch.rand(50, 10000, generator=torch.Generator().manual_seed(0))
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = (torch.ones(50, 3), torch.ones(10000, 3))
    settings = {"max_iter": 1500, "tol": 0, "check_every": 1, "callbacks": [watch]}
    solve(Alternating(HALS()), problem, start, **settings)
    assert len(sizes) == 5
    # One small tensor a check, left among the temporaries, cost 0.8 MB each.
    assert sizes[-1] - sizes[0] < 100e6
