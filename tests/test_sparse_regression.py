"""Exactly sparse regressions: two searches and a brute force of SciPy's agree."""

import time
from itertools import combinations

import numpy as np
import pytest
import torch
from conformance import close
from experiments import exactly_sparse
from scipy.optimize import nnls as scipy_nnls

from rlra_torch import nmf, nnls
from rlra_torch.estimators import sparse_nnls, sparse_nnls_path
from rlra_torch.functional.allotment import allot
from rlra_torch.functional.sparse_regression import branching_is_cheaper
from rlra_torch.iterations import HALS, Alternating, SparseNNLS
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import KSparse, NonNegative, SparseSimplex
from rlra_torch.separable import snpa, sparse_separable

SEARCHES = ("enumeration", "branch and bound")
KINDS = ("tall", "wide", "conditioned", "duplicates", "small", "exact", "zero", "correlated")


def problems(kind, count):
    """Matrices (count, m, r) and right-hand sides (count, m)."""
    rng = np.random.default_rng(KINDS.index(kind))
    m, r = {"tall": (30, 6), "wide": (4, 8)}.get(kind, (10, 6))
    a = rng.random((count, m, r))
    if kind == "conditioned":
        u, _, v = np.linalg.svd(a, full_matrices=False)
        a = u * np.logspace(0, -5, r) @ v
    if kind == "duplicates":
        a[:, :, 3], a[:, :, 5] = a[:, :, 0], 2 * a[:, :, 1]
        a[::2, :, 4] = 0
    if kind == "small":
        a = 0.01 * a
    if kind == "correlated":
        a = 1 + 1e-3 * a
    x = rng.random((count, r)) * (rng.random((count, r)) < 0.5)
    y = np.einsum("imr,ir->im", a, x)
    noise = 0.0 if kind == "exact" else 0.2 * np.abs(y).mean()
    y = y + noise * rng.standard_normal(y.shape)
    return a, 0 * y if kind == "zero" else y


def brute(a, y, k):
    """The least residual over all supports of k columns."""
    columns = [list(s) for s in combinations(range(a.shape[1]), k)] if k else []
    return min([np.linalg.norm(y), *(scipy_nnls(a[:, s], y)[1] for s in columns)])


def on_simplex(a, y, k):
    """The same where entries sum to one, by a heavy row that says so."""
    size = 1e4 * np.abs(a).max()
    heavy = np.vstack((a, np.full(a.shape[1], size)))
    right = np.append(y, size)
    supports = [list(s) for s in combinations(range(a.shape[1]), k)]
    found = [(s, scipy_nnls(heavy[:, s], right)[0]) for s in supports]
    return min(np.linalg.norm(a[:, s] @ (x / x.sum()) - y) for s, x in found if x.sum() > 0.5)


# --- Optimality --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_both_searches_are_a_brute_force(kind):
    """200 problems in all, for every number of nonzeros."""
    a, y = problems(kind, 25)
    for search in SEARCHES:
        path = sparse_nnls_path(a, y, search=search)
        assert path.x.shape == (a.shape[-1] + 1, *y.shape[:1], a.shape[-1])
        assert (path.x >= 0).all() and path.optimal.all() and (path.nodes >= 0).all()
        assert (np.diff(path.residuals, axis=0) <= 1e-15 * np.linalg.norm(y, axis=-1)).all()
        for i, (matrix, right) in enumerate(zip(a, y, strict=True)):
            for k, x in enumerate(path.x[:, i]):
                expected, size = brute(matrix, right, k), np.linalg.norm(right)
                assert (x > 0).sum() <= k
                assert abs(path.residuals[k, i] - expected) <= 1e-11 * size
                assert abs(np.linalg.norm(matrix @ x - right) - expected) <= 1e-11 * size


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "zero"])
def test_on_the_simplex_too(kind):
    a, y = problems(kind, 6)
    for search in SEARCHES:
        path = sparse_nnls_path(a, y, sum_to_one=True, search=search)
        assert np.isinf(path.residuals[0]).all() and not path.x[0].any()
        close(torch.from_numpy(path.x[1:].sum(-1)), torch.ones(a.shape[-1], 6).double())
        for i, (matrix, right) in enumerate(zip(a, y, strict=True)):
            for k in range(1, a.shape[-1] + 1):
                assert (path.x[k, i] > 0).sum() <= k
                expected = on_simplex(matrix, right, k)
                assert path.residuals[k, i] <= expected + 1e-9 * np.linalg.norm(right)
                assert path.residuals[k, i] >= expected - 1e-3 * np.linalg.norm(right)
    one, other = (sparse_nnls_path(a, y, sum_to_one=True, search=s).residuals for s in SEARCHES)
    assert np.abs(one[1:] - other[1:]).max() <= 1e-12 * np.linalg.norm(y, axis=-1).max()


