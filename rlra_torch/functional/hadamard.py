"""The fast Walsh-Hadamard transform, and the orders in which its rows are used as patterns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ORDERS = ("natural", "dyadic", "sequency", "cake_cutting", "zigzag")
RADIX = 4


def walsh_hadamard(x: Tensor) -> Tensor:
    """``H x`` along the last but one dimension, in natural order, in ``O(n log n)``.

        H_1 = 1,   H_2n = [H_n H_n; H_n -H_n]

    H is symmetric with ``H H = n I``, and that of an image is that of its flattened pixels.

    Args:
        x: (*, n, p) with n a power of two.

    Raises:
        ValueError: another n.

    Example:
        >>> walsh_hadamard(torch.tensor([[1.0], [2.0], [3.0], [4.0]])).flatten()
        tensor([10., -2., -4.,  0.])
    """
    *lead, size, columns = x.shape
    left = exponent(size)
    # Sixteen rows at a time: products with small matrices pass over the data less often.
    while left:
        bits = min(RADIX, left)
        left -= bits
        part = x.reshape(*lead, size >> (bits + left), 1 << bits, columns << left)
        x = _small(bits, x) @ part
    return x.reshape(*lead, size, columns)


def exponent(size: int) -> int:
    """The logarithm of a power of two.

    Raises:
        ValueError: it is none.
    """
    if size < 1 or size & (size - 1):
        raise ValueError(
            f"Hadamard patterns need a power of two, got {size}; crop or pad the picture"
        )
    return size.bit_length() - 1


def pattern_order(shape: tuple[int, ...], order: str) -> Tensor:
    """Natural numbers of the patterns, first to last.

    A pattern changes its sign ``s_1, ..., s_d`` times along each axis (its sequency).

    Args:
        shape: of the picture, powers of two.
        order: "natural"; "dyadic" (Paley, bits reversed); "sequency" (Walsh, along each axis);
            "cake_cutting" (by the number of pieces, ``prod (s_i + 1)``); "zigzag" (by ``sum s_i``).

    Returns:
        (n,) a permutation; the pattern of ones, number 0, comes first.

    Raises:
        ValueError: another order, or sizes that are no powers of two.

    References:
        | Yu, Super sub-Nyquist single-pixel imaging by means of cake-cutting Hadamard basis sort
        | (2019)

    Example:
        >>> pattern_order((8,), "sequency")
        tensor([0, 4, 6, 2, 3, 7, 5, 1])
        >>> pattern_order((2, 4), "cake_cutting")
        tensor([0, 2, 4, 3, 1, 6, 7, 5])
    """
    if order not in ORDERS:
        raise ValueError(f"order is one of {', '.join(ORDERS)} or a permutation, got {order!r}")
    total = math.prod(shape)
    if order == "natural":
        exponent(total)
        return torch.arange(total)
    axes = [_dyadic(size) if order == "dyadic" else _sequency(size) for size in shape]
    found = torch.zeros((), dtype=torch.int64)
    for size, axis in zip(shape, axes, strict=True):
        found = found[..., None] * size + axis
    if order in ("cake_cutting", "zigzag"):
        changes = torch.meshgrid(*(torch.arange(size) for size in shape), indexing="ij")
        stacked = torch.stack(changes)
        key = (stacked + 1).prod(0) if order == "cake_cutting" else stacked.sum(0)
        return found.flatten()[key.flatten().argsort(stable=True)]
    return found.flatten()


def _dyadic(size: int) -> Tensor:
    bits, index = exponent(size), torch.arange(size)
    reverse = torch.zeros_like(index)
    for bit in range(bits):
        reverse |= (index >> bit & 1) << (bits - 1 - bit)
    return reverse


def _sequency(size: int) -> Tensor:
    index = torch.arange(size)
    return _dyadic(size)[index ^ index >> 1]


def _small(bits: int, like: Tensor) -> Tensor:
    matrix = like.new_ones(1, 1)
    for _ in range(bits):
        top = torch.cat([matrix, matrix], 1)
        matrix = torch.cat([top, torch.cat([matrix, -matrix], 1)])
    return matrix
