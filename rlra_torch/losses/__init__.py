"""Losses: separable discrepancies between a prediction and the data."""

from .anscombe import Anscombe
from .base import Loss
from .beta import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from .several import Several

__all__ = [
    "Anscombe",
    "BetaDivergence",
    "Frobenius",
    "ItakuraSaito",
    "KullbackLeibler",
    "Loss",
    "Several",
]
