"""Each of the structured factorizations in one call, against convex programs where there are."""

import cvxpy as cp
import pytest
import torch
from conformance import close
from zoo import normal, uniform

from rlra_torch.estimators import structured
from rlra_torch.estimators.growth import _descended
from rlra_torch.iterations import Alternating, Nesterov, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.operators import Autoregressive, Mask
from rlra_torch.problem import Problem
from rlra_torch.regularizers import ProjectiveNorm, ReLUNorm


def program(y, weight, seen=None, background=None):
    """The least objective, and what attains it."""
    x, fit = cp.Variable(y.shape), 0
    fit = y.numpy() - x
    if background is not None:
        fit = fit - background.numpy() @ cp.Variable((background.shape[1], y.shape[1]))
    if seen is not None:
        fit = cp.multiply(seen.numpy(), fit)
    cost = cp.sum_squares(fit) / 2 + weight * cp.normNuc(x)
    return cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL"), torch.from_numpy(x.value)


def test_matrix_completion(generator):
    y = normal(generator, 8, 2) @ normal(generator, 2, 6)
    seen = (uniform(generator, 8, 6) < 0.7).double()
    best, x = program(y, 0.5, seen=seen)
    found = structured(y, ProjectiveNorm.nuclear(0.5), weights=seen, tol=1e-6)
    assert found.verdict == "optimal" and abs(found.objective - best) < 1e-5 * best
    close(found.factors[0] @ found.factors[1].T, x, atol=1e-2)


@pytest.mark.parametrize("columns", [1, 2])
def test_low_rank_plus_background(columns, generator):
    """Also where the low rank itself has levels, which go to the background for free."""
    ramp = torch.linspace(-1, 1, 8, dtype=torch.float64)
    basis = torch.stack([torch.ones_like(ramp), ramp], 1)[:, :columns]
    y = uniform(generator, 8, 2) @ uniform(generator, 2, 6) + 5 * basis @ normal(
        generator, columns, 6
    )
    best, x = program(y, 0.1, background=basis)
    found = structured(y, ProjectiveNorm.nuclear(0.1), background=basis)
    assert found.verdict == "optimal" and abs(found.objective - best) < 1e-5 * best
    low = found.factors[0] @ found.factors[1].T
    close(low, x, atol=1e-3)
    rest = y - low - basis @ found.background
    value = rest.square().sum() / 2 + 0.1 * torch.linalg.svdvals(low).sum()
    close(value, torch.tensor(found.objective).to(value), 1e-5)


def test_nonnegative_factorization_of_the_rank_it_asks_for(generator):
    w = torch.block_diag(*(uniform(generator, 4, 1) + 0.5 for _ in range(3)))
    h = torch.block_diag(*(uniform(generator, 3, 1) + 0.5 for _ in range(3)))
    y, weight = w @ h.T, 0.2
    found = structured(y, ProjectiveNorm.nonnegative(weight))
    assert found.verdict == "optimal" and found.factors[0].shape[-1] == 3
    assert all((x >= 0).all() for x in found.factors)
    # Blocks are thresholded one by one, as the nuclear norm does.
    u, s, vh = torch.linalg.svd(y)
    expected = u[:, :9] @ torch.diag((s - weight).clamp_min(0)) @ vh
    close(found.factors[0] @ found.factors[1].T, expected, atol=1e-5)


def test_sparse_dictionary_learning(generator):
    """Codes are exactly sparse, and no further atom helps by more than the gap says."""
    codes = (uniform(generator, 15, 3) < 0.3).double() * (1 + uniform(generator, 15, 3))
    y = normal(generator, 6, 3) @ codes.T + 0.01 * normal(generator, 6, 15)
    norm = ProjectiveNorm.sparse_coding(0.1, 1.0)
    found = structured(y, norm, tol=1e-3, largest=10, max_iter=300)
    dictionary, sparse = found.factors
    assert (sparse == 0).double().mean() > 0.3
    assert (dictionary @ sparse.T - y).norm() < 0.1 * y.norm()
    plain = structured(y, ProjectiveNorm.nuclear(0.1), tol=1e-3, largest=10, max_iter=300)
    assert (plain.factors[1] == 0).double().mean() < 0.1


def test_operators_and_tensors(generator):
    y = uniform(generator, 12, 3) @ uniform(generator, 3, 6)
    decay = Autoregressive.decay(1.0, dtype=torch.float64)
    seen = structured(decay(y), ProjectiveNorm.nuclear(0.3), operator=decay, tol=1e-3)
    assert seen.verdict == "optimal"
    vectors = [normal(generator, n) for n in (3, 4, 5)]
    tensor = torch.einsum("i,j,k->ijk", *vectors)
    cubic = structured(tensor, ProjectiveNorm.nuclear(0.3, order=3))
    assert cubic.verdict == "optimal" and cubic.factors[0].shape[-1] == 1


def test_networks(generator):
    v = normal(generator, 5, 2)
    y = v.sum(1, keepdim=True).relu()
    found = structured(y, ReLUNorm(0.05, v), tol=1e-4)
    assert found.verdict == "optimal" and found.objective < 0.5 * float(y.square().sum() / 2)


def test_a_background_needs_complete_data(generator):
    y, ones = uniform(generator, 5, 4), torch.ones(5, 1).double()
    norm = ProjectiveNorm.nuclear(0.1)
    for other in ({"weights": torch.ones_like(y)}, {"operator": Mask(torch.ones_like(y))}):
        with pytest.raises(ValueError, match="taken out of complete data"):
            structured(y, norm, background=ones, **other)


def test_columns_that_die_are_taken_out_of_a_descent(generator):
    """Of thirty columns a strong penalty leaves few: the descent goes on with those."""
    y = normal(generator, 9, 1) @ normal(generator, 1, 7) + 0.1 * normal(generator, 9, 7)
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(1.0))
    start = (normal(generator, 9, 30), normal(generator, 7, 30))
    step = Alternating(Nesterov(ProjectedGradient()))
    found = _descended(step, problem, start, 1000, 1e-8)
    assert found.factors[0].shape[-1] < 15
    values = torch.linalg.svdvals(y)
    kept = (values - 1).clamp_min(0)
    close(found.objective, (values - kept).square().sum() / 2 + kept.sum(), 1e-6)