def test_many_columns_are_as_many_problems(generator):
    """In one matrix, with leading dimensions, and one by one; torch in, torch out."""
    a, y = torch.rand(3, 12, 7), torch.rand(3, 12, 20)
    for search in SEARCHES:
        fit = sparse_nnls(a, y, 3, search=search)
        assert fit.x.shape == (3, 7, 20) and fit.residuals.shape == (3, 20)
        assert fit.x.dtype == torch.float32 and fit.supports.dtype == torch.bool
        for i, j in ((0, 0), (1, 7), (2, 19)):
            one = sparse_nnls(a[i], y[i, :, j], 3, search=search)
            assert one.x.shape == (7,) and one.residuals.shape == ()
            close(one.x, fit.x[i, :, j], 1e-5)
            assert one.nodes == fit.nodes[i, j]


def test_the_largest_number_is_plain_nnls():
    a, y = problems("tall", 10)
    close(
        torch.from_numpy(sparse_nnls(a, y, 6).x),
        torch.from_numpy(nnls(a, y).x),
        1e-10,
    )


def test_small_scale_stays_sparse():
    """An upper bound of ||A^T y|| instead of ||y||^2 would cut off every sparse solution here."""
    rng = np.random.default_rng(0)
    a = 0.01 * rng.random((20, 6))
    y = rng.random(20)
    for search in SEARCHES:
        fit = sparse_nnls(a, y, 2, search=search)
        assert (fit.x > 0).sum() == 2
        assert abs(fit.residuals - brute(a, y, 2)) < 1e-12
        fit = sparse_nnls(a, 0 * y, 2, search=search)
        assert not fit.x.any() and fit.residuals == 0 and fit.optimal


def test_a_number_for_each_column():
    rng = np.random.default_rng(0)
    a, y, k = rng.random((9, 5)), rng.random((9, 8)), np.array([0, 1, 2, 3, 4, 5, 6, 9])
    for search in SEARCHES:
        fit = sparse_nnls(a, y, k, search=search)
        for j in range(8):
            close(torch.from_numpy(fit.x[:, j]), torch.from_numpy(sparse_nnls(a, y[:, j], k[j]).x))


def test_a_search_that_is_cut_off_says_so():
    rng = np.random.default_rng(1)
    a, y = rng.random((20, 12)), rng.random((20, 30))
    whole = sparse_nnls(a, y, 4, search="branch and bound")
    cut = sparse_nnls(a, y, 4, max_nodes=3)
    assert whole.optimal.all() and not cut.optimal.all() and cut.optimal.any()
    assert (cut.nodes <= whole.nodes).all() and (cut.nodes <= 3).all()
    assert ((cut.x > 0).sum(0) <= 4).all() and (cut.residuals >= whole.residuals - 1e-12).all()
    close(torch.from_numpy(cut.x[:, cut.optimal]), torch.from_numpy(whole.x[:, cut.optimal]))
    cut = sparse_nnls(a, y, 4, sum_to_one=True, max_nodes=1)
    close(torch.from_numpy(cut.x.sum(0)), torch.ones(30).double())
    assert not cut.optimal.all() and ((cut.x > 0).sum(0) <= 4).all()


def test_fewer_nodes_than_supports():
    """Branch and bound visits a few of what a tree over all columns has: 968 for ten and three."""
    rng = np.random.default_rng(0)
    a, x = rng.random((100, 10)), rng.random((10, 40)) * (rng.random((10, 40)) < 0.4)
    y = a @ x + 0.1 * rng.standard_normal((100, 40))
    assert sparse_nnls(a, y, 3, search="branch and bound").nodes.mean() < 30


