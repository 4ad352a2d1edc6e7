"""The convex model of separable factorization, hierarchical clustering, and what they rest on."""

from itertools import combinations

import numpy as np
import pytest
import torch
from conformance import close
from scipy.optimize import minimize_scalar, nnls
from zoo import normal, uniform

from rlra_torch.functional.rank_two import leading_directions, rank_two_nmf, rank_two_nnls
from rlra_torch.functional.row_projection import project_rows
from rlra_torch.separable import fgnsr, h2nmf, snpa, spa, xray
from rlra_torch.separable.self_dictionary import SelfDictionary


def middle_points(generator, bands, rank, noise):
    """Pure pixels and the middle of each pair, which noise moves away from the centre."""
    pure = uniform(generator, bands, rank)
    pure = pure / pure.sum(0)
    middle = torch.stack(
        [(pure[:, i] + pure[:, j]) / 2 for i, j in combinations(range(rank), 2)], 1
    )
    return torch.cat([pure, middle + noise * (middle - pure.mean(1, keepdim=True))], 1)


def recovered(indices, rank):
    return float((torch.as_tensor(indices) < rank).double().mean())


# --- Projection --------------------------------------------------------------------------------


def test_projection_of_rows_is_scalar_minimization(generator):
    for _ in range(60):
        n = int(torch.randint(1, 9, (), generator=generator))
        z, w = 2 * normal(generator, n).numpy(), uniform(generator, n, low=0.05).numpy()
        i = int(torch.randint(n, (), generator=generator))

        def point(t, z=z, w=w, i=i):
            x = np.minimum(np.maximum(z, 0), t * w / w[i])
            x[i] = t
            return x

        def cost(t, z=z, point=point):
            return ((point(t) - z) ** 2).sum()

        best = minimize_scalar(cost, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x
        best = min((best, 0.0, 1.0), key=cost)
        found = project_rows(torch.tensor(z), torch.tensor(i), torch.tensor(w)).numpy()
        assert cost(found[i]) <= cost(best) + 1e-12
        np.testing.assert_allclose(found, point(found[i]), atol=1e-12)


def test_projection_of_rows_against_a_general_solver(generator):
    cvxpy = pytest.importorskip("cvxpy")
    for _ in range(5):
        z, w = normal(generator, 6), uniform(generator, 6, low=0.1)
        x = cvxpy.Variable(6)
        bounds = [x >= 0, x[2] <= 1, float(w[2]) * x <= w.numpy() * x[2]]
        cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(x - z.numpy())), bounds).solve()
        close(project_rows(z, torch.tensor(2), w), torch.tensor(x.value), atol=2e-4)


def test_projection_of_rows_at_the_edges():
    one = torch.ones(2)
    found = project_rows(torch.tensor([[0.0, 0.5], [0.0, 1.0]]), torch.arange(2), one)
    assert found.tolist() == [[0.25, 0.25], [0.0, 1.0]]
    light = project_rows(
        torch.tensor([0.75, 0.75, 0.0]), torch.tensor(0), torch.tensor([1.0, 1, 0])
    )
    assert light.tolist() == [0.75, 0.75, 0.0]
    half = torch.full((3, 3), 0.5)
    assert torch.equal(project_rows(half, torch.tensor([2, 0, 1]), torch.ones(3)), half)
    # An own weight of 0 bounds nothing; all weights of 0 neither.
    free = project_rows(torch.tensor([2.0, 3.0, -1.0]), torch.tensor(0), torch.tensor([0.0, 1, 1]))
    assert free.tolist() == [1.0, 3.0, 0.0]
    assert (
        project_rows(-half, torch.arange(3), torch.zeros(3)).tolist() == torch.zeros(3, 3).tolist()
    )


def test_projection_of_rows_has_right_derivatives(generator):
    z = normal(generator, 4, 5).requires_grad_()
    w = uniform(generator, 4, 5, low=0.2).requires_grad_()
    own = torch.tensor([0, 3, 4, 3])
    assert torch.autograd.gradcheck(lambda z, w: project_rows(z, own, w), (z, w))


