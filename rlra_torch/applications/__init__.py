"""Applications: each chooses a model, a loss, regularizers, a start and what is worth showing."""

from .calcium import CalciumSpikes, calcium_spikes
from .unmixed import Unmixing
from .unmixing import unmix

__all__ = ["CalciumSpikes", "Unmixing", "calcium_spikes", "unmix"]
