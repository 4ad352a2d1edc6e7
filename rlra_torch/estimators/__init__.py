"""What users import first: factorizations and regressions in one call."""

from .complete import complete_dictionary_learning
from .compression import Compressed, compress, decompress, proco_als
from .coupling import CoupledFactorization, coupled
from .factorize import cp, factorize, nmf
from .growth import Grown, grow
from .names import iteration_named, loss_named
from .parafac2 import parafac2
from .parafac2_fit import Parafac2Fit
from .regression import nnkl, nnls
from .results import Factorization, Regression
from .tucker import tucker

__all__ = [
    "CoupledFactorization",
    "Factorization",
    "Grown",
    "Parafac2Fit",
    "Regression",
    "complete_dictionary_learning",
    "coupled",
    "Compressed",
    "compress",
    "cp",
    "decompress",
    "factorize",
    "grow",
    "iteration_named",
    "loss_named",
    "nmf",
    "nnkl",
    "nnls",
    "parafac2",
    "proco_als",
    "tucker",
]
