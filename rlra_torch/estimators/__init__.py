"""What users import first: factorizations and regressions in one call."""

from .coupling import CoupledFactorization, coupled
from .factorize import cp, factorize, nmf
from .names import iteration_named, loss_named
from .regression import nnkl, nnls
from .results import Factorization, Regression

__all__ = [
    "CoupledFactorization",
    "Factorization",
    "Regression",
    "coupled",
    "cp",
    "factorize",
    "iteration_named",
    "loss_named",
    "nmf",
    "nnkl",
    "nnls",
]
