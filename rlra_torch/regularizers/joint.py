"""One penalty on all factors together."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..functional.arguments import real_number
from .base import Regularizer
from .gauges import Gauge
from .polar import Enclosure, polar


class Joint(nn.ModuleList, Sequence[Regularizer], ABC):
    """Regularizers of all factors that cost something only together; given where a list of them is.

    Its members say what each factor is measured with, and how factors are balanced.
    """

    @property
    def degree(self) -> float | None:
        """``p`` with ``penalty(c X_1, ..., c X_d) = c^p penalty(X_1, ..., X_d)``, or None."""
        return None

    @property
    def cones(self) -> Tensor | None:
        """The inputs of the model that it is made for, as in `Model.cones`."""
        return None

    @abstractmethod
    def penalty(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The value, (*,)."""

    @abstractmethod
    def block(self, n: int, factors: tuple[Tensor, ...]) -> Regularizer:
        """What it costs factor ``n`` while the others stay."""

    def exchanged(self, change: Callable[[Regularizer, int], Regularizer]) -> Joint:
        """The same with other members, each from the present one and its number."""
        other = copy.copy(self)
        other._modules = {
            name: change(cast("Regularizer", reg), n)
            for n, (name, reg) in enumerate(self._modules.items())
        }
        return other


def each(
    regs: Sequence[Regularizer] | Joint, change: Callable[[Regularizer, int], Regularizer]
) -> tuple[Regularizer, ...] | Joint:
    """The regularizers of a problem, each exchanged for what is made of it and its number."""
    if isinstance(regs, Joint):
        return regs.exchanged(change)
    return tuple(change(reg, n) for n, reg in enumerate(regs))


class ProjectiveNorm(Joint):
    """``weight sum_i prod_n gauge_n(column i of X_n)``, the projective tensor norm of the product.

        Omega(X) = inf over X = A Z^T of  sum_i ||A_i||_a ||Z_i||_z

    Minimized over factors with enough columns it is a convex function of their product, whatever
    the gauges: a local minimum that passes `diagnostics.certificate` is a global one. With l2 norms
    for both factors of a matrix it is the nuclear norm.

    Args:
        weight: lambda, a float or a tensor that broadcasts with (*, 1, 1).
        gauges: of the columns of each factor.

    Raises:
        TypeError: something that is not a gauge.
        ValueError: a gauge of a weight of its own, or fewer than two.

    References:
        | Bach, Mairal, Ponce, Convex sparse matrix factorizations (2008)
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), equations 5 to 9
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015)

    Example:
        >>> norm = ProjectiveNorm.nuclear(2.0)
        >>> norm.penalty((torch.tensor([[3.0], [4.0]]), torch.tensor([[0.0], [1.0]])))
        tensor(10.)
    """

    def __init__(self, weight: float | Tensor, *gauges: Gauge) -> None:
        for gauge in gauges:
            if not isinstance(gauge, Gauge):
                raise TypeError(f"ProjectiveNorm takes gauges, got {type(gauge).__name__}")
        if len(gauges) < 2:
            raise ValueError(f"a projective norm is of two factors or more, got {len(gauges)}")
        if not isinstance(weight, Tensor) and not real_number("the weight of a norm", weight) >= 0:
            raise ValueError(f"the weight of a norm must be nonnegative, got {weight}")
        # Each factor bears its part, so that balanced factors have equal gauges.
        super().__init__(gauge.times(weight ** (1 / len(gauges))) for gauge in gauges)

    @classmethod
    def nuclear(cls, weight: float | Tensor, order: int = 2) -> ProjectiveNorm:
        """``sum_i ||u_i|| ||v_i|| ...``: low rank (matrix completion, low rank plus background)."""
        return cls(weight, *(Gauge() for _ in range(order)))

    @classmethod
    def nonnegative(cls, weight: float | Tensor, order: int = 2) -> ProjectiveNorm:
        """``sum_i ||u_i|| ||v_i|| ...`` with ``u_i, v_i >= 0``: NMF that finds its rank."""
        return cls(weight, *(Gauge(nonnegative=True) for _ in range(order)))

    @classmethod
    def sparse_coding(cls, weight: float | Tensor, l1: float) -> ProjectiveNorm:
        """``sum_i ||u_i|| (||v_i|| + l1 ||v_i||_1)``: a dictionary u with sparse codes v."""
        return cls(weight, Gauge(), Gauge(l1=l1))

    @property
    def gauges(self) -> tuple[Gauge, ...]:
        """Those of the factors."""
        return tuple(cast("Gauge", gauge) for gauge in self)

    @property
    def degree(self) -> float:
        return float(len(self))

    @property
    def weight(self) -> Tensor:
        """Lambda."""
        return torch.stack(torch.broadcast_tensors(*(g.weight for g in self.gauges))).prod(0)

    def penalty(self, factors: tuple[Tensor, ...]) -> Tensor:
        return _product(self._columns(factors)).sum((-2, -1))

    def polar(self, M: Tensor, seed: int = 0) -> Enclosure:  # noqa: N803
        """The supremum of ``<M, term>`` over terms of penalty 1, from below and from above.

        Args:
            M: (*, n_1, ..., n_d), like a prediction.
            seed: of random starts.
        """
        return polar(self.gauges, self.weight, M, seed=seed)

    def block(self, n: int, factors: tuple[Tensor, ...]) -> Regularizer:
        return self.weighed(n, factors)

    def weighed(self, n: int, factors: tuple[Tensor, ...]) -> Gauge:
        """The gauge of factor ``n``, times the gauges of the columns of the others."""
        found = self._columns(factors)
        return self.gauges[n].times(_product(found[:n] + found[n + 1 :]))

    def _columns(self, factors: tuple[Tensor, ...]) -> list[Tensor]:
        return [
            gauge.weight * gauge.columns(x) for gauge, x in zip(self.gauges, factors, strict=True)
        ]


def _product(values: list[Tensor]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*values)).prod(0)
