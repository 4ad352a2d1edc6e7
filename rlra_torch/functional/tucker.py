"""Products of a tensor with matrices along its modes, and bases of its unfoldings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mode_product(y: Tensor, matrix: Tensor, mode: int) -> Tensor:
    """``Y x_n A``: the entries along one mode exchanged for those of ``A`` times them.

    Args:
        y: (*, ..., n, ...), the leading dimensions like those of the matrix.
        matrix: A, (*, p, n).
        mode: which dimension, counted from the last: -1, -2 and so on.

    Returns:
        (*, ..., p, ...).

    Example:
        >>> mode_product(torch.ones(2, 3), torch.ones(1, 2), -2)
        tensor([[2., 2., 2.]])
    """
    rows, inner = y.shape[: y.ndim + mode], y.shape[y.ndim + mode + 1 :]
    lead = matrix.shape[:-2]
    seen = y.reshape(*lead, -1, y.shape[mode], inner.numel())
    if inner.numel() == 1:
        found = seen[..., 0] @ matrix.mT
    else:
        found = matrix.unsqueeze(-3) @ seen
    return found.reshape(*rows, matrix.shape[-2], *inner)


def multiplied(y: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """``Y x_1 A_1 ... x_d A_d``, from the last mode to the first.

    Args:
        y: (*, n_1, ..., n_d).
        matrices: A_i, (*, p_i, n_i).

    Example:
        >>> multiplied(torch.ones(2, 3), [torch.ones(1, 2), torch.ones(1, 3)])
        tensor([[6.]])
    """
    for mode in range(-1, -len(matrices) - 1, -1):
        y = mode_product(y, matrices[mode], mode)
    return y


def leading_basis(y: Tensor, mode: int, rank: int, lead: int = 0) -> Tensor:
    """An orthonormal basis of the leading left singular vectors of an unfolding.

    From the eigenvectors of its gram, which square the condition number, and one step of orthogonal
    iteration in the unfolding itself, which takes that back. In each column the first entry of
    largest magnitude is positive.

    Args:
        y: (*, n_1, ..., n_d).
        mode: which one, counted from the last.
        rank: the number of columns, at most n.
        lead: how many leading dimensions are independent problems.

    Returns:
        (*, n, rank).

    Example:
        >>> leading_basis(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), -2, 1).abs()
        tensor([[0.],
                [1.]])
    """
    basis = torch.linalg.eigh(across(y, y, mode, lead)).eigenvectors[..., -rank:].flip(-1)
    inside = mode_product(y, basis.mT, mode)
    return signed(torch.linalg.qr(across(y, inside, mode, lead)).Q)


def signed(basis: Tensor) -> Tensor:
    """The columns with their first entry of largest magnitude positive, (*, n, rank).

    Example:
        >>> signed(torch.tensor([[1.0, 1.0], [-2.0, 3.0]]))
        tensor([[-1.,  1.],
                [ 2.,  3.]])
    """
    largest = basis.gather(-2, basis.abs().argmax(-2, keepdim=True))
    return torch.where(largest < 0, -basis, basis)


def hosvd(
    y: Tensor, ranks: Sequence[int], sequential: bool = True
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Higher-order singular value decomposition, truncated: orthonormal bases and the core.

        Y ~ G x_1 U_1 ... x_d U_d,   G = Y x_1 U_1^T ... x_d U_d^T

    The error is at most sqrt(d) times the least possible one.

    Args:
        y: (*, n_1, ..., n_d), leading dimensions for independent problems.
        ranks: (r_1, ..., r_d), the columns of each basis, at most n_i.
        sequential: find each basis in what the ones before it have left, which is smaller.

    Returns:
        the bases U_i, (*, n_i, r_i), and the core G, (*, r_1, ..., r_d).

    Raises:
        ValueError: ranks that do not fit.

    References:
        | De Lathauwer, De Moor, Vandewalle, A multilinear singular value decomposition (2000)
        | Vannieuwenhoven, Vandebril, Meerbergen, A new truncation strategy for the higher-order
        | singular value decomposition (2012)

    Example:
        >>> bases, core = hosvd(torch.ones(2, 3, 4), (1, 1, 1))
        >>> round(float(core.square().sum()), 3)
        24.0
    """
    check_ranks(ranks, y.shape)
    order, core, bases = len(ranks), y, []
    for mode, rank in zip(range(-order, 0), ranks, strict=True):
        bases.append(leading_basis(core if sequential else y, mode, rank, y.ndim - order))
        core = mode_product(core, bases[-1].mT, mode)
    return tuple(bases), core


def check_ranks(ranks: Sequence[int], shape: Sequence[int]) -> None:
    """Check that multilinear ranks fit the last dimensions of a shape.

    Raises:
        ValueError: they do not.
    """
    sizes = tuple(shape[len(shape) - len(ranks) :])
    if len(sizes) < len(ranks):
        raise ValueError(f"got {len(ranks)} ranks for data of shape {tuple(shape)}")
    if any(not 1 <= rank <= size for rank, size in zip(ranks, sizes, strict=True)):
        raise ValueError(
            f"the ranks {tuple(ranks)} must be between 1 and the sizes of the modes, {sizes}"
        )


def across(y: Tensor, z: Tensor, mode: int, lead: int) -> Tensor:
    """``Y_(n) Z_(n)^T`` for tensors that differ in this mode only, (*, n, p).

    Args:
        y: (*, ..., n, ...).
        z: (*, ..., p, ...).
        mode: which one, counted from the last.
        lead: how many leading dimensions are independent problems.

    Example:
        >>> across(torch.ones(2, 3), torch.ones(1, 3), -2, 0)
        tensor([[3.],
                [3.]])
    """
    inner = y.shape[y.ndim + mode + 1 :].numel()
    a, b = (x.reshape(*x.shape[:lead], -1, x.shape[mode], inner) for x in (y, z))
    if a.shape[-3] == 1:
        return a[..., 0, :, :] @ b[..., 0, :, :].mT
    if inner == 1:
        return a[..., 0].mT @ b[..., 0]
    return torch.einsum("...anb,...apb->...np", a, b)
