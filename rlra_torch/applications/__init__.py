"""Applications: each chooses a model, a loss, regularizers, a start and what is worth showing."""

from .unmixing import Unmixing, unmix

__all__ = ["Unmixing", "unmix"]
