"""Factors from dictionaries: columns that are atoms, or few atoms each."""

from .distances import correlation, cosine, euclidean, mean_removed
from .mc_als import dictionary_cp, flexible_als, located, m2c_als, mc_als
from .result import DictionaryFit
from .starts import greedy_atoms, pure_columns, random_atoms, random_everything, several

__all__ = [
    "DictionaryFit",
    "correlation",
    "cosine",
    "dictionary_cp",
    "euclidean",
    "flexible_als",
    "greedy_atoms",
    "located",
    "m2c_als",
    "mc_als",
    "mean_removed",
    "pure_columns",
    "random_atoms",
    "random_everything",
    "several",
]
