"""Tridiagonal systems, all rows at once."""

from __future__ import annotations

import torch
from torch import Tensor


def solve_tridiagonal(diagonal: Tensor, off: Tensor, right: Tensor, dim: int) -> Tensor:
    """The solution of symmetric, diagonally dominant tridiagonal systems along one dimension.

    Cyclic reduction of all rows in parallel: after ``log2 n`` steps each row stands alone. Nothing
    runs row by row, and systems may differ along all other dimensions.

    Args:
        diagonal: like ``right``, or broadcasting with it along other dimensions than ``dim``.
        off: the entries beside the diagonal, ``off[i]`` couples rows i and i + 1; one fewer than
            rows along ``dim``.
        right: (..., n, ...).
        dim: along which dimension, negative.

    Returns:
        like ``right``.

    References:
        | Hockney, Jesshope, Parallel computers (1981), section 5.4

    Example:
        >>> ones = torch.ones(3)
        >>> solve_tridiagonal(2 * ones, -ones[:2], torch.tensor([1.0, 0.0, 1.0]), -1)
        tensor([1., 1., 1.])
    """
    count, zero = right.shape[dim], torch.zeros_like(diagonal.narrow(dim, 0, 1))
    below, above = torch.cat((zero, off), dim), torch.cat((off, zero), dim)
    stride = 1
    while stride < count:
        down, up = (
            below / _moved(diagonal, stride, dim, 1),
            above / _moved(diagonal, -stride, dim, 1),
        )
        right = right - down * _moved(right, stride, dim) - up * _moved(right, -stride, dim)
        diagonal = diagonal - down * _moved(above, stride, dim) - up * _moved(below, -stride, dim)
        below = -down * _moved(below, stride, dim)
        above = -up * _moved(above, -stride, dim)
        stride *= 2
    return right / diagonal


def _moved(x: Tensor, by: int, dim: int, fill: float = 0.0) -> Tensor:
    """Row ``i - by`` in the place of row ``i``, and a constant where there is none."""
    count, size = x.shape[dim], abs(by)
    edge = torch.full_like(x.narrow(dim, 0, size), fill)
    if by > 0:
        return torch.cat((edge, x.narrow(dim, 0, count - size)), dim)
    return torch.cat((x.narrow(dim, size, count - size), edge), dim)
