"""Known linear maps: forward and adjoint, never a stored matrix where a transform exists."""

from .adapted import Adapted
from .autoregressive import Autoregressive
from .background import WithoutBackground
from .base import Dense, Operator
from .hadamard import SMatrix, SplitHadamard
from .masks import Mask
from .patterns import Patterns, RasterScan
from .random_phase import RandomPhase

__all__ = [
    "Adapted",
    "Autoregressive",
    "Dense",
    "Mask",
    "Operator",
    "Patterns",
    "RandomPhase",
    "RasterScan",
    "SMatrix",
    "SplitHadamard",
    "WithoutBackground",
]
