"""Iterations: torch modules that improve a state and do nothing else."""

from .active_set import ActiveSet
from .alternating import Alternating, Counted
from .base import BlockIteration, Iteration, State, iterates, require_iteration
from .burg import BurgMirrorDescent
from .combinators import Repeat
from .extrapolated import Extrapolated
from .gradient import FISTA, ProjectedGradient
from .hals import HALS
from .mu import MU
from .projected_ls import ProjectedLeastSquares
from .som import MSOM, SOM

__all__ = [
    "FISTA",
    "HALS",
    "MSOM",
    "MU",
    "SOM",
    "ActiveSet",
    "Alternating",
    "BlockIteration",
    "BurgMirrorDescent",
    "Counted",
    "Extrapolated",
    "Iteration",
    "ProjectedGradient",
    "ProjectedLeastSquares",
    "Repeat",
    "State",
    "iterates",
    "require_iteration",
]