# --- Rank two ----------------------------------------------------------------------------------


def test_rank_two_nnls_is_exact(generator):
    a, y = uniform(generator, 7, 2), normal(generator, 7, 40)
    found = rank_two_nnls(a.mT @ a, y.mT @ a)
    expected = np.stack([nnls(a.numpy(), column)[0] for column in y.mT.numpy()])
    close(found, torch.from_numpy(expected), atol=1e-12)
    assert ((found == 0).sum(0) > 0).all()
    gram, cross = (a.mT @ a).requires_grad_(), (y.mT @ a).detach().requires_grad_()
    assert torch.autograd.gradcheck(rank_two_nnls, (gram.detach().requires_grad_(), cross))


def test_rank_two_nnls_of_equal_and_zero_columns():
    cross = torch.tensor([[3.0, 3.0], [-1.0, -1.0]])
    assert rank_two_nnls(torch.ones(2, 2), cross).sum(-1).tolist() == [3.0, 0.0]
    zero = torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    assert rank_two_nnls(zero, torch.tensor([[0.0, 3.0]])).tolist() == [[0.0, 0.75]]


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (1, 5), (5, 1), (2, 2)])
def test_rank_two_nmf_is_exact_for_nonnegative_data_of_rank_two(shape, generator):
    m, n = shape
    y = uniform(generator, 3, m, 2) @ uniform(generator, 3, 2, n)
    w, h = rank_two_nmf(y)
    assert (w >= 0).all() and (h >= 0).all()
    close(w @ h.mT, y, 1e-9)
    assert leading_directions(y).shape == (3, m, 2)


# --- Clusters ----------------------------------------------------------------------------------


def test_h2nmf_finds_planted_clusters(generator):
    bands, rank, n = 100, 6, 300
    spectra = uniform(generator, bands, rank)
    labels = torch.arange(n) % rank
    share = uniform(generator, n, rank).log().neg()
    share = 0.2 * share / share.sum(1, keepdim=True) + 0.8 * torch.eye(rank)[labels]
    share[:rank] = torch.eye(rank, dtype=share.dtype)
    clean = spectra @ share.mT
    noise = normal(generator, bands, n)
    y = clean + 0.02 * noise * clean.norm() / noise.norm()
    found = h2nmf(y, rank)
    of = [found.labels[labels == k].unique().tolist() for k in range(rank)]
    assert all(len(several) == 1 for several in of) and len({several[0] for several in of}) == rank
    assert len({int(labels[j]) for j in found.indices}) == rank
    assert found.residual < 0.2
    # A tree of two children for each node that was split.
    assert found.parents[0] == -1 and found.parents[1:].bincount().unique().tolist() in (
        [0, 2],
        [2],
    )
    assert set(found.leaves.tolist()) == set(range(2 * rank - 1)) - set(found.parents.tolist())
    # Neither the unit nor the precision matters, and a batch is as many problems.
    both = h2nmf(torch.stack([y, 3 * y]).float(), rank)
    assert torch.equal(both.labels, found.labels.expand(2, n))


def test_h2nmf_leaves_out_what_it_is_told_to(generator):
    y = uniform(generator, 5, 12)
    y[:, 3] = torch.nan
    found = h2nmf(y, 3, mask=torch.arange(12) == 7)
    assert found.labels[3] == found.labels[7] == -1 and not {3, 7} & set(found.indices.tolist())
    few = h2nmf(torch.ones(3, 2), 3)
    assert few.indices.tolist()[1:] == [-1, -1] and few.spectra[:, 1:].eq(0).all()
    assert few.labels.tolist() == [0, 0] and few.leaves.tolist() == [0, -1, -1]


# --- The convex model --------------------------------------------------------------------------


