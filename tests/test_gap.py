"""Duality gaps: they bound the error, vanish at solutions, and stop solves."""

from dataclasses import replace

import cvxpy
import numpy as np
import pytest
import torch
from conformance import run
from test_regression import best_nnkl, best_nnls, cost, kl_cost
from zoo import example, normal, uniform

from rlra_torch import nnkl, nnls
from rlra_torch.diagnostics import GapStop, duality_gap
from rlra_torch.iterations import HALS, MU, AcceleratedMU, Alternating, ScalarNewton
from rlra_torch.losses import Frobenius, ItakuraSaito, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Box, ElasticNet, Free, NonNegative, Simplex
from rlra_torch.solvers import solve

LOSSES = {"kl": KullbackLeibler, "frobenius": Frobenius}
STEPS = {"kl": ScalarNewton, "frobenius": HALS}
REGS = {
    "nonnegative": NonNegative,
    "l1": lambda: NonNegative(0.3),
    "ridge": lambda: NonNegative(0.0, 0.4),
    "elastic": lambda: NonNegative(0.3, 0.4),
    "box": lambda: Box(0.0, 0.7),
    "elastic in a box": lambda: ElasticNet(0.2, 0.3, 0.1, 0.5),
    "lower bound": lambda: ElasticNet(lower=0.2),
    "ridge on some": lambda: NonNegative(
        0.1, torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0], dtype=torch.float64)
    ),
}


def regressions(generator, loss, reg, weighted=False, signed=False, count=8):
    """Problems ``A X ~ Y`` with two right-hand sides, in one batch, and A."""
    a = normal(generator, count, 12, 5) if signed else uniform(generator, count, 12, 5)
    y = a @ uniform(generator, count, 5, 2)
    if loss == "kl":
        y = torch.poisson(2 * y, generator=generator)
    else:
        y = y + 0.3 * normal(generator, *y.shape)
    weights = uniform(generator, *y.shape) if weighted else None
    regs = (NonNegative(), REGS[reg]())
    return Problem(y, NMF(), LOSSES[loss](), regs, weights, free=(1,)), a


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reg", REGS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gap_bounds_the_error_and_closes(loss, reg, weighted, generator):
    problem, a = regressions(generator, loss, reg, weighted)
    start = problem.regs[1].prox(uniform(generator, 8, 2, 5), 1e-12)
    step = Alternating(STEPS[loss]())
    x = solve(step, problem, (a, start), max_iter=1000, tol=1e-12).factors[1]
    best = problem.objective((a, x))
    size = problem.y.abs().sum((-2, -1))
    assert (duality_gap(problem, (a, x)) <= 1e-6 * size).all()
    gaps = []
    for change in (1.0, 0.1, 1e-2, 1e-4):
        nearby = x * (1 + change * (uniform(generator, *x.shape) - 0.5))
        nearby = problem.regs[1].prox(nearby + 0.1 * change * uniform(generator, *x.shape), 1e-12)
        gap = duality_gap(problem, (a, nearby))
        assert (problem.objective((a, nearby)) - best <= gap + 1e-10 * size).all()
        gaps.append(gap.median())
    assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 1e-2 * gaps[0]


@pytest.mark.parametrize("reg", ["nonnegative", "l1", "ridge"])
def test_signed_matrices(reg, generator):
    problem, a = regressions(generator, "frobenius", reg, signed=True)
    start = uniform(generator, 8, 2, 5)
    x = solve(Alternating(HALS()), problem, (a, start), max_iter=1000, tol=1e-12).factors[1]
    assert (duality_gap(problem, (a, x)) <= 1e-9).all()
    error = problem.objective((a, start)) - problem.objective((a, x))
    gap = duality_gap(problem, (a, start))
    assert (error <= gap).all() and gap.isfinite().all()


def test_against_a_conic_solver():
    rng = np.random.default_rng(0)
    for _ in range(4):
        a, y = rng.random((15, 4)), rng.poisson(3, 15).astype(float)
        x = cvxpy.Variable(4, nonneg=True)
        p = a @ x
        cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(p) - y @ cvxpy.log(p) + 0.2 * cvxpy.sum(x))).solve()
        best = kl_cost(a, x.value, y) + 0.2 * x.value.sum()
        for count in (1, 5, 200):
            fit = nnkl(a, y, "mu", l1=0.2, max_iter=count, tol=1e-12)
            assert fit.objective - best <= fit.gap + 1e-6
            assert fit.gap <= (fit.objective - best) + 60 * fit.kkt * y.sum()
        cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(p - y) / 2)).solve()
        fit = nnls(a, y, "hals", max_iter=2)
        assert cost(a, fit.x, y) - cost(a, x.value, y) <= fit.gap + 1e-5