def test_the_search_is_chosen_by_counted_operations():
    assert not branching_is_cheaper((5, 5), 21025, 2, 1)
    assert branching_is_cheaper((20, 20), 500, 10, 1)
    assert branching_is_cheaper((20, 20), 10**6, 20, 1)
    rng = np.random.default_rng(0)
    a, y = rng.random((30, 20)), rng.random((30, 2))
    assert (sparse_nnls(a, y, 2).nodes == 1 + 20 + 190).all()
    assert (sparse_nnls(a, y, 15).nodes < 1000).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": -1}, "k must be at least 0, got -1"),
        ({"k": 1.5}, "k is an integer or an array of integers, got 1.5"),
        ({"k": np.array([1, 2])}, "one for each right-hand side"),
        ({"k": 0, "sum_to_one": True}, "k must be at least 1, got 0"),
        ({"k": 1, "search": "tree"}, "search is 'enumeration' or 'branch and bound'"),
        ({"k": 1, "search": "enumeration", "max_nodes": 5}, "max_nodes limits branch and bound"),
        ({"k": 2, "budget": -1}, "the budget of nonzeros must be an integer of at least 0"),
        ({"k": 2, "budget": 2, "sum_to_one": True}, "at least 3"),
        ({"k": 1, "Y": np.full((4, 3), np.nan)}, "Y has 12 NaN or infinite entries"),
        ({"k": 1, "Y": np.ones((5, 3))}, "Y has shape"),
    ],
)
def test_bad_input(change, message):
    given = {"A": np.ones((4, 3)), "Y": np.ones((4, 3)), **change}
    with pytest.raises(ValueError, match=message):
        sparse_nnls(**given)


# --- Budgets -----------------------------------------------------------------------------------


def least_total(costs, budget):
    """By dynamic programming over all rows."""
    best = torch.zeros(budget + 1, dtype=costs.dtype)
    for row in costs:
        moved = torch.full((len(row), budget + 1), torch.inf, dtype=costs.dtype)
        for p, cost in enumerate(row[: budget + 1]):
            moved[p, p:] = best[: budget + 1 - p] + cost
        best = moved.amin(0)
    return best[budget]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_budgets_are_shared_optimally(first, ties, generator):
    for n, levels in ((1, 2), (2, 4), (5, 3), (8, 6)):
        for _ in range(3):
            costs = torch.rand(n, levels, generator=generator, dtype=torch.float64)
            costs = (4 * costs).round() if ties else costs
            costs = costs.sort(-1, descending=True).values
            costs[:, :first] = torch.inf
            for budget in range(first * n, n * (levels - 1) + 2):
                found = allot(costs, budget)
                assert found.sum() <= budget
                total = costs.gather(-1, found[:, None]).sum()
                close(total, least_total(costs, budget), atol=1e-12)


def test_budgets_of_regressions():
    rng = np.random.default_rng(0)
    a, y = rng.random((10, 5)), rng.random((10, 12))
    path = sparse_nnls_path(a, y)
    totals = []
    for budget in range(0, 61, 5):
        fit = sparse_nnls(a, y, 5, budget=budget)
        assert (fit.x > 0).sum() <= budget
        close(
            torch.from_numpy(np.linalg.norm(a @ fit.x - y, axis=0)), torch.from_numpy(fit.residuals)
        )
        totals.append(np.square(fit.residuals).sum())
    assert (np.diff(totals) <= 0).all()
    costs = torch.from_numpy(path.residuals.T).square()
    close(torch.tensor(totals[4]), least_total(costs, 20), 1e-12)
    # The same number everywhere is one way to spend the budget, and not the best.
    assert (
        totals[24 // 5 + 0] >= totals[5]
        and totals[-1] <= np.square(path.residuals[5]).sum() + 1e-12
    )
    assert (path.select(np.arange(12) % 6).x > 0).sum() <= (np.arange(12) % 6).sum()
    with pytest.raises(ValueError, match="k must be from 0 to 5, got 7"):
        path.select(7)


# --- Sparse NMF --------------------------------------------------------------------------------


@pytest.mark.parametrize("reg", [KSparse(2, True, dim=-1), SparseSimplex(2)])
@pytest.mark.parametrize("make", [HALS, SparseNNLS])
def test_sparse_nmf_never_rises(make, reg, generator):
    w, h = torch.rand(20, 5, generator=generator).double(), torch.rand(60, 5, generator=generator)
    y = w @ reg.prox(h.double(), 1.0).mT + 0.01 * torch.rand(20, 60, generator=generator)
    steps = Alternating([make(), SparseNNLS()], inner=2)
    fit = nmf(y.double(), 5, iteration=steps, regs=(NonNegative(), reg), max_iter=40, check_every=1)
    objectives = np.array([check.objective for check in fit.history])
    assert (np.diff(objectives[1:]) <= 1e-13 * objectives[0]).all()
    assert objectives[-1] < 0.5 * objectives[1]
    assert ((fit.factors[1] > 0).sum(-1) <= 2).all()
    if isinstance(reg, SparseSimplex):
        close(fit.factors[1].sum(-1), torch.ones(60).double())


def test_gradients_flow_through_the_supports(generator):
    """Into data and the other factor, as long as no support changes."""
    w = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    y = torch.rand(5, 2, generator=generator, dtype=torch.float64)
    for reg in (KSparse(2, True, dim=-1), SparseSimplex(2), NonNegative()):

        def step(y, w, reg=reg):
            problem = Problem(y, NMF(), Frobenius(), (NonNegative(), reg), free=(1,))
            iteration = Alternating(SparseNNLS())
            iteration.check(problem)
            start = (w, torch.zeros(2, 3, dtype=w.dtype))
            return iteration(iteration.init(start, problem), problem).factors[1]

        assert torch.autograd.gradcheck(step, (y.requires_grad_(), w.requires_grad_()))


def test_the_iteration_compiles_whole(generator):
    w, y = torch.rand(8, 4, generator=generator), torch.rand(8, 6, generator=generator)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), KSparse(2, True, dim=-1)), free=(1,))
    iteration = Alternating(SparseNNLS())
    state = iteration.init((w, torch.zeros(6, 4)), problem)
    compiled = torch.compile(lambda s: iteration(s, problem), fullgraph=True, backend="aot_eager")
    close(compiled(state).factors[1], iteration(state, problem).factors[1], 1e-6)


