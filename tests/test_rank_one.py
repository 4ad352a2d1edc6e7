"""Rank-one closed forms against brute force, and the truncated SVD behind one of them."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch.functional import randomized
from rlra_torch.functional.randomized import as_generator, truncated_svd
from rlra_torch.functional.rank_one import rank_one_frobenius, rank_one_kl


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sparse_data(seed):
    return uniform(4, 3, seed=seed) * (uniform(4, 3, seed=50 + seed) > 0.4)


def kl(y, z):
    return (torch.xlogy(y, y) - torch.xlogy(y, z) + z - y).sum()


def frobenius(y, z):
    return 0.5 * (y - z).square().sum()


CASES = pytest.mark.parametrize(
    ("solve", "loss"), [(rank_one_kl, kl), (rank_one_frobenius, frobenius)]
)


@CASES
@pytest.mark.parametrize("seed", range(8))
def test_no_worse_than_multistart_optimization(solve, loss, seed):
    y = sparse_data(seed)
    w, h = solve(y)
    ours = loss(y, w @ h.mT).item()

    def objective(parameters):
        x = torch.from_numpy(parameters).requires_grad_()
        value = loss(y, x[:4, None] @ x[4:, None].mT)
        (gradient,) = torch.autograd.grad(value, x)
        return value.item(), gradient.numpy()

    starts = np.random.default_rng(seed).uniform(0.1, 1, (8, 7))
    # The bound stays off zero, where the gradient of the KL divergence is unbounded.
    runs = [
        minimize(objective, s, jac=True, bounds=[(1e-12, None)] * 7, method="L-BFGS-B")
        for s in starts
    ]
    best = min(run.fun for run in runs)
    assert ours <= best + 1e-9
    assert best <= ours + 1e-5


@CASES
def test_no_perturbation_improves(solve, loss):
    for seed in range(20):
        y = uniform(6, 5, seed=seed)
        w, h = solve(y)
        best = loss(y, w @ h.mT)
        for step in (1e-6, 1e-3, 1e-1):
            dw = step * (uniform(6, 1, seed=seed + 200) - 0.5)
            dh = step * (uniform(5, 1, seed=seed + 300) - 0.5)
            assert loss(y, (w + dw).clamp_min(0) @ (h + dh).clamp_min(0).mT) >= best - 1e-13


@pytest.mark.parametrize("seed", range(10))
def test_kl_matches_the_marginals_and_balances(seed):
    y = sparse_data(seed)
    w, h = rank_one_kl(y)
    torch.testing.assert_close((w @ h.mT).sum(-1), y.sum(-1))
    torch.testing.assert_close((w @ h.mT).sum(-2), y.sum(-2))
    torch.testing.assert_close(w.sum(), h.sum())


@pytest.mark.parametrize("seed", range(10))
def test_frobenius_attains_the_svd_bound_and_balances(seed):
    y = sparse_data(seed)
    w, h = rank_one_frobenius(y)
    assert (w >= 0).all() and (h >= 0).all()
    bound = torch.linalg.svdvals(y)[1:].square().sum() / 2
    torch.testing.assert_close(frobenius(y, w @ h.mT), bound)
    torch.testing.assert_close(w.norm(), h.norm())


def test_frobenius_with_equal_leading_singular_values():
    y = torch.block_diag(*[torch.ones(2, 2, dtype=torch.float64)] * 3)
    w, h = rank_one_frobenius(y)
    torch.testing.assert_close(frobenius(y, w @ h.mT), torch.tensor(4.0, dtype=y.dtype))


@pytest.mark.parametrize("solve", [rank_one_kl, rank_one_frobenius])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
class TestEdges:
    def test_zero_rows_and_columns_are_exact(self, solve, dtype):
        y = uniform(7, 6, dtype=dtype)
        y[[1, 4]] = 0
        y[:, [0, 5]] = 0
        w, h = solve(y)
        assert torch.equal(w[:, 0] == 0, (y == 0).all(1))
        assert torch.equal(h[:, 0] == 0, (y == 0).all(0))

    def test_all_zero(self, solve, dtype):
        w, h = solve(torch.zeros(3, 4, dtype=dtype))
        assert torch.equal(w, torch.zeros(3, 1, dtype=dtype))
        assert torch.equal(h, torch.zeros(4, 1, dtype=dtype))

    def test_constant_data_is_exact(self, solve, dtype):
        y = torch.full((5, 3), 2.5, dtype=dtype)
        w, h = solve(y)
        torch.testing.assert_close(w @ h.mT, y)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
    def test_vectors_are_reproduced(self, solve, dtype, shape):
        y = uniform(*shape, dtype=dtype)
        w, h = solve(y)
        torch.testing.assert_close(w @ h.mT, y)

    def test_batches_are_independent_problems(self, solve, dtype):
        y = uniform(2, 3, 5, 4, dtype=dtype)
        y[0, 1] = 0
        w, h = solve(y)
        assert w.shape == (2, 3, 5, 1) and h.shape == (2, 3, 4, 1) and w.dtype == dtype
        for i in range(2):
            for j in range(3):
                single = solve(y[i, j])
                torch.testing.assert_close((w[i, j], h[i, j]), single)

    def test_same_result_as_on_the_cpu(self, solve, dtype, device):
        y = uniform(2, 5, 4, dtype=dtype)
        w, h = solve(y.to(device))
        torch.testing.assert_close((w.cpu(), h.cpu()), solve(y))

    def test_fake_cuda(self, solve, dtype):
        with FakeTensorMode():
            w, h = solve(torch.rand(2, 5, 4, device="cuda", dtype=dtype))
            assert w.device.type == "cuda" and h.shape == (2, 4, 1)


def test_kl_is_differentiable_also_at_zero():
    y = uniform(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(rank_one_kl, (y,))
    zero = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    w, h = rank_one_kl(zero)
    (gradient,) = torch.autograd.grad(w.sum() + h.sum(), zero)
    assert gradient.isfinite().all()


# --- Truncated SVD -----------------------------------------------------------------------------


def check_triplets(y, rank, tolerance):
    left, values, right = truncated_svd(y, rank, torch.Generator().manual_seed(0))
    eye = torch.eye(rank, dtype=y.dtype)
    exact = torch.linalg.svdvals(y)[..., :rank]
    torch.testing.assert_close(left.mT @ left, eye.expand(*y.shape[:-2], rank, rank))
    torch.testing.assert_close(right.mT @ right, eye.expand(*y.shape[:-2], rank, rank))
    torch.testing.assert_close(values, exact, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(y @ right, left * values.unsqueeze(-2), atol=1e-8, rtol=1e-8)
    largest = left.gather(-2, left.abs().argmax(-2, keepdim=True))
    assert (largest > 0).all()


@pytest.mark.parametrize("shape", [(6, 5), (5, 6), (40, 7), (7, 40), (2, 3, 8, 8)])
def test_exact_path(shape):
    check_triplets(uniform(*shape), 4, 1e-12)


@pytest.mark.parametrize("shape", [(120, 150), (150, 120), (2, 130, 110)])
def test_randomized_path(shape, monkeypatch):
    monkeypatch.setattr(randomized, "_EXACT_LIMIT", 50)
    decay = 0.7 ** torch.arange(shape[-1], dtype=torch.float64)
    check_triplets(uniform(*shape) @ torch.diag(decay), 4, 1e-10)


@pytest.mark.parametrize("rank", [2, 3])
def test_randomized_path_on_deficient_data(rank, monkeypatch):
    monkeypatch.setattr(randomized, "_EXACT_LIMIT", 50)
    y = torch.zeros(100, 90, dtype=torch.float64)
    check_triplets(y, rank, 1e-12)
    y = uniform(100, 2) @ uniform(2, 90)
    check_triplets(y, rank, 1e-10)


def test_rank_one_on_the_randomized_path(monkeypatch):
    y = uniform(200, 180)
    exact = rank_one_frobenius(y)
    monkeypatch.setattr(randomized, "_EXACT_LIMIT", 50)
    torch.testing.assert_close(rank_one_frobenius(y), exact, rtol=1e-9, atol=1e-12)


def test_same_seed_same_bits_and_the_global_generator_is_left_alone(monkeypatch):
    monkeypatch.setattr(randomized, "_EXACT_LIMIT", 50)
    y = uniform(100, 90)
    state = torch.get_rng_state()
    first = truncated_svd(y, 3, as_generator(5))
    second = truncated_svd(y, 3, as_generator(5))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_randomized_path_runs_on_fake_cuda():
    with FakeTensorMode():
        y = torch.rand(1200, 1100, device="cuda")
        left, values, right = truncated_svd(y, 3, as_generator(0))
        assert {t.device.type for t in (left, values, right)} == {"cuda"}
        assert right.shape == (1100, 3)


@pytest.mark.parametrize("rank", [0, 4])
def test_impossible_rank_is_refused(rank):
    with pytest.raises(ValueError, match="between 1 and 3"):
        truncated_svd(uniform(3, 5), rank, as_generator(0))
