"""What users import first: factorizations and regressions in one call."""

from .compression import Compressed, compress, decompress, proco_als
from .coupling import CoupledFactorization, coupled
from .factorize import cp, factorize, nmf
from .names import iteration_named, loss_named
from .regression import nnkl, nnls
from .results import Factorization, Regression
from .tucker import tucker

__all__ = [
    "CoupledFactorization",
    "Factorization",
    "Regression",
    "coupled",
    "Compressed",
    "compress",
    "cp",
    "decompress",
    "factorize",
    "iteration_named",
    "loss_named",
    "nmf",
    "nnkl",
    "nnls",
    "proco_als",
    "tucker",
]
