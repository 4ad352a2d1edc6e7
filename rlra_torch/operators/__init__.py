"""Known linear maps: forward and adjoint, never a stored matrix where a transform exists."""

from .autoregressive import Autoregressive
from .background import WithoutBackground
from .base import Dense, Operator
from .masks import Mask

__all__ = ["Autoregressive", "Dense", "Mask", "Operator", "WithoutBackground"]
