"""Truncated singular value decomposition, exact or by randomized subspace iteration."""

import torch
from torch import Tensor

_EXACT_LIMIT = 1000
_OVERSAMPLING = 10
_POWER_ITERATIONS = 8


def as_generator(seed: int | torch.Generator) -> torch.Generator:
    """A private random generator from a seed; a generator is returned as it is.

    Args:
        seed: Integer seed, or the generator to use.

    Returns:
        A generator, on the CPU when it was made from an integer.

    Example:
        >>> as_generator(3).initial_seed()
        3
    """
    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator().manual_seed(seed)


def truncated_svd(
    y: Tensor, rank: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The `rank` leading singular triplets, Y ≈ U diag(S) Vᵀ.

    Exact when the matrix is dense and a dimension is at most 1000, or when the rank is not small
    against both; else a randomized subspace iteration with 10 extra columns and 8 power
    iterations, whose error in the i-th value decays like (S[rank + 10] / S[i]) to the power 34.
    Signs are fixed: in every column of U the first entry of largest magnitude is positive. The
    result is meant as a start, not to be differentiated.

    Args:
        y: Real data, shape (*, m, n); a single matrix may be sparse.
        rank: Number of triplets, at most min(m, n).
        generator: Source of the test matrix. It is drawn on the generator's own device and moved
            to y's, so that a CPU generator gives the same draw on every device.

    Returns:
        U of shape (*, m, rank), S of shape (*, rank), decreasing, V of shape (*, n, rank).

    Raises:
        ValueError: If rank is not between 1 and min(m, n).

    References:
        N. Halko, P.-G. Martinsson and J. A. Tropp, Finding structure with randomness, SIAM
        Review 53, 2011, algorithms 4.4 and 5.1.

    Example:
        >>> y = torch.tensor([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]])
        >>> left, values, right = truncated_svd(y, 1, torch.Generator())
        >>> values, right.shape
        (tensor([3.]), torch.Size([2, 1]))
    """
    smallest = min(y.shape[-2:])
    if not 1 <= rank <= smallest:
        raise ValueError(
            f"truncated_svd was given rank {rank} for a matrix of shape {tuple(y.shape[-2:])}; "
            f"choose a rank between 1 and {smallest}."
        )
    y = y.detach()
    block, dense = rank + _OVERSAMPLING, y.layout == torch.strided
    if (dense and smallest <= _EXACT_LIMIT) or 4 * block >= smallest:
        left, values, right = _economic_svd(y if dense else y.to_dense())
    else:
        turned = y.mT if dense else y.mT.to_sparse_csr()
        basis = _leading_subspace(y, turned, block, generator)
        inner, values, right = _economic_svd((turned @ basis).mT)
        left = basis @ inner
    return _fix_signs(left[..., :rank], values[..., :rank], right[..., :rank])


def _economic_svd(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Economic SVD; a QR first, so that a long matrix costs little more than its R factor."""
    rows, columns = y.shape[-2:]
    if columns > 2 * rows:
        right, values, left = _economic_svd(y.mT)
        return left, values, right
    if rows > 2 * columns:
        basis, triangle = torch.linalg.qr(y)
        left, values, right = torch.linalg.svd(triangle, full_matrices=False)
        return basis @ left, values, right.mT
    left, values, right = torch.linalg.svd(y, full_matrices=False)
    return left, values, right.mT


def _leading_subspace(y: Tensor, turned: Tensor, block: int, generator: torch.Generator) -> Tensor:
    """Orthonormal basis (*, m, block) of an approximate leading column space."""
    test = torch.randn(
        y.shape[-1], block, generator=generator, dtype=y.dtype, device=generator.device
    )
    basis = torch.linalg.qr(y @ test.to(y.device)).Q
    for _ in range(_POWER_ITERATIONS):
        basis = torch.linalg.qr(turned @ basis).Q
        basis = torch.linalg.qr(y @ basis).Q
    return basis


def _fix_signs(left: Tensor, values: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    largest = left.abs().argmax(-2, keepdim=True)
    sign = left.gather(-2, largest).sign()
    return left * sign, values, right * sign
