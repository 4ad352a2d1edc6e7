"""Beta-divergences at the stored entries of a CSR matrix, fused: each row of ``H`` is read once.

For row ``i`` with stored columns ``j``, values ``y`` and weights ``v``, in one pass,

    p_ij = <w_i, h_j>     negative_i = sum_j v_ij y_ij p_ij^(b - 2) h_j
                          positive_i = sum_j v_ij p_ij^(b - 1) h_j

which takes ``4 nnz r`` operations and no memory for ``p``. Long rows are cut into chunks, so that
one of them cannot hold up the rest, and the chunks are summed in order: same input, same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...functional.batch import common
from .entries import entry_floor
from .launch import MAX_RANK, cdiv, on_device_of, padded, planes, widened
from .sparse_kernel import chunk_sums_kernel, stored_entries_kernel

CHUNK = 1024


class RowPlan(NamedTuple):
    """How rows are cut into chunks; it belongs to the pattern, so keep it beside the matrix.

    Args:
        first: (m + 1,), the first chunk of each row.
        owner: (chunks,), the row of each chunk, and ``m`` for those that are not needed.
        chunk: the number of entries in one.
    """

    first: Tensor
    owner: Tensor
    chunk: int


class Entries(NamedTuple):
    """The stored entries of a CSR matrix.

    Args:
        crow: (m + 1,), where each row starts; int32 or int64.
        col: (nnz,), the columns; int32 or int64.
        values: (nnz,) or (*, nnz), or None where only predictions are asked for.
        weights: like ``values``, or None.
    """

    crow: Tensor
    col: Tensor
    values: Tensor | None = None
    weights: Tensor | None = None


def row_plan(crow: Tensor, nnz: int, chunk: int = CHUNK) -> RowPlan:
    """The chunks of all rows, found on the device without waiting for it.

    Args:
        crow: (m + 1,), where each row starts.
        nnz: how many entries are stored.
        chunk: the number of entries in one.

    Example:
        >>> row_plan(torch.tensor([0, 5, 5, 7]), nnz=7, chunk=4).owner
        tensor([0, 0, 1, 2], dtype=torch.int32)
    """
    rows = len(crow) - 1
    counts = ((crow.diff() + (chunk - 1)) // chunk).clamp_min(1)
    first = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    chunks = torch.arange(rows + nnz // chunk, device=crow.device, dtype=first.dtype)
    owner = torch.searchsorted(first, chunks, right=True) - 1
    return RowPlan(first.int(), owner.int(), chunk)


def row_parts(
    entries: Entries,
    w: Tensor,
    h: Tensor,
    beta: float,
    positive: bool = False,
    plan: RowPlan | None = None,
) -> tuple[Tensor | None, Tensor]:
    """The parts of the gradient in ``W`` over the stored entries, each row of ``H`` read once.

    For the parts in ``H`` call it with the CSR form of the transpose and ``(h, w)``.

    Args:
        entries: of the matrix.
        w, h: factors (*, m, r) and (*, n, r), float32 or float64.
        beta: of the divergence.
        positive: whether the positive part is summed, too.
        plan: of the rows; made here if None.

    Returns:
        The positive part or None, and the negative part; both like ``w``.

    Raises:
        ValueError: the shapes do not fit, or the rank is above `MAX_RANK`.
    """
    outputs = _Outputs(negative=True, positive=positive)
    sums, _, _ = _launch(entries, (w, h), beta, outputs, plan)
    return (sums[1] if positive else None), sums[0]


def stored_predictions(
    entries: Entries, w: Tensor, h: Tensor, plan: RowPlan | None = None
) -> Tensor:
    """``<w_i, h_j>`` at the stored entries (*, nnz), in the dtype of the factors.

    Args:
        entries, w, h, plan: as in `row_parts`.

    Raises:
        ValueError: as in `row_parts`.
    """
    return _launch(entries, (w, h), 1.0, _Outputs(prediction_wanted=True), plan)[1]


def stored_value(
    entries: Entries,
    w: Tensor,
    h: Tensor,
    beta: float,
    beyond_zero: bool = False,
    plan: RowPlan | None = None,
) -> Tensor:
    """``sum v d(y, p)`` over the stored entries of each problem (*), summed in float64.

    Args:
        entries, w, h, beta, plan: as in `row_parts`.
        beyond_zero: sum ``v (d(y, p) - d(0, p))`` instead, which with the sum of ``d(0, p)`` over
            all entries is the loss of a matrix whose other entries are 0; ``beta > 0``.

    Raises:
        ValueError: as in `row_parts`.
    """
    outputs = _Outputs(value=True, beyond_zero=beyond_zero)
    return _launch(entries, (w, h), beta, outputs, plan)[2]


class _Outputs(NamedTuple):
    """Which outputs a launch computes."""

    negative: bool = False
    positive: bool = False
    prediction_wanted: bool = False
    value: bool = False
    beyond_zero: bool = False


class Block(NamedTuple):
    """How many entries a program gathers at once, and how many warps it has."""

    entries: int
    num_warps: int


def block_of(rank: int, dtype: torch.dtype) -> Block:
    """As many entries as fit beside their sums in the registers of one warp, or of two.

    Args:
        rank: r, at most `MAX_RANK`.
        dtype: of the factors.

    Example:
        >>> block_of(20, torch.float32).entries
        32
    """
    held = 1024 if dtype == torch.float32 else 512
    warps = 2 if padded(rank) * dtype.itemsize >= 1024 else 1
    return Block(max(4, min(64, held // padded(rank))), warps)


def _launch(
    entries: Entries,
    factors: tuple[Tensor, Tensor],
    beta: float,
    outputs: _Outputs,
    plan: RowPlan | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums (part, *, m, r), predictions (*, nnz) and values (*), each empty unless asked for."""
    batch, (m, rank) = _shapes(entries, *factors)
    size = factors[0].element_size()
    # Rows of whole sectors: a gather then reads no byte that it does not need.
    width = 32 // size * cdiv(rank * size, 32)
    w, h = (planes(widened(x, width), batch) for x in factors)
    crow, col, nnz = entries.crow, entries.col, len(entries.col)
    y, v = (w if x is None else _vectors(x, batch) for x in entries[2:])
    plan = row_plan(crow, nnz) if plan is None else plan
    problems, chunks, block = len(w), len(plan.owner), block_of(rank, w.dtype)
    parts = outputs.negative + outputs.positive
    partial = w.new_empty(parts, problems, chunks, width)
    prediction = w.new_empty(problems, nnz if outputs.prediction_wanted else 0)
    values = w.new_zeros(problems, chunks if outputs.value else 0, dtype=torch.float64)
    with on_device_of(w):
        if problems * chunks > 0:
            stored_entries_kernel[(problems * chunks,)](
                crow, col, y, v, w, h, plan.first, plan.owner, partial, prediction, values,
                m, nnz, chunks, y.stride(0), v.stride(0),
                w.stride(0) // width, h.stride(0) // width,
                beta=float(beta), floor=entry_floor(w.dtype, beta), WIDTH=width, CHUNK=plan.chunk,
                weighted=entries.weights is not None, **outputs._asdict(),
                BLOCK=block.entries, RANK=padded(rank), num_warps=block.num_warps,
            )  # fmt: skip
        sums = _row_sums(partial, plan, m)
    return (
        sums[..., :rank].reshape(parts, *batch, m, rank),
        prediction.reshape(*batch, prediction.shape[-1]),
        values.sum(-1).reshape(batch),
    )


