"""Regularizers: penalties and constraints on one factor, with value, prox, degree and split."""

from .base import Regularizer, Split
from .compressed import NonNegativeThrough
from .elementwise import L1, Box, ElasticNet, Free, LowerBound, NonNegative, Ridge
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
    "Regularizer",
    "Ridge",
    "Simplex",
    "Split",
    "Support",
    "UnitNorm",
]
