"""How many components: held-out cross-validation, and consensus over random starts."""

from .folds import Positions, block_folds, speckled_folds
from .results import RankFit, RankSelection
from .select import select_rank

__all__ = [
    "Positions",
    "RankFit",
    "RankSelection",
    "block_folds",
    "select_rank",
    "speckled_folds",
]
