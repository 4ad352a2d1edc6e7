"""Matrices with very many columns (pixels), a piece of them at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def pieces(data: Tensor, copies: float = 1) -> Iterator[slice]:
    """Slices of the columns of a matrix whose pieces fit into a cache, or little of a GPU's memory.

    Args:
        data: (*, m, n).
        copies: how many times the memory of a piece the work on it takes.

    Example:
        >>> list(pieces(torch.ones(2, 3)))
        [slice(0, 3, None)]
    """
    budget = 2**20 if data.device.type == "cpu" else 2**28
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
    return torch.cat([_norms(data[..., where]) for where in pieces(data, 3)], -1)


def _norms(x: Tensor) -> Tensor:
    largest = x.abs().amax(-2, keepdim=True)
    scale = torch.where(largest > 0, largest, 1)
    return scale[..., 0, :] * torch.linalg.vector_norm(x / scale, dim=-2)


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
