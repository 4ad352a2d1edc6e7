"""PARAFAC2: the projection onto its set, direct fitting, AO-ADMM, and the face."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance import check_descent, close, run
from scipy.optimize import linear_sum_assignment
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal, uniform

from rlra_torch import cp, parafac2
from rlra_torch.functional.parafac2 import nearest_orbit, orbit_gap
from rlra_torch.functional.polar import polar
from rlra_torch.functional.tridiagonal import solve_tridiagonal
from rlra_torch.iterations import ADMM, HALS, Alternating, DirectFitting, Imputed, iterates
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF, Multilinear, Parafac2
from rlra_torch.problem import Problem
from rlra_torch.regularizers import (
    L1,
    Free,
    NonNegative,
    Parafac2Set,
    Ridge,
    Sum,
    TemporalSmoothness,
    UnitNorm,
)
from rlra_torch.solvers import solve

SHARED = Path(__file__).parents[2] / "shared" / "data"
OPEN = (Free(), Free(), Parafac2Set())


def truth(generator, sizes=(8, 6, 12), rank=3, batch=(), signed=True):
    """A, D and B of a PARAFAC2 model; nonnegative ones share their cross product by shifts."""
    rows, count, length = sizes
    draw = normal if signed else uniform
    a, d = draw(generator, *batch, rows, rank), uniform(generator, *batch, count, rank, low=0.3)
    if not signed:
        short = uniform(generator, *batch, length - count, rank).square()
        pad = torch.nn.functional.pad(short, (0, 0, 0, count))
        return a, d, torch.stack([pad.roll(k, -2) for k in range(count)], -3)
    p = torch.linalg.qr(normal(generator, *batch, count, length, rank))[0]
    return a, d, p @ normal(generator, *batch, 1, rank, rank)


def example(generator, noise=0.3, regs=OPEN, batch=(), sizes=(8, 6, 12)):
    """Noisy data and a random start."""
    factors = truth(generator, sizes, batch=batch)
    clean = Parafac2()(factors)
    grain = normal(generator, *clean.shape)
    y = clean + noise * grain * clean.norm() / grain.norm()
    start = tuple(uniform(generator, *x.shape, low=0.1) for x in factors)
    return Problem(y, Parafac2(), Frobenius(), regs), start


def match(found, wanted):
    """The mean product of cosines of matched components."""
    score = 1.0
    for x, y in zip(found, wanted, strict=True):
        x, y = (np.asarray(z).reshape(-1, z.shape[-1]) for z in (x, y))
        score = score * ((x / np.linalg.norm(x, axis=0)).T @ (y / np.linalg.norm(y, axis=0)))
    rows, columns = linear_sum_assignment(-np.abs(score))
    return np.abs(score)[rows, columns].mean()


# --- Small matrices ----------------------------------------------------------------------------


def test_polar_factor_is_that_of_the_singular_value_decomposition(generator, dtype):
    eps = torch.finfo(dtype).eps
    for rank in (1, 2, 5, 9):
        for exponent in (0, 2, 4):
            u, v = (torch.linalg.qr(normal(generator, 20, rank, rank))[0] for _ in range(2))
            s = torch.logspace(0, -exponent, rank, dtype=torch.float64, device=u.device)
            found = polar((u @ (s[:, None] * v.mT)).to(dtype)).double()
            close(found.mT @ found, torch.eye(rank).to(found).expand_as(found), atol=20 * eps)
            close(found, u @ v.mT, atol=100 * eps * 10**exponent)


def test_polar_factor_of_singular_matrices_is_orthogonal(generator):
    x = normal(generator, 4, 3, 3)
    x[0], x[1], x[2, :, 0] = 0, torch.diag(torch.ones(2), 1), 0
    for scale in (1.0, 1e-200, 1e150):
        w = polar(scale * x)
        close(w.mT @ w, torch.eye(3).to(w).expand_as(w), 1e-14)
        close((w * x).sum((-2, -1)), torch.linalg.matrix_norm(x, "nuc"), 1e-13)


def test_polar_factor_has_its_own_derivative_also_of_equal_singular_values(generator):
    x = normal(generator, 3, 3)
    for matrix in (x, torch.linalg.qr(x)[0]):
        assert torch.autograd.gradcheck(polar, matrix.clone().requires_grad_())


def test_tridiagonal_systems_are_those_of_dense_matrices(generator):
    for count in (1, 2, 5, 8, 13):
        off = uniform(generator, count - 1, 4, low=-1)
        diagonal, right = uniform(generator, count, 4, low=2, high=4), normal(generator, count, 4)
        found = solve_tridiagonal(diagonal, off, right, -2)
        for i in range(4):
            dense = torch.diag(diagonal[:, i])
            dense = dense + torch.diag(off[:, i], 1) + torch.diag(off[:, i], -1)
            close(found[:, i], torch.linalg.solve(dense, right[:, i]), 1e-13)


# --- The set -----------------------------------------------------------------------------------


def cost(x, delta, passes):
    return (x - nearest_orbit(x, None, delta, passes).x).square().sum()


def test_cost_of_the_projection_falls_and_stalls_after_three_passes(generator):
    x = uniform(generator, 5, 10, 3)  # the sizes of the manuscript
    end = cost(x, None, 40)
    for delta in (None, torch.linalg.qr(x.mean(0))[1], normal(generator, 3, 3)):
        trace = torch.stack([cost(x, delta, passes) for passes in range(1, 13)])
        assert (trace.diff() <= 1e-14 * trace[0]).all()
        assert trace[3] - trace[-1] <= 1e-6 * trace[-1]
        close(trace[-1], end, 1e-12)  # one end from every start
    assert cost(x, None, 1) <= (1 + 1e-3) * end


def test_projection_is_the_barycenter_of_the_cross_products(generator):
    x, weights = normal(generator, 6, 7, 3), uniform(generator, 6, 1, 1, low=0.2)
    found = nearest_orbit(x, weights, passes=60)
    values, vectors = torch.linalg.eigh(found.delta.mT @ found.delta)
    root = vectors @ (values.sqrt()[:, None] * vectors.mT)
    values, vectors = torch.linalg.eigh(root @ (x.mT @ x) @ root)
    roots = vectors @ (values.clamp_min(0).sqrt()[..., None] * vectors.mT)
    close((weights * roots).sum(0) / weights.sum(), root @ root, 1e-10)

    # No other point of the set is nearer.
    best = (weights * (x - found.x).square()).sum()
    for scale in (1e-3, 0.1, 1.0):
        other = nearest_orbit(found.x + scale * normal(generator, 50, *x.shape), passes=2).x
        assert ((weights * (x - other).square()).sum((-3, -2, -1)) >= best * (1 - 1e-12)).all()


def test_projection_stays_in_the_set_at_the_edges(generator):
    x = normal(generator, 5, 6, 3)
    x[0], x[1, :, 2], x[2] = 0, x[1, :, 1], x[2, :, :1]
    x[3, 4:] = 0  # a shorter slice
    for scale in (1.0, 1e-150, 1e100):
        found = nearest_orbit(scale * x, passes=10)
        close(found.p.mT @ found.p, torch.eye(3).to(x).expand(5, 3, 3), 1e-13)
        close(found.x, found.p @ found.delta, 1e-13)
        assert (found.x[3, 4:] == 0).all()
        assert float(orbit_gap(found.x)) < 1e-7
    assert (nearest_orbit(0 * x).x == 0).all()
    with pytest.raises(ValueError, match="at least as many rows as columns"):
        nearest_orbit(normal(generator, 4, 2, 3))


def test_set_is_projected_onto_in_the_metric_of_a_step_for_each_matrix(generator):
    reg = Parafac2Set(passes=40)
    x, step = normal(generator, 2, 6, 7, 3), uniform(generator, 2, 6, 1, 1, low=0.1)
    z = reg.prox(x, step)
    close(z[1], nearest_orbit(x[1], 1 / step[1], passes=40).x)
    close(reg.prox(3 * x, step), 3 * z, 1e-11)
    assert reg(z).shape == (2, 6) and not reg(z).any()
    # It goes on from where it stopped.
    memory = reg.warm(x)
    for _ in range(6):
        found, memory = reg.warm_prox(x, step, memory)
    close(found, z, 1e-6)


def test_projection_is_differentiable_and_needs_no_host(generator):
    x = normal(generator, 3, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: nearest_orbit(x, passes=2).x, x)
    y = x.detach()
    whole = torch.compile(lambda x: nearest_orbit(x).x, backend="eager", fullgraph=True)
    close(whole(y), nearest_orbit(y).x)


def test_temporal_smoothness_solves_its_tridiagonal_system(generator):
    reg, x = TemporalSmoothness(0.7), normal(generator, 2, 5, 4, 3)
    step = uniform(generator, 2, 5, 4, 3, low=0.1)
    z = reg.prox(x, step).requires_grad_()
    (gradient,) = torch.autograd.grad(reg(z).sum() + ((z - x).square() / (2 * step)).sum(), z)
    close(gradient, torch.zeros_like(z), atol=1e-12)
    close(reg(x).sum(), 0.35 * (x[:, 1:] - x[:, :-1]).square().sum())
    assert reg(x).shape == (2, 5)
    close(reg.prox(x, 1e6), x.mean(1, keepdim=True).expand_as(x), 1e-4)
    one = x[:, :1]
    close(reg.prox(one, 0.5), one)


# --- The model and direct fitting --------------------------------------------------------------


def test_model_is_its_equation(generator):
    model, plain = Parafac2(), Multilinear("ir,kr,kjr->ijk")
    for batch in ((), (2,)):
        factors = truth(generator, (4, 3, 5), rank=2, batch=batch)
        y = normal(generator, *batch, 4, 5, 3)
        close(model(factors), plain(factors))
        for n in range(3):
            close(model.adjoint(factors, n, y), plain.adjoint(factors, n, y))
            close(model.gram(factors, n), plain.gram(factors, n))
            close(model.gram(factors, n, y.square()), plain.gram(factors, n, y.square()))


def test_direct_fitting_descends_and_stays_in_the_set(generator):
    problem, start = example(generator)
    check_descent(DirectFitting(momentum=False), problem, start, 15)
    for iteration in (DirectFitting(), DirectFitting([HALS(), HALS(), HALS()], 2)):
        state = iteration.init(start, problem)
        for _ in range(12):
            state = iteration(state, problem)
        assert float(orbit_gap(state.factors[2])) < 1e-12
        close(state.memory[-1], problem.objective(state.factors), 1e-10)


def test_direct_fitting_reaches_stationary_points_faster_with_momentum(generator):
    problem, start = example(generator, noise=0.1)
    fast = solve(DirectFitting(), problem, start, max_iter=300, tol=1e-6)
    slow = solve(DirectFitting(momentum=False), problem, start, max_iter=300, tol=1e-6)
    assert bool(fast.converged) and fast.n_iter < slow.n_iter
    # Stationary means: no move of A, D, Delta or along the P_k helps.
    x, step = fast.factors, 1e-4
    value = problem.objective(x)
    for _ in range(20):
        moved = tuple(z + step * normal(generator, *z.shape) for z in x)
        moved = (*moved[:2], nearest_orbit(moved[2], passes=30).x)
        assert problem.objective(moved) >= value * (1 - 1e-9)


def test_direct_fitting_of_a_batch_is_one_by_one(generator):
    problem, start = example(generator, batch=(3,))
    iteration = DirectFitting()
    found = run(iteration, problem, start, 4)[-1]
    for i in range(3):
        alone = replace(problem, y=problem.y[i])
        single = run(iteration, alone, tuple(x[i] for x in start), 4)[-1]
        for x, y in zip(single, found, strict=True):
            close(x, y[i], 1e-7)


def test_direct_fitting_does_not_depend_on_order_or_unit(generator):
    problem, start = example(generator)
    iteration = DirectFitting()
    a, d, b = run(iteration, problem, start, 5)[-1]
    order = torch.arange(6).roll(2)
    turned = replace(problem, y=problem.y[..., order])
    moved = run(iteration, turned, (start[0], start[1][order], start[2][order]), 5)[-1]
    for x, y in zip(moved, (a, d[order], b[order]), strict=True):
        close(x, y, 1e-7)
    larger = replace(problem, y=1e4 * problem.y)
    moved = run(iteration, larger, (start[0], 1e4 * start[1], start[2]), 5)[-1]
    close(Parafac2()(moved), 1e4 * Parafac2()((a, d, b)), 1e-7)


def test_direct_fitting_keeps_what_is_asked_of_the_common_factors(generator):
    factors = truth(generator)
    y = Parafac2()((factors[0].abs(), *factors[1:]))
    problem = Problem(y, Parafac2(), Frobenius(), (NonNegative(), NonNegative(), Parafac2Set()))
    start = tuple(uniform(generator, *x.shape, low=0.1) for x in factors)
    steps = DirectFitting([HALS(), HALS(), HALS()], 3)
    found = solve(steps, problem, start, max_iter=1500, tol=1e-7)
    assert (found.factors[0] >= 0).all() and (found.factors[1] >= 0).all()
    assert float(problem.relative_error(found.factors)) < 1e-3


def test_direct_fitting_says_what_it_cannot_do(generator):
    problem, _ = example(generator)
    for other, message in (
        (Problem(normal(generator, 3, 4), NMF(), Frobenius(), (Free(), Free())), "fits Parafac2"),
        (replace(problem, regs=(Free(), Free(), NonNegative())), "Alternating\\(ADMM"),
        (replace(problem, y=problem.y.abs(), loss=KullbackLeibler()), "Frobenius"),
        (replace(problem, weights=torch.ones_like(problem.y)), "Imputed"),
    ):
        with pytest.raises(TypeError, match=message):
            DirectFitting().check(other)


def test_iterations_run_on_fake_cuda():
    with FakeTensorMode(), torch.no_grad():
        start = tuple(torch.empty(*s, device="cuda") for s in ((4, 2), (3, 2), (3, 5, 2)))
        y = torch.empty(4, 5, 3, device="cuda")
        both = Sum(NonNegative(), Parafac2Set()).to("cuda")
        for regs, weights, iteration in (
            (OPEN, None, DirectFitting()),
            (OPEN, torch.empty_like(y), Imputed(DirectFitting())),
            ((NonNegative(), NonNegative(), both), None, Alternating(ADMM(), 2)),
        ):
            problem = Problem(y, Parafac2(), Frobenius(), regs, weights=weights)
            state = iteration.init(start, problem)
            *_, last = iterates([iteration] * 2, problem, state)
            assert all(x.device.type == "cuda" for x in last.factors)
            iteration.measure(last, problem)


def test_gradients_go_through_whole_steps(generator):
    problem, start = example(generator, sizes=(4, 3, 5), batch=())
    start = tuple(x[..., :2].contiguous() for x in start)
    steps = DirectFitting(momentum=False)

    def fitted(y):
        return run(steps, replace(problem, y=y), start, 2)[-1]

    assert torch.autograd.gradcheck(fitted, problem.y.clone().requires_grad_(), atol=1e-6)


def test_imputation_descends_to_the_weighted_optimum(generator):
    problem, start = example(generator, sizes=(8, 6, 10))
    weights = (uniform(generator, *problem.y.shape) > 0.15).double()
    missing = replace(problem, y=torch.where(weights > 0, problem.y, torch.nan), weights=weights)
    check_descent(
        Imputed(DirectFitting(momentum=False)), replace(problem, weights=weights), start, 10
    )
    found = solve(Imputed(DirectFitting()), missing, start, max_iter=2000, tol=1e-6)
    assert bool(found.converged)
    # Where nothing is missing it is the iteration inside.
    whole = replace(problem, weights=torch.ones_like(problem.y))
    plain = run(DirectFitting(), problem, start, 3)[-1]
    for x, y in zip(run(Imputed(DirectFitting()), whole, start, 3)[-1], plain, strict=True):
        close(x, y, 1e-9)
    with pytest.raises(ValueError, match="at most 1"):
        Imputed(DirectFitting()).check(replace(problem, weights=2 * weights))


# --- The face ----------------------------------------------------------------------------------


def slices_of(generator, lengths, noise=0.1, rank=2, rows=7):
    a, common = normal(generator, rows, rank), normal(generator, rank, rank)
    d = uniform(generator, len(lengths), rank, low=0.3)
    p = [torch.linalg.qr(normal(generator, n, rank))[0] for n in lengths]
    clean = [(a * row) @ (q @ common).T for row, q in zip(d, p, strict=True)]
    return [x + noise * normal(generator, *x.shape) * x.norm() / len(x) ** 0.5 for x in clean]


def test_ragged_slices_are_padded_ones_and_transposed_ones(generator):
    lengths = [5, 9, 6, 7]
    slices = slices_of(generator, lengths)
    fit = parafac2(slices, 2)
    assert fit.converged and [tuple(b.shape) for b in fit.B] == [(n, 2) for n in lengths]
    turned = parafac2([x.T for x in slices], 2, evolving="rows")
    padded = torch.stack([torch.nn.functional.pad(x, (0, 9 - x.shape[1])) for x in slices])
    whole = parafac2(padded, 2, init=(fit.A, fit.D, [_longer(b, 9) for b in fit.B]))
    close(torch.tensor(turned.objective), torch.tensor(fit.objective), 1e-12)
    close(torch.tensor(whole.objective), torch.tensor(fit.objective), 1e-8)
    arrays = parafac2([x.numpy() for x in slices], 2)
    assert isinstance(arrays.A, np.ndarray) and isinstance(arrays.B[0], np.ndarray)
    np.testing.assert_array_equal(arrays.A, fit.A.numpy())
    for k, x in enumerate(slices):
        error = (x - fit.slices[k]).norm() / x.norm()
        close(fit.slice_errors[k], error, 1e-6)
        close(fit.P[k].T @ fit.P[k], torch.eye(2).to(x), 1e-10)
        close(fit.P[k] @ fit.delta, fit.B[k], 1e-7)


def _longer(x, length):
    return torch.nn.functional.pad(x, (0, 0, 0, length - len(x)))


def test_long_slices_are_compressed_without_loss(generator):
    slices = slices_of(generator, [40, 30, 35, 50, 45], rows=5)
    fit = parafac2(slices, 2, tol=1e-8)
    same = parafac2(slices, 2, init=fit, tol=1e-8, max_iter=10)
    assert abs(same.objective / fit.objective - 1) < 1e-10
    weighted = parafac2(slices, 2, weights=[torch.ones_like(x) for x in slices], init=fit)
    assert abs(weighted.objective / fit.objective - 1) < 1e-8
    assert fit.gap < 1e-10 and weighted.description["iteration"] == "DirectFitting"


def test_several_starts_are_solved_at_once_and_the_best_is_kept(generator):
    slices = slices_of(generator, [9] * 6, noise=0.5, rank=3)
    fit = parafac2(slices, 3, starts=4, seed=3)
    assert len(fit.objectives) == 4 and fit.objective == min(fit.objectives)
    again = parafac2(slices, 3, init=fit)
    assert again.objective <= fit.objective * (1 + 1e-9)


def test_data_that_is_cp_gives_cp(generator):
    a, d, b = (uniform(generator, n, 3) for n in (8, 7, 9))
    tensor = torch.einsum("ir,kr,jr->kij", a, d, b)
    fit = parafac2(tensor, 3, starts=3, tol=1e-9, max_iter=4000)
    assert fit.relative_error < 1e-5
    assert match((fit.A, fit.D), (a, d)) > 0.9999
    plain = cp(tensor, 3, regs=(Free(),) * 3, iteration="als", max_iter=3000, tol=1e-9)
    assert match((fit.A, fit.D), (plain.factors[1], plain.factors[0])) > 0.999
    common = torch.stack(list(fit.B))
    assert float(common.std(0).max() / common.abs().max()) < 1e-3


def test_missing_entries_are_found_again(generator):
    slices = slices_of(generator, [9, 8, 10, 9, 9], noise=0.0)
    holes = [torch.where(uniform(generator, *x.shape) < 0.1, torch.nan, x) for x in slices]
    fit = parafac2(holes, 2, starts=2, tol=1e-9, max_iter=4000)
    assert fit.relative_error < 1e-4
    for x, found in zip(slices, fit.slices, strict=True):
        assert float((x - found).norm() / x.norm()) < 1e-3
    masked = parafac2(slices, 2, weights=[~x.isnan() for x in holes], max_iter=50)
    assert masked.objective == parafac2(holes, 2, max_iter=50).objective


def test_constraints_on_all_modes(generator):
    a, d, b = truth(generator, (8, 6, 14), signed=False)
    y = Parafac2()((a, d, b)).movedim(-1, 0)
    near = [x * uniform(generator, *x.shape, low=0.8, high=1.2) for x in (a, d, b)]
    fit = parafac2(y, 3, init=near, regs=(NonNegative(),) * 3, max_iter=300)
    assert all((x >= 0).all() for x in (fit.A, fit.D, *fit.B))
    assert fit.gap < 1e-5 and fit.relative_error < 2e-3
    assert match((fit.A, fit.D, torch.stack(fit.B)), (a, d, b)) > 0.99
    close(fit.A.norm(dim=0), torch.ones(3).to(fit.A), 1e-12)


def test_penalties_on_all_modes_reach_a_stationary_point(generator):
    y = torch.stack(slices_of(generator, [9] * 6))
    regs = (Ridge(0.1), Ridge(0.1), Sum(Ridge(0.1), TemporalSmoothness(0.5)))
    fit = parafac2(y, 2, regs=regs, max_iter=3000, tol=1e-6)
    assert fit.converged and fit.gap < 1e-4
    sparse = parafac2(y, 2, regs=(UnitNorm(), L1(0.5), L1(0.5)), max_iter=300)
    assert (torch.stack(sparse.B) == 0).any()
    rough = parafac2(y, 2, regs=(*regs[:2], Ridge(0.1)), max_iter=3000, tol=1e-6)
    jumps = [torch.stack(f.B).diff(dim=0).norm() / torch.stack(f.B).norm() for f in (fit, rough)]
    assert jumps[0] < jumps[1]


def test_tensorly_and_back(generator):
    parafac2_tensor = pytest.importorskip("tensorly.parafac2_tensor")
    slices = [x.numpy() for x in slices_of(generator, [9, 7, 8, 9])]
    fit = parafac2(slices, 2)
    found = fit.to_tensorly()
    for ours, theirs in zip(
        fit.slices, parafac2_tensor.parafac2_to_slices(found, validate=False), strict=True
    ):
        np.testing.assert_allclose(theirs.T, ours, atol=1e-8)
    again = parafac2(slices, 2, init=found)
    assert again.n_iter <= 10 and abs(again.objective / fit.objective - 1) < 1e-8


def test_summary_and_plot(generator):
    fit = parafac2(slices_of(generator, [5, 6]), 2, max_iter=20)
    assert max(len(line) for line in fit.summary().splitlines()) <= 80
    assert fit.plot().axes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slices": 3}, "a list of matrices"),
        ({"slices": [np.ones((3, 4)), np.ones((5, 4))]}, "evolving='rows'"),
        ({"slices": [np.ones(3)]}, "must be a matrix"),
        ({"slices": np.ones((3, 4))}, "tensor \\(K, I, J\\)"),
        ({"rank": 9}, "lower rank|rank of at most"),
        ({"evolving": "both"}, "'columns' or 'rows'"),
        ({"init": "nndsvd"}, "'random', 'svd' or factors"),
        ({"init": "svd", "starts": 3}, "several starts"),
        ({"init": (np.ones((3, 2)), np.ones((2, 2)), [np.ones((4, 2))])}, "the start must have"),
        ({"regs": (Free(), Free())}, "A, D and B"),
        ({"regs": (L1(1.0), Free(), Free())}, "has no minimum"),
        ({"regs": (Ridge(1.0), Ridge(1.0), TemporalSmoothness(1.0))}, "one length"),
        ({"weights": [np.ones((3, 4))]}, "weights for 1"),
        ({"iteration": "als"}, "such as DirectFitting"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    given = {"slices": [np.ones((3, 4)), np.ones((3, 5))], "rank": 2} | change
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        parafac2(given.pop("slices"), **given)
    assert "\n" not in str(caught.value)


# --- Against others and on real data -----------------------------------------------------------


def tensorly_objective(slices, rank, seed):
    tensorly = pytest.importorskip("tensorly.decomposition")
    arrays = [x.T.numpy() for x in slices]
    _, errors = tensorly.parafac2(arrays, rank, random_state=seed, return_errors=True)
    return 0.5 * float(errors[-1]) ** 2 * sum(float((x**2).sum()) for x in arrays)


@pytest.mark.parametrize("seed", range(3))
def test_objective_is_at_most_that_of_tensorly(seed):
    generator = torch.Generator().manual_seed(seed)
    slices = slices_of(generator, [12, 10, 11, 13, 12, 9, 12], noise=0.2)
    fit = parafac2(slices, 2, starts=10)
    assert fit.objective <= 1.001 * tensorly_objective(slices, 2, seed)


# What matcouply reaches at a tolerance of 1e-10: half the squared relative error, the match.
NONNEGATIVE = [
    (0, 0.33, 0.043940, 0.9665),
    (0, 0.5, 0.089691, 0.9376),
    (1, 0.33, 0.042648, 0.9740),
    (1, 0.5, 0.086637, 0.9524),
    (2, 0.33, 0.043546, 0.9763),
    (2, 0.5, 0.088710, 0.9539),
]


@pytest.mark.parametrize(("number", "level", "loss", "score"), NONNEGATIVE)
def test_nonnegative_simulations(number, level, loss, score):
    h5py = pytest.importorskip("h5py")
    path = SHARED / f"parafac2_nonnegative_00{number}.h5"
    if not path.is_file():
        pytest.skip("the simulated nonnegative tensors are not at ../shared/data")
    with h5py.File(path) as file:
        clean, noise = np.asarray(file["dataset/tensor"]), np.asarray(file["noise"])
        tree = file["evolving_tensor"]
        known = [np.asarray(tree[n]) for n in ("A", "C")]
        b = np.stack([np.asarray(tree[f"B_{k:03d}"]) for k in range(len(clean))])
    y = clean + level * noise * np.linalg.norm(clean) / np.linalg.norm(noise)
    fit = parafac2(y, 3, regs=(NonNegative(),) * 3, tol=1e-6, max_iter=600)
    assert fit.converged and fit.gap < 1e-6
    # The reference has five digits.
    assert abs(0.5 * fit.relative_error**2 / loss - 1) < 1e-5
    assert abs(match((fit.A, fit.D, np.stack(fit.B)), (*known, b)) - score) < 0.01


def kinetic():
    """59 samples, 120 pairs of wavelengths, 60 times; NaN where missing, outliers left out."""
    datasets = pytest.importorskip("tensorly.datasets")
    bunch = datasets.load_kinetic()
    tensor = np.where(bunch.missing_values_position, np.nan, np.asarray(bunch.tensor))
    kept = np.delete(tensor, list(bunch.outlier_measurements_idx), axis=0)
    return kept.reshape(len(kept), -1, kept.shape[-1])


def test_kinetic_fluorescence_is_parafac2_rather_than_cp():
    y = kinetic()
    assert y.shape == (59, 120, 60)
    free, settings = (Free(), Free(), Free()), {"max_iter": 100, "tol": 1e-4}
    fit, plain = parafac2(y, 2, **settings), cp(y, 2, regs=free, iteration="hals", **settings)
    assert fit.relative_error < 0.034 and plain.relative_error > 1.2 * fit.relative_error
    # With zeros for what is missing the errors are those that others report.
    zeros = np.nan_to_num(y)
    fit = parafac2(zeros, 2, **settings)
    plain = cp(zeros, 2, regs=free, iteration="hals", **settings)
    assert abs(fit.relative_error - 0.0414) < 1e-4 and abs(plain.relative_error - 0.0686) < 1e-4
