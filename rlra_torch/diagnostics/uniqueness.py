"""Whether the components of a CP model are determined by the tensor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from ..models import CP
from .dependence import KRank, k_rank
from .terms import congruence, degeneracy


class Kruskal(NamedTuple):
    """Kruskal's condition.

    Args:
        ranks: the k-rank of each factor.
        needed: what their sum has to reach.
        met: whether it does, or None where the bounds do not tell.
    """

    ranks: tuple[KRank, ...]
    needed: int
    met: bool | None


def kruskal(factors: Sequence[Tensor], tol: float | None = None) -> Kruskal:
    """Kruskal's condition: ``sum_n k_n >= 2 R + d - 1`` makes a CP model of order d unique.

    Up to the order of its terms and the scales within each; it is sufficient, not necessary.

    Args:
        factors: (n_i, R) each.
        tol: as in `k_rank`.

    Raises:
        ValueError: fewer than two factors, or shapes that do not fit.

    References:
        | Kruskal, Three-way arrays: rank and uniqueness of trilinear decompositions (1977)
        | Sidiropoulos, Bro, On the uniqueness of multilinear decomposition of N-way arrays (2000)

    Example:
        >>> a = torch.eye(3)
        >>> kruskal((a, a, a)).met, kruskal((a, a)).met
        (True, False)
    """
    CP(len(factors)).check(tuple(factors))
    rank, order = factors[0].shape[-1], len(factors)
    ranks = tuple(k_rank(x, tol) for x in factors)
    needed = 2 * rank + order - 1
    sure = sum(k.lower for k in ranks) >= needed
    out = sum(k.upper for k in ranks) < needed
    return Kruskal(ranks, needed, True if sure else False if out else None)


def uniqueness_hints(factors: Sequence[Tensor], tol: float | None = None) -> list[str]:
    """What is known of the uniqueness of a CP model without constraints, in plain sentences.

    Args:
        factors: (n_i, R) each.
        tol: as in `k_rank`.

    Raises:
        ValueError: fewer than two factors, or shapes that do not fit.

    References:
        | Sidiropoulos, Bro, On the uniqueness of multilinear decomposition of N-way arrays (2000)
        | Liu, Sidiropoulos, Cramer-Rao lower bounds for low-rank decomposition of
        | multidimensional arrays (2001)

    Example:
        >>> a = torch.eye(2)
        >>> print(uniqueness_hints((a, a, a))[0])
        The components are unique: the k-ranks 2 + 2 + 2 reach 2 R + d - 1 = 6.
    """
    found = kruskal(factors, tol)
    rank, order = factors[0].shape[-1], len(factors)
    zero = [q + 1 for q in range(rank) if any(not bool(x[:, q].any()) for x in factors)]
    if zero:
        return [f"{_these(zero)} zero: fit again with rank {rank - len(zero)}."]
    if order == 2 and rank > 1:
        return [
            "A matrix is the product of many pairs of factors: only constraints, such as "
            "nonnegative factors with many zeros, make components unique."
        ]
    hints = [_verdict(found, order), *_mixed(factors, tol), *_dependent(factors)]
    worst = float(degeneracy(factors))
    if worst < -0.85:
        hints.append(
            f"Two components nearly cancel (congruence {worst:.3f}): the model is degenerate; "
            "lower the rank, or ask for nonnegative factors."
        )
    return hints


def _verdict(found: Kruskal, order: int) -> str:
    ranks = " + ".join(
        str(k.lower) if k.lower == k.upper else f"({k.lower} to {k.upper})" for k in found.ranks
    )
    bound = f"2 R + d - 1 = {found.needed}"
    if found.met:
        return f"The components are unique: the k-ranks {ranks} reach {bound}."
    if found.met is None:
        return f"Kruskal's condition is open: the k-ranks are {ranks}, and {bound}."
    return (
        f"Kruskal's condition does not tell: the k-ranks {ranks} do not reach {bound}; "
        "the components may be unique all the same."
    )


def _mixed(factors: Sequence[Tensor], tol: float | None) -> list[str]:
    """Pairs that are a matrix of rank two: proportional in all modes but two."""
    bound = 10 * torch.finfo(factors[0].dtype).eps if tol is None else tol**2
    alike = torch.stack([1 - congruence([x]).abs() <= bound for x in factors]).sum(0)
    rank, order = factors[0].shape[-1], len(factors)
    return [
        f"Components {p + 1} and {q + 1} are proportional in all modes but "
        f"{order - int(alike[p, q])}, so that they can be mixed: they are not unique."
        for p, q in combinations(range(rank), 2)
        if alike[p, q] >= order - 2
    ]


def _dependent(factors: Sequence[Tensor]) -> list[str]:
    """Modes whose factor can be changed, since the products of all other columns are dependent."""
    found, rank = [], factors[0].shape[-1]
    for n in range(len(factors)):
        others = congruence([x for m, x in enumerate(factors) if m != n]).double()
        values = torch.linalg.eigvalsh(others)
        if float(values[0]) <= 100 * rank * torch.finfo(factors[0].dtype).eps:
            found.append(
                f"The factor of mode {n + 1} is not determined by the others: the products of "
                "their columns are dependent."
            )
    return found


def _these(numbers: Sequence[int]) -> str:
    many = ", ".join(map(str, numbers))
    return f"Component {many} is" if len(numbers) == 1 else f"Components {many} are"
