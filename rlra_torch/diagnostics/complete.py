"""Whether a complete dictionary is the only one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import whole_number

LARGEST = 16  # atoms: subsets of them are enumerated


class Facets(NamedTuple):
    """How many samples each facet of a dictionary holds, and how many make it unique.

    Args:
        points: for each atom, samples in general position that do not use it (a lower bound).
        needed: what suffices, ``floor(r (r - 2) / (r - k)) + 1``.
    """

    points: tuple[int, ...]
    needed: int

    @property
    def identifiable(self) -> bool:
        """Whether the dictionary is shown to be essentially unique; False leaves it open."""
        return min(self.points) >= self.needed


class Needed(NamedTuple):
    """How many samples make a basis with sparse codes unique.

    Args:
        facet: on each facet.
        total: in all, where they spread evenly: a sample with k nonzeros lies on r - k facets.
    """

    facet: int
    total: int


def samples_needed(rank: int, k: int) -> Needed:
    """How many samples with k of r components suffice, in general position.

    ``floor(r (r - 2) / (r - k)) + 1`` on each facet: for k = 1 that is r in all, and
    ``r^3 - 2 r^2 + r`` for k = r - 1.

    Args:
        rank: r, at least 2.
        k: nonzeros of each sample, less than r.

    Raises:
        ValueError: numbers out of range.

    References:
        | Cohen, Gillis, Identifiability of low-rank sparse component analysis (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 13

    Example:
        >>> samples_needed(3, 2), samples_needed(3, 1)
        (Needed(facet=4, total=12), Needed(facet=2, total=3))
    """
    whole_number("the rank", rank, least=2)
    if whole_number("k, the nonzeros of a sample,", k) >= rank:
        raise ValueError(f"samples with {k} of {rank} components are not sparse; take k < {rank}")
    facet = rank * (rank - 2) // (rank - k) + 1
    return Needed(facet, -(-rank * facet // (rank - k)))


def cdl_identifiable(codes: Tensor, k: int | None = None) -> Facets:
    """Count the samples on each facet of a complete dictionary of rank r.

    A decomposition ``Y = D B^T`` with k-sparse rows of B and D of full column rank, square or tall
    as in low-rank sparse component analysis, is essentially unique if every facet (the span of all
    atoms but one) holds ``floor(r (r - 2) / (r - k)) + 1`` samples of which any r - 1
    are independent. They are picked greedily; samples on one line count once, and of the samples
    that use some s < r - 1 atoms only, s count, which is the general position of coefficients that
    are not related to each other. What is zero must be so exactly.

    Args:
        codes: B, (n, r), a sample in each row.
        k: the most nonzeros of a sample; None: as in the codes.

    Raises:
        ValueError: not a matrix of 3 to 16 columns, or codes that are not k-sparse with k < r.

    References:
        | Cohen, Gillis, Identifiability of complete dictionary learning (2019), theorem 1
        | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 13

    Example:
        >>> t = torch.arange(1.0, 5.0)
        >>> edge = torch.stack((torch.ones(4), t, torch.zeros(4)), 1)
        >>> codes = torch.cat([edge.roll(i, 1) for i in range(3)])
        >>> cdl_identifiable(codes)
        Facets(points=(4, 4, 4), needed=4)
        >>> cdl_identifiable(codes).identifiable
        True
    """
    if codes.ndim != 2 or not 3 <= codes.shape[1] <= LARGEST:
        raise ValueError(
            f"codes are a matrix (samples, atoms) of 3 to {LARGEST} atoms, got shape "
            f"{tuple(codes.shape)}"
        )
    rank = codes.shape[1]
    used = (codes != 0).detach().cpu()
    largest = int(used.sum(1).max()) if len(codes) else 0
    k = max(largest, 1) if k is None else k
    if not largest <= k < rank:
        raise ValueError(
            f"codes of {rank} atoms must have at most k < {rank} nonzeros in each row, got k = {k} "
            f"and {largest} nonzeros"
        )
    supports = _lines(codes.detach().cpu())
    points = tuple(_in_general_position(supports, atom, rank) for atom in range(rank))
    return Facets(points, samples_needed(rank, k).facet)


def _lines(codes: Tensor) -> Tensor:
    """The supports of samples that are not 0, one for each line, as the bits of a number."""
    codes = codes.double()
    size = codes.abs().amax(1, keepdim=True)
    codes = codes[size[:, 0] > 0] / size[size[:, 0] > 0]
    first = codes.gather(1, (codes != 0).int().argmax(1, keepdim=True))
    lines = torch.unique((codes * first.sign()).round(decimals=10), dim=0)
    return ((lines != 0) * 2 ** torch.arange(codes.shape[1])).sum(1)


def _in_general_position(supports: Tensor, atom: int, rank: int) -> int:
    """How many samples without an atom can be picked while no s < rank - 1 atoms hold over s.

    The next one is that which takes least where little room is left.
    """
    subsets = torch.arange(2**rank)
    bits = (subsets[:, None] >> torch.arange(rank) & 1).sum(1)
    small = (bits < rank - 1) & (subsets >> atom & 1 == 0)
    kinds, left = supports[supports >> atom & 1 == 0].unique(return_counts=True)
    holding = (subsets & kinds[:, None] == kinds[:, None]) & small
    room, count = bits.double(), 0
    while True:
        full = (holding & (room < 1)).any(1) | (left == 0)
        if bool(full.all()):
            return count
        taken = int(torch.where(full, torch.inf, holding.double() @ (-room).exp2()).argmin())
        left[taken] -= 1
        room, count = room - holding[taken].double(), count + 1