@pytest.mark.parametrize("reg", [KSparse(2, dim=-1), KSparse(2, True), NonNegative(0.1)])
def test_the_iteration_says_what_it_solves(reg):
    problem = Problem(torch.ones(4, 3), NMF(), Frobenius(), (NonNegative(), reg))
    with pytest.raises(TypeError, match="SparseNNLS solves for nonnegative rows"):
        Alternating(SparseNNLS()).check(problem)


@pytest.mark.parametrize(("r", "k"), [(4, 2), (6, 2)])
def test_sparse_nmf_finds_spectra_that_nmf_does_not(r, k):
    """Dense spectra: NMF has many solutions, of which the sparse ones are the truth."""
    plain, sparse = exactly_sparse.recovered(0, r, k, starts=1)
    assert sparse < 0.3 and plain > 5 * sparse


@pytest.mark.slow
def test_indian_pines():
    """Every pixel by both searches, and one in a hundred by brute force."""
    spectra, y = exactly_sparse.pines()
    begin = time.perf_counter()
    fits = [sparse_nnls(spectra, y, 2, search=search) for search in SEARCHES]
    assert time.perf_counter() - begin < 40
    close(fits[0].residuals, fits[1].residuals)
    few = slice(None, None, 100)
    brute_force = exactly_sparse.brute_force(spectra.numpy(), y[:, few].numpy(), 2)
    close(fits[0].residuals[few], torch.from_numpy(brute_force), 1e-11)


# --- Sources within the hull -------------------------------------------------------------------


@pytest.mark.parametrize(("outer", "inner"), [(3, 2), (4, 2)])
def test_sources_within_the_hull_are_found(outer, inner):
    """More sources than bands: SNPA finds the vertices, the sparse variant all."""
    for seed in range(3):
        data, truth = exactly_sparse.hidden(seed, outer, inner)
        found = sparse_separable(data, outer + inner, k=2)
        assert set(found.indices.tolist()) == truth
        assert found.residual < 1e-6 and ((found.abundances > 0).sum(-1) <= 2).all()
        close(found.abundances.sum(-1), torch.ones(data.shape[1]).double(), 1e-6)
        assert not truth <= set(snpa(data, outer + inner).indices.tolist())


def test_fewer_sources_scales_and_bad_pixels():
    data, truth = exactly_sparse.hidden(0, 3, 2)
    scales = 0.5 + torch.rand(data.shape[1], generator=torch.Generator().manual_seed(0)).double()
    data = torch.cat((data * scales, data[:, :2] * torch.nan, 0 * data[:, :1]), -1)
    data = torch.cat((data, torch.eye(3)[:, :1].double()), -1)
    mask = torch.arange(data.shape[1]) == data.shape[1] - 1
    found = sparse_separable(data, 7, k=2, mask=mask)
    assert set(found.indices.tolist()) == truth | {-1}
    assert found.abundances.shape == (data.shape[1], 7) and not found.abundances[-2].any()
    assert found.abundances[[55, 56, 58]].isnan().all() and not found.spectra[:, 5:].any()
    assert found.residual < 1e-6
    assert (sparse_separable(0 * data[:, :4], 2, k=2).indices == -1).all()
    with pytest.raises(ValueError, match="takes one matrix"):
        sparse_separable(torch.rand(2, 3, 4), 2, k=1)
