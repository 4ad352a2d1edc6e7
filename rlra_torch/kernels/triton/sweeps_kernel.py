"""The device side of `sweeps`: a program holds a block of rows through all sweeps."""

from __future__ import annotations

from .language import jit, tl


@jit
def clipped(x, lower: tl.constexpr, upper: tl.constexpr):  # noqa: ANN001, ANN201
    """``min(max(x, lower), upper)``; what is not a number stays so."""
    if lower is not None:
        x = tl.maximum(x, tl.full((), lower, x.dtype), propagate_nan=tl.PropagateNan.ALL)
    if upper is not None:
        x = tl.minimum(x, tl.full((), upper, x.dtype), propagate_nan=tl.PropagateNan.ALL)
    return x


@jit
def idle(x, chosen, pull, lower: tl.constexpr, nonnegative: tl.constexpr):  # noqa: ANN001, ANN201
    """Where a column that no data sees goes: it stays, or falls to the bound if pushed."""
    kept = tl.sum(tl.where(chosen, x, 0), 0)
    if nonnegative:
        return tl.where(pull < 0, tl.full((), lower, x.dtype), kept)
    else:
        return kept


@jit
def sweeps_kernel(
    x, gram, cross, out, rows, blocks, sweeps,
    x_batch, x_rank, x_row, gram_batch, gram_row, cross_batch, cross_rank, cross_row,
    lower: tl.constexpr, upper: tl.constexpr, nonnegative: tl.constexpr, own: tl.constexpr,
    rank: tl.constexpr, ROWS: tl.constexpr, RANK: tl.constexpr,
):  # fmt: skip  # noqa: ANN001, ANN201
    """All sweeps over a block of rows.

    Args:
        x, cross: (batch, rank, rows) by their strides.
        gram: (batch, rank, rank), or with ``own`` (batch, rows, rank, rank); matrices contiguous.
        out: (batch, rank, rows), contiguous.
        blocks: how many blocks of rows a problem has.
    """
    program = tl.program_id(0)
    batch = (program // blocks).to(tl.int64)
    row = ((program % blocks) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    there = row < rows
    ranks = tl.arange(0, RANK)
    mask = (ranks < rank)[:, None] & there[None, :]
    at = batch * x_batch + ranks.to(tl.int64)[:, None] * x_rank + row[None, :] * x_row
    tile = tl.load(x + at, mask, other=0)
    gram += batch * gram_batch
    cross += batch * cross_batch + row * cross_row
    for _ in range(sweeps):
        column = cross
        for q in range(rank):
            chosen = (ranks == q)[:, None]
            pull = tl.load(column, there, other=0)
            column += cross_rank
            if own:
                matrix = gram + row * gram_row + q * rank
                coupling = tl.load(matrix[None, :] + ranks[:, None], mask, other=0)
                curvature = tl.load(matrix + q, there, other=1)
                rest = pull - tl.sum(tl.where(chosen, 0, coupling) * tile, 0)
                still = idle(tile, chosen, pull, lower, nonnegative)
                new = tl.where(curvature > 0, rest / tl.where(curvature > 0, curvature, 1), still)
            else:
                coupling = tl.load(gram + q * rank + ranks, ranks < rank, other=0)
                curvature = tl.load(gram + q * rank + q)
                if curvature > 0:
                    coupling = tl.where(ranks == q, 0, coupling)
                    new = (pull - tl.sum(coupling[:, None] * tile, 0)) / curvature
                else:
                    new = idle(tile, chosen, pull, lower, nonnegative)
            tile = tl.where(chosen, clipped(new, lower, upper)[None, :], tile)
    at = (batch * rank + ranks)[:, None] * rows + row[None, :]
    tl.store(out + at, tile, mask)
