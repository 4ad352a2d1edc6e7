"""The device side of `dense`: a program walks over the tiles of its panel of ``Y``."""

from __future__ import annotations

from .entries import divergence, floored, power
from .language import jit, tl


@jit
def product(a, b, c):  # noqa: ANN001, ANN201
    """``a b + c`` in the full precision of its operands."""
    return tl.dot(a, b, c, input_precision="ieee", out_dtype=c.dtype)


@jit
def factor_tile(x, rows, many, rank: tl.constexpr, RANK: tl.constexpr):  # noqa: ANN001, ANN201
    """Where the rows of a factor lie, and which entries of that tile there are."""
    ranks = tl.arange(0, RANK)
    at = x + rows.to(tl.int64)[:, None] * rank + ranks[None, :]
    return at, (rows < many)[:, None] & (ranks < rank)[None, :]


@jit
def data_tile(x, rows, columns, row_stride, column_stride, mask):  # noqa: ANN001, ANN201
    """A tile of data, 0 outside. Each entry is read once, so it need not stay in a cache."""
    at = rows.to(tl.int64)[:, None] * row_stride + columns.to(tl.int64)[None, :] * column_stride
    return tl.load(x + at, mask, other=0, eviction_policy="evict_first")


@jit
def add_to(at, mask, begun, left, right, dtype: tl.constexpr):  # noqa: ANN001, ANN201
    """``at += left right``, or ``=`` the first time."""
    old = tl.load(at, mask & begun, other=0).to(dtype)
    tl.store(at, product(left, right, old), mask)


@jit
def fence(fenced: tl.constexpr):  # noqa: ANN001, ANN201
    """A barrier, over which no operand of the next product is fetched ahead."""
    if fenced:
        tl.debug_barrier()


@jit
def tiles_kernel(
    y, weights, w, h, parts_w, parts_h, values,
    m, n, panels_m, panels_n, panel_rows, panel_columns,
    y_batch, y_row, y_column, weights_batch, weights_row, weights_column, w_batch, h_batch,
    beta: tl.constexpr, floor: tl.constexpr, rank: tl.constexpr, weighted: tl.constexpr,
    in_w: tl.constexpr, in_h: tl.constexpr, value: tl.constexpr, positive: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, RANK: tl.constexpr, FENCED: tl.constexpr,
):  # fmt: skip  # noqa: ANN001, ANN201
    """One panel: tiles of rows outside, tiles of columns inside, the parts in W in registers.

    Args:
        y, weights: (batch, m, n) by their strides.
        w, h: (batch, m, rank) and (batch, n, rank), each problem contiguous.
        parts_w, parts_h: (panel, part, batch, rows, rank), the negative part first. Each panel has
            its own slice of ``parts_h``, which only this program reads back.
        values: (batch, panel).
        panel_rows, panel_columns: multiples of ``ROWS`` and ``COLUMNS``.
    """
    program = tl.program_id(0)
    panel_n = program % panels_n
    panel_m = (program // panels_n) % panels_m
    batch = (program // (panels_n * panels_m)).to(tl.int64)
    batches = (tl.num_programs(0) // (panels_n * panels_m)).to(tl.int64)
    dtype: tl.constexpr = w.dtype.element_ty
    parts: tl.constexpr = 2 if positive else 1
    y += batch * y_batch
    weights += batch * weights_batch
    w += batch * w_batch
    h += batch * h_batch
    parts_w += (panel_n * parts * batches + batch) * m * rank
    parts_h += (panel_m * parts * batches + batch) * n * rank
    first_row = panel_m * panel_rows
    first_column = panel_n * panel_columns
    total = tl.zeros((), tl.float64)
    for i in range(first_row, tl.minimum(first_row + panel_rows, m), ROWS):
        rows = i + tl.arange(0, ROWS)
        at_w, mask_w = factor_tile(w, rows, m, rank, RANK)
        w_tile = tl.load(at_w, mask_w, other=0)
        negative_w = tl.zeros((ROWS, RANK), dtype)
        positive_w = tl.zeros((ROWS, RANK), dtype)
        for j in range(first_column, tl.minimum(first_column + panel_columns, n), COLUMNS):
            columns = j + tl.arange(0, COLUMNS)
            at_h, mask_h = factor_tile(h, columns, n, rank, RANK)
            h_tile = tl.load(at_h, mask_h, other=0)
            mask = (rows < m)[:, None] & (columns < n)[None, :]
            entries = data_tile(y, rows, columns, y_row, y_column, mask).to(dtype)
            if weighted:
                v = data_tile(weights, rows, columns, weights_row, weights_column, mask).to(dtype)
            p = product(w_tile, tl.trans(h_tile), tl.zeros((ROWS, COLUMNS), dtype))
            if value:
                d = divergence(p, entries, beta, floor, False)
                if weighted:
                    d *= v
                total += tl.sum(tl.where(mask, d, 0)).to(tl.float64)
            safe = floored(p, floor)
            minus = entries / safe if beta == 1 else entries * power(safe, beta - 2)
            if weighted:
                minus *= v
            out_h, _ = factor_tile(parts_h, columns, n, rank, RANK)
            if in_w:
                negative_w = product(minus, h_tile, negative_w)
            if in_h:
                fence(FENCED)
                add_to(out_h, mask_h, i > first_row, tl.trans(minus), w_tile, dtype)
            if positive:
                fence(FENCED)
                plus = power(safe, beta - 1)
                if weighted:
                    plus *= v
                if in_w:
                    positive_w = product(plus, h_tile, positive_w)
                if in_h:
                    fence(FENCED)
                    out_h += batches * n * rank
                    add_to(out_h, mask_h, i > first_row, tl.trans(plus), w_tile, dtype)
        if in_w:
            out_w, _ = factor_tile(parts_w, rows, m, rank, RANK)
            tl.store(out_w, negative_w, mask_w)
            if positive:
                tl.store(out_w + batches * m * rank, positive_w, mask_w)
        if in_h:
            # The next tile of rows reads back what other threads have just written.
            tl.debug_barrier()
    if value:
        tl.store(values + program, total)
