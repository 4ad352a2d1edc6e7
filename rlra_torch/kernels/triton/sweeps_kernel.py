"""The device side of `sweeps`: a program holds a block of rows through all sweeps."""

# ruff: noqa: ANN001, ANN201 (the arguments of a kernel are Triton's, not Python's)

from __future__ import annotations

from .language import constexpr, jit, kernel, tl


@jit
def clipped(x, lower: constexpr, upper: constexpr):
    """``min(max(x, lower), upper)``; what is not a number stays so."""
    if lower is not None:
        x = tl.maximum(x, tl.full((), lower, x.dtype), propagate_nan=tl.PropagateNan.ALL)
    if upper is not None:
        x = tl.minimum(x, tl.full((), upper, x.dtype), propagate_nan=tl.PropagateNan.ALL)
    return x


@jit
def idle(x, chosen, pull, lower: constexpr, nonnegative: constexpr):
    """Where a column that no data sees goes: it stays, or falls to the bound if pushed."""
    kept = tl.sum(tl.where(chosen, x, 0), 0)
    if nonnegative:
        return tl.where(pull < 0, tl.full((), lower, x.dtype), kept)
    else:
        return kept


@kernel("blocks", "sweeps")
def sweeps_kernel(
    x, gram, cross, out, rows, blocks, sweeps,
    x_batch, x_rank, x_row, gram_batch, gram_row, cross_batch, cross_rank, cross_row,
    lower: constexpr, upper: constexpr, nonnegative: constexpr, own: constexpr,
    rank: constexpr, ROWS: constexpr, RANK: constexpr,
):  # fmt: skip
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
