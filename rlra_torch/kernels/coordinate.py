"""Sweeps of exact coordinate descent over the columns of a least-squares block.

For ``f(x) = <x, x G> / 2 - <x, C> + l1 |x| + l2 x^2 / 2`` on an interval, column ``q`` becomes

    x_q <- clip(soft(c_q - sum_{p != q} x_p G_pq, l1_q) / (G_qq + l2_q), lower, upper)

Columns with ``G_qq + l2_q`` zero, or too small to divide by, stay as they are, or go to the lower
bound if something pushes them there. The plane case works in place on columns that lie together in
memory; its backward differentiates the plain version, which is also the reference in the tests.
"""

from __future__ import annotations

import math
from typing import Any

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
    if hasattr(x, "device_mesh"):
        return _of_shards(x, gram, cross, penalties, interval, sweeps)
    (l1, l2), (lower, upper) = penalties, interval
    if l2 is not None:
        if l2.shape[:-1].numel() > 1:
            l2 = l2.expand_as(x)
            gram = gram if gram.ndim > x.ndim else gram.unsqueeze(-3)
        else:
            l2 = l2.reshape(-1)
        gram = gram + torch.diag_embed(l2.expand(gram.shape[:-1]).to(gram.dtype))
    if l1 is not None and lower >= 0:
        cross, l1 = cross - l1, None
    if lower >= 0 and x.ndim == 2 and gram.ndim == 2:
        # Where nothing is traced, a call of the operator costs more than a sweep of a small block.
        plain = type(x) is Tensor and x.device.type == "cpu" and not torch.is_grad_enabled()
        run = _plane_sweeps_cpu if plain and not torch.compiler.is_compiling() else plane_sweeps
        return run(x.mT, gram, cross.mT, lower, upper, sweeps).mT
    return plain_sweeps(x, gram, cross, l1, interval, sweeps)


def _of_shards(
    x: Any,  # noqa: ANN401
    gram: Any,  # noqa: ANN401
    cross: Any,  # noqa: ANN401
    penalties: tuple[Tensor | None, Tensor | None],
    interval: tuple[float, float],
    sweeps: int,
) -> Tensor:
    """Rows do not see each other, so that each process sweeps over its own."""
    mine, theirs, goal = (part.to_local() for part in (x, gram, cross))
    found = coordinate_sweeps(mine, theirs, goal, penalties, interval, sweeps).contiguous()
    return type(x).from_local(
        found, x.device_mesh, x.placements, shape=x.shape, stride=found.stride()
    )


def plain_sweeps(
    x: Tensor,
    gram: Tensor,
    cross: Tensor,
    l1: Tensor | None,
    interval: tuple[float, float],
    sweeps: int,
) -> Tensor:
    """The sweeps, out of place, for any leading dimensions: the reference of all kernels.

    Args:
        x, gram, cross, interval, sweeps: as in `coordinate_sweeps`.
        l1: weight of the absolute value, or None.
    """
    lower, upper = interval
    diagonal, tiny = gram.diagonal(dim1=-2, dim2=-1), torch.finfo(x.dtype).tiny
    diagonal = diagonal if gram.ndim > x.ndim else diagonal.unsqueeze(-2)
    columns = list(x.unbind(-1))
    threshold = None if l1 is None else l1.to(x.dtype).expand_as(x)
    for _ in range(sweeps):
        for q in range(len(columns)):
            row = gram[..., q, :]
            row = row if gram.ndim > x.ndim else row.unsqueeze(-2)
            curvature, pull = diagonal[..., q], cross[..., q]
            alive = curvature >= tiny
            goal = pull - (torch.stack(columns, -1) * row).sum(-1) + curvature * columns[q]
            if threshold is not None:
                t = threshold[..., q]
                goal = goal - goal.clamp(-t, t)
            idle = columns[q] if lower < 0 else torch.where(pull < 0, lower, columns[q])
            new = torch.where(alive, goal / torch.where(alive, curvature, 1), idle)
            columns[q] = new.clamp(lower, upper)
    return torch.stack(columns, -2).mT


@torch.library.custom_op("rlra_torch::plane_sweeps", mutates_args=())
def plane_sweeps(
    x: Tensor, gram: Tensor, cross: Tensor, lower: float, upper: float, sweeps: int
) -> Tensor:
    """One problem, rank-first: x and cross (r, rows), gram (r, r), ``lower >= 0``."""
    return plain_sweeps(x.mT, gram, cross.mT, None, (lower, upper), sweeps).mT.contiguous()


@plane_sweeps.register_kernel("cpu")
def _plane_sweeps_cpu(
    x: Tensor, gram: Tensor, cross: Tensor, lower: float, upper: float, sweeps: int
) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    rows, goals = x.unbind(0), cross.contiguous().unbind(0)
    coupling, stacked = gram.clone().fill_diagonal_(0).unbind(0), x.mT
    buffer = torch.empty_like(rows[0])
    curvatures, tiny = gram.diagonal().tolist(), torch.finfo(x.dtype).tiny
    steps = list(zip(rows, goals, coupling, curvatures, strict=True))
    for _ in range(sweeps):
        for row, goal, weights, curvature in steps:
            if curvature >= tiny:
                scale = 1 / curvature
                torch.addmv(goal, stacked, weights, beta=scale, alpha=-scale, out=buffer)
                torch.clamp(buffer, lower, upper, out=row)
            else:
                row.copy_(torch.where(goal < 0, lower, row).clamp_(lower, upper))
    return x


@plane_sweeps.register_fake
def _(x: Tensor, gram: Tensor, cross: Tensor, lower: float, upper: float, sweeps: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.settings = inputs[3:]  # pyright: ignore[reportAttributeAccessIssue]


def _backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple:
    lower, upper, sweeps = ctx.settings  # pyright: ignore[reportAttributeAccessIssue]

    def plain(x: Tensor, gram: Tensor, cross: Tensor) -> Tensor:
        return plain_sweeps(x.mT, gram, cross.mT, None, (lower, upper), sweeps).mT

    saved = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    return (*torch.func.vjp(plain, *saved)[1](grad), None, None, None)


torch.library.register_autograd("rlra_torch::plane_sweeps", _backward, setup_context=_save)
