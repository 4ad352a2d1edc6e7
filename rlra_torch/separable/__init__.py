"""Separable factorization: spectra that are pixels of the data, and abundances of known spectra."""

from .abundances import nonnegative, sum_at_most_one, sum_to_one
from .fgnsr import ConvexSeparable, fgnsr
from .h2nmf import Clustering, h2nmf
from .result import Separable
from .smoothed import smoothed_spa, smoothed_vca
from .snpa import snpa
from .spa import spa
from .sparse import sparse_separable
from .subspace import outlying
from .vca import vca
from .xray import xray

__all__ = [
    "Clustering",
    "ConvexSeparable",
    "Separable",
    "fgnsr",
    "h2nmf",
    "nonnegative",
    "outlying",
    "smoothed_spa",
    "smoothed_vca",
    "snpa",
    "spa",
    "sparse_separable",
    "sum_at_most_one",
    "sum_to_one",
    "vca",
    "xray",
]
