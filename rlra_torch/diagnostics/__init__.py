"""How far a point is from a solution, and whether a solution is the only one."""

from .complete import Facets, cdl_identifiable
from .gap import GapStop, duality_gap

__all__ = ["Facets", "GapStop", "cdl_identifiable", "duality_gap"]
