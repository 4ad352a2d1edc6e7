"""Hierarchical clustering of pixels by nonnegative factorizations of rank two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.rank_two import leading_directions, rank_two_nmf
from .result import pixels, result

GRID = 101  # shares at which a cluster may be cut
WIDTH = 0.05  # of the window in which the pixels near a cut are counted


class Clustering(NamedTuple):
    """A `Separable`, and the clusters of which its pixels are the closest to the mean direction.

    Args:
        indices, spectra, abundances, residual: as in `Separable`; indices are -1 where there are
            fewer clusters.
        labels: the cluster of each pixel, 0 to r - 1, or -1 if it was left out, (*, n).
        parents: of the nodes of the tree, -1 at the root, which is node 0, (*, 2 r - 1).
        leaves: the node of each cluster, (*, r); -1 where there is none.
    """

    indices: Tensor
    spectra: Tensor
    abundances: Tensor
    residual: Tensor
    labels: Tensor
    parents: Tensor
    leaves: Tensor

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """``(W, H)`` to start a factorization from, as of a `Separable`."""
        return self.spectra, self.abundances.nan_to_num(0.0)


@torch.no_grad()
def h2nmf(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    normalize: str | None = None,
    mask: Tensor | None = None,
) -> Clustering:
    """Hierarchical rank-two nonnegative matrix factorization (H2NMF): r clusters and their pixels.

    All pixels are one cluster at first. A cluster is split by the shares of its pixels in a
    factorization of rank two, where few pixels have such shares and both parts are of some size;
    the split is done that explains most, ``s1(A)^2 + s1(B)^2 - s1(A and B)^2`` with s1 the largest
    singular value. The pixel of a cluster is the one whose direction, less its mean, is closest to
    that of the first singular vector.

    The grams are m x m, whatever the number of pixels. The problems of a batch, which split in
    their own ways, go one after another.

    Args:
        M: pixels as columns, (*, m, n).
        r: how many clusters.
        normalize, mask: as in `spa`.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Gillis, Kuang, Park, Hierarchical clustering of hyperspectral images using rank-two
        | nonnegative matrix factorization (2015)

    Example:
        >>> M = torch.tensor([[1.0, 0.9, 0.0, 0.1], [0.0, 0.1, 1.0, 0.9]])
        >>> h2nmf(M, 2).labels.tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True
    """
    known = pixels("h2nmf", M, r, normalize, mask)
    lead, (m, n) = M.shape[:-2], M.shape[-2:]
    single = zip(known.data.reshape(-1, m, n), known.allowed.reshape(-1, n), strict=True)
    found = [_clustered(one, which, r) for one, which in single]
    indices, labels, parents, leaves = (
        torch.stack(parts).reshape(*lead, -1) for parts in zip(*found, strict=True)
    )
    return Clustering(*result(M, indices, known), labels, parents, leaves)


@dataclass(frozen=True)
class _Leaf:
    """A cluster, and the two that it would be split into.

    Args:
        node: its number in the tree.
        members: the indices of its pixels.
        parts: the members of the two, () where it cannot be split.
        gain: what that explains.
    """

    node: int
    members: Tensor
    parts: tuple[Tensor, ...]
    gain: float

    @classmethod
    def of(cls, data: Tensor, members: Tensor, node: int) -> _Leaf:
        parts = _split(data, members)
        if not parts:
            return cls(node, members, (), -1.0)
        gain = sum(_energy(data, part) for part in parts) - _energy(data, members)
        return cls(node, members, parts, gain)


def _clustered(data: Tensor, allowed: Tensor, r: int) -> tuple[Tensor, ...]:
    """Indices, labels, parents and leaves of one problem."""
    leaves = [_Leaf.of(data, allowed.nonzero()[:, 0], 0)] if bool(allowed.any()) else []
    parents = [-1]
    while leaves and len(leaves) < r:
        best = max(range(len(leaves)), key=lambda k: leaves[k].gain)
        split = leaves[best]
        if not split.parts:
            break
        children = [_Leaf.of(data, part, len(parents) + k) for k, part in enumerate(split.parts)]
        parents += [split.node, split.node]
        leaves = [*leaves[:best], *leaves[best + 1 :], *children]
    labels = torch.full_like(allowed, -1, dtype=torch.long)
    for number, leaf in enumerate(leaves):
        labels[leaf.members] = number
    chosen = [int(leaf.members[_closest(data[:, leaf.members])]) for leaf in leaves]
    known = (chosen, parents, [leaf.node for leaf in leaves])
    indices, parents, nodes = (
        torch.tensor(part + [-1] * (size - len(part)), device=data.device)
        for part, size in zip(known, (r, 2 * r - 1, r), strict=True)
    )
    return indices, labels, parents, nodes


def _split(data: Tensor, members: Tensor) -> tuple[Tensor, ...]:
    """The members of two parts, or () where they cannot be told apart.

    With F(d) the fraction of pixels whose share of the first component is at most d, the cut
    minimizes ``-log(F (1 - F)) + exp(f)``: f is the density of pixels around it.
    """
    if len(members) < 2:
        return ()
    _, h = rank_two_nmf(data[:, members], rays=False)
    total = h.sum(-1)
    share = torch.where(total > 0, h[:, 0] / torch.where(total > 0, total, 1), 0)
    ordered = share.sort().values
    cuts = torch.linspace(0, 1, GRID, dtype=share.dtype, device=share.device)
    low, high = (cuts - WIDTH).clamp_min(0), (cuts + WIDTH).clamp_max(1)
    below = torch.searchsorted(ordered, cuts, right=True) / len(members)
    inside = torch.searchsorted(ordered, high, right=True) - torch.searchsorted(ordered, low)
    density = inside / (len(members) * (high - low))
    cost = -(below * (1 - below)).log() + density.exp()
    first = share >= cuts[cost.argmin()]
    parts = members[first], members[~first]
    return parts if all(len(part) for part in parts) else ()


def _energy(data: Tensor, members: Tensor) -> float:
    """The square of the largest singular value of a cluster."""
    cluster = data[:, members]
    return float((leading_directions(cluster)[:, 0] @ cluster).square().sum())


def _closest(members: Tensor) -> Tensor:
    """The number of the pixel whose direction is the closest to that of the cluster."""
    spectrum = leading_directions(members)[:, 0].abs()
    spectrum = spectrum - spectrum.mean()
    centred = members - members.mean(0)
    norms = torch.linalg.vector_norm(centred, dim=0)
    cosines = spectrum @ centred / torch.where(norms > 0, norms, 1)
    return torch.where(norms > 0, cosines, -torch.inf).argmax()
