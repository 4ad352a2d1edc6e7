"""Losses: separable discrepancies between a prediction and the data."""

from .base import Loss
from .beta import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from .several import Several

__all__ = ["BetaDivergence", "Frobenius", "ItakuraSaito", "KullbackLeibler", "Loss", "Several"]
