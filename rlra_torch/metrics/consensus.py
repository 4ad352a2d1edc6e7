"""How alike several fits of one model are: clusters of samples, and components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlra_torch.metrics.factors import assignment
from rlra_torch.metrics.spectral import unit_columns


def cluster_labels(W: Tensor, H: Tensor) -> Tensor:
    """The component that gives most of the mass of each column of ``W Hᵀ``.

    argmax_k h_jk ||w_k||₁, which does not depend on how a component shares its scale between the
    factors; the first of those that are equal but for rounding.

    Args:
        W: (*, m, r), nonnegative.
        H: (*, n, r), nonnegative.

    Returns:
        (*, n) of int64. For the rows exchange the two factors.

    Example:
        >>> cluster_labels(torch.eye(2), torch.tensor([[3.0, 1.0], [0.0, 2.0]])).tolist()
        [0, 1]
    """
    mass = H * W.sum(-2, keepdim=True)
    return (mass >= (1 - 1e-6) * mass.amax(-1, keepdim=True)).int().argmax(-1)


def consensus_matrix(labels: Tensor) -> Tensor:
    """How often two samples are in one cluster, C_ij = mean over fits of [label_i = label_j].

    Args:
        labels: (fits, n) cluster of each sample in each fit.

    Returns:
        (n, n), symmetric, with values in [0, 1] and ones on its diagonal.

    References:
        Metagenes and molecular pattern discovery using matrix factorization
        (Brunet, Tamayo, Golub and Mesirov, 2004).

    Example:
        >>> consensus_matrix(torch.tensor([[0, 0, 1], [1, 0, 0]])).tolist()
        [[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]
    """
    total = torch.zeros(labels.shape[-1], labels.shape[-1], device=labels.device)
    for fit in labels:
        total += fit[:, None] == fit
    return total / len(labels)


def cophenetic_correlation(C: Tensor) -> float:
    """The correlation of the distances 1 - C with those in their average-linkage tree.

    1 where every fit finds the same clusters, also where those are one cluster or all samples apart
    and the correlation is not defined.

    Args:
        C: (n, n) consensus matrix.

    References:
        Metagenes and molecular pattern discovery using matrix factorization
        (Brunet, Tamayo, Golub and Mesirov, 2004).

    Example:
        >>> cophenetic_correlation(torch.eye(3))
        1.0
    """
    from scipy.cluster.hierarchy import cophenet, linkage
    from scipy.spatial.distance import squareform

    distances = squareform(1 - C.double().cpu().numpy(), checks=False)
    if len(distances) == 0 or np.ptp(distances) == 0:
        return 1.0 if len(distances) == 0 or distances[0] in (0.0, 1.0) else 0.0
    tree = cophenet(linkage(distances, "average"))
    return 0.0 if np.ptp(tree) == 0 else float(np.corrcoef(distances, tree)[0, 1])


def dispersion(C: Tensor) -> float:
    """Σ_ij 4 (C_ij - 1/2)² / n², 1 where every fit finds the same clusters.

    Args:
        C: (n, n) consensus matrix.

    References:
        Sparse non-negative matrix factorizations via alternating non-negativity-constrained least
        squares for microarray data analysis (Kim and Park, 2007).

    Example:
        >>> dispersion(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
        0.5
    """
    return float((4 * (C.double() - 0.5).square()).mean())


class Stability(NamedTuple):
    """How well the components of several fits agree.

    Args:
        congruence: (r,) of each component of the first fit, with its partners in the others.
        silhouette: (r,) how much closer to each other than to other components the partners are.
    """

    congruence: Tensor
    silhouette: Tensor


def component_stability(factors: Sequence[Tensor]) -> Stability:
    """Match the components of every fit with those of the first, and measure how alike they are.

    The congruence of two rank-one terms is the product of the cosines of their columns over all
    factors. Partners are assigned one to one, so that their sum is largest. The silhouette of a
    term is (b - a) / max(a, b), a its mean distance 1 - congruence from its partners and b the
    least mean distance from the partners of another component; a single component has 1.

    Args:
        factors: (fits, d_n, r) each, two fits or more; the first fit is the reference.

    Raises:
        ValueError: fewer than two fits, or a value that is not finite.

    References:
        Silhouettes: a graphical aid to the interpretation and validation of cluster analysis
        (Rousseeuw, 1987).
        Deciphering signatures of mutational processes operative in human cancer
        (Alexandrov, Nik-Zainal, Wedge, Campbell and Stratton, 2013).

    Example:
        >>> W, H = torch.eye(3)[:, :2], torch.eye(4)[:, :2]
        >>> fits = [torch.stack((x, x[:, [1, 0]])) for x in (W, H)]
        >>> [part.tolist() for part in component_stability(fits)]
        [[1.0, 1.0], [1.0, 1.0]]
    """
    fits, rank = factors[0].shape[0], factors[0].shape[-1]
    if fits < 2:
        raise ValueError(f"the stability of components needs two fits or more, not {fits}")
    between = torch.ones((), dtype=torch.float64)
    for x in factors:
        columns = unit_columns(x.double().cpu()).movedim(-1, 1).reshape(fits * rank, -1)
        between = between * (columns @ columns.mT)
    between = between.reshape(fits, rank, fits, rank).movedim(2, 1).clamp(-1, 1)
    # Row k of table f: how component k of the first fit agrees with each one of fit f.
    order = assignment(-between[0])
    table = between.gather(3, order[None, :, None, :].expand(fits, fits, rank, rank))
    table = table.gather(2, order[:, None, :, None].expand(fits, fits, rank, rank))
    # table[f, g, k, l]: the k-th cluster's member in fit f with the l-th cluster's in fit g.
    congruence = table[0, 1:].diagonal(dim1=-2, dim2=-1).mean(0)
    return Stability(congruence, _silhouette(1 - table))


def _silhouette(distance: Tensor) -> Tensor:
    """The mean of each cluster, (r,), from distances (fits, fits, r, r) of aligned members."""
    fits, _, rank, _ = distance.shape
    if rank == 1:
        return distance.new_ones(1)
    mean = distance.mean(1)  # of a member to the whole of each cluster, (fits, r, r)
    own = mean.diagonal(dim1=-2, dim2=-1) * fits / (fits - 1)
    other = mean + torch.diag_embed(torch.full_like(own, math.inf))
    nearest = other.amin(-1)
    larger = torch.maximum(own, nearest)
    return torch.where(larger > 0, (nearest - own) / larger, 0).mean(0)
