"""The device side of `sparse`: a program walks along a chunk of one row."""

from __future__ import annotations

from .entries import divergence, floored, power
from .language import jit, tl


@jit
def stored_entries_kernel(
    crow, col, y, weights, w, h, first, owner, partial, prediction, values,
    m, nnz, chunks, y_batch, weights_batch, w_batch, h_batch,
    beta: tl.constexpr, floor: tl.constexpr, rank: tl.constexpr, CHUNK: tl.constexpr,
    weighted: tl.constexpr, negative: tl.constexpr, positive: tl.constexpr,
    prediction_wanted: tl.constexpr, value: tl.constexpr, beyond_zero: tl.constexpr,
    BLOCK: tl.constexpr, RANK: tl.constexpr,
):  # fmt: skip  # noqa: ANN001, ANN201
    """One chunk: gather rows of H, predict, and add up what each entry pulls at the row of W.

    Args:
        crow, col: of the matrix; ``first``, ``owner`` of the plan.
        y, weights: (batch, nnz) by their strides.
        w, h: (batch, m, rank) and (batch, n, rank), each problem contiguous.
        partial: (part, batch, chunk, rank), the negative part first.
        prediction: (batch, nnz).
        values: (batch, chunk).
    """
    program = tl.program_id(0)
    chunk = program % chunks
    batch = (program // chunks).to(tl.int64)
    batches = (tl.num_programs(0) // chunks).to(tl.int64)
    row = tl.load(owner + chunk)
    if row < m:
        dtype: tl.constexpr = w.dtype.element_ty
        ranks = tl.arange(0, RANK)
        known = ranks < rank
        w_row = tl.load(w + batch * w_batch + row.to(tl.int64) * rank + ranks, known, other=0)
        start = tl.load(crow + row) + (chunk - tl.load(first + row)) * CHUNK
        stop = tl.minimum(tl.load(crow + row + 1), start + CHUNK)
        minus_sum = tl.zeros((BLOCK, RANK), dtype)
        plus_sum = tl.zeros((BLOCK, RANK), dtype)
        total = tl.zeros((), tl.float64)
        for k in range(start, stop, BLOCK):
            at = k + tl.arange(0, BLOCK)
            mask = at < stop
            column = tl.load(col + at, mask, other=0).to(tl.int64)
            at_h = h + batch * h_batch + column[:, None] * rank + ranks[None, :]
            h_rows = tl.load(at_h, mask[:, None] & known[None, :], other=0)
            p = tl.sum(h_rows * w_row[None, :], 1)
            if prediction_wanted:
                tl.store(prediction + batch * nnz + at, p, mask)
            if negative or value:
                entries = tl.load(y + batch * y_batch + at, mask, other=0).to(dtype)
            if weighted:
                v = tl.load(weights + batch * weights_batch + at, mask, other=0).to(dtype)
            safe = floored(p, floor)
            if value:
                d = divergence(p, entries, beta, floor, beyond_zero)
                if weighted:
                    d *= v
                total += tl.sum(tl.where(mask, d, 0)).to(tl.float64)
            if negative:
                minus = entries / safe if beta == 1 else entries * power(safe, beta - 2)
                if weighted:
                    minus *= v
                minus_sum += minus[:, None] * h_rows
            if positive:
                plus = power(safe, beta - 1)
                if weighted:
                    plus *= v
                plus_sum += plus[:, None] * h_rows
        out = partial + (batch * chunks + chunk) * rank + ranks
        if negative:
            tl.store(out, tl.sum(minus_sum, 0), known)
        if positive:
            tl.store(out + batches * chunks * rank, tl.sum(plus_sum, 0), known)
        if value:
            tl.store(values + program, total)


@jit
def chunk_sums_kernel(
    partial, first, sums, rows, chunks, blocks,
    rank: tl.constexpr, BLOCK: tl.constexpr, RANK: tl.constexpr,
):  # fmt: skip  # noqa: ANN001, ANN201
    """The chunks of a block of rows, summed one after the other.

    Args:
        partial: (part and batch, chunk, rank).
        first: (rows + 1,), the first chunk of each row.
        sums: (part and batch, row, rank).
        blocks: how many blocks of rows there are.
    """
    program = tl.program_id(0)
    plane = (program // blocks).to(tl.int64)
    row = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    ranks = tl.arange(0, RANK)
    mask = row < rows
    start = tl.load(first + row, mask, other=0)
    count = tl.load(first + row + 1, mask, other=0) - start
    total = tl.zeros((BLOCK, RANK), sums.dtype.element_ty)
    for t in range(0, tl.max(count)):
        at = (plane * chunks + start + t)[:, None] * rank + ranks[None, :]
        total += tl.load(partial + at, (t < count)[:, None] & (ranks < rank)[None, :], other=0)
    at = (plane * rows + row)[:, None] * rank + ranks[None, :]
    tl.store(sums + at, total, mask[:, None] & (ranks < rank)[None, :])
