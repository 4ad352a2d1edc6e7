"""Starting factors: against scikit-learn and plain references, at the edges, on fake CUDA."""

import numpy as np
import pytest
import torch
from sklearn.decomposition._nmf import _initialize_nmf
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch.initialization import (
    hosvd_nonnegative,
    nndsvd,
    random_factors,
    spa,
    spa_indices,
)

VARIANTS = ("nndsvd", "nndsvda", "nndsvdar")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- Random ------------------------------------------------------------------------------------


@DTYPES
def test_random_factors_are_positive_reproducible_and_private(dtype):
    shapes = [(50, 3), (2, 40, 3), (3, 3, 3)]
    state = torch.get_rng_state()
    factors = random_factors(shapes, torch.zeros(1, dtype=dtype), seed=3)
    again = random_factors(shapes, torch.zeros(1, dtype=dtype), seed=3)
    other = random_factors(shapes, torch.zeros(1, dtype=dtype), seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert [tuple(f.shape) for f in factors] == shapes
    for factor, same, different in zip(factors, again, other, strict=True):
        assert factor.dtype == dtype
        assert factor.min() > 0 and factor.max() <= 1
        assert torch.equal(factor, same) and not torch.equal(factor, different)
    assert abs(factors[0].mean().item() - 0.5) < 0.1


def test_a_generator_advances():
    generator = torch.Generator().manual_seed(0)
    like = torch.zeros(1)
    first, second = (random_factors([(4, 2)], like, generator)[0] for _ in range(2))
    assert not torch.equal(first, second)


# --- NNDSVD ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("variant", ["nndsvd", "nndsvda"])
@pytest.mark.parametrize("transposed", [False, True])
def test_nndsvd_matches_scikit_learn(seed, variant, transposed):
    y = uniform(12 + seed, 9, seed=seed)
    y = y * (uniform(12 + seed, 9, seed=100 + seed) > 0.3)
    y = y.mT if transposed else y
    w, h = nndsvd(y, 5, variant)
    expected_w, expected_h = _initialize_nmf(y.numpy(), 5, init=variant, random_state=0)
    # scikit-learn zeroes what is below 1e-6, absolutely.
    np.testing.assert_allclose(w.numpy(), expected_w, atol=2e-6)
    np.testing.assert_allclose(h.mT.numpy(), expected_h, atol=2e-6)


@DTYPES
@pytest.mark.parametrize("variant", VARIANTS)
def test_nndsvd_is_nonnegative_and_alive(variant, dtype):
    y = uniform(2, 3, 15, 11, dtype=dtype)
    w, h = nndsvd(y, 6, variant)
    assert w.shape == (2, 3, 15, 6) and h.shape == (2, 3, 11, 6)
    assert w.dtype == h.dtype == dtype
    assert (w >= 0).all() and (h >= 0).all()
    assert (w.amax(-2) > 0).all() and (h.amax(-2) > 0).all()
    if variant != "nndsvd":
        assert (w > 0).all() and (h > 0).all()


@pytest.mark.parametrize("variant", ["nndsvd", "nndsvda"])
def test_nndsvd_batches_are_independent_problems(variant):
    y = uniform(3, 8, 7)
    y[1] = 0
    w, h = nndsvd(y, 4, variant)
    for i in range(3):
        torch.testing.assert_close((w[i], h[i]), nndsvd(y[i], 4, variant))


def test_the_first_component_is_the_best_rank_one():
    y = uniform(9, 7)
    w, h = nndsvd(y, 3)
    error = (y - w[:, :1] @ h[:, :1].mT).square().sum()
    torch.testing.assert_close(error, torch.linalg.svdvals(y)[1:].square().sum())


@DTYPES
def test_random_filling_is_small_and_seeded(dtype):
    y = uniform(20, 15, dtype=dtype)
    plain, _ = nndsvd(y, 5)
    first, second = nndsvd(y, 5, "nndsvdar", seed=1), nndsvd(y, 5, "nndsvdar", seed=1)
    other = nndsvd(y, 5, "nndsvdar", seed=2)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(first[0][plain > 0], plain[plain > 0])
    assert (first[0][plain == 0] < 0.06 * y.mean()).all()


@DTYPES
def test_rank_deficient_data(dtype):
    y = uniform(20, 2, dtype=dtype) @ uniform(2, 30, seed=1, dtype=dtype)
    w, h = nndsvd(y, 4)
    assert (w[:, :2].amax(0) > 0).all() and (h[:, :2].amax(0) > 0).all()
    assert torch.equal(w[:, 2:], torch.zeros(20, 2, dtype=dtype))
    assert torch.equal(h[:, 2:], torch.zeros(30, 2, dtype=dtype))
    filled, _ = nndsvd(y, 4, "nndsvda")
    torch.testing.assert_close(filled[:, 2:], y.mean().expand(20, 2))


@DTYPES
@pytest.mark.parametrize("variant", VARIANTS)
def test_zero_and_constant_data(variant, dtype):
    for factor in nndsvd(torch.zeros(4, 5, dtype=dtype), 3, variant):
        assert torch.equal(factor, torch.zeros_like(factor))
    w, h = nndsvd(torch.full((4, 5), 3.0, dtype=dtype), 3, variant)
    torch.testing.assert_close(w[:, :1] @ h[:, :1].mT, torch.full((4, 5), 3.0, dtype=dtype))


@DTYPES
def test_zero_rows_and_columns_stay_zero(dtype):
    y = uniform(9, 8, dtype=dtype)
    y[2] = 0
    y[:, 5] = 0
    w, h = nndsvd(y, 4)
    assert (w[2] == 0).all() and (h[5] == 0).all()


def test_nndsvd_scales_with_the_data():
    y = uniform(9, 8)
    w, h = nndsvd(y, 4)
    torch.testing.assert_close(nndsvd(1e-12 * y, 4), (1e-6 * w, 1e-6 * h))


@pytest.mark.parametrize(("rank", "variant"), [(6, "nndsvd"), (0, "nndsvda")])
def test_nndsvd_refuses_an_impossible_rank(rank, variant):
    with pytest.raises(ValueError, match=f'^{variant}.* use init="random" instead.$'):
        nndsvd(uniform(5, 7), rank, variant)


def test_nndsvd_refuses_an_unknown_variant():
    with pytest.raises(ValueError, match="choose one of nndsvd, nndsvda, nndsvdar"):
        nndsvd(uniform(5, 7), 2, "svd")  # pyright: ignore[reportArgumentType]


# --- SPA ---------------------------------------------------------------------------------------


def reference_spa(y, rank):
    """One least-squares residual a step, no recursion."""
    chosen, residual = [], y
    for _ in range(rank):
        chosen.append(int(np.argmax((residual**2).sum(0))))
        basis = y[:, chosen]
        residual = y - basis @ np.linalg.pinv(basis) @ y
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_spa_matches_a_plain_reference(seed):
    y = uniform(8, 30, seed=seed)
    assert spa_indices(y, 7).tolist() == reference_spa(y.numpy(), 7)


def separable(m, n, r, seed=0, dtype=torch.float64):
    w = uniform(m, r, seed=seed, dtype=dtype)
    h = uniform(n, r, seed=seed + 1, dtype=dtype)
    h = h / h.sum(1, keepdim=True)
    pure = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:r]
    h[pure] = torch.eye(r, dtype=dtype)
    return w, h, pure


