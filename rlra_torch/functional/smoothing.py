"""Smoothing along a path, and the nearest matrix with orthonormal columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def smooth(x: Tensor, weight: Tensor, *, zero_ends: bool = False) -> Tensor:
    """``argmin ||z - x||^2 / 2 + weight/2 sum_i (z_(i+1) - z_i)^2``.

    With zero ends the two differences to a 0 before the first entry and after the last count as
    well. A path with free ends is half of a ring on which z is even, one with zero ends half of a
    ring on which it is odd, so that the system is diagonal for the Fourier transform of the ring.

    Args:
        x: (*, n).
        weight: nonnegative, (*, 1).
        zero_ends: whether the path is tied to 0 at both ends.

    Returns:
        z, like ``x``.

    Example:
        >>> smooth(torch.tensor([0.0, 3.0]), torch.tensor([1.0]))
        tensor([1., 2.])
        >>> smooth(torch.tensor([3.0]), torch.tensor([1.0]), zero_ends=True)
        tensor([1.])
    """
    n, mirrored = x.shape[-1], x.flip(-1)
    if zero_ends:
        gap = torch.zeros_like(x[..., :1])
        ring = torch.cat((x, gap, -mirrored, gap), -1)
    else:
        ring = torch.cat((x, mirrored), -1)
    waves = torch.fft.rfft(ring)
    count = torch.arange(waves.shape[-1], dtype=x.dtype, device=x.device)
    curvature = 2 - 2 * (2 * math.pi / ring.shape[-1] * count).cos()
    return torch.fft.irfft(waves / (1 + weight * curvature), n=ring.shape[-1])[..., :n]


def polar(x: Tensor) -> Tensor:
    """The nearest matrix with orthonormal columns: ``U V^T`` of ``x = U S V^T``.

    Args:
        x: (*, rows, rank), with at least as many rows as columns.

    Returns:
        like ``x``; once differentiable, also where singular values are equal.

    References:
        | Schonemann, A generalized solution of the orthogonal Procrustes problem (1966)

    Example:
        >>> polar(torch.tensor([[2.0, 0.0], [0.0, -3.0], [0.0, 0.0]]))
        tensor([[ 1.,  0.],
                [ 0., -1.],
                [ 0.,  0.]])
    """
    finite = x.detach().isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    # The decomposition of what is not finite is an error, not a number.
    u, s, vh = torch.linalg.svd(torch.where(finite, x.detach(), 0), full_matrices=False)
    q = torch.where(finite, u @ vh, math.nan)
    if not x.requires_grad:
        return q
    # Nothing is added to q but its first derivative, which divides by sums of singular values.
    tiny = torch.finfo(x.dtype).eps * s.amax(-1, keepdim=True)
    pairs, single = s[..., :, None] + s[..., None, :], s[..., None, :]
    pairs = torch.where(pairs > tiny[..., None], pairs, math.inf)
    single = torch.where(single > tiny[..., None], single, math.inf)
    change = x - x.detach()
    within = u.mT @ change @ vh.mT
    turned = u @ ((within - within.mT) / pairs) @ vh
    left = change @ vh.mT - u @ within
    return q + turned + (left / single) @ vh
