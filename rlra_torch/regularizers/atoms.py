"""Columns that are atoms of a dictionary, exactly or nearly."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Regularizer, hyperparameter


class Atoms(Regularizer):
    """Each column is an atom of a dictionary, up to a scale if wanted.

    ``x_q = c_q d_j`` for some j, with ``c_q >= 0`` (or of any sign), or ``c_q = 1``. The projection
    takes the atom with the largest ``<x_q, d_j> / ||d_j||``, or the nearest one; the first of
    several. Atoms of zeros are never taken when they are scaled.

    Args:
        dictionary: D, (m, d), atoms as columns.
        scaled: whether atoms may be multiplied.
        nonnegative: whether only by nonnegative numbers.

    Raises:
        TypeError, ValueError: not a matrix of finite real numbers.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.1

    Example:
        >>> Atoms(torch.eye(2)).prox(torch.tensor([[1.0, -5.0], [3.0, 2.0]]), 1.0)
        tensor([[0., 0.],
                [3., 2.]])
    """

    convex = False
    couples = (-2,)
    dictionary: Tensor

    def __init__(self, dictionary: Tensor, scaled: bool = True, nonnegative: bool = True) -> None:
        super().__init__()
        check_dictionary(type(self).__name__, dictionary)
        self.register_buffer("dictionary", dictionary)
        self.scaled, self.nonnegative = scaled, nonnegative
        self.degree = 0.0 if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """0: a constraint that is met costs nothing."""
        return x.new_zeros(x.shape[:-2])

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        return self.near(x)

    def near(self, x: Tensor) -> Tensor:
        """The nearest point whose columns are atoms."""
        d = self.dictionary.to(x.dtype)
        energy = d.square().sum(-2)
        inside = (d.mT @ x).mT
        if not self.scaled:
            return d.mT[(energy - 2 * inside).argmin(-1)].mT
        along = inside / torch.where(energy > 0, energy, 1)
        along = along.clamp_min(0) if self.nonnegative else along
        best = (along.square() * energy).argmax(-1, keepdim=True)
        return d.mT[best[..., 0]].mT * along.gather(-1, best).mT

    def extra_repr(self) -> str:
        return f"dictionary of shape {tuple(self.dictionary.shape)}, scaled={self.scaled}"


class NearAtoms(Atoms):
    """``weight / 2`` times the squared distance of each column to the nearest atom.

    With weights that increase, columns are free at first and atoms in the end. Its prox is a point
    on the way to the projection: ``x + (w s / (1 + w s)) (P(x) - x)``.

    Args:
        dictionary, scaled, nonnegative: as in `Atoms`.
        weight: nonnegative, a float or a tensor that broadcasts with ``(*, 1, rank)``.

    Raises:
        TypeError, ValueError: as `Atoms`, or a weight that is negative or not finite.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)

    Example:
        >>> NearAtoms(torch.eye(2), 1.0).prox(torch.tensor([[1.0], [3.0]]), 1.0)
        tensor([[0.5000],
                [3.0000]])
    """

    weight: Tensor

    def __init__(
        self,
        dictionary: Tensor,
        weight: float | Tensor,
        scaled: bool = True,
        nonnegative: bool = True,
    ) -> None:
        super().__init__(dictionary, scaled, nonnegative)
        hyperparameter(self, "weight", weight)
        self.degree = 2.0 if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """Half the weighted squared distance, (*,)."""
        weight = self.weight.to(x.dtype)
        return (0.5 * weight * (x - self.near(x)).square()).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """A point between x and its projection."""
        pull = (self.weight * step).to(x.dtype) if isinstance(step, Tensor) else self.weight * step
        share = (pull / (1 + pull)).to(x.dtype)
        return x + share * (self.near(x) - x)


def check_dictionary(name: str, dictionary: object) -> None:
    """Check that a dictionary is a matrix of finite real numbers, atoms as columns.

    Raises:
        TypeError, ValueError: it is not.
    """
    if not isinstance(dictionary, Tensor) or not dictionary.is_floating_point():
        kind = dictionary.dtype if isinstance(dictionary, Tensor) else type(dictionary).__name__
        raise TypeError(f"{name} takes a dictionary of real numbers, a torch tensor, got {kind}")
    if dictionary.ndim != 2 or not dictionary.numel():
        raise ValueError(
            f"{name} takes a dictionary (m, d) with atoms as columns, got shape "
            f"{tuple(dictionary.shape)}"
        )
    if not bool(dictionary.isfinite().all()):
        raise ValueError(f"{name} got a dictionary with NaN or infinite entries; drop those atoms")