@DTYPES
@pytest.mark.parametrize("seed", range(5))
def test_spa_is_exact_on_separable_data(seed, dtype):
    w, h, pure = separable(20, 60, 5, seed, dtype)
    y = w @ h.mT
    indices = spa_indices(y, 5)
    assert sorted(indices.tolist()) == sorted(pure.tolist())
    estimated_w, estimated_h = spa(y, 5)
    assert torch.equal(estimated_w, y[:, indices])
    assert (estimated_h >= 0).all()
    torch.testing.assert_close(estimated_w @ estimated_h.mT, y)


def test_spa_batches_are_independent_problems():
    y = uniform(2, 3, 8, 12)
    y[0, 1] = 0
    indices = spa_indices(y, 4)
    w, h = spa(y, 4)
    assert indices.shape == (2, 3, 4) and w.shape == (2, 3, 8, 4) and h.shape == (2, 3, 12, 4)
    for i in range(2):
        for j in range(3):
            assert torch.equal(indices[i, j], spa_indices(y[i, j], 4))
            torch.testing.assert_close((w[i, j], h[i, j]), spa(y[i, j], 4))


@DTYPES
@pytest.mark.parametrize("n", range(2, 40, 3))
def test_spa_ties_go_to_the_lowest_index(n, dtype):
    column = uniform(37, 1, dtype=dtype)
    assert spa_indices(column.expand(37, n), 1).tolist() == [0]
    y = torch.cat([0.5 * column, uniform(37, 1, seed=1, dtype=dtype).mul(2).expand(37, n)], 1)
    assert spa_indices(y, 2).tolist() == [1, 0]


