"""Unrolled networks: iterations as layers."""

from .gains import ConvolutionalGain, RowGain
from .learned import learned
from .networks import lista, nalmu, ralmu, unrolled_nnls
from .starts import GivenStart, SeparableStart, Start, UniformStart
from .unrolled import Unrolled

__all__ = [
    "ConvolutionalGain",
    "GivenStart",
    "RowGain",
    "SeparableStart",
    "Start",
    "UniformStart",
    "Unrolled",
    "lista",
    "learned",
    "nalmu",
    "ralmu",
    "unrolled_nnls",
]
