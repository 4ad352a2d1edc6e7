"""How far a point is from a solution, and what a solution is worth."""

from .core import core_consistency
from .gap import GapStop, duality_gap
from .terms import congruence, degeneracy, leverage
from .uniqueness import KRank, Kruskal, k_rank, kruskal, uniqueness_hints

__all__ = [
    "GapStop",
    "KRank",
    "Kruskal",
    "congruence",
    "core_consistency",
    "degeneracy",
    "duality_gap",
    "k_rank",
    "kruskal",
    "leverage",
    "uniqueness_hints",
]
