"""Sweeps of exact coordinate descent over the columns of a least-squares block.

For ``f(x) = <x, x G> / 2 - <x, C> + l1 |x| + l2 x^2 / 2`` on an interval, column ``q`` becomes

    x_q <- clip(soft(c_q - sum_{p != q} x_p G_pq, l1_q) / (G_qq + l2_q), lower, upper)

The operator works in place on columns that lie together in memory; its backward differentiates the
plain version below, which is also the reference in the tests.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def coordinate_sweeps(
    x: Tensor,
    gram: Tensor,
    cross: Tensor,
    penalties: tuple[Tensor | None, Tensor | None] = (None, None),
    interval: tuple[float, float] = (0.0, math.inf),
    sweeps: int = 1,
) -> Tensor:
    """``sweeps`` passes of coordinate descent over all columns.

    Args:
        x: (*, rows, r), the start.
        gram: (*, r, r), or (*, rows, r, r) when each row has its own.
        cross: (*, rows, r).
        penalties: l1 and l2 weights that broadcast with ``x``, or None.
        interval: the least and the largest value allowed.
        sweeps: how many passes.

    Returns:
        like ``x``, rank-first in memory.

    Example:
        >>> g, c = torch.eye(2), torch.tensor([[1.0, -2.0]])
        >>> coordinate_sweeps(torch.zeros(1, 2), g, c)
        tensor([[1., 0.]])
    """
    l1, l2 = penalties
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    diagonal = diagonal if gram.ndim > x.ndim else diagonal.unsqueeze(-2)
    curvature = diagonal if l2 is None else diagonal + l2
    alive = curvature > 0
    inverse = torch.where(alive, 1 / torch.where(alive, curvature, 1), 0)
    # Divided by its curvature each column is one product and one clip; a dead column stays.
    dead = x if l1 is None else torch.where(l1 > 0, 0, x)
    target = torch.where(alive, cross * inverse, dead)
    coupling = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    threshold = target.new_zeros(()) if l1 is None else l1 * inverse
    lower, upper = interval
    if lower >= 0:
        target, threshold = target - threshold, threshold.new_zeros(())
    per_row = gram.ndim > x.ndim
    if inverse.shape[-2] == 1 and not per_row:
        coupling, inverse = coupling * inverse.mT, inverse.new_ones(())
    arguments = (x, coupling, target, threshold, inverse)
    if lower >= 0 and x.ndim == 2 and not per_row and inverse.ndim == 0:
        return _plain_sweeps(x.mT, coupling, target.mT, lower, upper, sweeps).mT
    return _reference(*arguments, lower, upper, sweeps)


def _reference(
    x: Tensor,
    coupling: Tensor,
    target: Tensor,
    threshold: Tensor,
    inverse: Tensor,
    lower: float,
    upper: float,
    sweeps: int,
) -> Tensor:
    columns = list(x.unbind(-1))
    threshold, inverse = threshold.expand_as(x), inverse.expand_as(x)
    for _ in range(sweeps):
        for q in range(len(columns)):
            row = coupling[..., q, :]
            row = row if coupling.ndim > x.ndim else row.unsqueeze(-2)
            new = target[..., q] - inverse[..., q] * (torch.stack(columns, -1) * row).sum(-1)
            t = threshold[..., q]
            columns[q] = (new - new.clamp(-t, t)).clamp(lower, upper)
    return torch.stack(columns, -2).mT


@torch.library.custom_op("rlra_torch::coordinate_sweeps", mutates_args=())
def _plain_sweeps(
    x: Tensor, coupling: Tensor, target: Tensor, lower: float, upper: float, sweeps: int
) -> Tensor:
    """The two-dimensional case, rank-first: x and target (r, rows), coupling (r, r)."""
    x = x.clone(memory_format=torch.contiguous_format)
    rows = list(x.unbind(0))
    step = list(zip(rows, coupling.unbind(0), target.contiguous().unbind(0), strict=True))
    buffer = torch.empty_like(rows[0])
    stacked = x.mT
    for _ in range(sweeps):
        for row, weights, goal in step:
            torch.addmv(goal, stacked, weights, alpha=-1, out=buffer)
            torch.clamp(buffer, lower, upper, out=row)
    return x


@_plain_sweeps.register_fake
def _(
    x: Tensor, coupling: Tensor, target: Tensor, lower: float, upper: float, sweeps: int
) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    x, coupling, target, lower, upper, sweeps = inputs
    ctx.save_for_backward(x, coupling, target)
    ctx.settings = (lower, upper, sweeps)  # pyright: ignore[reportAttributeAccessIssue]


def _backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:
    x, coupling, target = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    lower, upper, sweeps = ctx.settings  # pyright: ignore[reportAttributeAccessIssue]

    def plain(x: Tensor, coupling: Tensor, target: Tensor) -> Tensor:
        zero, one = x.new_zeros(()), x.new_ones(())
        out = _reference(x.mT, coupling, target.mT, zero, one, lower, upper, sweeps)
        return out.mT

    return (*torch.func.vjp(plain, x, coupling, target)[1](grad), None, None, None)


torch.library.register_autograd(
    "rlra_torch::coordinate_sweeps", _backward, setup_context=_save
)
