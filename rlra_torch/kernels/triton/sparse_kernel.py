"""The device side of `sparse`: a program walks along a chunk of one row."""

# ruff: noqa: ANN001, ANN201 (the arguments of a kernel are Triton's, not Python's)

from __future__ import annotations

from .entries import divergence, floored, power
from .language import constexpr, kernel, tl


@kernel("m", "nnz", "chunks", "y_batch", "weights_batch", "w_rows", "h_rows")
def stored_entries_kernel(
    crow, col, y, weights, w, h, first, owner, partial, prediction, values,
    m, nnz, chunks, y_batch, weights_batch, w_rows, h_rows,
    beta: constexpr, floor: constexpr, WIDTH: constexpr, CHUNK: constexpr,
    weighted: constexpr, negative: constexpr, positive: constexpr,
    prediction_wanted: constexpr, value: constexpr, beyond_zero: constexpr,
    BLOCK: constexpr, RANK: constexpr,
):  # fmt: skip
    """One chunk: gather rows of H, predict, and add up what each entry pulls at the row of W.

    Args:
        crow, col: of the matrix; ``first``, ``owner`` of the plan.
        y, weights: (batch, nnz) by their strides.
        w, h: (batch, m, WIDTH) and (batch, n, WIDTH), each problem contiguous, and ``w_rows`` or
            ``h_rows`` from one problem to the next, 0 if they share it.
        partial: (part, batch, chunk, WIDTH), the negative part first.
        prediction: (batch, nnz).
        values: (batch, chunk).
    """
    program = tl.program_id(0)
    chunk = program % chunks
    batch = (program // chunks).to(tl.int64)
    batches = (tl.num_programs(0) // chunks).to(tl.int64)
    row = tl.load(owner + chunk)
    if row < m:
        dtype = w.dtype.element_ty
        ranks = tl.arange(0, RANK)
        known = ranks < WIDTH
        w_row = tl.load(w + (batch * w_rows + row) * WIDTH + ranks, known, other=0)
        start = tl.load(crow + row) + (chunk - tl.load(first + row)) * CHUNK
        stop = tl.minimum(tl.load(crow + row + 1), start + CHUNK)
        minus_sum = tl.zeros((BLOCK, RANK), dtype)
        plus_sum = tl.zeros((BLOCK, RANK), dtype)
        total = tl.zeros((), tl.float64)
        for k in range(start, stop, BLOCK):
            at = k + tl.arange(0, BLOCK)
            mask = at < stop
            column = tl.load(col + at, mask, other=0).to(tl.int64)
            at_h = h + (batch * h_rows + column)[:, None] * WIDTH + ranks[None, :]
            gathered = tl.load(at_h, mask[:, None] & known[None, :], other=0)
            p = tl.sum(gathered * w_row[None, :], 1)
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
                minus_sum += minus[:, None] * gathered
            if positive:
                plus = power(safe, beta - 1)
                if weighted:
                    plus *= v
                plus_sum += plus[:, None] * gathered
        out = partial + (batch * chunks + chunk) * WIDTH + ranks
        if negative:
            tl.store(out, tl.sum(minus_sum, 0), known)
        if positive:
            tl.store(out + batches * chunks * WIDTH, tl.sum(plus_sum, 0), known)
        if value:
            tl.store(values + program, total)


@kernel("rows", "chunks", "blocks")
def chunk_sums_kernel(
    partial, first, sums, rows, chunks, blocks,
    WIDTH: constexpr, BLOCK: constexpr, RANK: constexpr,
):  # fmt: skip
    """The chunks of a block of rows, summed one after the other.

    Args:
        partial: (part and batch, chunk, WIDTH).
        first: (rows + 1,), the first chunk of each row.
        sums: (part and batch, row, WIDTH).
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
        at = (plane * chunks + start + t)[:, None] * WIDTH + ranks[None, :]
        total += tl.load(partial + at, (t < count)[:, None] & (ranks < WIDTH)[None, :], other=0)
    at = (plane * rows + row)[:, None] * WIDTH + ranks[None, :]
    tl.store(sums + at, total, mask[:, None] & (ranks < WIDTH)[None, :])