def test_regressions_stop_on_their_gap():
    rng = np.random.default_rng(1)
    a = rng.random((8, 20, 5))
    y = rng.poisson((a @ rng.exponential(3, (8, 5, 1)))[..., 0]).astype(float)
    quick, slow = nnkl(a, y, "mu", gap=1e-3), nnkl(a, y, "mu", max_iter=3000)
    assert quick.converged.all() and (quick.n_iter < slow.n_iter).all()
    for one, data, x, gap in zip(a, y, quick.x, quick.gap, strict=True):
        assert gap <= 1e-3 * data.sum()
        assert kl_cost(one, x, data) <= best_nnkl(one, data) + gap + 1e-9
    one, data = rng.standard_normal((20, 5)), rng.standard_normal(20)
    fit = nnls(one, data, "pg", gap=1e-2)
    assert fit.converged and fit.gap <= 1e-2 * 0.5 * data @ data
    assert cost(one, fit.x, data) <= best_nnls(one, data) + fit.gap + 1e-12
    exact = nnls(one, data)
    assert exact.gap <= 1e-13 * (data @ data) and isinstance(exact.gap, float)


def test_a_callback_stops_when_all_are_near(generator):
    problem, a = regressions(generator, "kl", "nonnegative")
    start = (a, torch.ones(8, 2, 5, dtype=a.dtype))
    stop = GapStop(problem, 1e-4)
    fit = solve(Alternating(MU()), problem, start, max_iter=2000, tol=0, callbacks=[stop])
    size = problem.y.sum((-2, -1))
    assert (duality_gap(problem, fit.factors) <= 1e-4 * size).all()
    assert 0 < fit.history[-1].iteration < 2000
    before = solve(
        Alternating(MU()), problem, start, max_iter=fit.history[-1].iteration - 10, tol=0
    )
    assert (duality_gap(problem, before.factors) > 1e-4 * size).any()


def test_edges(generator):
    problem, a = regressions(generator, "kl", "nonnegative")
    silent = replace(problem, y=torch.zeros_like(problem.y))
    zero = (a, torch.zeros(8, 2, 5, dtype=a.dtype))
    assert (duality_gap(silent, zero) == 0).all()
    ones = (a, torch.ones(8, 2, 5, dtype=a.dtype))
    torch.testing.assert_close(duality_gap(silent, ones), silent.objective(ones))
    dead = a.clone()
    dead[..., 1] = 0
    assert duality_gap(problem, (dead, ones[1])).isfinite().all()
    # Nothing feasible is known for a column that the others cannot make up for.
    one = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    gap = duality_gap(
        Problem(torch.ones(2, 1), NMF(), Frobenius(), (Free(), NonNegative()), free=(1,)),
        (one, torch.zeros(1, 2)),
    )
    assert gap >= 1 - 1e-6


def test_gaps_of_one_factor_of_a_factorization(generator):
    """With the other factors as they are; of tensors and of models that mix rows too."""
    for model, loss in (
        ("cp", "kl"),
        ("cp", "frobenius"),
        ("sensed nmf", "kl"),
        ("parafac2", "kl"),
    ):
        problem, start = example(generator, model, loss, batch=(3,))
        for n in range(len(start)):
            step = Alternating(AcceleratedMU(), order=(n,))
            best = run(step, problem, start, 300)[-1]
            error = problem.objective(start) - problem.objective(best)
            gap = duality_gap(problem, start, n)
            assert (error <= gap + 1e-12).all() and gap.shape == (3,)
            assert (duality_gap(problem, best, n) <= 0.05 * gap).all()


def test_what_has_no_gap_is_refused(generator):
    problem, start = example(generator, loss="kl")
    with pytest.raises(ValueError, match="of one factor but .* are free; name one"):
        duality_gap(problem, start)
    with pytest.raises(ValueError, match="are free"):
        GapStop(problem, 1e-3)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        GapStop(problem.freeze(0), 0.0)
    for reg in (Free(), Simplex()):
        with pytest.raises(TypeError, match="factor 1 has"):
            duality_gap(replace(problem, regs=(NonNegative(), reg)), start, 1)
    with pytest.raises(TypeError, match="not for ItakuraSaito on NMF"):
        duality_gap(replace(problem, loss=ItakuraSaito()), start, 0)
