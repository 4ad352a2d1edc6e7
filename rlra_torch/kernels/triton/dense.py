"""Beta-divergences of a matrix model, fused: no entry of ``P = W H^T`` ever leaves the chip.

A program owns a panel of ``Y`` and walks over its tiles. Each tile of ``Y`` is read once, the tile
of ``P`` is formed beside it in registers, and from the two come, as asked, with weights ``V``,

    negative_W = (V * Y * P^(b - 2)) H      positive_W = (V * P^(b - 1)) H
    negative_H = (V * Y * P^(b - 2))^T W    positive_H = (V * P^(b - 1))^T W
    value      = sum V * d(Y, P)

Panels that share rows or columns write to buffers of their own, which are summed afterwards in a
fixed order: the same input gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...functional.batch import common
from .dense_kernel import tiles_kernel
from .entries import entry_floor
from .launch import (
    MAX_RANK,
    Tile,
    Wanted,
    cdiv,
    on_device_of,
    padded,
    planes,
    processors,
    tile_of,
    total,
    widened,
)


class Joint(NamedTuple):
    """What one prediction gives: the gradient in W (*, m, r) and H (*, n, r), and the loss (*).

    The positive parts are None where they are column sums: ``beta = 1`` without weights.
    """

    positive_w: Tensor | None
    negative_w: Tensor
    positive_h: Tensor | None
    negative_h: Tensor
    value: Tensor


class Panels(NamedTuple):
    """How many panels ``Y`` has along its rows and columns, and how many tiles each has."""

    along_m: int
    along_n: int
    tiles_m: int
    tiles_n: int


def factor_parts(
    y: Tensor, w: Tensor, h: Tensor, beta: float, weights: Tensor | None = None
) -> tuple[Tensor | None, Tensor]:
    """``(V * P^(b - 1)) H`` and ``(V * Y * P^(b - 2)) H`` with ``P = W H^T``, one read of ``Y``.

    For the parts in ``H`` call it with ``(y.mT, h, w)`` and ``weights.mT``.

    Args:
        y: data (*, m, n) of any strides, in the factors' dtype or a narrower one.
        w, h: factors (*, m, r) and (*, n, r), float32 or float64.
        beta: of the divergence.
        weights: V, like ``y``, or None.

    Returns:
        The positive part, None where it is a column sum (``beta = 1`` without weights), and the
        negative part; both like ``w``.

    Raises:
        ValueError: the shapes do not fit, or the rank is above `MAX_RANK`.
    """
    wanted = Wanted(in_w=True, positive=beta != 1 or weights is not None)
    in_w, _, _ = _launch((y, w, h, weights), beta, wanted)
    return (in_w[1] if wanted.positive else None), in_w[0]


def joint_parts(
    y: Tensor, w: Tensor, h: Tensor, beta: float, weights: Tensor | None = None
) -> Joint:
    """Both parts of the gradient in both factors, and the loss, from one prediction.

    Args:
        y, w, h, beta, weights: as in `factor_parts`.

    Raises:
        ValueError: as in `factor_parts`.
    """
    positive = beta != 1 or weights is not None
    wanted = Wanted(in_w=True, in_h=True, value=True, positive=positive)
    in_w, in_h, value = _launch((y, w, h, weights), beta, wanted)
    plus_w, plus_h = (in_w[1], in_h[1]) if positive else (None, None)
    return Joint(plus_w, in_w[0], plus_h, in_h[0], value)


def divergence_sum(
    y: Tensor, w: Tensor, h: Tensor, beta: float, weights: Tensor | None = None
) -> Tensor:
    """``sum V * d(Y, W H^T)`` of each problem (*), summed in float64.

    Args:
        y, w, h, beta, weights: as in `factor_parts`.

    Raises:
        ValueError: as in `factor_parts`.
    """
    return _launch((y, w, h, weights), beta, Wanted(value=True))[2]


def panels_of(
    shape: tuple[int, int, int, int], tile: Tile, wanted: Wanted, programs: int
) -> Panels:
    """A partition of ``Y`` that keeps ``programs`` busy while the partial sums stay small.

    Without parts in ``H`` a panel is one tile high, so the parts in ``W`` need no second pass over
    the rows; where both are wanted, panels are about as high as wide.

    Args:
        shape: problems, m, n, r.
        tile: of the kernel.
        wanted: the outputs.
        programs: how many should run at least.
    """
    problems, m, n, rank = shape
    tiles_m, tiles_n = max(1, cdiv(m, tile.rows)), max(1, cdiv(n, tile.columns))
    wish = cdiv(programs, max(1, problems))
    # Sums of one factor may take a sixteenth of the data, or what a cache holds anyway.
    spare = max(m * n // 16, 2**20 // max(1, problems))
    along_m = tiles_m
    if wanted.in_h:
        square = round((wish * tiles_m / tiles_n) ** 0.5)
        along_m = max(1, min(tiles_m, square, spare // max(1, n * rank)))
    along_n = max(1, min(tiles_n, cdiv(wish, along_m), spare // max(1, m * rank)))
    high, wide = cdiv(tiles_m, along_m), cdiv(tiles_n, along_n)
    return Panels(cdiv(tiles_m, high), cdiv(tiles_n, wide), high, wide)


def _launch(
    data: tuple[Tensor, Tensor, Tensor, Tensor | None], beta: float, wanted: Wanted
) -> tuple[Tensor, Tensor, Tensor]:
    """Parts in W (part, *, m, r), in H (part, *, n, r) and values (*); negative parts first."""
    batch, (m, n, rank) = _shapes(*data)
    y, width = planes(data[0], batch), padded(rank)
    w, h = (planes(widened(x, width), batch) for x in data[1:3])
    v = y if data[3] is None else planes(data[3], batch)
    problems, parts = batch.numel(), 1 + wanted.positive
    tile = tile_of(rank, w.dtype, wanted)
    panels = panels_of((problems, m, n, width), tile, wanted, 4 * processors(y))
    new = w.new_zeros if y.numel() == 0 else w.new_empty
    in_w = new(panels.along_n if wanted.in_w else 0, parts, problems, m, width)
    in_h = new(panels.along_m if wanted.in_h else 0, parts, problems, n, width)
    programs = panels.along_m * panels.along_n
    values = w.new_empty(problems, programs if wanted.value else 0, dtype=torch.float64)
    if problems:
        with on_device_of(y):
            tiles_kernel[(problems * programs,)](
                y, v, w, h, in_w, in_h, values, m, n, *panels,
                *y.stride(), *v.stride(), w.stride(0) // width, h.stride(0) // width,
                beta=float(beta), floor=entry_floor(w.dtype, beta),
                weighted=data[3] is not None, **wanted._asdict(),
                ROWS=tile.rows, COLUMNS=tile.columns, RANK=width, FENCED=tile.fenced,
                num_warps=tile.num_warps, num_stages=tile.num_stages, maxnreg=tile.registers,
            )  # fmt: skip
    return (
        total(in_w)[..., :rank].reshape(parts, *batch, m, rank),
        total(in_h)[..., :rank].reshape(parts, *batch, n, rank),
        values.sum(-1).reshape(batch),
    )


def _shapes(
    y: Tensor, w: Tensor, h: Tensor, weights: Tensor | None
) -> tuple[torch.Size, tuple[int, int, int]]:
    """The leading dimensions, and ``m, n, r``."""
    (m, rank), (n, other) = w.shape[-2:], h.shape[-2:]
    data = [y] if weights is None else [y, weights]
    if rank != other or any(x.shape[-2:] != (m, n) for x in data):
        shapes = ", ".join(str(tuple(x.shape)) for x in (*data, w, h))
        raise ValueError(
            f"y and weights (*, m, n), w (*, m, r) and h (*, n, r) do not fit: {shapes}"
        )
    if rank > MAX_RANK:
        raise ValueError(f"the fused kernels hold ranks up to {MAX_RANK}, got {rank}")
    return common(*(x.shape[:-2] for x in (*data, w, h))), (m, n, rank)