@DTYPES
def test_spa_once_the_residual_vanishes(dtype):
    assert spa_indices(torch.zeros(4, 5, dtype=dtype), 3).tolist() == [0, 1, 2]
    assert spa_indices(torch.ones(4, 5, dtype=dtype), 3).tolist() == [0, 1, 2]
    w, h, pure = separable(30, 50, 3, 4, dtype)
    indices = spa_indices(w @ h.mT, 6).tolist()
    assert sorted(indices[:3]) == sorted(pure.tolist())
    assert indices[3:] == [j for j in range(50) if j not in indices[:3]][:3]
    # More columns than rows are asked for.
    assert len(set(spa_indices(uniform(3, 9, dtype=dtype), 7).tolist())) == 7


@DTYPES
def test_spa_of_zero_and_constant_data(dtype):
    for factor in spa(torch.zeros(4, 5, dtype=dtype), 2):
        assert torch.equal(factor, torch.zeros_like(factor))
    y = torch.full((4, 5), 2.0, dtype=dtype)
    w, h = spa(y, 3)
    torch.testing.assert_close(w @ h.mT, y)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_spa_is_free_of_the_scale(scale):
    y = uniform(8, 20, dtype=torch.float32)
    assert torch.equal(spa_indices(scale * y, 5), spa_indices(y, 5))


@pytest.mark.parametrize("rank", [0, 8])
def test_spa_refuses_an_impossible_rank(rank):
    with pytest.raises(ValueError, match="between 1 and 7"):
        spa(uniform(5, 7), rank)


# --- HOSVD -------------------------------------------------------------------------------------


@DTYPES
def test_hosvd_holds_absolute_singular_vectors(dtype):
    y = uniform(5, 6, 7, dtype=dtype)
    factors = hosvd_nonnegative(y, 4)
    assert [tuple(f.shape) for f in factors] == [(5, 4), (6, 4), (7, 4)]
    for mode, factor in enumerate(factors):
        unfolding = y.movedim(mode, 0).flatten(1)
        left = torch.linalg.svd(unfolding, full_matrices=False).U[:, :4]
        torch.testing.assert_close(factor, left.abs(), atol=1e-5, rtol=1e-4)


@DTYPES
def test_hosvd_pads_with_seeded_unit_columns(dtype):
    y = uniform(2, 6, 3, dtype=dtype)
    factors = hosvd_nonnegative(y, 5, seed=1)
    again = hosvd_nonnegative(y, 5, seed=1)
    other = hosvd_nonnegative(y, 5, seed=2)
    for factor, same, size in zip(factors, again, y.shape, strict=True):
        assert factor.shape == (size, 5) and factor.dtype == dtype
        assert torch.equal(factor, same)
        assert (factor >= 0).all()
        torch.testing.assert_close(factor.norm(dim=0), torch.ones(5, dtype=dtype))
    assert torch.equal(factors[0][:, :2], other[0][:, :2])
    assert not torch.equal(factors[0][:, 2:], other[0][:, 2:])
    assert (factors[0][:, 2:] > 0).all()


@DTYPES
def test_hosvd_beyond_the_numerical_rank(dtype):
    for y in (torch.zeros(4, 5, 6, dtype=dtype), torch.ones(4, 5, 6, dtype=dtype)):
        for factor in hosvd_nonnegative(y, 3):
            assert (factor > 0).all()
            torch.testing.assert_close(factor.norm(dim=0), torch.ones(3, dtype=dtype))


@pytest.mark.parametrize(("shape", "rank"), [((5,), 2), ((5, 4), 0)])
def test_hosvd_refuses_vectors_and_rank_zero(shape, rank):
    with pytest.raises(ValueError, match="at least two dimensions and a rank of at least 1"):
        hosvd_nonnegative(uniform(*shape), rank)


# --- Devices -----------------------------------------------------------------------------------


def test_same_result_as_on_the_cpu(device):
    def factors(y):
        return [
            *random_factors([(9, 3), (8, 3)], y, 0),
            *(factor for variant in VARIANTS for factor in nndsvd(y, 3, variant)),
            *spa(y, 3),
            spa_indices(y, 3),
            *hosvd_nonnegative(y, 10),
        ]

    y = uniform(2, 9, 8)
    for there, here in zip(factors(y.to(device)), factors(y), strict=True):
        torch.testing.assert_close(there.cpu(), here)


def test_fake_cuda_without_synchronisation():
    with FakeTensorMode():
        y = torch.rand(2, 9, 8, device="cuda")
        results = [
            *random_factors([(9, 3), (8, 3)], y, 0),
            *(factor for variant in VARIANTS for factor in nndsvd(y, 3, variant)),
            *spa(y, 3),
            spa_indices(y, 3),
            *hosvd_nonnegative(y, 3),
        ]
        assert {result.device.type for result in results} == {"cuda"}
