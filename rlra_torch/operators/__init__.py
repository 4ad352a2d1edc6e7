"""Known linear maps: forward and adjoint, never a stored matrix where a transform exists."""

from .base import Dense, Operator
from .random_phase import RandomPhase

__all__ = ["Dense", "Operator", "RandomPhase"]
