"""A regularizer of a factor that is solved for in another layout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..functional.einsum import Layout
from .base import Regularizer, Split
from .elementwise import ElasticNet


def packed(reg: Regularizer, layout: Layout, like: Tensor) -> Regularizer:
    """The regularizer of a factor, acting on the block that the factor is packed into.

    Args:
        reg: the regularizer.
        layout: how the factor becomes a block.
        like: the factor.
    """
    if layout.trivial:
        return reg
    if not isinstance(reg, ElasticNet):
        return Packed(reg, layout, like)
    # What acts on each entry does not see the layout, unless its weights differ.
    if all(w is None or w.ndim == 0 for w in reg.weights):
        return reg
    l1, ridge = (0.0 if w is None else layout.pack(w.expand_as(like)) for w in reg.weights)
    return ElasticNet(l1, ridge, reg.lower, reg.upper)


class Packed(Regularizer):
    """A regularizer of a factor, acting on the block that the factor was packed into."""

    def __init__(self, reg: Regularizer, layout: Layout, like: Tensor) -> None:
        super().__init__()
        self.reg, self.layout, self.like = reg, layout, like
        self.degree, self.convex = reg.degree, reg.convex
        self.couples = (-2, -1) if reg.couples else ()

    @property
    def terms(self) -> tuple[Regularizer, ...]:
        """The terms of the regularizer, each acting on the block."""
        parts = self.reg.terms
        if len(parts) == 1:
            return (self,)
        return tuple(packed(part, self.layout, self.like) for part in parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.reg(self.layout.unpack(x, self.like))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        return self.layout.pack(self.reg.prox(*self._unpacked(x, step)))

    def onto(self, x: Tensor) -> Tensor:
        return self.layout.pack(self.reg.onto(self.layout.unpack(x, self.like)))

    def warm(self, x: Tensor) -> tuple:
        return self.reg.warm(self.layout.unpack(x, self.like))

    def warm_prox(self, x: Tensor, step: Tensor | float, memory: tuple) -> tuple[Tensor, tuple]:
        z, memory = self.reg.warm_prox(*self._unpacked(x, step), memory)
        return self.layout.pack(z), memory

    def split(self, x: Tensor) -> Split:
        split = self.reg.split(self.layout.unpack(x, self.like))
        l1, l2, upper = (self._packed(part) for part in (split.l1, split.l2, split.upper))
        return Split(l1, l2, split.lower, upper)

    def metric(self, diagonal: Tensor) -> Tensor:
        own = self.reg.metric(self.layout.unpack(diagonal, self.like))
        return self.layout.pack(own.expand_as(self.like))

    def _unpacked(self, x: Tensor, step: Tensor | float) -> tuple[Tensor, Tensor]:
        step = torch.as_tensor(step, dtype=x.dtype, device=x.device).expand_as(x)
        return self.layout.unpack(x, self.like), self.layout.unpack(step, self.like)

    def _packed(self, part: Any) -> Any:  # noqa: ANN401
        """A tensor that broadcasts with the factor, as a block; what is no tensor as it is."""
        return self.layout.pack(part.expand_as(self.like)) if isinstance(part, Tensor) else part
