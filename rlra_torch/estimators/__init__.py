"""What users import first: factorizations and regressions in one call."""

from .cnmf import ConvolutiveFactorization, cnmf, convolutive_regression
from .complete import complete_dictionary_learning
from .compression import Compressed, compress, decompress, proco_als
from .coupling import CoupledFactorization, coupled
from .cp import cp
from .deconvolution import deconvolve
from .deconvolved import Deconvolution
from .factorize import factorize
from .growth import Grown, grow
from .minvol import minvol
from .names import iteration_named, loss_named
from .nmf import nmf
from .parafac2 import parafac2
from .parafac2_fit import Parafac2Fit
from .regression import nnkl, nnls
from .results import Factorization, Regression
from .segmentation import segment
from .segmented import Segmentation
from .sparse_components import SparseComponents, sparse_component_analysis
from .sparse_regression import SparsePath, SparseRegression, sparse_nnls, sparse_nnls_path
from .structured import structured
from .tucker import tucker

__all__ = [
    "ConvolutiveFactorization",
    "cnmf",
    "convolutive_regression",
    "CoupledFactorization",
    "Deconvolution",
    "Factorization",
    "Grown",
    "Parafac2Fit",
    "Regression",
    "Segmentation",
    "SparseComponents",
    "SparsePath",
    "SparseRegression",
    "complete_dictionary_learning",
    "coupled",
    "Compressed",
    "compress",
    "cp",
    "decompress",
    "deconvolve",
    "factorize",
    "grow",
    "iteration_named",
    "loss_named",
    "minvol",
    "nmf",
    "segment",
    "nnkl",
    "nnls",
    "parafac2",
    "proco_als",
    "sparse_component_analysis",
    "sparse_nnls",
    "sparse_nnls_path",
    "structured",
    "tucker",
]
