"""Regularizers: penalties and constraints on one factor, with value, prox, degree and split."""

from .base import Regularizer, Split
from .compressed import NonNegativeThrough
from .elementwise import L1, Box, ElasticNet, Free, LowerBound, NonNegative, Ridge
from .evolving import Parafac2Set, TemporalSmoothness
from .sums import Sum
from .support import Support
from .vectorwise import Group, KSparse, Simplex, UnitNorm

__all__ = [
    "L1",
    "Box",
    "ElasticNet",
    "Free",
    "Group",
    "KSparse",
    "LowerBound",
    "NonNegative",
    "NonNegativeThrough",
    "Parafac2Set",
    "Regularizer",
    "Ridge",
    "Simplex",
    "Split",
    "Sum",
    "Support",
    "TemporalSmoothness",
    "UnitNorm",
]
