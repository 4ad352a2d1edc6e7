"""Applications: each chooses a model, a loss, regularizers, a start and what is worth showing."""

from .unmixed import Unmixing
from .unmixing import unmix

__all__ = ["Unmixing", "unmix"]
