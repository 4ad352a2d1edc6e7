"""Models: maps that are linear in each of their factors."""

from .base import Factors, Gauge, Model
from .multilinear import CP, NMF, Multilinear, Tucker
from .sensed import Sensed

__all__ = ["CP", "NMF", "Factors", "Gauge", "Model", "Multilinear", "Sensed", "Tucker"]
