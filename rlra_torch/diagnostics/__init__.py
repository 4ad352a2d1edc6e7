"""How far a point is from a solution, what it is worth, and whether it is the only one."""

from .certificates import Certificate, certificate
from .complete import Facets, Needed, cdl_identifiable, samples_needed
from .conditions import (
    Separability,
    Verdict,
    atoms_unique,
    nnls_unique,
    separable,
    sparse_codes_unique,
)
from .core import core_consistency
from .degrees import Degrees, degrees
from .dependence import KRank, Spark, babel, k_rank, mutual_coherence, spark
from .feasible import FeasibleSet, feasible_set
from .gap import GapStop, duality_gap
from .nested import Region
from .scattered import Scattered, minimum_volume_unique, nmf_unique, sufficiently_scattered
from .terms import congruence, degeneracy, leverage
from .uniqueness import Kruskal, kruskal, uniqueness_hints

__all__ = [
    "Certificate",
    "Degrees",
    "Facets",
    "FeasibleSet",
    "GapStop",
    "KRank",
    "Kruskal",
    "Needed",
    "Region",
    "Scattered",
    "Separability",
    "Spark",
    "Verdict",
    "atoms_unique",
    "babel",
    "cdl_identifiable",
    "certificate",
    "congruence",
    "core_consistency",
    "degrees",
    "degeneracy",
    "duality_gap",
    "feasible_set",
    "k_rank",
    "kruskal",
    "leverage",
    "samples_needed",
    "minimum_volume_unique",
    "mutual_coherence",
    "nmf_unique",
    "nnls_unique",
    "separable",
    "spark",
    "sparse_codes_unique",
    "sufficiently_scattered",
    "uniqueness_hints",
]
