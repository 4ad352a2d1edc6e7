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
from .gauges import Gauge, Polar
from .induced import InducedL1
from .joint import Joint, ProjectiveNorm
from .relu import ReLUNorm
from .scaled import Scaled
from .shapes import Monotone, Quadratic, Smooth, TotalVariation, Unimodal
from .sparse_simplex import SparseSimplex
from .spheres import Sphere
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
    "NearAtoms",
    "NonNegative",
    "NonNegativeThrough",
    "Orthonormal",
    "Parafac2Set",
    "Polar",
    "ProjectiveNorm",
    "Quadratic",
    "ReLUNorm",
    "Regularizer",
    "Ridge",
    "RowsFrom",
    "Same",
    "Scaled",
    "Simplex",
    "Smooth",
    "SparseSimplex",
    "Sphere",
    "Split",
    "Sum",
    "SumAtMost",
    "Support",
    "TemporalSmoothness",
    "TotalVariation",
    "Unimodal",
    "UnitNorm",
]