def test_fgnsr_recovers_where_greedy_algorithms_fail(generator):
    y = torch.stack([middle_points(generator, 50, 10, 0.7) for _ in range(4)])
    found = fgnsr(y, 10)
    assert bool(found.converged.all())
    assert recovered(found.indices, 10) >= 0.9
    assert recovered(fgnsr(y, 10, select="diagonal").indices, 10) >= 0.9
    for greedy in (spa, snpa, xray):
        assert recovered(greedy(y, 10).indices, 10) <= 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fgnsr_on_small_problems(dtype, generator):
    found = fgnsr(torch.eye(5, dtype=dtype), 5, penalty=1e-3, tol=1e-2)
    assert (found.importance > 0.99).all() and sorted(found.indices.tolist()) == [0, 1, 2, 3, 4]
    y = middle_points(generator, 5, 3, 0.0).to(dtype)[:, [3, 4, 5, 0, 1, 2]]
    assert sorted(fgnsr(y, 3).indices.tolist()) == [3, 4, 5]
    assert sorted(fgnsr(y, 3, select="diagonal").indices.tolist()) == [3, 4, 5]
    noise = normal(generator, 5, 6).to(dtype)
    noisy = fgnsr(y + 0.02 * noise / noise.norm(), 3)
    assert sorted(noisy.indices.tolist()) == [3, 4, 5] and noisy.abundances.dtype == dtype


def test_fgnsr_tells_repeated_pixels_from_new_ones(generator):
    pure = uniform(generator, 30, 6)
    pure = pure / pure.sum(0)
    middle = (pure + pure.roll(1, 1)) / 2
    y = torch.cat([pure.repeat(1, 5), middle], 1)
    y = y + 1e-3 * y.mean() * normal(generator, *y.shape)
    found = fgnsr(y, 6).indices
    assert (found < 30).all() and len(set((found % 6).tolist())) == 6


def test_fgnsr_at_the_edges(generator):
    y = middle_points(generator, 6, 3, 0.0)
    spoiled = y.clone()
    spoiled[:, 4] = torch.nan
    found = fgnsr(spoiled, 3, mask=torch.arange(6) == 5)
    assert sorted(found.indices.tolist()) == [0, 1, 2] and found.abundances[4:].isnan().all()
    assert fgnsr(torch.zeros(3, 4), 2).indices.tolist() == [-1, -1]
    same = fgnsr(torch.ones(3, 5), 2)
    assert same.indices[0] >= 0 and same.indices[1] == -1
    assert sorted(fgnsr(y, 3, candidates=6).indices.tolist()) == [0, 1, 2]
    a, b = fgnsr(y, 3, seed=1), fgnsr(y, 3, seed=1)
    assert all(
        torch.equal(torch.as_tensor(p), torch.as_tensor(q)) for p, q in zip(a, b, strict=True)
    )
    for wrong in ({"select": "best"}, {"penalty": -1.0}, {"tol": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fgnsr(y, 3, **wrong)


def test_the_gap_bounds_the_distance_to_the_optimum(generator):
    cvxpy = pytest.importorskip("cvxpy")
    y = uniform(generator, 4, 7)
    w, tilt = y.sum(0), uniform(generator, 7, low=0.9, high=1.1)
    x = cvxpy.Variable((7, 7))
    own = cvxpy.diag(x)
    bounds = [x >= 0, own <= 1]
    bounds += [float(w[i]) * x[i] <= w.numpy() * x[i, i] for i in range(7)]
    fit = cvxpy.sum_squares(y.numpy() - y.numpy() @ x) / 2
    least = cvxpy.Problem(cvxpy.Minimize(fit + 0.2 * tilt.numpy() @ own), bounds).solve()
    problem, penalty = SelfDictionary(y, w, tilt), torch.tensor(0.2, dtype=y.dtype)
    at = problem.start(torch.arange(7))
    for _ in range(12):
        value, gap = problem.certificate(at, penalty)
        assert value - gap <= least + 1e-5 and value >= least - 1e-5
        for _ in range(25):
            at = problem.step(at, penalty, problem.lipschitz(at))
    assert gap < 1e-3 * value
