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
from .induced import InducedL1
from .joint import Joint, ProjectiveNorm
from .shapes import Monotone, Quadratic, Smooth, TotalVariation, Unimodal
from .sparse_simplex import SparseSimplex
from .sums import Sum
from .support import Support
from .vectorwise import Group, KSparse, Orthonormal, Simplex, SumAtMost, UnitNorm
from .volume import LogDet

__all__ = [
    "L1",
    "Box",
    "ColumnsFrom",
    "Coupling",
    "ElasticNet",
    "Free",
    "Gauge",
    "Group",
    "InducedL1",
    "Joint",
    "KSparse",
    "LogDet",
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
    "SparseSimplex",
    "Split",
    "Sum",
    "SumAtMost",
    "Support",
    "TemporalSmoothness",
    "TotalVariation",
    "Unimodal",
    "UnitNorm",
]
