"""Models: maps that are linear in each of their factors."""

from .base import Factors, Model
from .coupled import Coupled
from .multilinear import CP, NMF, Multilinear, Tucker
from .parafac2 import Parafac2
from .sensed import Sensed

__all__ = [
    "CP",
    "NMF",
    "Coupled",
    "Factors",
    "Model",
    "Multilinear",
    "Parafac2",
    "Sensed",
    "Tucker",
]
