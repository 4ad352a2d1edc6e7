"""Roots of sums of powers, where multiplicative updates have no closed form."""

from __future__ import annotations

import torch
from torch import Tensor


def root_of_powers(
    x: Tensor,
    positive: Tensor,
    negative: Tensor,
    powers: tuple[float, float],
    l1: Tensor | None,
    l2: Tensor | None,
) -> Tensor:
    """``x t`` with ``P t^a + l1 + l2 x t = N t^b``, for powers ``a >= 0 >= b``.

    Args:
        x, positive, negative, l1, l2: as in `Loss.majorized`.
        powers: ``(a, b)``, not both 0.

    Example:
        >>> x, positive, negative = torch.ones(1), torch.ones(1), torch.tensor([8.0])
        >>> root_of_powers(x, positive, negative, (2.0, -1.0), None, None)  # t^2 = 8 / t
        tensor([2.])
    """
    (high, low), tiny = powers, torch.finfo(x.dtype).tiny
    right, terms = negative, [(positive, high - low)]
    if l1 is not None and low == 0:
        right = right - l1
    elif l1 is not None:
        terms.append((l1 * torch.ones_like(x), -low))
    if l2 is not None:
        terms.append((l2 * x, 1 - low))
    if l1 is not None and l2 is not None and low < 0:
        root = x * signed_root(terms, right.clamp_min(tiny))
        return torch.where((right > 0) | (l1 < 0), root, 0)
    root = x * positive_root(terms, right.clamp_min(tiny))
    return torch.where(right > 0, root, 0)


def positive_root(terms: list[tuple[Tensor, float]], right: Tensor) -> Tensor:
    """The ``t > 0`` with ``sum_i c_i t^(e_i) = right``, all ``c_i >= 0`` and ``e_i > 0``.

    In ``u = log t`` the logarithm of the left side is convex and increasing, so Newton's method
    converges from anywhere, and from ``u = 0`` never passes the root when it lies below. The last
    two steps alone are differentiated: at a converged root the first of them gives the implicit
    derivative, the second one that of the next orders.

    Args:
        terms: ``(c_i, e_i)``.
        right: of the shape to which the ``c_i`` broadcast, positive.

    Example:
        >>> round(float(positive_root([(torch.tensor(1.0), 2.0)], torch.tensor(9.0))), 4)
        3.0
    """
    tiny = torch.finfo(right.dtype).tiny
    logs = torch.stack(torch.broadcast_tensors(*(c.clamp_min(tiny).log() for c, _ in terms)))
    target, powers = right.log(), [e for _, e in terms]

    def newton(u: Tensor, logs: Tensor, target: Tensor) -> Tensor:
        weighted = logs + torch.stack([e * u for e in powers])
        shares = torch.softmax(weighted, 0).unbind(0)
        slope = sum(e * share for e, share in zip(powers, shares, strict=True))
        return u - (torch.logsumexp(weighted, 0) - target) / slope

    u = torch.zeros_like(target)
    for _ in range(14):
        u = newton(u, logs.detach(), target.detach())
    for _ in range(2):
        u = newton(u, logs, target)
    return u.exp()


def signed_root(terms: list[tuple[Tensor, float]], right: Tensor) -> Tensor:
    """As `positive_root` for three terms, of which the second may be negative and the last rules.

    What is negative goes to the right side. The logarithms of both sides still meet once, but the
    difference is no longer convex, so Newton's steps are kept inside a bracket; they begin where
    the second and the third term cancel.

    Args:
        terms: ``(c_i, e_i)``, three, by rising powers.
        right: of the shape to which the ``c_i`` broadcast, positive.

    Example:
        >>> terms = [(torch.tensor(c), e) for c, e in ((1.0, 1.0), (-4.0, 2.0), (1.0, 3.0))]
        >>> t = signed_root(terms, torch.tensor(1.0))
        >>> round(float(t - 4 * t**2 + t**3), 3)
        1.0
    """
    (first, low), (second, middle), (third, high) = terms
    tiny = torch.finfo(right.dtype).tiny
    left = [first, second.clamp_min(0), third]
    logs = [c.clamp_min(tiny).log() for c in (*left, right, -second.clamp_max(0))]
    values = torch.stack(torch.broadcast_tensors(*logs))

    def newton(u: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        powers = (low, middle, high, 0.0, middle)
        sides = (values + torch.stack([e * u for e in powers])).split((3, 2))
        shares = torch.cat([torch.softmax(side, 0) for side in sides])
        signed = (low, middle, high, 0.0, -middle)
        slope = sum(e * share for e, share in zip(signed, shares, strict=True))
        gap = torch.logsumexp(sides[0], 0) - torch.logsumexp(sides[1], 0)
        return u - gap / torch.as_tensor(slope).clamp_min(1e-3), gap

    fixed = values.detach()
    u = (fixed[4] - fixed[2]).clamp_min(0)
    lower, upper = torch.full_like(u, -300), torch.full_like(u, 300)
    for _ in range(24):
        new, gap = newton(u, fixed)
        lower, upper = torch.where(gap < 0, u, lower), torch.where(gap > 0, u, upper)
        u = torch.where((new > lower) & (new < upper), new, (lower + upper) / 2)
    for _ in range(2):
        u, _ = newton(u, values)
    return u.exp()
