"""How far a point is from a solution."""

from .gap import GapStop, duality_gap

__all__ = ["GapStop", "duality_gap"]
