"""Matrices with very many columns (pixels), a piece of them at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def waits_for_nothing(x: Tensor) -> bool:
    """Whether Python can look at the values of a tensor at no cost: on the CPU, uncompiled.

    Example:
        >>> waits_for_nothing(torch.ones(2))
        True
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def pieces(data: Tensor, copies: float = 1, budget: int = 2**21) -> Iterator[slice]:
    """Slices of the columns of a matrix whose pieces fit into a cache, or little of a GPU's memory.

    While a graph is traced there is one piece, so that the graph does not depend on sizes.

    Args:
        data: (*, m, n).
        copies: how many times the memory of a piece the work on it takes.
        budget: bytes on the CPU.

    Example:
        >>> list(pieces(torch.ones(2, 3)))
        [slice(0, 3, None)]
    """
    if torch.compiler.is_compiling():
        return iter((slice(None),))
    budget = budget if data.device.type == "cpu" else 2**28
    column = data[..., :1].numel() * data.element_size()
    width = max(64, int(budget / max(1, copies * column)))
    total = data.shape[-1]
    return (slice(a, min(a + width, total)) for a in range(0, total, width))


def column_norms(data: Tensor) -> Tensor:
    """The l2 norms of the columns, without overflow; NaN or infinite where a value is.

    Args:
        data: (*, m, n).

    Returns:
        (*, n).

    Example:
        >>> column_norms(torch.tensor([[3e30, 0.0], [4e30, 1.0]]))
        tensor([5.0000e+30, 1.0000e+00])
    """
    if waits_for_nothing(data):
        squares = torch.cat([_squares(part) for part in data.split(2**17, -1)], -1)
        largest, finfo = squares.amax(-1), torch.finfo(data.dtype)
        if bool((largest.isfinite() & (largest > finfo.tiny / finfo.eps**2)).all()):
            return squares.sqrt()
    return torch.cat([_scaled_norms(data[..., at]) for at in pieces(data, 4)], -1)


def _squares(x: Tensor) -> Tensor:
    if x.shape[-1] < 2**12:
        return x.square().sum(-2)
    # Row by row nothing but the sums stays in the cache: about two products with a vector.
    total = torch.zeros_like(x[..., 0, :])
    for row in x.unbind(-2):
        total.addcmul_(row, row)
    return total


def _scaled_norms(x: Tensor) -> Tensor:
    largest = x.abs().amax(-2, keepdim=True)
    scale = torch.where(largest > 0, largest, 1)
    return scale[..., 0, :] * torch.linalg.vector_norm(x / scale, dim=-2)


def column_sums(data: Tensor) -> Tensor:
    """The l1 norms of the columns.

    Args:
        data: (*, m, n).

    Returns:
        (*, n).

    Example:
        >>> column_sums(torch.tensor([[3.0, 0.0], [-4.0, 1.0]]))
        tensor([7., 1.])
    """
    return torch.cat([data[..., at].abs().sum(-2) for at in pieces(data, 2)], -1)


def column_gram(data: Tensor, weights: Tensor) -> Tensor:
    """``sum_j w_j m_j m_j^T`` over the columns m_j whose weight is positive, in double precision.

    Args:
        data: (*, m, n).
        weights: nonnegative, (*, n).

    Returns:
        (*, m, m).

    Example:
        >>> column_gram(torch.tensor([[1.0, 2.0]]), torch.tensor([1.0, 0.5]))
        tensor([[3.]], dtype=torch.float64)
    """
    total = data.new_zeros((*data.shape[:-1], data.shape[-2]), dtype=torch.float64)
    for at in pieces(data, 3):
        part, w = data[..., at], weights[..., None, at]
        total += (torch.where(w > 0, part * w, 0) @ torch.where(w > 0, part, 0).mT).double()
    return total


def select_columns(data: Tensor, indices: Tensor) -> Tensor:
    """Columns of a matrix by their indices, zero for an index of -1.

    Args:
        data: (*, m, n).
        indices: (*, r), int64.

    Returns:
        (*, m, r).

    Example:
        >>> select_columns(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2, -1]))
        tensor([[3., 0.]])
    """
    place = indices.clamp_min(0).unsqueeze(-2).expand(*data.shape[:-1], indices.shape[-1])
    return data.gather(-1, place).masked_fill(indices.unsqueeze(-2) < 0, 0)
