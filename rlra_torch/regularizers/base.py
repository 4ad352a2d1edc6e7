"""What every regularizer offers."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Split(NamedTuple):
    """An elastic net on an interval, ``l1 z + l2 z^2 / 2`` for ``lower <= z <= upper``.

    What MU needs of a regularizer: an exact description of it, or a majorizer tight at the current
    point. A weight that is absent is None. An upper bound that differs between entries is a tensor;
    where it lies below the lower one it holds.
    """

    l1: Tensor | None = None
    l2: Tensor | None = None
    lower: float = 0.0
    upper: float | Tensor = math.inf

    def clip(self, x: Tensor) -> Tensor:
        """The projection onto the interval."""
        if isinstance(self.upper, Tensor):
            return x.clamp_min(self.lower).minimum(self.upper)
        return x.clamp(self.lower, self.upper)


class Regularizer(nn.Module, ABC):
    """A penalty or a constraint on one factor ``(*, rows, rank)``; a met constraint costs 0.

    Attributes:
        degree: ``p`` with ``R(c x) = c^p R(x)`` for ``c > 0`` (0 for a cone), or None.
        couples: the dimensions along which the prox mixes entries: () none, (-2,) the entries of
            a column, (-1,) those of a row.
        convex: whether it is.
    """

    degree: float | None = None
    couples: tuple[int, ...] = ()
    convex: bool = True

    @property
    def homogeneous(self) -> tuple[Regularizer, ...]:
        """The homogeneous penalties on one cone that add up to it; () where there are none."""
        return () if self.degree is None else (self,)

    @property
    def even(self) -> bool:
        """Whether ``R(-x) = R(x)``, so that a factor may change its sign."""
        return False

    @property
    def weighing(self) -> tuple[Tensor, ...]:
        """The tensors by which it may weigh some columns or entries unlike others."""
        return (*self.parameters(), *self.buffers())

    @property
    def terms(self) -> tuple[Regularizer, ...]:
        """The penalties that this is the sum of, each with a prox of its own."""
        return (self,)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The value, summed over the last two dimensions.

        Args:
            x: (*, rows, rank).

        Returns:
            (*,).
        """

    @abstractmethod
    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """``argmin_z R(z) + ||z - x||^2 / (2 step)``.

        Args:
            x: (*, rows, rank).
            step: positive, broadcastable; constant along the dimensions in `couples`.
        """

    def onto(self, x: Tensor) -> Tensor:
        """The nearest point where the value is finite: what a momentum may leave is met again."""
        return self.prox(x, torch.finfo(x.dtype).tiny)

    def warm(self, x: Tensor) -> tuple:
        """What `warm_prox` keeps between calls, a tuple of tensors (*, ...); none by default."""
        return ()

    def warm_prox(self, x: Tensor, step: Tensor | float, memory: tuple) -> tuple[Tensor, tuple]:
        """`prox`, and what the next call goes on from where the prox is a loop of its own.

        Args:
            x, step: as in `prox`.
            memory: from `warm`, or from the call before.
        """
        return self.prox(x, step), memory

    def split(self, x: Tensor) -> Split:
        """A separable elastic-net majorizer, tight at ``x``, on the nonnegative part of its set.

        Raises:
            TypeError: there is none, so MU cannot be used.
        """
        raise TypeError(
            f"{type(self).__name__} has no `split`, which MU and BurgMirrorDescent need; "
            "use MSOM or ProjectedGradient"
        )

    def metric(self, diagonal: Tensor) -> Tensor:
        """The largest of a diagonal metric along what the prox couples, so that it can be used."""
        return diagonal.amax(dim=self.couples, keepdim=True) if self.couples else diagonal


def hyperparameter(module: nn.Module, name: str, value: float | Tensor) -> Tensor:
    """Register a hyperparameter: a float becomes a buffer, an ``nn.Parameter`` stays learned.

    Args:
        module: who holds it.
        name: under which name.
        value: nonnegative (a tensor is trusted).

    Raises:
        ValueError: a float that is negative or not finite.
    """
    if isinstance(value, nn.Parameter):
        module.register_parameter(name, value)
        return value
    if not isinstance(value, Tensor):
        called = f"{name} of {type(module).__name__}"
        if not isinstance(value, numbers.Real):
            kind = repr(value) if isinstance(value, str) else type(value).__name__
            raise TypeError(f"{called} must be a real number or a tensor, got {kind}")
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{called} must be finite and nonnegative, got {value}")
        value = torch.tensor(float(value), dtype=torch.float64)
    module.register_buffer(name, value)
    return value
