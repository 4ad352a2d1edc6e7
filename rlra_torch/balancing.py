"""The scales of factors against each other: those that penalties like best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .functional.scaling import balance
from .models import Factors, Gauge, Model
from .regularizers import Regularizer

SWEEPS = 10  # over several freedoms that share a factor, as those of a core do


class Freedom(NamedTuple):
    """Scales that the prediction does not see, and what is known of the penalties on them.

    Args:
        gauge: the factors that share them, and along which of their dimensions.
        penalized: whether every factor has a penalty, or none has.
        sliding: a factor without penalty among others with one: their penalties have no minimum
            over the scales.
    """

    gauge: Gauge
    penalized: bool
    sliding: bool


def freedoms(
    model: Model, regs: Sequence[Regularizer], order: Sequence[int]
) -> tuple[Freedom, ...]:
    """The free scales of factors whose penalties weigh all of their entries alike.

    Args:
        model: what predicts.
        regs: one regularizer per factor.
        order: the factors that are sought.
    """
    known = [n for n in order if regs[n].homogeneous]
    found = []
    for gauge in model.gauges(tuple(known)):
        moving = tuple((n, dim) for n, dim in gauge if _alike(regs[n], dim))
        held = {any(_degrees(regs[n])) for n, _ in moving}
        if len(moving) > 1:
            found.append(Freedom(moving, held == {True}, len(held) > 1))
    return tuple(found)


def best_scales(
    model: Model, regs: Sequence[Regularizer], found: Sequence[Freedom], factors: Factors
) -> Factors:
    """What to multiply the factors by; see `Problem.balance`.

    Args:
        model: what predicts.
        regs: one regularizer per factor.
        found: the freedoms.
        factors: where the penalties are taken.
    """
    scales = [x.new_ones((1,) * x.ndim) for x in factors]
    settled = [freedom for freedom in found if not freedom.sliding]
    for _ in range(SWEEPS if len(settled) > 1 else 1):
        for gauge, penalized, _ in settled:
            at = {n: factors[n] * scales[n] for n, _ in gauge}
            values = [_penalties(regs[n], at[n], model.factor_ndims[n], d) for n, d in gauge]
            moved = balance(values)
            if penalized:
                lives = [_lives(at[n], model.factor_ndims[n], d) for n, d in gauge]
                moved = [torch.where(torch.stack(lives).all(0), t, 0) for t in moved]
            for (n, dim), t in zip(gauge, moved, strict=True):
                own = model.factor_ndims[n]
                scales[n] = scales[n] * t[(..., *(None,) * (own - 1))].movedim(-own, dim)
    return tuple(_settled(scale) for scale in scales)


def _settled(scale: Tensor) -> Tensor:
    """Exactly 1 where it is up to rounding: what is balanced stays as it is, bit by bit."""
    off = 1 - scale.detach()
    return scale + torch.where(off.abs() <= 100 * torch.finfo(scale.dtype).eps, off, 0)


def _degrees(reg: Regularizer) -> list[float]:
    return [float(part.degree or 0.0) for part in reg.homogeneous]


def _alike(reg: Regularizer, dim: int) -> bool:
    """Whether a penalty is the same for every slice along a dimension, each on its own."""
    apart = -1 not in reg.couples if dim == -1 else not reg.couples
    return apart and all(weight.ndim == 0 for weight in reg.weighing)


def _penalties(reg: Regularizer, x: Tensor, own: int, dim: int) -> dict[float, Tensor]:
    """The penalties of each slice under their degrees, or its squared norm where there is none."""
    lead = x.ndim - own
    slices = x.movedim(dim, lead)[..., None]
    found = {}
    for part in reg.homogeneous:
        if part.degree:
            value = part(slices).flatten(lead + 1).sum(-1) if own > 2 else part(slices)
            found[part.degree] = found.get(part.degree, 0) + value
    return found or {2.0: slices.square().flatten(lead + 1).sum(-1)}


def _lives(x: Tensor, own: int, dim: int) -> Tensor:
    """Whether each slice has an entry that is not 0."""
    return x.movedim(dim, -1).flatten(-own, -2).any(-2)
