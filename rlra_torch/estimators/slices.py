"""Slices of unequal length, as one padded tensor, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import Dense
from .inputs import Array, Back, kind_of, like, to_tensor


@dataclass(frozen=True)
class Slices:
    """K matrices I x J_k as one tensor, zeros where a slice is shorter than the longest.

    Zeros there are exact: the rows of ``B_k`` that belong to them stay zero.

    Args:
        y: (I, J, K), stored slice after slice in each row; NaN where missing.
        weights: like ``y``, 1 in the padding, or None.
        lengths: J_1, ..., J_K.
        back: gives a tensor back as the kind of array that came in.

    Example:
        >>> slices = Slices.of([torch.ones(2, 3), torch.ones(2, 1)], None, "columns")
        >>> slices.y.shape, slices.lengths
        (torch.Size([2, 3, 2]), (3, 1))
    """

    y: Tensor
    weights: Tensor | None
    lengths: tuple[int, ...]
    back: Back

    @classmethod
    def of(cls, given: Sequence[Array] | Array, weights: Any, evolving: str) -> Slices:  # noqa: ANN401
        """Read slices and their weights.

        Args:
            given: a list of matrices, or a tensor with one in each first index.
            weights: likewise, of nonnegative numbers or booleans; or None.
            evolving: "columns" for matrices I x J_k, "rows" for J_k x I.

        Raises:
            TypeError: another kind.
            ValueError: shapes that do not fit.
        """
        if evolving not in ("columns", "rows"):
            raise ValueError(f"what evolves is 'columns' or 'rows' of the slices, got {evolving!r}")
        matrices, back = _matrices(given)
        known = None if weights is None else _weights(weights, matrices)
        if evolving == "rows":
            matrices = [x.mT for x in matrices]
            known = None if known is None else [x.mT for x in known]
        rows = {x.shape[0] for x in matrices}
        if len(rows) > 1:
            here, there = ("rows", "columns") if evolving == "columns" else ("columns", "rows")
            raise ValueError(
                f"slices need the same number of {here}, got {sorted(rows)}; where the {here} "
                f"evolve say evolving={here!r}, not {there!r}"
            )
        y, full = _padded(matrices, 0.0), None
        if known is not None:
            full = _padded([x.to(y.dtype) for x in known], 1.0)
        return cls(y, full, tuple(x.shape[1] for x in matrices), back)

    @property
    def data(self) -> Dense:
        """As data, without what is missing."""
        missing = self.y.isnan()
        if self.weights is None and not bool(missing.any()):
            return Dense(self.y)
        weights = torch.ones_like(self.y) if self.weights is None else self.weights
        return Dense(torch.where(missing, 0, self.y), torch.where(missing, 0, weights))

    @property
    def inside(self) -> Tensor:
        """(K, J, 1), True on the rows of the ``B_k`` that are not padding."""
        lengths = torch.tensor(self.lengths, device=self.y.device)
        positions = torch.arange(self.y.shape[1], device=self.y.device)
        return (positions < lengths[:, None]).unsqueeze(-1)

    def cut(self, x: Tensor) -> list[Array]:
        """(K, J, r) as a list of J_k x r."""
        return [self.back(x[k, :length]) for k, length in enumerate(self.lengths)]


def _matrices(given: Sequence[Array] | Array) -> tuple[list[Tensor], Back]:
    if isinstance(given, (Tensor, np.ndarray)):
        if given.ndim != 3:
            raise ValueError(f"slices are a tensor (K, I, J) or a list, got shape {given.shape}")
        tensor, back = to_tensor(given, "slices")
        return list(tensor), back
    if not isinstance(given, (list, tuple)) or not given:
        raise TypeError(f"slices are a list of matrices or a 3-way tensor, got {kind_of(given)}")
    first, back = to_tensor(given[0], "slice 0")
    matrices = [first, *(like(x, f"slice {k + 1}", first) for k, x in enumerate(given[1:]))]
    for k, x in enumerate(matrices):
        if x.ndim != 2:
            raise ValueError(f"slice {k} must be a matrix, got shape {tuple(x.shape)}")
    return matrices, back


def _weights(weights: Any, matrices: list[Tensor]) -> list[Tensor]:  # noqa: ANN401
    several = list(weights)
    if len(several) != len(matrices):
        raise ValueError(f"there are {len(matrices)} slices but weights for {len(several)}")
    found = [torch.as_tensor(w).to(matrices[0].device) for w in several]
    for k, (w, x) in enumerate(zip(found, matrices, strict=True)):
        if w.shape != x.shape:
            raise ValueError(
                f"the weights of slice {k} have shape {tuple(w.shape)}, the slice {tuple(x.shape)}"
            )
    return found


def _padded(matrices: list[Tensor], fill: float) -> Tensor:
    """(I, J, K), a view of (I, K, J)."""
    longest = max(x.shape[1] for x in matrices)
    wide = [
        torch.nn.functional.pad(x, (0, longest - x.shape[1]), value=fill)
        if x.shape[1] < longest
        else x
        for x in matrices
    ]
    return torch.stack(wide, 1).mT
