"""Regularizers that act on each entry: an elastic net on an interval, and its special cases."""

from __future__ import annotations

import math
import numbers

from torch import Tensor

from ..functional.proximal import soft_threshold
from .base import Regularizer, Split, hyperparameter


class ElasticNet(Regularizer):
    """``l1 |x| + ridge x^2 / 2`` per entry, for ``lower <= x <= upper``.

    Its prox is ``clip(soft(x, l1 step) / (1 + ridge step), lower, upper)``; a weight may be an
    ``nn.Parameter`` and is then learned.

    Args:
        l1: weight of the absolute value, a float or a tensor that broadcasts with the factor.
        ridge: weight of half the square, likewise.
        lower: the least value allowed.
        upper: the largest.

    Raises:
        ValueError: a negative weight, or an empty interval.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.6.4

    Example:
        >>> import torch
        >>> reg = ElasticNet(l1=1.0, ridge=1.0, lower=0.0)
        >>> reg(torch.tensor([[2.0]])), reg.prox(torch.tensor([[3.0, -1.0]]), 1.0)
        (tensor(4.), tensor([[1., 0.]]))
    """

    l1: Tensor | None
    ridge: Tensor | None

    def __init__(
        self,
        l1: float | Tensor = 0.0,
        ridge: float | Tensor = 0.0,
        lower: float = -math.inf,
        upper: float = math.inf,
    ) -> None:
        super().__init__()
        for name, bound in (("lower", lower), ("upper", upper)):
            if not isinstance(bound, numbers.Real):
                raise TypeError(f"the {name} bound must be a real number, got {bound!r}")
        if not lower < upper:
            raise ValueError(f"an interval needs lower < upper, got [{lower}, {upper}]")
        for name, weight in (("l1", l1), ("ridge", ridge)):
            if _present(weight):
                hyperparameter(self, name, weight)
            else:
                self.register_buffer(name, None)
        self.lower, self.upper = float(lower), float(upper)
        if self._cone and (self.l1 is None or self.ridge is None):
            self.degree = 1.0 if self.l1 is not None else 2.0 if self.ridge is not None else 0.0

    @property
    def weights(self) -> tuple[Tensor | None, Tensor | None]:
        """The two weights, None where absent."""
        return self.l1, self.ridge

    @property
    def even(self) -> bool:
        return self.lower == -self.upper

    @property
    def homogeneous(self) -> tuple[Regularizer, ...]:
        """Itself, or the absolute values and the squares apart."""
        l1, ridge = self.weights
        if not self._cone or l1 is None or ridge is None:
            return super().homogeneous
        return ElasticNet(l1, lower=self.lower), ElasticNet(ridge=ridge, lower=self.lower)

    def forward(self, x: Tensor) -> Tensor:
        """The value, (*,)."""
        l1, ridge = self.weights
        total = x.new_zeros(x.shape[:-2])
        if l1 is not None:
            total = total + (l1 * x.abs()).sum((-2, -1))
        if ridge is not None:
            total = total + 0.5 * (ridge * x.square()).sum((-2, -1))
        return total

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """Shrink, divide, clip."""
        l1, ridge = self.weights
        if l1 is not None:
            x = soft_threshold(x, l1 * step)
        if ridge is not None:
            x = x / (1 + ridge * step)
        return self.clip(x)

    def clip(self, x: Tensor) -> Tensor:
        """The projection onto the interval."""
        if self.lower == -math.inf and self.upper == math.inf:
            return x
        return x.clamp(self.lower, self.upper)

    def split(self, x: Tensor) -> Split:
        """Itself: the description is exact."""
        return Split(*self.weights, max(self.lower, 0.0), self.upper)

    def extra_repr(self) -> str:
        parts = [f"{k}={v.detach().tolist()}" for k, v in self._weights_by_name().items()]
        if (self.lower, self.upper) != (-math.inf, math.inf):
            parts.append(f"[{self.lower:g}, {self.upper:g}]")
        return ", ".join(parts)

    @property
    def _cone(self) -> bool:
        return self.lower in (-math.inf, 0.0) and self.upper == math.inf

    def _weights_by_name(self) -> dict[str, Tensor]:
        pairs = zip(("l1", "ridge"), self.weights, strict=True)
        return {name: weight for name, weight in pairs if weight is not None}


class Free(ElasticNet):
    """No regularization.

    Example:
        >>> import torch
        >>> Free().prox(torch.tensor([[-1.0]]), 1.0)
        tensor([[-1.]])
    """

    def __init__(self) -> None:
        super().__init__()


class NonNegative(ElasticNet):
    """``x >= 0``, with an elastic net if wanted.

    Args:
        l1: weight of the sum of the entries.
        ridge: weight of half the sum of squares.

    Example:
        >>> import torch
        >>> NonNegative(l1=0.5).prox(torch.tensor([[2.0, -1.0]]), 1.0)
        tensor([[1.5000, 0.0000]])
    """

    def __init__(self, l1: float | Tensor = 0.0, ridge: float | Tensor = 0.0) -> None:
        super().__init__(l1, ridge, lower=0.0)


class LowerBound(ElasticNet):
    """``x >= lower``.

    Args:
        lower: the least value allowed.

    Example:
        >>> import torch
        >>> LowerBound(0.1).prox(torch.tensor([[0.0]]), 1.0)
        tensor([[0.1000]])
    """

    def __init__(self, lower: float) -> None:
        super().__init__(lower=lower)


class Box(ElasticNet):
    """``lower <= x <= upper``.

    Args:
        lower: the least value allowed.
        upper: the largest.

    Example:
        >>> import torch
        >>> Box(0.0, 1.0).prox(torch.tensor([[2.0]]), 1.0)
        tensor([[1.]])
    """

    def __init__(self, lower: float = 0.0, upper: float = 1.0) -> None:
        super().__init__(lower=lower, upper=upper)


class L1(ElasticNet):
    """``weight |x|`` per entry, of either sign (for nonnegative factors: ``NonNegative(l1=...)``).

    Args:
        weight: a float or a tensor that broadcasts with the factor.

    Example:
        >>> import torch
        >>> L1(1.0)(torch.tensor([[-2.0]]))
        tensor(2.)
    """

    def __init__(self, weight: float | Tensor) -> None:
        super().__init__(l1=weight)


class Ridge(ElasticNet):
    """``weight x^2 / 2`` per entry (for nonnegative factors: ``NonNegative(ridge=...)``).

    Args:
        weight: a float or a tensor that broadcasts with the factor.

    Example:
        >>> import torch
        >>> Ridge(2.0).prox(torch.tensor([[3.0]]), 1.0)
        tensor([[1.]])
    """

    def __init__(self, weight: float | Tensor) -> None:
        super().__init__(ridge=weight)


def _present(weight: float | Tensor) -> bool:
    return not isinstance(weight, numbers.Real) or bool(weight != 0)
