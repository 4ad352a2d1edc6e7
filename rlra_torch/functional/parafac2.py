"""The set of PARAFAC2: matrices that share their cross product, ``B_k = P_k Delta``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .polar import polar


class Orbit(NamedTuple):
    """Matrices ``B_k = P_k Delta`` with ``P_k^T P_k = I``.

    Args:
        x: (*, K, J, r) the ``B_k``.
        p: (*, K, J, r) the ``P_k``.
        delta: (*, r, r).
    """

    x: Tensor
    p: Tensor
    delta: Tensor


def nearest_orbit(
    x: Tensor, weights: Tensor | None = None, delta: Tensor | None = None, passes: int = 10
) -> Orbit:
    """The projection ``min sum_k w_k ||B_k - P_k Delta||^2`` over Delta and orthonormal ``P_k``.

    Each pass takes the ``P_k`` as polar factors of ``B_k Delta^T`` and Delta as the weighted mean
    of ``P_k^T B_k``; both are exact, so that the cost never rises. Without the ``P_k`` the cost is
    ``sum_k w_k d(B_k^T B_k, Delta^T Delta)^2`` in the Bures-Wasserstein distance ``d``: the passes
    are the fixed-point iteration for the barycenter of the ``B_k^T B_k``, which is unique where one
    of them is regular. The cost is convex in ``Delta^T Delta``, so that they end at the projection
    itself from any regular start, though the set is not convex. One QR of each ``B_k`` serves all
    passes, which then see matrices of r x r alone.

    Args:
        x: (*, K, J, r) the ``B_k``, with zeros below shorter ones.
        weights: positive, broadcasting with (*, K, 1, 1); None: all 1.
        delta: (*, r, r) where to start; None: the mean of the roots of ``B_k^T B_k``, which is the
            end where these commute.
        passes: how many.

    Raises:
        ValueError: fewer rows than columns, or nothing to project.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.3.3
        | Agueh, Carlier, Barycenters in the Wasserstein space (2011)
        | Alvarez-Esteban, del Barrio, Cuesta-Albertos, Matran, A fixed-point approach to
        | barycenters in Wasserstein space (2016)

    Example:
        >>> eye = torch.eye(3)[:, :2]
        >>> found = nearest_orbit(torch.stack((eye, 3 * eye.flip(0))))
        >>> found.delta.mT @ found.delta
        tensor([[4., 0.],
                [0., 4.]])
    """
    if x.ndim < 3 or x.shape[-2] < x.shape[-1]:
        raise ValueError(
            "the PARAFAC2 set has matrices (K, J, r) with at least as many rows as columns, got "
            f"shape {tuple(x.shape)}; lower the rank"
        )
    basis, root = torch.linalg.qr(x)
    if delta is None:
        # R (R^T R)^(-1/2) is the polar factor of R, so its transpose times R is the root.
        delta = _mean(polar(root).mT @ root, weights)
    turned = polar(root @ delta.unsqueeze(-3).mT)
    for _ in range(passes - 1):
        delta = _mean(turned.mT @ root, weights)
        turned = polar(root @ delta.unsqueeze(-3).mT)
    delta = _mean(turned.mT @ root, weights)
    p = basis @ turned
    return Orbit(p @ delta.unsqueeze(-3), p, delta)


def orthonormal_factors(target: Tensor, delta: Tensor) -> Tensor:
    """``P_k`` that maximizes ``<C_k, P_k Delta>``: the polar factor of ``C_k Delta^T``.

    Args:
        target: C, (*, K, J, r), at least as many rows as columns.
        delta: (*, r, r).

    Returns:
        (*, K, J, r), with ``P_k^T P_k = I``.

    Example:
        >>> orthonormal_factors(torch.tensor([[[0.0], [3.0]]]), torch.ones(1, 1))
        tensor([[[0.],
                 [1.]]])
    """
    basis, root = torch.linalg.qr(target)
    return basis @ polar(root @ delta.unsqueeze(-3).mT)


def orbit_gap(x: Tensor) -> Tensor:
    """How far matrices are from a common cross product: the distance to the set over their size.

    Args:
        x: (*, K, J, r).

    Returns:
        (*,) ``||B - projection|| / ||B||``; 0 for zeros.

    Example:
        >>> float(orbit_gap(torch.eye(2).expand(3, 2, 2)).round(decimals=6))
        0.0
    """
    own = (-3, -2, -1)
    size = torch.linalg.vector_norm(x, dim=own)
    distance = torch.linalg.vector_norm(x - nearest_orbit(x).x, dim=own)
    return distance / size.clamp_min(torch.finfo(x.dtype).tiny)


def _mean(x: Tensor, weights: Tensor | None) -> Tensor:
    """The weighted mean over K of (*, K, r, r)."""
    if weights is None:
        return x.mean(-3)
    total = weights.sum(-3) if weights.shape[-3] > 1 else x.shape[-3] * weights.squeeze(-3)
    return (weights * x).sum(-3) / total
