"""The subspace that the signal lies in."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.pixels import column_gram, column_norms, pieces


class Subspace(NamedTuple):
    """Pixels in coordinates of a subspace, ``M ≈ U X + c 1^T``.

    Args:
        basis: U, (m, d), orthonormal.
        centre: c, (m, 1).
        coordinates: X, (d, n).
    """

    basis: Tensor
    centre: Tensor
    coordinates: Tensor


def leading_subspace(M: Tensor, d: int, allowed: Tensor, centred: bool = False) -> Subspace:  # noqa: N803
    """The d directions of most energy, or of most variance, and the pixels in them.

    Args:
        M: (m, n).
        d: dimension, at most m.
        allowed: pixels that count, (n,).
        centred: whether the mean is taken off first.

    Example:
        >>> M = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
        >>> leading_subspace(M, 1, torch.tensor([True, True])).coordinates.abs()
        tensor([[3., 0.]])
    """
    weights = allowed.to(M.dtype)
    gram, count = column_gram(M, weights), weights.double().sum().clamp_min(1)
    centre = mean(M, allowed) if centred else torch.zeros_like(M[:, :1], dtype=torch.float64)
    basis = torch.linalg.eigh(gram / count - centre @ centre.mT)[1][:, M.shape[0] - d :].flip(-1)
    basis, centre = basis.to(M.dtype), centre.to(M.dtype)
    return Subspace(basis, centre, basis.mT @ M - basis.mT @ centre)


def mean(M: Tensor, allowed: Tensor) -> Tensor:  # noqa: N803
    """Of the pixels that count, in double precision, (m, 1).

    Example:
        >>> mean(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([True, True, False]))
        tensor([[2.]], dtype=torch.float64)
    """
    total = torch.zeros_like(M[:, :1], dtype=torch.float64)
    for at in pieces(M, 3):
        total += torch.where(allowed[at], M[:, at], 0).sum(-1, keepdim=True, dtype=torch.float64)
    return total / allowed.sum().clamp_min(1)


def signal_to_noise(M: Tensor, r: int, allowed: Tensor) -> float:  # noqa: N803
    """An estimate of the signal-to-noise ratio in dB, for r spectra; infinite without noise.

    With P_y the mean energy of a pixel and P_x that of its projection on the mean and the r leading
    directions around it, 10 log10((P_x - r / m P_y) / (P_y - P_x)): white noise has r / m of its
    energy in the projection.

    Args:
        M: (m, n).
        r: number of spectra, at most m.
        allowed: pixels that count, (n,).

    References:
        | Nascimento, Bioucas-Dias, Vertex component analysis (2005), section III

    Example:
        >>> signal_to_noise(torch.eye(3), 3, torch.ones(3, dtype=torch.bool))
        inf
    """
    weights = allowed.to(M.dtype)
    count = weights.double().sum().clamp_min(1)
    gram, centre = column_gram(M, weights) / count, mean(M, allowed)
    variances = torch.linalg.eigvalsh(gram - centre @ centre.mT)
    total = float(gram.trace())
    inside = float(variances[-r:].sum() + centre.square().sum())
    outside = total - inside
    if outside <= 100 * torch.finfo(M.dtype).eps * total:
        return torch.inf
    signal = inside - r / M.shape[0] * total
    return 10 * float(torch.tensor(signal / outside).clamp_min(1e-30).log10())


def outlying(M: Tensor, r: int, fraction: float, refits: int = 10) -> Tensor:  # noqa: N803
    """A mask of the pixels farthest from a subspace of r dimensions that fits the others.

    The subspace begins with every pixel at unit norm, so that a bright outlier counts as one pixel;
    then it is fitted again and again to those pixels that are nearest to it. What is left out this
    way are spikes, dead bands and rare materials that the r spectra do not explain.

    Args:
        M: pixels, (m, n).
        r: dimension, at most m.
        fraction: of the pixels that are left out, in [0, 1); those with values that are not finite
            are left out besides.
        refits: how often at most the subspace is fitted.

    Returns:
        True for the pixels to leave out, (n,), as `spa` and the others take it.

    Raises:
        ValueError: a fraction or a dimension that is out of range, or data that is no matrix.

    References:
        | Locantore et al., Robust principal component analysis for functional data (1999)
        | Rousseeuw, Van Driessen, Computing LTS regression for large data sets (2006)

    Example:
        >>> M = torch.ones(3, 10)
        >>> M[1, 4] = 50.0
        >>> outlying(M, 1, 0.1).nonzero()[:, 0]
        tensor([4])
    """
    if M.ndim != 2 or not 1 <= r <= M.shape[0]:
        raise ValueError(
            f"outlying fits r dimensions, 1 to m, to a matrix (m, n), got r = {r!r} and shape "
            f"{tuple(M.shape)}"
        )
    if not 0 <= fraction < 1:
        raise ValueError(f"the fraction left out must be in [0, 1), got {fraction}")
    M, norms = M.detach(), column_norms(M.detach())  # noqa: N806
    finite = norms.isfinite()
    weights = torch.where(finite & (norms > 0), norms.double().square().reciprocal(), 0)
    weights = (weights / weights.amax().clamp_min(torch.finfo(torch.float64).tiny)).to(M.dtype)
    keep = int(finite.sum()) - int(fraction * int(finite.sum()))
    kept, before = finite, None
    for _ in range(refits):
        basis = torch.linalg.eigh(column_gram(M, weights))[1][:, -r:].to(M.dtype)
        parts = (column_norms(M[:, at] - basis @ (basis.mT @ M[:, at])) for at in pieces(M, 3))
        distance = torch.where(finite, torch.cat(list(parts)), torch.inf)
        kept = torch.zeros_like(finite).scatter(0, distance.argsort(stable=True)[:keep], True)
        if before is not None and torch.equal(kept, before):
            break
        before, weights = kept, kept.to(M.dtype)
    return ~kept
