"""Kullback-Leibler beyond MU: one-variable steps, momentum, safeguards, marginals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance import check_descent, close, run
from scipy.optimize import minimize_scalar
from test_regression import best_nnkl, kl_cost
from torch.autograd import gradcheck
from zoo import EQUATIONS, LOSSES, REGULARIZERS, example, uniform

from rlra_torch import nnkl
from rlra_torch.blocks import QuadraticBlock
from rlra_torch.iterations import (
    HALS,
    MSOM,
    MU,
    AcceleratedMU,
    Alternating,
    BlockIteration,
    BurgMirrorDescent,
    CoordinateNewton,
    Extrapolated,
    Marginals,
    ProjectedNewton,
    Safeguarded,
    ScalarNewton,
)
from rlra_torch.iterations.coordinate import SAFE, Column
from rlra_torch.kernels import columns
from rlra_torch.losses import BetaDivergence, Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Box, ElasticNet, NonNegative, Simplex
from rlra_torch.solvers import solve


def counts(generator, m=12, n=10, r=3, batch=(), scale=4.0):
    """Poisson counts, about half of them zero, and a start of the right scale."""
    w, h = uniform(generator, *batch, m, r) ** 3, uniform(generator, *batch, n, r) ** 3
    y = torch.poisson(scale * w @ h.mT, generator=generator)
    problem = Problem(y, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
    start = (uniform(generator, *batch, m, r, low=0.1), uniform(generator, *batch, n, r, low=0.1))
    return problem, problem.scaled(start)


# --- The step in one variable ------------------------------------------------------------------


def scalar(generator, count=400, terms=6, ridge=False):
    """Many functions ``s x + l2 x^2 / 2 - sum_j a_j log(c_j + h_j x)`` and where they stand."""
    a = uniform(generator, count, terms) ** 4 * (uniform(generator, count, terms) < 0.7)
    c = uniform(generator, count, terms) ** 6 * (uniform(generator, count, terms) < 0.7)
    h = uniform(generator, count, terms, low=1e-3)
    s, l2 = uniform(generator, count, low=0.1), uniform(generator, count) if ridge else 0.0
    x = 10 ** uniform(generator, count, low=-4, high=3)
    return a, c, h, s, l2, x


def derivatives(a, c, h, s, l2, x):
    p = torch.where(a > 0, c + h * x[:, None], 1)
    ratio = torch.where(a > 0, h / p, 0)
    column = Column(x, s + l2 * x, (a * ratio).sum(-1), (a * ratio**2).sum(-1), l2)
    return column, s * x + 0.5 * l2 * x**2 - (a * p.log()).sum(-1)


@pytest.mark.parametrize("ridge", [False, True])
def test_scalar_newton_never_raises_its_function(ridge, generator):
    *parts, x = scalar(generator, ridge=ridge)
    step = ScalarNewton()
    column, value = derivatives(*parts, x)
    for _ in range(60):
        new = step.step(column).clamp_min(0)
        after, following = derivatives(*parts, new)
        assert (following <= value + 1e-13 * (1 + value.abs())).all()
        # To the right it never passes the minimizer.
        right = column.positive < column.negative
        slope = (after.positive - after.negative) / after.positive
        assert (slope[right] <= 1e-9).all() and (new[right] >= x[right]).all()
        x, column, value = new, after, following
    slope = column.positive - column.negative
    assert (slope.abs() * x <= 1e-9 * (1 + value.abs())).all() and (slope >= -1e-6).all()


def test_scalar_newton_ends_where_a_line_search_does(generator):
    *parts, x = scalar(generator, 40, ridge=True)
    start = x
    for _ in range(60):
        x = ScalarNewton().step(derivatives(*parts, x)[0]).clamp_min(0)
    _, best = derivatives(*parts, x)
    for i in range(40):

        def f(log_x, i=i):
            one = [part[i : i + 1] for part in parts]
            return derivatives(*one, torch.tensor([log_x], dtype=x.dtype).exp())[1].item()

        oracle = minimize_scalar(f, bounds=(-40, float(start[i].log()) + 10), method="bounded")
        assert best[i] <= oracle.fun + 1e-9 * (1 + abs(oracle.fun))


def test_the_bounds_behind_the_damping(generator):
    """``|f'''|`` is at most ``2 f'' / x``, and ``2 k f''^(3/2)`` with ``k = max a^(-1/2)``."""
    a, c, h, *_, x = scalar(generator)
    alive = (a > 0).any(-1)
    a, ratio = a[alive], (h / (c + h * x[:, None]))[alive]
    second, third = (a * ratio**2).sum(-1), 2 * (a * ratio**3).sum(-1)
    concordance = torch.where(a > 0, a, torch.inf).amin(-1).rsqrt()
    assert (third <= 2 * concordance * second**1.5 * (1 + 1e-12)).all()
    assert (third <= 2 * second / x[alive] * (1 + 1e-12)).all()
    assert 0 <= SAFE**2 + SAFE + np.log1p(-SAFE) < 1e-4


# --- A sweep over the columns ------------------------------------------------------------------


def sweep_by_definition(problem, factors, n, step, inner):
    """The same from the gradient and the Hessian of the whole block, computed anew each time."""
    block, reg = problem.block(n, factors), problem.regularizer(n, factors)
    x = problem.pack(n, factors).clone()
    l1, l2, lower, upper = reg.split(x)
    l1, l2 = 0.0 if l1 is None else l1, 0.0 if l2 is None else l2
    for q in range(x.shape[-1]):
        for _ in range(inner):
            positive, negative = block.split(x)
            curvature = block.hessian(x)[..., q, q]
            column = Column(x[..., q], positive[..., q] + l1 + l2 * x[..., q], negative[..., q],
                            curvature, l2)  # fmt: skip
            x[..., q] = step(column).clamp(lower, upper)
    return problem.unpack(n, factors, x)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg", ["nonnegative", "nonnegative elastic", "box"])
@pytest.mark.parametrize("model", EQUATIONS)
def test_a_sweep_is_newton_in_one_column_after_the_other(model, reg, weighted, grad, generator):
    """The prediction that is kept up to date is the right one, tile by tile or as a whole."""
    problem, factors = example(generator, model, "kl", reg)
    if weighted:
        weights = uniform(generator, *problem.y.shape) * (
            uniform(generator, *problem.y.shape) < 0.8
        )
        problem = replace(problem, weights=weights)
    for iteration in (ScalarNewton(2), CoordinateNewton()):
        for n in range(len(factors)):
            expected = sweep_by_definition(problem, factors, n, iteration.step, 2)
            with torch.set_grad_enabled(grad):
                found = run(Alternating(iteration, order=(n,)), problem, factors, 1)[-1]
            close(found[n], expected[n], 1e-10)


def test_tiles_of_any_size_make_one_sweep(generator, monkeypatch):
    problem, start = counts(generator)
    problem = replace(problem, weights=uniform(generator, *problem.y.shape))
    whole = run(Alternating(ScalarNewton()), problem, start, 3)[-1]
    for tile in (1, 25, 10**6):
        monkeypatch.setattr(columns, "TILE", tile)
        with torch.no_grad():
            found = run(Alternating(ScalarNewton()), problem, start, 3)[-1]
        for x, y in zip(found, whole, strict=True):
            close(x, y, 1e-10)


@pytest.mark.parametrize("reg", ["nonnegative", "nonnegative elastic"])
@pytest.mark.parametrize("make", [ScalarNewton, CoordinateNewton, AcceleratedMU])
def test_gradcheck_of_whole_sweeps(make, reg, generator):
    iteration = Alternating(make(), inner=2)
    w, h = uniform(generator, 4, 2, low=0.5), uniform(generator, 3, 2, low=0.5)
    y = w @ h.mT * uniform(generator, 4, 3, low=0.9, high=1.1)

    def sweep(y, w, h):
        regs = [REGULARIZERS[reg].make() for _ in range(2)]
        problem = Problem(y, NMF(), KullbackLeibler(), regs)
        return iteration(iteration.init((w, h), problem), problem).factors

    assert gradcheck(sweep, tuple(x.requires_grad_() for x in (y, w, h)), atol=1e-6)


@pytest.mark.parametrize("make", [ScalarNewton, CoordinateNewton, AcceleratedMU])
def test_derivatives_are_finite_at_zeros(make, generator):
    problem, start = counts(generator)
    y = problem.y.clone()
    y[2], y[:, 3], start[0][1] = 0, 0, 0
    given = [x.requires_grad_() for x in (y, *start)]
    *_, found = run(Alternating(make()), replace(problem, y=y), start, 3)
    gradients = torch.autograd.grad(sum(x.sum() for x in found), given)
    assert all(x.isfinite().all() for x in gradients)


# --- What they reach ---------------------------------------------------------------------------


@pytest.mark.parametrize("iteration", ["sn", "ccd", ProjectedNewton(safe=ScalarNewton())])
@pytest.mark.parametrize("penalty", [{}, {"l1": 0.3}, {"l1": 0.1, "ridge": 0.2}])
def test_regressions_against_scipy(iteration, penalty):
    """A hundred problems, half of the counts zero: to full accuracy in at most 200 sweeps."""
    rng = np.random.default_rng(6)
    a = rng.random((100, 20, 5))
    rate = (a @ rng.exponential(3, (100, 5, 1)))[..., 0]
    y = rng.poisson(rate) * (rng.random((100, 20)) < 0.5) * 1.0
    fit = nnkl(a, y, iteration, max_iter=200, **penalty)
    assert (fit.x >= 0).all() and np.mean(fit.converged) > 0.95
    for one, found, data in zip(a, fit.x, y, strict=True):
        l1, l2 = penalty.get("l1", 0.0), penalty.get("ridge", 0.0)
        cost = kl_cost(one, found, data) + l1 * found.sum() + l2 * (found**2).sum() / 2
        assert cost <= best_nnkl(one, data, l1, l2) * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("inner", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_scalar_newton_descends(inner, weighted, generator):
    """Fifty problems, from starts at which Newton's own steps fail."""
    problem, (w, h) = counts(generator, batch=(50,), scale=20.0)
    w = w * 10 ** uniform(generator, *w.shape, low=-6, high=3)
    y = problem.y.clone()
    y[:10, 2], y[10:20, :, 1] = 0, 0
    w[:25, 3], h[5:30, 2] = 0, 0
    weights = uniform(generator, *y.shape) ** 8 if weighted else None
    problem = replace(problem, y=y, weights=weights)
    check_descent(Alternating(ScalarNewton(inner)), problem, (w, h), 20)


def test_coordinate_newton_does_not_descend_but_safeguarded_it_does(generator):
    problem, (w, h) = counts(generator, batch=(50,), scale=20.0)
    start = (w * 10 ** uniform(generator, *w.shape, low=-2, high=2), h)
    with pytest.raises(AssertionError):
        check_descent(Alternating(CoordinateNewton(1)), problem, start, 20)
    for fallback in (MU(), BurgMirrorDescent(), ScalarNewton()):
        check_descent(Alternating(Safeguarded(CoordinateNewton(1), fallback)), problem, start, 20)


def test_one_sweep_of_scalar_newton_is_worth_many_of_mu(generator):
    problem, start = counts(generator, 60, 50, 4, batch=(8,), scale=20.0)
    quick = run(Alternating(ScalarNewton()), problem, start, 25)[-1]
    slow = run(Alternating(MU()), problem, start, 100)[-1]
    assert problem.objective(quick).mean() <= problem.objective(slow).mean()


def test_zeros_are_left_at_once_and_reached(generator):
    problem, (w, h) = counts(generator)
    y = problem.y.clone()
    y[5], w[5] = 3.0, 0  # a row that predicts nothing of its data
    y[4], y[:, 2] = 0, 0
    found = run(Alternating(ScalarNewton()), replace(problem, y=y), (w, h), 1)[-1]
    block = problem.block(0, (w, found[1]))
    assert block.predict(found[0])[5].sum() > 3
    found = run(Alternating(ScalarNewton()), replace(problem, y=y), (w, h), 30)[-1]
    prediction = problem.model(found)
    assert (prediction[4] == 0).all() and (prediction[:, 2] == 0).all()
    assert all(x.isfinite().all() for x in found) and (found[0] == 0).double().mean() > 0.1


@pytest.mark.parametrize("make", [ScalarNewton, AcceleratedMU, lambda: Marginals(ScalarNewton())])
def test_single_precision_of_large_counts(make, generator):
    problem, start = counts(generator, scale=1e7)
    fine = solve(Alternating(make()), problem, start, max_iter=30, tol=0)
    coarse = solve(
        Alternating(make()),
        replace(problem, y=problem.y.float()),
        tuple(x.float() for x in start),
        max_iter=30,
        tol=0,
    )
    objective = problem.objective(tuple(x.double() for x in coarse.factors))
    size = problem.y.sum()
    assert (objective - fine.objective).abs() < 1e-5 * size


def test_coordinate_methods_say_what_they_need(generator):
    problem, _ = example(generator)
    with pytest.raises(TypeError, match="ScalarNewton is for KullbackLeibler, not Frobenius; use"):
        Alternating(ScalarNewton()).check(problem)
    kl = replace(problem, loss=KullbackLeibler())
    with pytest.raises(TypeError, match="Simplex has no `split`"):
        Alternating(CoordinateNewton()).check(replace(kl, regs=(Simplex(), NonNegative())))
    with pytest.raises(ValueError, match="inner steps of ScalarNewton"):
        ScalarNewton(0)


# --- Momentum ----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_accelerated_mu_needs_half_the_iterations(loss, generator):
    w, h = uniform(generator, 8, 30, 4) ** 3, uniform(generator, 8, 25, 4) ** 3
    y = w @ h.mT * uniform(generator, 8, 30, 25, low=0.8, high=1.2) + 1e-3
    problem = Problem(y, NMF(), LOSSES[loss].make(), (NonNegative(), NonNegative()))
    start = problem.scaled(tuple(uniform(generator, *x.shape, low=0.1) for x in (w, h)))
    slow = torch.stack([problem.objective(f) for f in run(Alternating(MU()), problem, start, 200)])
    fast = run(Alternating(AcceleratedMU()), problem, start, 100)
    assert (problem.objective(fast[-1]).log().mean() <= slow[-1].log().mean() + 1e-4).all()
    # The first step has no momentum.
    first = run(Alternating(MU()), problem, start, 1)[-1]
    for x, expected in zip(fast[1], first, strict=True):
        close(x, expected)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("penalty", [(0.1, 0.1), (0.5, 0.02)])
def test_momentum_does_not_run_away_where_penalties_fix_the_scale(beta, penalty, generator):
    w, h = uniform(generator, 4, 12, 3), uniform(generator, 4, 9, 3)
    y = w @ h.mT + 0.1 * uniform(generator, 4, 12, 9)
    loss = KullbackLeibler() if beta == 1 else BetaDivergence(beta)
    problem = Problem(y, NMF(), loss, [NonNegative(*penalty)] * 2)
    start = problem.scaled(tuple(uniform(generator, *x.shape, low=0.1) for x in (w, h)))
    slow, fast = (
        problem.objective(run(Alternating(make()), problem, start, 300)[-1])
        for make in (MU, AcceleratedMU)
    )
    assert (fast <= slow + 0.05 * slow.abs()).all()


def test_accelerated_mu_makes_no_more_predictions_than_mu(generator, monkeypatch):
    problem, start = counts(generator)
    made = []
    forward = NMF.forward
    monkeypatch.setattr(NMF, "forward", lambda self, f: made.append(1) or forward(self, f))
    tally = []
    for make in (MU, AcceleratedMU):
        made.clear()
        run(Alternating(make()), problem, start, 10)
        tally.append(len(made))
    assert tally == [20, 20]


def test_momentum_restarts_by_rows(generator):
    problem, start = counts(generator, batch=(2,))
    iteration = AcceleratedMU()
    memory = iteration.init(start[0], NonNegative())
    assert memory[1].shape == (2, 12, 1)
    x = start[0]
    ages = []
    for _ in range(60):
        x, memory = iteration(x, memory, problem.block(0, start), NonNegative())
        ages.append(memory[1])
    ages = torch.stack(ages)
    fell = (ages[1:] < ages[:-1]).any(0)
    assert fell.any() and not fell.all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Alternating(AcceleratedMU()),
        lambda: Extrapolated(Alternating(MU())),
        lambda: Extrapolated(Alternating(BurgMirrorDescent())),
        lambda: Extrapolated(Alternating(ScalarNewton())),
    ],
    ids=["accelerated mu", "extrapolated mu", "extrapolated burg", "extrapolated sn"],
)
def test_momentum_and_zeros(make, generator):
    """Zeros make nothing infinite, and multiplicative momentum traps nothing at 0."""
    problem, (w, h) = counts(generator, batch=(20,))
    y = problem.y.clone()
    y[:, 2], y[:10, :, 1] = 0, 0
    w[:5, 3], h[:5, 4] = 0, 0
    problem = replace(problem, y=y)
    iteration = make()
    state = iteration.init((w, h), problem)
    for _ in range(100):
        state = iteration(state, problem)
        assert all(x.isfinite().all() and (x >= 0).all() for x in state.factors)
    alternating = iteration.iteration if isinstance(iteration, Extrapolated) else iteration
    if alternating.of(0).multiplicative:
        pairing = state.memory[1] if isinstance(iteration, Extrapolated) else state.factors
        assert (pairing[0][10:] > 0).all()
    plain = MU() if isinstance(alternating.of(0), AcceleratedMU) else alternating.of(0)
    slower = run(Alternating(plain), problem, (w, h), 30)[-1]
    assert problem.objective(state.factors).mean() <= problem.objective(slower).mean()


def test_extrapolation_speeds_up_mu(generator):
    problem, start = counts(generator, 30, 25, 4, batch=(8,), scale=30.0)
    fast = run(Extrapolated(Alternating(MU())), problem, start, 100)[-1]
    slow = run(Alternating(MU()), problem, start, 250)[-1]
    assert problem.objective(fast).log().mean() <= problem.objective(slow).log().mean()


# --- Safeguards --------------------------------------------------------------------------------


class Worse(BlockIteration):
    """Ten times as large, and NaN in the first problem; it counts its steps."""

    def init(self, x, reg):
        return (x.new_zeros(x.shape[:-1]),)

    def forward(self, x, memory, block, reg):
        wrong = 10 * x
        wrong[0] = torch.nan
        return wrong, (memory[0] + 1,)


def test_the_fallback_is_taken_where_the_step_would_rise(generator):
    problem, start = counts(generator, batch=(4,))
    iteration = Alternating(Safeguarded(Worse(), MU()))
    state = iteration(iteration.init(start, problem), problem)
    for x, expected in zip(
        state.factors, run(Alternating(MU()), problem, start, 1)[-1], strict=True
    ):
        close(x, expected)
    assert all((memory[0][0] == 0).all() for memory in state.memory)
    small = (start[0] / 10, start[1])
    right = replace(problem, y=problem.model(start))
    x, memory = iteration.of(0)(
        small[0], iteration.init(small, right).memory[0], right.block(0, small), NonNegative()
    )
    close(x[1:], start[0][1:])
    assert (memory[0][0][1:] == 1).all() and (memory[0][0][0] == 0).all()
    close(x[:1], run(Alternating(MU(), order=(0,)), right, small, 1)[-1][0][:1])


def test_safeguards_of_blocks_with_batches_and_penalties(generator):
    for model in ("parafac2", "rank first", "tucker"):
        problem, start = example(generator, model, "frobenius", "nonnegative elastic", batch=(6,))
        start = tuple(x * uniform(generator, *x.shape, low=0.1, high=3) for x in start)
        check_descent(Alternating(Safeguarded(MSOM(1.9), MU())), problem, start, 5)


def test_safeguarded_takes_block_iterations():
    with pytest.raises(TypeError, match="falls back on a block iteration, got str"):
        Safeguarded(MU(), "mu")
    with pytest.raises(TypeError, match="Safeguarded takes a block iteration, got Alternating"):
        Safeguarded(Alternating(MU()), MU())


# --- Marginals ---------------------------------------------------------------------------------

BY_MARGINALS = [MSOM(0.3), BurgMirrorDescent(), ScalarNewton()]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", EQUATIONS)
def test_marginals_of_the_prediction_are_those_of_the_data(model, weighted, generator):
    problem, start = example(generator, model, "kl", batch=(2,))
    weights = uniform(generator, *problem.y.shape) if weighted else torch.ones_like(problem.y)
    problem = replace(problem, weights=weights if weighted else None)
    for iteration in BY_MARGINALS:
        for n in range(len(start)):
            found = run(Alternating(Marginals(iteration), order=(n,)), problem, start, 1)[-1]
            block, x = problem.block(n, start), problem.pack(n, found)
            positive, negative = block.split(x)
            close((x * positive).sum(-1), (x * negative).sum(-1), 1e-10)


def test_row_and_column_sums_of_a_matrix(generator):
    problem, start = counts(generator)
    problem = replace(problem, weights=uniform(generator, *problem.y.shape))
    iteration = Alternating(Marginals(MSOM(0.3)), order=(0,))
    w, h = run(iteration, problem, start, 1)[-1]
    close((problem.weights * (w @ h.mT)).sum(1), (problem.weights * problem.y).sum(1))
    w, h = run(Alternating(Marginals(MSOM(0.3)), order=(1,)), problem, start, 1)[-1]
    close((problem.weights * (w @ h.mT)).sum(0), (problem.weights * problem.y).sum(0))
    # Those of MU are right already.
    mu = run(Alternating(MU()), problem, start, 1)[-1]
    for x, expected in zip(
        run(Alternating(Marginals(MU())), problem, start, 1)[-1], mu, strict=True
    ):
        close(x, expected, 1e-10)


@pytest.mark.parametrize("reg", [NonNegative(0.4), NonNegative(0.4, 0.7), Box(0.05, 0.6),
                                 ElasticNet(0.1, 0.3, 0.02, 0.9)])  # fmt: skip
def test_the_scale_of_a_row_is_the_best_one(reg, generator):
    problem, start = counts(generator)
    problem = replace(problem, regs=(reg, NonNegative()))
    x = run(Alternating(Marginals(MSOM(0.3)), order=(0,)), problem, start, 1)[-1][0]
    block = problem.block(0, start)
    assert (x >= reg.lower).all() and (x <= reg.upper).all()

    def rows(scale):
        z = scale * x
        entries = problem.loss(block.predict(z), problem.y).sum(-1)
        inside = ((z >= reg.lower - 1e-12) & (z <= reg.upper + 1e-12)).all(-1)
        return torch.where(inside, entries + torch.stack([reg(row[None]) for row in z]), torch.inf)

    for scale in (0.9, 0.999, 1.001, 1.1):
        assert (rows(torch.full((12, 1), scale, dtype=x.dtype)) >= rows(1.0) - 1e-12).all()


def test_marginals_bring_msom_into_reach(generator):
    problem, start = counts(generator, 30, 25, 4, batch=(8,))
    start = tuple(5 * x for x in start)
    plain = run(Alternating(MSOM()), problem, start, 40)[-1]
    scaled = run(Alternating(Marginals(MSOM())), problem, start, 40)[-1]
    assert problem.objective(scaled).median() < 0.9 * problem.objective(plain).median()


def test_marginals_say_what_they_need(generator):
    problem, _ = example(generator)
    with pytest.raises(TypeError, match="Marginals is for KullbackLeibler, not Frobenius; leave"):
        Alternating(Marginals(HALS())).check(problem)
    sensed, _ = example(generator, "sensed nmf", "kl")
    with pytest.raises(TypeError, match="Marginals needs the gram of factor 0, which Sensed"):
        Alternating(Marginals(MU())).check(sensed)


def test_cp_by_coordinates(generator):
    factors = tuple(uniform(generator, n, 3) ** 2 for n in (8, 7, 6))
    y = torch.poisson(50 * CP(3)(factors), generator=generator)
    problem = Problem(y, CP(3), KullbackLeibler(), [NonNegative()] * 3)
    start = problem.scaled(tuple(uniform(generator, *x.shape, low=0.1) for x in factors))
    quick = solve(Alternating(ScalarNewton()), problem, start, max_iter=30, tol=0)
    slow = solve(Alternating(MU()), problem, start, max_iter=200, tol=0)
    assert quick.objective <= 1.01 * slow.objective


def test_a_quadratic_block_is_one_problem_each(generator):
    """Without a model the leading dimensions of the factor tell the problems apart."""
    cross = uniform(generator, 3, 5, 2)
    block = QuadraticBlock(torch.eye(2, dtype=cross.dtype), cross, Frobenius())
    step = Safeguarded(Worse(), MU())
    x = uniform(generator, 3, 5, 2)
    found, _ = step(x, step.init(x, NonNegative()), block, NonNegative())
    close(found, MU()(x, (), block, NonNegative())[0])
