"""What one entry contributes: powers of a prediction, and the beta-divergence of an entry.

The device side of `functional.divergences`: the same formulas, the same floor, the same edges.
"""

from __future__ import annotations

import torch

from ...functional.divergences import prediction_floor
from .language import jit, tl


def entry_floor(dtype: torch.dtype, beta: float) -> float | None:
    """The floor of a prediction in the parts of the gradient, None where it may have any sign."""
    return None if beta == 2 else prediction_floor(dtype, 2 - beta)


@jit
def floored(p, floor: tl.constexpr):  # noqa: ANN001, ANN201
    """``max(p, floor)``; what is not a number stays so."""
    if floor is None:
        return p
    else:
        return tl.maximum(p, tl.full((), floor, p.dtype), propagate_nan=tl.PropagateNan.ALL)


@jit
def power(p, k: tl.constexpr):  # noqa: ANN001, ANN201
    """``p^k`` for nonnegative ``p``, exactly rounded steps where ``k`` is a small half integer."""
    if k == 0:
        return tl.full(p.shape, 1, p.dtype)
    elif k < 0:
        return 1 / power(p, -k)
    elif k == 0.5:
        return tl.sqrt(p)
    elif k == 1:
        return p
    elif k == 1.5:
        return p * tl.sqrt(p)
    elif k == 2:
        return p * p
    else:
        return tl.exp2(k * tl.log2(p))


@jit
def divergence(p, y, beta: tl.constexpr, floor: tl.constexpr, beyond_zero: tl.constexpr):  # noqa: ANN001, ANN201
    """``d(y, p)``, or ``d(y, p) - d(0, p)`` without its cancellation."""
    safe = floored(p, floor)
    if beta == 2:
        d = y * (0.5 * y - p) if beyond_zero else 0.5 * (p - y) * (p - y)
    elif beta == 1:
        t = safe / tl.where(y > 0, y, 1)
        rest = -1 - tl.log(t)
        d = y * rest if beyond_zero else tl.where(y > 0, y * (t + rest), p)
    elif beta == 0:
        ratio = y / safe
        d = ratio - 1 - tl.log(ratio)
    else:
        slope = power(safe, beta - 1)
        mixed = -beta * y * slope if beyond_zero else slope * ((beta - 1) * safe - beta * y)
        d = (power(y, beta) + mixed) / (beta * (beta - 1))
    return d
