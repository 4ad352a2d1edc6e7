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
from .evolving import Parafac2Set, TemporalSmoothness
from .gauges import Gauge, Polar
from .joint import Joint, ProjectiveNorm
from .shapes import Monotone, Quadratic, Smooth, TotalVariation, Unimodal
from .sums import Sum
from .support import Support
from .vectorwise import Group, KSparse, Orthonormal, Simplex, UnitNorm

__all__ = [
    "L1",
    "Box",
    "ColumnsFrom",
    "Coupling",
    "ElasticNet",
    "Free",
    "Gauge",
    "Group",
    "Joint",
    "KSparse",
    "LowerBound",
    "MappedColumns",
    "MappedRows",
    "MappedRowsFromColumns",
    "Monotone",
    "NonNegative",
    "NonNegativeThrough",
    "Orthonormal",
    "Parafac2Set",
    "Polar",
    "ProjectiveNorm",
    "Quadratic",
    "Regularizer",
    "Ridge",
    "RowsFrom",
    "Same",
    "Simplex",
    "Smooth",
    "Split",
    "Sum",
    "Support",
    "TemporalSmoothness",
    "TotalVariation",
    "Unimodal",
    "UnitNorm",
]
