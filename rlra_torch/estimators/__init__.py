"""What users import first: factorizations and regressions in one call."""

from .complete import complete_dictionary_learning
from .factorize import cp, factorize, nmf
from .names import iteration_named, loss_named
from .regression import nnkl, nnls
from .results import Factorization, Regression

__all__ = [
    "Factorization",
    "Regression",
    "complete_dictionary_learning",
    "cp",
    "factorize",
    "iteration_named",
    "loss_named",
    "nmf",
    "nnkl",
    "nnls",
]
