"""Regularizers: penalties and constraints on one factor, with value, prox, degree and split."""

from .atoms import Atoms, NearAtoms
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
from .evolving import Parafac2Set, TemporalSmoothness
from .shapes import Monotone, Quadratic, Smooth, TotalVariation, Unimodal
from .sums import Sum
from .support import Support
from .vectorwise import Group, KSparse, Orthonormal, Simplex, SumAtMost, UnitNorm
from .volume import LogDet

__all__ = [
    "L1",
    "Atoms",
    "Box",
    "ColumnsFrom",
    "Coupling",
    "ElasticNet",
    "Free",
    "Group",
    "KSparse",
    "LogDet",
    "LowerBound",
    "MappedColumns",
    "MappedRows",
    "MappedRowsFromColumns",
    "Monotone",
    "NearAtoms",
    "NonNegative",
    "NonNegativeThrough",
    "Orthonormal",
    "Parafac2Set",
    "Quadratic",
    "Regularizer",
    "Ridge",
    "RowsFrom",
    "Same",
    "Simplex",
    "Smooth",
    "Split",
    "Sum",
    "SumAtMost",
    "Support",
    "TemporalSmoothness",
    "TotalVariation",
    "Unimodal",
    "UnitNorm",
]