def _row_sums(partial: Tensor, plan: RowPlan, rows: int) -> Tensor:
    """The chunks (parts, problems, chunks, width) of each row summed, (.., rows, width)."""
    parts, problems, chunks, width = partial.shape
    if chunks == rows or partial.numel() == 0:
        return partial[..., :rows, :]
    sums = partial.new_empty(parts, problems, rows, width)
    block, blocks = 32, cdiv(rows, 32)
    chunk_sums_kernel[(blocks * parts * problems,)](
        partial, plan.first, sums, rows, chunks, blocks,
        WIDTH=width, BLOCK=block, RANK=padded(width), num_warps=4,
    )  # fmt: skip
    return sums


def _vectors(x: Tensor, batch: torch.Size) -> Tensor:
    """(*, nnz) as (problems, nnz); what all problems share is not copied."""
    return planes(x.unsqueeze(-2).contiguous(), batch).squeeze(-2)


def _shapes(entries: Entries, w: Tensor, h: Tensor) -> tuple[torch.Size, tuple[int, int]]:
    """The leading dimensions, and ``m, r``."""
    m, rank = w.shape[-2:]
    given = [x.shape for x in entries[2:] if x is not None]
    nnz = len(entries.col)
    if len(entries.crow) != m + 1 or h.shape[-1] != rank or any(s[-1] != nnz for s in given):
        shapes = ", ".join(str(tuple(x.shape)) for x in (*entries, w, h) if x is not None)
        raise ValueError(
            "crow (m + 1,), col (nnz,), values and weights (*, nnz), w (*, m, r) and h (*, n, r) "
            f"do not fit: {shapes}"
        )
    if rank > MAX_RANK:
        raise ValueError(f"the fused kernels hold ranks up to {MAX_RANK}, got {rank}")
    lead = common(w.shape[:-2], h.shape[:-2], *(s[:-1] for s in given))
    return lead, (m, rank)
