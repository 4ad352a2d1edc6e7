"""Models: maps that are linear in each of their factors."""

from .base import Factors, Gauge, Model
from .coded import Coded
from .convolutive import Convolutive
from .coupled import Coupled
from .multilinear import CP, NMF, Multilinear, Tucker
from .parafac2 import Parafac2
from .relu import ReLU
from .sensed import Sensed

__all__ = [
    "CP",
    "NMF",
    "Coded",
    "Convolutive",
    "Coupled",
    "Factors",
    "Gauge",
    "Model",
    "Multilinear",
    "Parafac2",
    "ReLU",
    "Sensed",
    "Tucker",
]
