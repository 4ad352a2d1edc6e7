"""Several penalties on one factor."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .base import Regularizer


class Sum(Regularizer):
    """``R_1(x) + R_2(x) + ...``: sparse and smooth, nonnegative and of known sum, and so on.

    It has no prox of its own: ADMM keeps a copy of the factor for each part. The first copy is the
    factor that is returned, so that what must hold exactly comes first.

    Args:
        regs: the parts, at least one; those of a sum among them are taken one by one.

    Raises:
        ValueError: no parts.
        TypeError: something that is not a regularizer.

    Example:
        >>> from rlra_torch.regularizers import NonNegative, Ridge
        >>> Sum(NonNegative(l1=1.0), Ridge(2.0))(torch.tensor([[3.0]]))
        tensor(12.)
    """

    def __init__(self, *regs: Regularizer) -> None:
        super().__init__()
        if not regs:
            raise ValueError("a Sum needs at least one regularizer, got none")
        for reg in regs:
            if not isinstance(reg, Regularizer):
                raise TypeError(f"a Sum takes regularizers, got {type(reg).__name__}")
        parts = [part for reg in regs for part in reg.terms]
        self.regs = nn.ModuleList(parts)
        self.couples = tuple(sorted({dim for part in parts for dim in part.couples}))
        self.convex = all(part.convex for part in parts)
        degrees = {part.degree for part in parts} - {0.0} or {0.0}
        self.degree = degrees.pop() if len(degrees) == 1 else None

    @property
    def terms(self) -> tuple[Regularizer, ...]:
        """The parts."""
        return tuple(cast("Regularizer", reg) for reg in self.regs)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the values, (*,)."""
        return torch.stack([part(x) for part in self.terms]).sum(0)

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """That of the only part.

        Raises:
            TypeError: there are several.
        """
        if len(self.terms) == 1:
            return self.terms[0].prox(x, step)
        names = " + ".join(type(part).__name__ for part in self.terms)
        raise TypeError(f"{names} has no prox of its own; use ADMM, which takes part by part")

    def metric(self, diagonal: Tensor) -> Tensor:
        """The largest along what any part couples."""
        for part in self.terms:
            diagonal = part.metric(diagonal)
        return diagonal
