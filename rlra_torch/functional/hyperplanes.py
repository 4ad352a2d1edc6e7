"""Hyperplanes through the origin that hold many samples."""

from __future__ import annotations

import torch
from torch import Tensor

from .arguments import whole_number

# How far from a hyperplane a sample of length one counts as near, from coarse to fine.
SCALES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.001, 0.001)


def hyperplanes(z: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Normals of hyperplanes that hold many samples, and how badly each does, low is good.

    Each is drawn through r - 1 random samples, which is exact without noise where these lie on one,
    and also refined by reweighted least squares,

        n <- argmin over ||n|| = 1 of  sum_j (n^T z_j)^2 / ((n_before^T z_j)^2 + e^2)

    with e falling, which makes ``sum_j log((n^T z_j)^2 + e^2)`` small: a count of the samples that
    lie off the hyperplane, in the limit.

    Args:
        z: (*, n, r), a sample in each row; zeros are left out.
        count: how many to draw.
        generator: on the device of the samples.

    Returns:
        the normals (*, 2 count, r), and their scores (*, 2 count).

    References:
        | Georgiev, Theis, Cichocki, Sparse component analysis and blind source separation of
        | underdetermined mixtures (2005)

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [1.0, 1.0]])
        >>> normals, scores = hyperplanes(z, 8, torch.Generator().manual_seed(0))
        >>> normals[scores.argmin()].abs().round(decimals=3)
        tensor([0., 1.])
    """
    whole_number("the number of hyperplanes", count)
    n, r = z.shape[-2:]
    size = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
    unit = z / torch.where(size > 0, size, 1)
    shape = (*z.shape[:-2], count, n)
    # Distinct samples, of which those that are zero come last.
    order = torch.rand(shape, generator=generator, device=z.device, dtype=z.dtype)
    order = (order + (size == 0).mT).argsort(-1)[..., : r - 1]
    drawn = torch.take_along_dim(unit.unsqueeze(-3), order[..., None], -2)
    normals = first = torch.linalg.qr(drawn.mT, mode="complete").Q[..., -1]
    for e in SCALES:
        off = normals @ unit.mT
        weights = 1 / (off.square() + e * e)
        scatter = torch.einsum("...nr,...cn,...ns->...crs", unit, weights, unit)
        normals = torch.linalg.eigh(scatter).eigenvectors[..., 0]
    normals = torch.cat((first, normals), -2)
    off = normals @ unit.mT
    return normals, (off.square() + SCALES[-1] ** 2).log().sum(-1)


def independent(normals: Tensor, scores: Tensor, margin: float = 0.1) -> Tensor:
    """The best r of several unit vectors, none of them close to the span of those before.

    Args:
        normals: (*, count, r).
        scores: (*, count), low is good.
        margin: the least distance to the span of those before, where there is one so far.

    Returns:
        (*, r, r), one in each row.

    Example:
        >>> normals = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
        >>> independent(normals, torch.tensor([0.0, 1.0, 2.0]))
        tensor([[1.0000, 0.0000],
                [0.6000, 0.8000]])
    """
    left, chosen = normals, []
    for _ in range(normals.shape[-1]):
        distance = torch.linalg.vector_norm(left, dim=-1)
        cost = torch.where(distance > margin, scores, torch.inf)
        # Where all are close, the farthest.
        cost = torch.where(cost.isfinite().any(-1, keepdim=True), cost, -distance)
        index = cost.argmin(-1)[..., None, None]
        chosen.append(torch.take_along_dim(normals, index, -2))
        u = torch.take_along_dim(left, index, -2)
        u = u / torch.linalg.vector_norm(u, dim=-1, keepdim=True).clamp_min(1e-30)
        left = left - (left @ u.mT) * u
    return torch.cat(chosen, -2)
