"""Sweeps of exact coordinate descent, all of them in one launch.

The mathematics of `kernels.coordinate.plain_sweeps`: a program holds a block of rows of ``x`` in
registers, reads one row of the gram after the other, and writes the block once at the end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...functional.batch import common
from .launch import MAX_SWEPT_RANK, cdiv, on_device_of, padded, planes, processors
from .sweeps_kernel import sweeps_kernel


class Block(NamedTuple):
    """How many rows a program holds, and how many warps it has."""

    rows: int
    num_warps: int


def block_of(rank: int, dtype: torch.dtype, own: bool, wish: int) -> Block:
    """As many rows as one warp holds in registers, but fewer if too few programs would run.

    Args:
        rank: r, at most `MAX_SWEPT_RANK`.
        dtype: of the data.
        own: whether each row has its own gram, a row of which is held as well.
        wish: the most rows a program may take for all processors to have work.

    Example:
        >>> block_of(20, torch.float32, own=False, wish=100).rows
        32
    """
    held = (1024 if dtype == torch.float32 and rank <= 64 else 512) // (2 if own else 1)
    block = max(1, min(32, held // padded(rank, 1)))
    while block > max(8, wish):
        block //= 2
    return Block(block, 1)


def fused_sweeps(
    x: Tensor, gram: Tensor, cross: Tensor, lower: float, upper: float, sweeps: int
) -> Tensor:
    """``sweeps`` passes of ``x_q <- clip((c_q - sum_{p != q} x_p G_pq) / G_qq)``, rank first.

    Columns with ``G_qq = 0`` stay, or go to a nonnegative lower bound if ``c_q < 0``.

    Args:
        x: (*, r, rows), the start.
        gram: (*, r, r), or (*, rows, r, r) when each row has its own.
        cross: (*, r, rows).
        lower, upper: the interval.
        sweeps: how many passes.

    Returns:
        (*, r, rows), new and contiguous.

    Raises:
        ValueError: the shapes do not fit, or the rank is above `MAX_SWEPT_RANK`.
    """
    rank, rows = x.shape[-2:]
    own = gram.ndim > x.ndim
    expected = (rows, rank, rank) if own else (rank, rank)
    if cross.shape[-2:] != x.shape[-2:] or gram.shape[-len(expected) :] != expected:
        shapes = f"{tuple(x.shape)}, {tuple(gram.shape)}, {tuple(cross.shape)}"
        raise ValueError(
            "x and cross (*, r, rows) and gram (*, r, r) or (*, rows, r, r) do not fit: " + shapes
        )
    if rank > MAX_SWEPT_RANK:
        raise ValueError(f"the fused sweeps hold ranks up to {MAX_SWEPT_RANK}, got {rank}")
    lead = gram.shape[: -len(expected)]
    batch = common(x.shape[:-2], cross.shape[:-2], lead)
    out = x.new_empty(*batch, rank, rows)
    if out.numel() == 0:
        return out
    x, cross = planes(x, batch), planes(cross, batch)
    grams = planes(gram.flatten(-2) if own else gram, batch)
    grams = (
        grams if grams.stride(-1) == 1 and (own or grams.stride(-2) == rank) else grams.contiguous()
    )
    block = block_of(rank, x.dtype, own, len(x) * rows // (4 * processors(x)))
    blocks = cdiv(rows, block.rows)
    with on_device_of(x):
        sweeps_kernel[(blocks * len(x),)](
            x, grams, cross, out, rows, blocks, sweeps,
            *x.stride(), grams.stride(0), grams.stride(1) if own else 0, *cross.stride(),
            lower=lower if lower > -math.inf else None, upper=upper if upper < math.inf else None,
            nonnegative=lower >= 0, own=own, rank=rank, ROWS=block.rows, RANK=padded(rank, 1),
            num_warps=block.num_warps,
        )  # fmt: skip
    return out
