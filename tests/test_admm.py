"""ADMM: against solvers of convex problems, on sums of penalties, and as AO-ADMM."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from conformance import close, run
from scipy.optimize import nnls as scipy_nnls
from torch.autograd import gradcheck
from zoo import example, normal, uniform

from rlra_torch.blocks import QuadraticBlock
from rlra_torch.estimators import nmf
from rlra_torch.iterations import (
    ADMM,
    FISTA,
    HALS,
    MU,
    Alternating,
    Extrapolated,
    ProjectedNewton,
    Repeat,
    iterates,
)
from rlra_torch.iterations.admm import FactorStep, mean_curvature
from rlra_torch.losses import BetaDivergence, Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF, Sensed
from rlra_torch.operators import Dense
from rlra_torch.problem import Problem
from rlra_torch.regularizers import (
    L1,
    Box,
    Free,
    Group,
    NonNegative,
    Orthonormal,
    Regularizer,
    Ridge,
    Simplex,
    Smooth,
    Sum,
    Support,
    TotalVariation,
    Unimodal,
    UnitNorm,
)
from rlra_torch.solvers import solve


def least_squares(generator, rows=6, size=12, rank=4, batch=()):
    a, y = normal(generator, *batch, size, rank), normal(generator, *batch, size, rows)
    return a, y, QuadraticBlock(a.mT @ a, (a.mT @ y).mT, Frobenius())


def solved(block, x, reg, times=400, step=None):
    step = ADMM() if step is None else step
    return step.repeat(x, step.init(x, reg), block, reg, times)


def oracle(a, y, penalty, constraints=lambda x: []):
    """``min ||A X^T - Y||^2 / 2 + penalty`` by a conic solver."""
    x = cp.Variable((y.shape[-1], a.shape[-1]))
    cost = 0.5 * cp.sum_squares(a.numpy() @ x.T - y.numpy()) + penalty(x)
    problem = cp.Problem(cp.Minimize(cost), constraints(x))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return torch.from_numpy(np.asarray(x.value))


# --- One block ---------------------------------------------------------------------------------


def test_nonnegative_least_squares_is_exact(generator):
    a, y, block = least_squares(generator)
    x, _ = solved(block, torch.zeros(6, 4, dtype=a.dtype), NonNegative())
    expected = [scipy_nnls(a.numpy(), y[:, i].numpy())[0] for i in range(6)]
    close(x, torch.from_numpy(np.stack(expected)), atol=1e-9)
    assert (x >= 0).all() and (x == 0).any()


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_the_penalty_does_not_depend_on_the_weight_of_the_splitting(weight, generator):
    a, y, block = least_squares(generator)
    start = torch.zeros(6, 4, dtype=a.dtype)
    x, _ = solved(block, start, L1(1.5), 800, ADMM(weight))
    close(x, oracle(a, y, lambda x: 1.5 * cp.sum(cp.abs(x))), atol=1e-6)
    assert (x == 0).any()
    fista = FISTA()
    expected, _ = fista.repeat(start, fista.init(start, L1(1.5)), block, L1(1.5), 3000)
    close(x, expected, atol=1e-8)


SUMS = {
    "nonnegative, known sum": (
        lambda: Sum(NonNegative(), Simplex(2.0)),
        lambda x: 0,
        lambda x: [x >= 0, cp.sum(x, 1) == 2.0],
    ),
    "sparse, nonnegative, short": (
        lambda: Sum(NonNegative(), L1(0.5), Group(0.8)),
        lambda x: 0.5 * cp.sum(x) + 0.8 * cp.sum(cp.norm(x, 2, axis=0)),
        lambda x: [x >= 0],
    ),
    "both groups": (
        lambda: Sum(Group(0.7), Group(0.4, dim=-1), Ridge(0.3)),
        lambda x: (
            0.7 * cp.sum(cp.norm(x, 2, axis=0))
            + 0.4 * cp.sum(cp.norm(x, 2, axis=1))
            + 0.15 * cp.sum_squares(x)
        ),
        lambda x: [],
    ),
    "box, columns of known sum": (
        lambda: Sum(Box(0.0, 0.5), Simplex(1.0, dim=-2)),
        lambda x: 0,
        lambda x: [x >= 0, x <= 0.5, cp.sum(x, 0) == 1],
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_penalties(name, generator):
    make, penalty, constraints = SUMS[name]
    a, y, block = least_squares(generator)
    x, (_, copies, _) = solved(block, torch.zeros(6, 4, dtype=a.dtype), make(), 800)
    close(x, oracle(a, y, penalty, constraints), atol=2e-5)
    for z, *_ in copies:
        close(z, x, atol=1e-9)
    close(make().terms[0].prox(x, 1e-300), x, atol=0.0)


def test_rows_with_weights_of_their_own(generator):
    """Missing entries, very different weights, a row without data."""
    a, y = normal(generator, 12, 4), normal(generator, 6, 12)
    weights = uniform(generator, 6, 12) ** 8 * 10.0 ** torch.arange(-3, 3)[:, None]
    weights[4] = 0
    start = torch.zeros(6, 4, dtype=a.dtype)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), Free()), weights, free=(0,))
    x = run(Alternating(ADMM(), inner=600), problem, (start, a), 1)[-1][0]
    for i in (0, 1, 2, 3, 5):
        root = weights[i].sqrt()
        expected, _ = scipy_nnls((root[:, None] * a).numpy(), (root * y[i]).numpy())
        close(x[i], torch.from_numpy(expected), atol=1e-7)
    assert x[4].isfinite().all()


@pytest.mark.parametrize("reg", [NonNegative(), NonNegative(0.3, 0.2)], ids=["none", "elastic"])
def test_kullback_leibler_blocks(reg, generator):
    a = uniform(generator, 12, 3)
    y = torch.poisson(20 * uniform(generator, 5, 3) @ a.mT, generator=generator)
    start = 10 * uniform(generator, 5, 3)
    problem = Problem(y, NMF(), KullbackLeibler(), (reg, Free()), free=(0,))
    expected = solve(Alternating(ProjectedNewton()), problem, (start, a), tol=1e-10)
    found = solve(Alternating(ADMM(), inner=10), problem, (start, a), tol=1e-7, max_iter=2000)
    assert bool(found.converged)
    close(found.factors[0], expected.factors[0], 1e-5)
    close(found.objective, expected.objective, 1e-8)


@pytest.mark.parametrize("beta", [0.5, 1.3, 1.7, 2.5])
def test_other_divergences_reach_what_mu_does(beta, generator):
    problem, (w, h) = example(generator)
    problem = replace(problem, loss=BetaDivergence(beta), free=(0,))
    found = solve(Alternating(ADMM(), inner=10), problem, (w, h), tol=1e-6, max_iter=1000)
    expected = solve(Alternating(MU()), problem, (w, h), tol=1e-8, max_iter=5000)
    assert bool(found.converged)
    close(found.objective, expected.objective, 1e-6)


def test_operators_without_a_gram(generator):
    model = Sensed(NMF(), Dense(normal(generator, 9, 7)))
    h, y = normal(generator, 5, 3), normal(generator, 9, 5)
    problem = Problem(y, model, Frobenius(), (NonNegative(), Free()), free=(0,))
    start = (torch.zeros(7, 3, dtype=y.dtype), h)
    found = solve(Alternating(ADMM(), inner=20), problem, start, tol=1e-6, max_iter=500)
    expected = solve(Alternating(FISTA()), problem, start, tol=1e-7, max_iter=2000)
    assert bool(found.converged)
    close(found.objective, expected.objective, 1e-8)


# --- Parts that others build on ----------------------------------------------------------------


def test_the_step_of_a_factor(generator):
    """Least squares with another quadratic; a majorizer of it where there is no gram."""
    a, y, block = least_squares(generator)
    c, linear = normal(generator, 4, 4), normal(generator, 6, 4)
    matrix, weight = c @ c.mT, torch.full((1, 1), 0.7, dtype=a.dtype)
    found = FactorStep.of(block, linear, weight, matrix)(linear, linear)
    eye = torch.eye(4, dtype=a.dtype)
    close(found, (block.cross + linear) @ torch.linalg.inv(block.gram + 0.7 * eye + matrix), 1e-10)
    model, loss, h = NMF(), KullbackLeibler(), uniform(generator, 5, 4)
    problem = Problem(uniform(generator, 6, 5), model, loss, (NonNegative(), Free()))
    x = uniform(generator, 6, 4)
    block = problem.block(0, (x, h))
    step = FactorStep.of(block, x, weight, matrix)
    values = []
    for _ in range(300):
        quadratic = 0.5 * (x * (x @ matrix + weight * x)).sum() - (linear * x).sum()
        values.append(float(block.value(x) + quadratic))
        x = step(x, linear)
    assert all(b <= a + 1e-12 for a, b in zip(values, values[1:], strict=False))
    slope = block.gradient(x) + x @ matrix + weight * x - linear
    assert (slope > -1e-4).all() and (slope * x).abs().max() < 1e-4


def test_the_weight_is_the_mean_of_the_gram(generator):
    _, _, block = least_squares(generator, batch=(3,))
    rho = mean_curvature(block, block.cross, NonNegative())
    close(rho[:, 0, 0], block.gram.diagonal(dim1=-2, dim2=-1).mean(-1))
    zero = QuadraticBlock(0 * block.gram, 0 * block.cross, Frobenius())
    assert (mean_curvature(zero, block.cross, NonNegative()) == 1).all()


def test_sums():
    reg = Sum(NonNegative(), Sum(L1(0.5), Group(0.2)))
    assert [type(term) for term in reg.terms] == [NonNegative, L1, Group]
    assert (reg.degree, reg.couples, reg.convex) == (1.0, (-2,), True)
    assert Sum(L1(0.5), Ridge(0.2)).degree is None and not Sum(UnitNorm()).convex
    assert Sum(NonNegative(), Simplex()).degree is None
    x = torch.tensor([[3.0, 4.0]])
    close(reg(x), torch.tensor(0.5 * 7 + 0.2 * 7))
    close(Sum(L1(0.5)).prox(x, 1.0), x - 0.5)
    with pytest.raises(TypeError, match=r"NonNegative \+ L1 \+ Group has no prox of its own; use"):
        reg.prox(x, 1.0)
    with pytest.raises(TypeError, match="a Sum takes regularizers, got str"):
        Sum("l1")
    with pytest.raises(ValueError, match="at least one"):
        Sum()
    mask = torch.tensor([[True, False]])
    masked = Support(mask, Sum(NonNegative(), L1(1.0)))
    assert [type(term) for term in masked.terms] == [Support, Support]


def test_those_that_need_a_prox_say_so(generator):
    problem, _ = example(generator)
    problem = replace(problem, regs=(Sum(NonNegative(), Group(0.1)), NonNegative()))
    with pytest.raises(TypeError, match=r"HALS cannot use NonNegative \+ Group on factor 0; use"):
        Alternating(HALS()).check(problem)
    with pytest.raises(TypeError, match="Extrapolated cannot use"):
        Extrapolated(Alternating(ADMM())).check(problem)
    Alternating([ADMM(), HALS()]).check(problem)
    with pytest.raises(ValueError, match="weight of ADMM must be positive"):
        ADMM(0.0)


class Kept(Regularizer):
    """The nonnegative orthant by one gradient step a call, to see that memory is kept."""

    def forward(self, x):
        return x.new_zeros(x.shape[:-2])

    def prox(self, x, step):
        return x.clamp_min(0)

    def warm(self, x):
        return (torch.zeros_like(x),)

    def warm_prox(self, x, step, memory):
        z = memory[0] + 0.5 * (x.clamp_min(0) - memory[0])
        return z, (z,)


@pytest.mark.parametrize("model", ["nmf", "parafac2"])
def test_a_prox_goes_on_from_where_it_was(model, generator):
    problem, start = example(generator, model)
    kept = replace(problem, regs=[Kept() for _ in start])
    expected = solve(Alternating(ADMM(), inner=5), problem, start, tol=1e-9, max_iter=3000)
    found = solve(Alternating(ADMM(), inner=5), kept, start, tol=1e-9, max_iter=3000)
    close(found.objective, expected.objective, 1e-6)


# --- AO-ADMM -----------------------------------------------------------------------------------


def reference():
    """A noisy tensor of rank 4 and a start, nonnegative."""
    random = np.random.RandomState(0)
    factors = [random.rand(n, 4) for n in (30, 31, 32)]
    clean = np.einsum("ir,jr,kr->ijk", *factors)
    noise = random.randn(*clean.shape)
    y = clean + 0.1 * np.linalg.norm(clean) / np.linalg.norm(noise) * noise
    random = np.random.RandomState(1)
    return torch.from_numpy(y), tuple(torch.from_numpy(random.rand(n, 4)) for n in (30, 31, 32))


def test_nonnegative_cp_reaches_the_reference():
    y, start = reference()
    problem = Problem(y, CP(3), Frobenius(), [NonNegative()] * 3)
    fit = solve(Alternating(ADMM(), inner=5), problem, start, tol=1e-7, max_iter=1500)
    assert bool(fit.converged)
    assert abs(float(problem.relative_error(fit.factors)) - 0.0990142) < 1e-6
    assert all((x >= 0).all() for x in fit.factors)


def test_orthonormal_columns_end_at_the_singular_vectors(generator):
    y = normal(generator, 12, 9)
    problem = Problem(y, NMF(), Frobenius(), (Orthonormal(), Free()))
    start = (normal(generator, 12, 3), normal(generator, 9, 3))
    fit = solve(Alternating(ADMM(), inner=5), problem, start, tol=1e-9, max_iter=3000)
    w = fit.factors[0]
    close(w.mT @ w, torch.eye(3, dtype=y.dtype))
    close(fit.objective, torch.linalg.svdvals(y)[3:].square().sum() / 2, 1e-8)


def test_residuals_of_sums_are_those_of_a_solution(generator):
    """The residual falls to zero, and what it stops at is stationary for the whole penalty."""
    problem, start = example(generator, "cp")
    regs = [Sum(Simplex(1.0, dim=-2), Group(0.1, dim=-1)), NonNegative(), NonNegative()]
    problem = replace(problem, regs=regs)
    step = Alternating(ADMM(), inner=5)
    fit = solve(step, problem, start, tol=1e-8, max_iter=4000)
    assert bool(fit.converged)
    again = solve(step, problem, tuple(1.1 * x for x in fit.factors), tol=1e-8, max_iter=4000)
    close(again.objective, fit.objective, 1e-8)
    close(fit.factors[0].sum(0), torch.ones(2, dtype=torch.float64))
    repeated = solve(Repeat(step, 2), problem, start, tol=1e-8, max_iter=4000, check_every=5)
    assert bool(repeated.converged)


@pytest.mark.parametrize("model", ["nmf", "parafac2", "tucker"])
def test_with_sums_a_batch_is_as_many_problems(model, generator):
    problem, start = example(generator, model, batch=(3,))
    reg = lambda: Sum(Simplex(1.0, dim=-2), Group(0.1), NonNegative(0.01))  # noqa: E731
    problem = replace(problem, regs=[reg() for _ in start])
    step = Alternating(ADMM(), inner=5)
    found = run(step, problem, start, 3)[-1]
    for i in range(3):
        alone = run(step, replace(problem, y=problem.y[i]), tuple(x[i] for x in start), 3)[-1]
        for x, y in zip(found, alone, strict=True):
            close(x[i], y, 1e-9)
    if model == "nmf":
        fit = solve(step, problem, start, max_iter=300, tol=1e-5)
        assert fit.kkt.shape == (3,) and bool(fit.converged.all())


def test_unrolled_is_solved(generator):
    problem, start = example(generator)
    problem = replace(problem, regs=[Sum(NonNegative(), Group(0.1)) for _ in start])
    step = Alternating(ADMM(), inner=3)
    *_, last = iterates([step] * 5, problem, step.init(start, problem))
    fit = solve(step, problem, start, max_iter=5, tol=0)
    assert all(torch.equal(x, y) for x, y in zip(last.factors, fit.factors, strict=True))


def test_gradients_through_sums(generator):
    w, h = uniform(generator, 3, 2, low=0.5), uniform(generator, 3, 2, low=0.5)
    step = Alternating(ADMM(), inner=2)

    def sweep(y, w, h):
        problem = Problem(y, NMF(), Frobenius(), [Sum(NonNegative(0.1), Group(0.2)), NonNegative()])
        return step(step.init((w, h), problem), problem).factors

    assert gradcheck(sweep, tuple(x.requires_grad_() for x in (w.detach() @ h.mT, w, h)))


def test_by_name(generator):
    y = uniform(generator, 8, 2) @ uniform(generator, 2, 7)
    fit = nmf(y, 2, iteration="admm", max_iter=500, tol=1e-5)
    assert fit.relative_error < 1e-3
    regs = (Sum(NonNegative(), Simplex()), NonNegative())
    fit = nmf(y, 2, iteration="admm", regs=regs, max_iter=500)
    close(fit.factors[0].sum(-1), torch.ones(8, dtype=y.dtype), atol=1e-2)


@pytest.mark.slow
def test_compiled_whole_with_shapes_and_sums(generator):
    """Also where the prox looks for something whose size depends on the values."""
    torch.compiler.reset()
    step = Alternating(ADMM(), inner=2)
    w, h = uniform(generator, 6, 2), uniform(generator, 5, 2)

    def sweep(y, w, h):
        regs = (Sum(TotalVariation(0.1), NonNegative()), Sum(Unimodal(True), Smooth(0.1)))
        problem = Problem(y, NMF(), Frobenius(), regs)
        return step(step.init((w, h), problem), problem).factors

    y = uniform(generator, 6, 5)
    compiled = torch.compile(sweep, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(compiled(y, w, h), sweep(y, w, h), strict=True):
        close(ours, theirs, 1e-10)
