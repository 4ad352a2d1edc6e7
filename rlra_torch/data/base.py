"""What a problem asks of its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..blocks import Block
from ..losses import Loss
from ..models import Factors, Model


class Parts(NamedTuple):
    """The loss and its gradient, from one pass over the data where that is possible.

    Args:
        value: (*,) the loss.
        splits: for each factor asked for, the two parts of the gradient as blocks.
    """

    value: Tensor
    splits: dict[int, tuple[Tensor, Tensor]]


class Stored(NamedTuple):
    """Values as they are held.

    Args:
        observed: those of positive weight, in any shape; what a loss must be defined on.
        weights: all weights, or None where they are 1.
    """

    observed: Tensor
    weights: Tensor | None


class Data(ABC):
    """Entries with weights, and the sums over them: the only code that touches every entry.

    A new kind of data says how to sum the loss and how to build the block of a factor. Leading
    dimensions are independent problems.

    Attributes:
        shape: (*, ...), what the model predicts, with the leading dimensions.
        dtype: what is computed in, and the dtype of the factors.
        device: where the factors are.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @abstractmethod
    def stored(self) -> Iterator[Stored]:
        """The values and weights, part after part, for checks."""

    @abstractmethod
    def count(self, model: Model) -> int:
        """How many entries of one problem a product with the data visits."""

    @abstractmethod
    def check(self, model: Model) -> None:
        """Check that a model predicts such data.

        Raises:
            TypeError, ValueError: it does not.
        """

    @abstractmethod
    def total(self, model: Model, loss: Loss, factors: Factors) -> Tensor:
        """``sum weights * loss(model, y)``, (*,)."""

    @abstractmethod
    def block(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        """The subproblem of factor ``n``: quadratic where the loss and the model allow."""

    def sweep(self, model: Model) -> Data:
        """The same data for one sweep over the factors: it may keep partial products."""
        return self

    @abstractmethod
    def positive(self, model: Model, factors: Factors, n: int) -> Tensor:
        """The adjoint of the weights, as a block; it may broadcast over rows.

        The positive part of the gradient of a loss for which that is constant.
        """

    @abstractmethod
    def scale(self, model: Model, loss: Loss, factors: Factors) -> tuple[Tensor, Tensor]:
        """The sums of `Loss.scale`, (*,) each."""

    @abstractmethod
    def size(self, model: Model, loss: Loss) -> Tensor:
        """``sum weights * loss.magnitude(y)``, (*,)."""

    @abstractmethod
    def means(self, model: Model) -> tuple[Tensor, Tensor]:
        """The weighted mean of ``|y|`` and the mean weight, (*,) each."""

    @abstractmethod
    def imputed(self, model: Model) -> Tensor:
        """A tensor for starts that read the data, with the mean of the rest for what is missing."""

    def picked(self, where: tuple[Tensor, ...]) -> Data | None:
        """Some problems of a batch, or None where that cannot be.

        Args:
            where: their indices along each leading dimension, (k,) each.
        """
        return None

    def placed(self, factors: Factors) -> Factors:
        """Whole factors where this data wants them, such as on several processes."""
        return factors

    def placed_like(self, whole: Any, like: Any) -> Any:  # noqa: ANN401
        """Nested tuples of whole tensors where those of ``like`` lie."""
        return whole

    def parts(self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]) -> Parts:
        """The loss and the gradient in the factors of ``order``, all at the same factors."""
        splits, swept = {}, self.sweep(model)
        for n in order:
            block = swept.block(model, loss, factors, n)
            splits[n] = block.split(model.layout(n).pack(factors[n]))
        return Parts(self.total(model, loss, factors), splits)
