"""Products of a matrix model at the stored entries of a sparse matrix.

With ``p_k = <w_i, h_j>`` at the stored positions ``k = (i, j)``, and no product of the size of the
whole matrix,

    sampled(w, h)_k       = p_k
    times(v, h)_i         = sum_{k in row i} v_k h_j
    negative(y, w, h)_i   = sum_{k in row i} y_k p_k^(beta - 2) h_j

Each is an operator with a derivative of any order: those of the first two are the two themselves,
on the pattern and on its transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ..functional.batch import common
from ..functional.divergences import prediction_floor
from . import triton
from .pattern import Pattern, csr_of_parts

# Entries of a panel, whose ratios stay in the cache.
PANEL = 2**19


def sampled(pattern: Pattern, w: Tensor, h: Tensor) -> Tensor:
    """``<w_i, h_j>`` at the stored positions.

    Args:
        pattern: of an m x n matrix.
        w: (*, m, r).
        h: (*, n, r).

    Returns:
        (*, nnz).

    Example:
        >>> pattern, _ = Pattern.at(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> sampled(pattern, torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
        tensor([5., 6.])
    """
    return _sampled(pattern.index(w, h), w, h)


def times(pattern: Pattern, values: Tensor, h: Tensor) -> Tensor:
    """The product of a sparse matrix with ``h``.

    Args:
        pattern: of an m x n matrix.
        values: (*, nnz).
        h: (*, n, r).

    Returns:
        (*, m, r).

    Example:
        >>> pattern, _ = Pattern.at(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> times(pattern, torch.tensor([2.0, 3.0]), torch.eye(2))
        tensor([[0., 2.],
                [3., 0.]])
    """
    return _times(pattern.index(values, h), values, h)


def negative(
    pattern: Pattern, y: Tensor, w: Tensor, h: Tensor, beta: float, weights: Tensor | None = None
) -> Tensor:
    """The negative part of the gradient of a beta-divergence in ``w``, from the stored entries.

    Args:
        pattern: of an m x n matrix.
        y: (*, nnz) the data there.
        w: (*, m, r).
        h: (*, n, r).
        beta: of the divergence.
        weights: (*, nnz) or None.

    Returns:
        (*, m, r).

    Example:
        >>> pattern, _ = Pattern.at(torch.tensor([0, 1]), torch.tensor([1, 0]), (2, 2))
        >>> negative(pattern, torch.tensor([5.0, 6.0]), torch.ones(2, 1), torch.ones(2, 1), 1.0)
        tensor([[5.],
                [6.]])
    """
    return _negative(pattern.index(y, w, h), y if weights is None else weights * y, w, h, beta)


# --- operators ---------------------------------------------------------------------------------


@torch.library.custom_op("rlra_torch::sampled", mutates_args=())
def _sampled(index: list[Tensor], w: Tensor, h: Tensor) -> Tensor:
    def one(w: Tensor, h: Tensor) -> Tensor:
        return _sample(index, w, h).values()

    return _each(one, (w, 2), (h, 2))


@torch.library.custom_op("rlra_torch::times", mutates_args=())
def _times(index: list[Tensor], values: Tensor, h: Tensor) -> Tensor:
    def one(values: Tensor, h: Tensor) -> Tensor:
        held = csr_of_parts(index[0], index[1], values, (len(index[0]) - 1, len(h)))
        return held @ h.contiguous()

    return _each(one, (values, 1), (h, 2))


@torch.library.custom_op("rlra_torch::negative", mutates_args=())
def _negative(index: list[Tensor], y: Tensor, w: Tensor, h: Tensor, beta: float) -> Tensor:
    return _in_two_steps(index, y, w, h, beta)


@_sampled.register_kernel("cuda")
def _(index: list[Tensor], w: Tensor, h: Tensor) -> Tensor:
    if triton.available() and w.shape[-1] <= triton.MAX_RANK:
        from .triton import sparse

        return sparse.stored_predictions(sparse.Entries(index[0], index[1], None, None), w, h)
    return _each(lambda w, h: _sample(index, w, h).values(), (w, 2), (h, 2))


@_negative.register_kernel("cuda")
def _(index: list[Tensor], y: Tensor, w: Tensor, h: Tensor, beta: float) -> Tensor:
    if triton.available() and w.shape[-1] <= triton.MAX_RANK:
        from .triton import sparse

        entries = sparse.Entries(index[0], index[1], y, None)
        return sparse.row_parts(entries, w, h, beta)[1]
    return _in_two_steps(index, y, w, h, beta)


@_sampled.register_fake
def _(index: list[Tensor], w: Tensor, h: Tensor) -> Tensor:
    return w.new_empty(*_lead((w, 2), (h, 2)), index[1].shape[0])


@_times.register_fake
def _(index: list[Tensor], values: Tensor, h: Tensor) -> Tensor:
    return h.new_empty(*_lead((values, 1), (h, 2)), index[0].shape[0] - 1, h.shape[-1])


@_negative.register_fake
def _(index: list[Tensor], y: Tensor, w: Tensor, h: Tensor, beta: float) -> Tensor:
    return w.new_empty(*_lead((y, 1), (w, 2), (h, 2)), *w.shape[-2:])


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.index, ctx.beta = inputs[0], inputs[4:]  # pyright: ignore[reportAttributeAccessIssue]
    ctx.save_for_backward(*inputs[1:4])


def _sampled_backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:
    index = ctx.index  # pyright: ignore[reportAttributeAccessIssue]
    w, h = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    left = _times(index, grad, h)
    right = _times(_turned(index), _ordered(index, grad), w)
    return [None] * len(index), left.sum_to_size(w.shape), right.sum_to_size(h.shape)


def _times_backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:
    index = ctx.index  # pyright: ignore[reportAttributeAccessIssue]
    values, h = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    left = _sampled(index, grad, h)
    right = _times(_turned(index), _ordered(index, values), grad)
    return [None] * len(index), left.sum_to_size(values.shape), right.sum_to_size(h.shape)


def _negative_backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:
    index, (beta,) = ctx.index, ctx.beta  # pyright: ignore[reportAttributeAccessIssue]
    y, w, h = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    floor = prediction_floor(w.dtype, 2 - beta)
    p = _sampled(index, w, h)
    slope = torch.where(p > floor, (beta - 2) * p.clamp_min(floor).pow(beta - 3), 0)
    kernel = p.clamp_min(floor).pow(beta - 2)
    pulled = _sampled(index, grad, h)
    inner = pulled * y * slope
    left = _times(index, inner, h)
    right = _times(_turned(index), _ordered(index, inner), w)
    right = right + _times(_turned(index), _ordered(index, y * kernel), grad)
    found = ((pulled * kernel, y), (left, w), (right, h))
    return [None] * len(index), *(x.sum_to_size(like.shape) for x, like in found), None


for _name, _backward in (
    ("sampled", _sampled_backward),
    ("times", _times_backward),
    ("negative", _negative_backward),
):
    torch.library.register_autograd(f"rlra_torch::{_name}", _backward, setup_context=_save)


# --- one problem -------------------------------------------------------------------------------


def _sample(index: list[Tensor], w: Tensor, h: Tensor) -> Tensor:
    """A sparse matrix of its own values ``<w_i, h_j>``."""
    crow, col = index[:2]
    held = csr_of_parts(crow, col, w.new_zeros(len(col)), (len(w), len(h)))
    if len(col):
        torch.sparse.sampled_addmm(held, w, h.mT, beta=0, out=held)
    return held


def _in_two_steps(index: list[Tensor], y: Tensor, w: Tensor, h: Tensor, beta: float) -> Tensor:
    """The ratio at the stored entries, then its product with ``h``, by panels of rows."""

    def one(y: Tensor, w: Tensor, h: Tensor) -> Tensor:
        w, h = w.contiguous(), h.contiguous()
        found, floor = torch.empty_like(w), prediction_floor(w.dtype, 2 - beta)
        for rows, entries, part in _panels(index):
            held = _sample(part, w[rows], h)
            p = held.values().clamp_min_(floor)
            if beta == 1:
                torch.div(y[entries], p, out=p)
            else:
                p.pow_(beta - 2).mul_(y[entries])
            torch.mm(held, h, out=found[rows])
        return found

    return _each(one, (y, 1), (w, 2), (h, 2))


def _panels(index: list[Tensor]) -> Iterator[tuple[slice, slice, list[Tensor]]]:
    """Rows with `PANEL` entries or so, where these lie, and their own pattern."""
    crow, col = index[:2]
    count, last = len(col), len(crow) - 1
    if count <= PANEL or crow.device.type != "cpu":
        yield slice(0, last), slice(0, count), [crow, col]
        return
    marks = torch.arange(PANEL, count, PANEL, dtype=crow.dtype)
    cuts = torch.searchsorted(crow, marks).tolist()
    for begin, end in pairwise(dict.fromkeys((0, *cuts, last))):
        start, stop = (int(crow[k]) for k in (begin, end))
        own = [crow[begin : end + 1] - start, col[start:stop]]
        yield slice(begin, end), slice(start, stop), own


def _turned(index: list[Tensor]) -> list[Tensor]:
    crow, col, crow_t, col_t, order = index
    inverse = torch.empty_like(order)
    inverse[order.long()] = torch.arange(len(order), dtype=order.dtype, device=order.device)
    return [crow_t, col_t, crow, col, inverse]


def _ordered(index: list[Tensor], values: Tensor) -> Tensor:
    return values.index_select(-1, index[4])


def _lead(*operands: tuple[Tensor, int]) -> torch.Size:
    return common(*(x.shape[: x.ndim - own] for x, own in operands))


def _each(function: Callable[..., Tensor], *operands: tuple[Tensor, int]) -> Tensor:
    """A function of one problem for each of a batch."""
    lead = _lead(*operands)
    if not lead:
        return function(*(x for x, _ in operands))
    flat = [
        x.expand(*lead, *x.shape[x.ndim - own :]).flatten(0, len(lead) - 1) for x, own in operands
    ]
    found = torch.stack([function(*each) for each in zip(*flat, strict=True)])
    return found.unflatten(0, lead)
