"""Unrolled networks: iterations as layers."""

from .gains import ComponentGain, ConvolutionalGain, RowGain
from .learned import learned
from .networks import lista, nalmu, ralmu, unrolled_nnls, unrolled_regression
from .starts import GivenStart, SeparableStart, Start, TemplateStart, UniformStart
from .unrolled import Unrolled

__all__ = [
    "ComponentGain",
    "ConvolutionalGain",
    "GivenStart",
    "RowGain",
    "SeparableStart",
    "Start",
    "TemplateStart",
    "UniformStart",
    "Unrolled",
    "lista",
    "learned",
    "nalmu",
    "ralmu",
    "unrolled_nnls",
    "unrolled_regression",
]
