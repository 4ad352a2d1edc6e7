"""How far a point is from a solution, what it is worth, and whether it is the only one."""

from .certificates import Certificate, certificate
from .complete import Facets, Needed, cdl_identifiable, samples_needed
from .core import core_consistency
from .gap import GapStop, duality_gap
from .terms import congruence, degeneracy, leverage
from .uniqueness import KRank, Kruskal, k_rank, kruskal, uniqueness_hints

__all__ = [
    "Certificate",
    "Facets",
    "GapStop",
    "KRank",
    "Kruskal",
    "Needed",
    "cdl_identifiable",
    "certificate",
    "congruence",
    "core_consistency",
    "degeneracy",
    "duality_gap",
    "k_rank",
    "kruskal",
    "leverage",
    "samples_needed",
    "uniqueness_hints",
]
