"""The subproblem of one factor: nonnegative regression, quadratic or not."""

from .base import Block
from .divergence import DivergenceBlock, LinearBlock
from .quadratic import KroneckerBlock, QuadraticBlock
from .shared import Share, SumBlock
from .sparse import SparseBlock

__all__ = [
    "Block",
    "DivergenceBlock",
    "KroneckerBlock",
    "LinearBlock",
    "QuadraticBlock",
    "Share",
    "SparseBlock",
    "SumBlock",
]
