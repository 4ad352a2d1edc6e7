"""What the launchers share: tiles, grids, leading dimensions, and the device they run on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

MAX_RANK, MAX_SWEPT_RANK = 128, 256


class Wanted(NamedTuple):
    """Which outputs a launch of the dense kernel computes."""

    in_w: bool = False
    in_h: bool = False
    value: bool = False
    positive: bool = False


class Tile(NamedTuple):
    """The shape of a tile, the warps that work on it, the stages of loads that overlap.

    ``fenced`` parts the products by barriers: then the operands of one only are in registers at
    once, and no loads overlap. ``registers`` is the most for a thread; without a limit the
    assembler may rather keep a few values in memory to have more threads at once.
    """

    rows: int
    columns: int
    num_warps: int
    num_stages: int
    fenced: bool = False
    registers: int | None = None


# For one factor or both, with positive parts (+) or without; ranks to 16, 32, 64 and 128.
_SINGLE = {
    "one": (
        Tile(64, 64, 8, 2), Tile(64, 32, 4, 1), Tile(32, 32, 4, 1, registers=255),
        Tile(32, 16, 4, 2),
    ),
    "one+": (
        Tile(64, 32, 8, 2), Tile(64, 32, 8, 2), Tile(32, 32, 4, 1, True, 255), Tile(32, 32, 8, 2),
    ),
    "both": (Tile(64, 64, 4, 1), Tile(64, 32, 8, 1), Tile(32, 32, 8, 1), Tile(16, 16, 4, 1)),
    "both+": (
        Tile(32, 32, 4, 1, True), Tile(32, 16, 4, 2), Tile(16, 16, 4, 2), Tile(16, 16, 8, 1, True),
    ),
}  # fmt: skip
_DOUBLE = {
    "one": (
        Tile(64, 32, 8, 2), Tile(32, 32, 4, 2), Tile(32, 32, 4, 2, registers=255),
        Tile(32, 32, 8, 2),
    ),
    "one+": (
        Tile(32, 32, 4, 1, registers=255), Tile(16, 32, 4, 2), Tile(32, 32, 4, 1),
        Tile(16, 16, 4, 2),
    ),
    "both": (Tile(32, 32, 4, 1), Tile(32, 32, 8, 1), Tile(16, 16, 4, 2), Tile(16, 16, 4, 1)),
    "both+": (
        Tile(32, 32, 8, 1), Tile(16, 16, 4, 1), Tile(16, 16, 4, 1, True), Tile(16, 16, 8, 1),
    ),
}  # fmt: skip


def tile_of(rank: int, dtype: torch.dtype, wanted: Wanted) -> Tile:
    """The largest tile for which a program stays in registers on sm_80 and sm_90.

    Args:
        rank: r, at most `MAX_RANK`.
        dtype: of the factors, in which all is computed.
        wanted: what is computed.

    Example:
        >>> tile_of(20, torch.float32, Wanted(in_w=True)).rows
        64
    """
    table = _DOUBLE if dtype == torch.float64 else _SINGLE
    both = "both" if wanted.in_h else "one"
    return table[both + "+" * wanted.positive][padded(rank).bit_length() - 5]


def cdiv(a: int, b: int) -> int:
    """``a / b``, rounded up."""
    return -(-a // b)


def padded(rank: int, least: int = 16) -> int:
    """The power of two, at least ``least``, that holds ``rank``."""
    return max(least, 1 << (rank - 1).bit_length())


def processors(x: Tensor) -> int:
    """How many multiprocessors run programs at once; a few where kernels are interpreted."""
    if x.device.type != "cuda":
        return 2
    return torch.cuda.get_device_properties(x.device).multi_processor_count


def on_device_of(x: Tensor) -> AbstractContextManager:
    """Triton launches on the current device, so the tensors' own is made current."""
    return torch.cuda.device_of(x)


def planes(x: Tensor, batch: torch.Size) -> Tensor:
    """``x`` (*, m, n) as (problems, m, n); one that all problems share is not copied."""
    own = x.shape[-2:]
    if x.shape[:-2].numel() == 1:
        return x.reshape(own).expand(batch.numel(), *own)
    return x.expand(*batch, *own).reshape(-1, *own)


def widened(x: Tensor, width: int) -> Tensor:
    """``x`` (*, m, r) contiguous and with zeros up to ``width``, for loads of whole vectors."""
    rank = x.shape[-1]
    return x.contiguous() if rank == width else torch.nn.functional.pad(x, (0, width - rank))


def total(partials: Tensor) -> Tensor:
    """The sum over the first dimension, if there is anything to sum."""
    return partials[0] if len(partials) == 1 else partials.sum(0)
