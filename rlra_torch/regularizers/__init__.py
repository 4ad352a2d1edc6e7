"""Regularizers: penalties and constraints on one factor, with value, prox, degree and split."""

from .base import Regularizer, Split
from .compressed import NonNegativeThrough
from .couplings import (
    ColumnsFrom,
    Coupling,
    MappedColumns,
    MappedRows,
    MappedRowsFromColumns,
    RowsFrom,
    Same,
)
from .elementwise import L1, Box, ElasticNet, Free, LowerBound, NonNegative, Ridge
from .sums import Sum
from .support import Support
from .vectorwise import Group, KSparse, Simplex, UnitNorm

__all__ = [
    "L1",
    "Box",
    "ColumnsFrom",
    "Coupling",
    "ElasticNet",
    "Free",
    "Group",
    "KSparse",
    "LowerBound",
    "MappedColumns",
    "MappedRows",
    "MappedRowsFromColumns",
    "NonNegative",
    "NonNegativeThrough",
    "Regularizer",
    "Ridge",
    "RowsFrom",
    "Same",
    "Simplex",
    "Split",
    "Sum",
    "Support",
    "UnitNorm",
]
