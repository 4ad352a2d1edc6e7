"""Known linear maps: forward and adjoint, never a stored matrix where a transform exists."""

from .base import Dense, Operator

__all__ = ["Dense", "Operator"]
