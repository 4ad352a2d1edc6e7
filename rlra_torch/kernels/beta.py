"""Products of the gradient of a beta-divergence for a matrix model ``P = W H^T``, tile by tile.

    value = sum C * d_beta(P, Y)
    P_W = (C * P^(beta - 1)) H        N_W = (C * Y * P^(beta - 2)) H
    P_H = (C * P^(beta - 1))^T W      N_H = (C * Y * P^(beta - 2))^T W

with weights C. All come from one prediction, which exists for one tile of rows at a time: a tile
that stays in the cache is predicted, divided and multiplied before the next one is touched. The
backward pass goes over the same tiles and predicts again, so that it keeps nothing of the size of
the data either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.batch import common
from ..functional.divergences import beta_divergence, prediction_floor
from . import triton

TILE = 2**19
"""Entries of a tile: two megabytes in single precision, which a cache holds."""


def worthwhile(y: Tensor, w: Tensor, h: Tensor) -> bool:
    """Whether the prediction is too large to be held, and tensors are such as kernels take."""
    # What is exported must not depend on sizes.
    if any(hasattr(x, "device_mesh") for x in (y, w, h)) or torch.compiler.is_exporting():
        return False
    lead = common(y.shape[:-2], w.shape[:-2], h.shape[:-2])
    return lead.numel() * y.shape[-2] * y.shape[-1] > TILE


class Wanted(NamedTuple):
    """What to compute.

    Args:
        value: whether the value is wanted.
        positive: whether ``P_W`` and ``P_H`` are.
        negative: whether ``N_W`` and ``N_H`` are.
    """

    value: bool = False
    positive: tuple[bool, bool] = (False, False)
    negative: tuple[bool, bool] = (False, False)


class Products(NamedTuple):
    """What was computed; an empty tensor in the place of what was not wanted.

    Args:
        value: (*,).
        positive: for W (*, m, r) and for H (*, n, r).
        negative: for W and for H.
    """

    value: Tensor
    positive: tuple[Tensor, Tensor]
    negative: tuple[Tensor, Tensor]


def beta_products(
    y: Tensor, w: Tensor, h: Tensor, beta: float, weights: Tensor | None, wanted: Wanted
) -> Products:
    """The products above from one pass over the data.

    Args:
        y: (*, m, n) data, in the dtype of the factors or in a coarser one.
        w: (*, m, r).
        h: (*, n, r).
        beta: of the divergence.
        weights: (*, m, n), or None.
        wanted: which of them.

    Example:
        >>> y, w, h = torch.full((3, 2), 4.0), torch.ones(3, 2), torch.ones(2, 2)
        >>> beta_products(y, w, h, 1.0, None, Wanted(negative=(True, False))).negative[0]
        tensor([[4., 4.],
                [4., 4.],
                [4., 4.]])
    """
    value, positive, negative = wanted
    found = _beta_products(y, w, h, weights, beta, [value, *positive, *negative])
    return Products(found[0], (found[1], found[2]), (found[3], found[4]))


Found = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.library.custom_op("rlra_torch::beta_products", mutates_args=())
def _beta_products(
    y: Tensor, w: Tensor, h: Tensor, weights: Tensor | None, beta: float, wanted: list[bool]
) -> Found:
    return _on_tiles(y, w, h, weights, beta, wanted)


@_beta_products.register_kernel("cuda")
def _(
    y: Tensor, w: Tensor, h: Tensor, weights: Tensor | None, beta: float, wanted: list[bool]
) -> Found:
    if not triton.available() or w.shape[-1] > triton.MAX_RANK:
        return _on_tiles(y, w, h, weights, beta, wanted)
    from .triton import dense

    value, pw, ph, nw, nh = wanted
    none = w.new_zeros(0)
    if not (pw or nw or ph or nh):
        return dense.divergence_sum(y, w, h, beta, weights).to(w.dtype), none, none, none, none
    if not value and not (ph or nh):
        positive, negative = dense.factor_parts(y, w, h, beta, weights)
        return none, _or_sums(pw, positive, w, h), none, negative, none
    if not value and not (pw or nw):
        turned = None if weights is None else weights.mT
        positive, negative = dense.factor_parts(y.mT, h, w, beta, turned)
        return none, none, _or_sums(ph, positive, h, w), none, negative
    found = dense.joint_parts(y, w, h, beta, weights)
    return (
        found.value.to(w.dtype),
        _or_sums(pw, found.positive_w, w, h),
        _or_sums(ph, found.positive_h, h, w),
        found.negative_w,
        found.negative_h,
    )


def _or_sums(want: bool, positive: Tensor | None, x: Tensor, other: Tensor) -> Tensor:
    """The positive part, which the kernels leave out where it is the sum of the other factor."""
    if not want:
        return x.new_zeros(0)
    if positive is not None:
        return positive
    lead = common(x.shape[:-2], other.shape[:-2])
    return other.sum(-2, keepdim=True).expand(*lead, *x.shape[-2:]).clone()


def _on_tiles(
    y: Tensor, w: Tensor, h: Tensor, weights: Tensor | None, beta: float, wanted: list[bool]
) -> Found:
    if y.stride(-1) > y.stride(-2):
        # Stored by columns: the same problem, turned.
        turned = None if weights is None else weights.mT
        swapped = [wanted[i] for i in (0, 2, 1, 4, 3)]
        v, ph, pw, nh, nw = _on_tiles(y.mT, h, w, turned, beta, swapped)
        return v, pw, ph, nw, nh
    lead = common(y.shape[:-2], w.shape[:-2], h.shape[:-2])
    out = _empty(y, w, h, wanted)
    value, pw, ph, nw, nh = (_flat(x, lead) for x in (out[0][..., None, None], *out[1:]))
    sides, both = (_flat(w, lead), _flat(h, lead)), (_flat(y, lead), None)
    both = (both[0], None if weights is None else _flat(weights, lead))
    for at, rows in _tiles(both[0].shape):
        left, right = sides[0][at][..., rows, :], sides[1][at]
        data = both[0][at][..., rows, :].to(w.dtype)
        c = None if both[1] is None else both[1][at][..., rows, :]
        p = left @ right.mT
        if wanted[0]:
            entries = beta_divergence(p, data, beta)
            entries = entries if c is None else c * entries
            value[at] += entries.sum((-2, -1), keepdim=True)
        p.clamp_min_(prediction_floor(p.dtype, 2 - beta))
        if wanted[1] or wanted[2]:
            first = p.pow(beta - 1)
            first = first if c is None else first.mul_(c)
            if wanted[1]:
                pw[at][..., rows, :] = first @ right
            if wanted[2]:
                _add(ph[at], first, left)
        if wanted[3] or wanted[4]:
            second = torch.div(data, p, out=p) if beta == 1 else p.pow_(beta - 2).mul_(data)
            second = second if c is None else second.mul_(c)
            if wanted[3]:
                nw[at][..., rows, :] = second @ right
            if wanted[4]:
                _add(nh[at], second, left)
    return out


@_beta_products.register_fake
def _(
    y: Tensor, w: Tensor, h: Tensor, weights: Tensor | None, beta: float, wanted: list[bool]
) -> Found:
    return _empty(y, w, h, wanted)


def _empty(y: Tensor, w: Tensor, h: Tensor, wanted: list[bool]) -> Found:
    """Zeros for what is wanted, and nothing for the rest."""
    lead = common(y.shape[:-2], w.shape[:-2], h.shape[:-2])
    shapes = ((), w.shape[-2:], h.shape[-2:], w.shape[-2:], h.shape[-2:])
    value, pw, ph, nw, nh = (
        w.new_zeros((*lead, *own)) if want else w.new_zeros(0)
        for own, want in zip(shapes, wanted, strict=True)
    )
    return value, pw, ph, nw, nh


def _flat(x: Tensor, lead: torch.Size) -> Tensor:
    """With one leading dimension for all problems, copying nothing that is shared."""
    if x.ndim < 2 or not x.numel():
        return x
    expanded = x.expand(*lead, *x.shape[-2:])
    if not lead:
        return expanded[None]
    return expanded.flatten(0, len(lead) - 1) if len(lead) > 1 else expanded


def _tiles(shape: torch.Size) -> Iterator[tuple[int | slice, slice]]:
    """Which problems and which rows of them are a tile: many small problems, or part of one."""
    count, m, n = shape
    size = max(min(TILE, m * n // 16), TILE // 8)
    several = size // (m * n)
    if several > 1:
        for start in range(0, count, several):
            yield slice(start, start + several), slice(None)
        return
    height = max(size // n, 1)
    for problem in range(count):
        for start in range(0, m, height):
            yield problem, slice(start, start + height)


def _add(total: Tensor, entries: Tensor, left: Tensor) -> None:
    if total.ndim == 2:
        total.addmm_(entries.mT, left)
    else:
        total.baddbmm_(entries.mT, left)


# --- derivative --------------------------------------------------------------------------------


Operands = tuple[Tensor, Tensor, Tensor, Tensor | None]


def _pulled(
    operands: Operands, grads: tuple[Tensor | None, ...], beta: float, asked: tuple[bool, bool]
) -> list[Tensor | None]:
    """The derivatives of one tile, out of place so that they have some of their own.

    With ``A = S P^e`` for the scales ``S = C`` or ``C Y``, the products ``A H`` and ``A^T W`` with
    the gradients ``G`` and ``F``, and ``K = G H^T + W F^T``, the chain rule is

        dS = K P^e,   dP = e K A / P,   dW = A F + dP H,   dH = A^T G + dP^T W

    where the last two products take the ``dP`` of both scales and of the value together.

    Args:
        operands: y, w, h and the weights.
        grads: of the value, ``P_W``, ``P_H``, ``N_W`` and ``N_H``; None where not wanted.
        beta: of the divergence.
        asked: whether the derivatives by y and by the weights are.

    Returns:
        the derivatives by the operands, None where not asked for.
    """
    y, w, h, c = operands
    data, raw, floor = y.to(w.dtype), w @ h.mT, prediction_floor(w.dtype, 2 - beta)
    p = raw.clamp_min(floor)
    found: tuple[list[Tensor], ...] = ([], [], [], [])
    slopes = []
    for power, scale, g, f in ((beta - 1, None, *grads[1:3]), (beta - 2, data, *grads[3:])):
        met = [g @ h.mT] if g is not None else []
        met += [w @ f.mT] if f is not None else []
        if not met:
            continue
        k, kernel = _sum(met), p.pow(power)
        plain = kernel if scale is None else kernel * scale
        entries = plain if c is None else plain * c
        found[1].extend([entries @ f] if f is not None else [])
        found[2].extend([entries.mT @ g] if g is not None else [])
        if asked[0] and scale is not None:
            found[0].append(k * kernel if c is None else k * kernel * c)
        if asked[1]:
            found[3].append(k * plain)
        slopes.append(torch.where(raw > floor, power * k * entries / p, 0))
    if grads[0] is not None:
        values, back = torch.func.vjp(lambda a, b: beta_divergence(a, b, beta), raw, data)[:2]
        each = grads[0].expand_as(values)
        slope, of_data = back(each if c is None else each * c)
        slopes.append(slope)
        found[0].append(of_data)
        found[3].append(each * values)
    slope = _sum(slopes)
    found[1].append(slope @ h)
    found[2].append(slope.mT @ w)
    wanted = (asked[0], True, True, asked[1])
    return [_sum(terms) if want else None for terms, want in zip(found, wanted, strict=True)]


def _sum(terms: list[Tensor]) -> Tensor:
    return sum(terms[1:], terms[0])


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: Found) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[4:]  # pyright: ignore[reportAttributeAccessIssue]


def _backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple:
    beta, wanted = ctx.settings  # pyright: ignore[reportAttributeAccessIssue]
    y, w, h, weights = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
    asked = ctx.needs_input_grad  # pyright: ignore[reportAttributeAccessIssue]
    lead = common(y.shape[:-2], w.shape[:-2], h.shape[:-2])
    data, left, right = _flat(y, lead), _flat(w, lead), _flat(h, lead)
    c = None if weights is None else _flat(weights, lead)
    value, pw, ph, nw, nh = (
        _flat(x, lead) if want else None
        for x, want in zip((grads[0][..., None, None], *grads[1:]), wanted, strict=True)
    )
    of_w, of_y, of_c, of_h = [], [], [], {}
    for at, rows in _tiles(data.shape):

        def part(x: Tensor | None, at: int | slice = at, rows: slice = rows) -> Tensor | None:
            return None if x is None else x[at][..., rows, :]

        def all_of(x: Tensor | None, at: int | slice = at) -> Tensor | None:
            return None if x is None else x[at]

        operands = data[at][..., rows, :], left[at][..., rows, :], right[at], part(c)
        pulled = all_of(value), part(pw), all_of(ph), part(nw), all_of(nh)
        by_y, by_w, by_h, by_c = _pulled(operands, pulled, beta, (asked[0], asked[3]))
        assert by_w is not None and by_h is not None
        of_w.append(by_w.flatten(0, -2))
        start = at.start if isinstance(at, slice) else at
        of_h[start] = of_h[start] + by_h if start in of_h else by_h
        of_y += [] if by_y is None else [by_y.flatten(0, -2)]
        of_c += [] if by_c is None else [by_c.flatten(0, -2)]

    def whole(parts: list[Tensor], like: Tensor) -> Tensor:
        found = torch.cat(parts).reshape(*lead, *like.shape[-2:])
        return found.sum_to_size(like.shape).to(like.dtype)

    return (
        whole(of_y, y) if asked[0] else None,
        whole(of_w, w),
        whole([x.flatten(0, -2) for x in of_h.values()], h),
        whole(of_c, weights) if weights is not None and asked[3] else None,
        None,
        None,
    )


torch.library.register_autograd("rlra_torch::beta_products", _backward, setup_context=_save)
