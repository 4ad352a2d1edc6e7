"""Factors from dictionaries: columns that are atoms, or few atoms each."""

from .atomic_columns import dictionary_cp, flexible_als, located, m2c_als, mc_als
from .distances import correlation, cosine, euclidean, mean_removed
from .mixed import mixed_sparse_coding
from .mixture import MixedCodes
from .pursuit import homp, pursuit, trick_omp
from .relaxed import block_fista, iht, mixed_fista
from .result import DictionaryFit
from .sparse_columns import dlra, dlra_cp
from .splines import SmoothFit, bspline_basis, smooth_cp
from .starts import greedy_atoms, pure_columns, random_atoms, random_everything, several

__all__ = [
    "DictionaryFit",
    "MixedCodes",
    "SmoothFit",
    "block_fista",
    "bspline_basis",
    "correlation",
    "cosine",
    "dictionary_cp",
    "dlra",
    "dlra_cp",
    "euclidean",
    "flexible_als",
    "greedy_atoms",
    "homp",
    "iht",
    "located",
    "m2c_als",
    "mc_als",
    "mean_removed",
    "mixed_fista",
    "mixed_sparse_coding",
    "pure_columns",
    "pursuit",
    "random_atoms",
    "random_everything",
    "several",
    "smooth_cp",
    "trick_omp",
]
