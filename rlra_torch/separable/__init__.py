"""Separable factorization: spectra that are pixels of the data, and abundances of known spectra."""

from .abundances import nonnegative, sum_at_most_one, sum_to_one
from .result import Separable
from .snpa import snpa
from .spa import spa

__all__ = ["Separable", "nonnegative", "snpa", "spa", "sum_at_most_one", "sum_to_one"]
