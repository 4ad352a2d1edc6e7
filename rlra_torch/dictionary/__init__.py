"""Factors from dictionaries: columns that are atoms, or few atoms each."""

from .mixed import mixed_sparse_coding
from .mixture import MixedCodes
from .pursuit import homp, pursuit, trick_omp
from .relaxed import block_fista, iht, mixed_fista
from .result import DictionaryFit

__all__ = [
    "DictionaryFit",
    "MixedCodes",
    "block_fista",
    "homp",
    "iht",
    "mixed_fista",
    "mixed_sparse_coding",
    "pursuit",
    "trick_omp",
]
