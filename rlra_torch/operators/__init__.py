"""Known linear maps: forward and adjoint, never a stored matrix where a transform exists."""

from .adapted import Adapted
from .base import Dense, Operator
from .patterns import Patterns, RasterScan, SMatrix, SplitHadamard

__all__ = ["Adapted", "Dense", "Operator", "Patterns", "RasterScan", "SMatrix", "SplitHadamard"]
