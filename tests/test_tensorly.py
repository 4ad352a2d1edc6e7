"""TensorLy's names: its types in and out, under its backends, and answers as good as its own."""

import numpy as np
import pytest
import tensorly
import tensorly.decomposition as theirs
import torch
from tensorly.cp_tensor import CPTensor
from tensorly.tucker_tensor import TuckerTensor

import rlra_torch.tensorly as ours

CP_NAMES = ("parafac", "non_negative_parafac", "non_negative_parafac_hals")
TUCKER_NAMES = ("tucker", "non_negative_tucker_hals")


def tensor(seed=0):
    random = np.random.default_rng(seed)
    return np.einsum("ir,jr,kr->ijk", *(random.random((size, 2)) for size in (5, 6, 7)))


@pytest.fixture
def pytorch():
    tensorly.set_backend("pytorch")
    yield
    tensorly.set_backend("numpy")


def error(found, t):
    return float(tensorly.norm(found.to_tensor() - t) / tensorly.norm(t))


@pytest.mark.parametrize("name", CP_NAMES)
def test_cp(name):
    t = tensor()
    found, errors = getattr(ours, name)(t, 2, n_iter_max=300, tol=0, return_errors=True)
    peer = getattr(theirs, name)(t, 2, n_iter_max=300, tol=0)
    assert isinstance(found, CPTensor) and len(errors) == 301
    assert errors[-1] == pytest.approx(error(found, t), abs=1e-6)
    assert error(found, t) <= 1.1 * error(peer, t) + 5e-3
    again = getattr(ours, name)(t, 2, init=found, n_iter_max=1)
    assert error(again, t) <= error(found, t) + 1e-9


@pytest.mark.parametrize("name", TUCKER_NAMES)
def test_tucker(name):
    t = tensor()
    found = getattr(ours, name)(t, [2, 2, 2], n_iter_max=200)
    assert isinstance(found, TuckerTensor)
    assert error(found, t) < 0.05


@pytest.mark.parametrize("name", [*CP_NAMES, *TUCKER_NAMES])
def test_under_the_pytorch_backend(name, pytorch):
    t = torch.from_numpy(tensor())
    found = getattr(ours, name)(t, [2, 2, 2] if name in TUCKER_NAMES else 2)
    assert all(isinstance(factor, torch.Tensor) for factor in found.factors)
    assert isinstance(found.to_tensor(), torch.Tensor)


def test_normalized_masked_and_signed():
    t = tensor()
    found = ours.parafac(t, 2, normalize_factors=True)
    np.testing.assert_allclose(np.linalg.norm(found.factors[0], axis=0), 1)
    mask = np.random.default_rng(1).random(t.shape) < 0.8
    spoiled = np.where(mask, t, 1e3)
    found = ours.non_negative_parafac(spoiled, 2, mask=mask, n_iter_max=500, tol=0)
    assert error(found, t) < 0.1
    a, b, c = found.factors
    start = CPTensor((None, [a + 0.1, b + 0.1, -c]))
    signed = ours.non_negative_parafac_hals(-t, 2, nn_modes=[0, 1], init=start)
    assert error(signed, -t) < 0.1
    assert min(x.min() for x in signed.factors[:2]) >= 0 > signed.factors[2].min()


def test_errors_of_arguments():
    with pytest.raises(ValueError, match="nn_modes"):
        ours.non_negative_parafac_hals(
            tensor(), 2, nn_modes=[0], sparsity_coefficients=[0.1, None, None]
        )
    with pytest.raises(ValueError, match="without sparsity"):
        ours.non_negative_parafac_hals(
            tensor(), 2, sparsity_coefficients=[0.1] * 3, return_errors=True
        )
    with pytest.raises(ValueError, match="as many"):
        ours.non_negative_parafac_hals(tensor(), 2, sparsity_coefficients=[0.1])
