"""What a problem asks of its data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..blocks import Block
from ..functional.scaling import penalized_scale
from ..functional.tree import Kept
from ..losses import BetaDivergence, Loss, Several
from ..models import Factors, Model
from ..models.base import replaced


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


class Term(NamedTuple):
    """One data set, and what is compared with it.

    Args:
        data: its entries.
        model: what predicts it.
        loss: how the two are compared.
        weight: of its loss, or None for 1.
        factors: its own, out of all.
        which: their numbers among all.
    """

    data: Data
    model: Model
    loss: Loss
    weight: Tensor | None
    factors: Factors
    which: tuple[int, ...]

    def weighed(self, x: Tensor) -> Tensor:
        """Something of this data set, times its weight."""
        return x if self.weight is None else self.weight * x


class Data(ABC):
    """Entries with weights, and the sums over them: the only code that touches every entry.

    A new kind of data says how to sum the loss and how to build the block of a factor. Leading
    dimensions are independent problems.

    Attributes:
        shape: (*, ...), what the model predicts, with the leading dimensions.
        dtype: what is computed in, and the dtype of the factors.
        device: where the factors are.
        kept: what is remembered while the factors that it was made from last, or None.
    """

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    kept: Kept | None = None

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

    def check_loss(self, loss: Loss) -> None:
        """Check that a loss can compare such data.

        Raises:
            TypeError, ValueError: it cannot.
        """
        if isinstance(loss, Several):
            raise TypeError(
                "Several losses are for the data sets of a Coupled model; give one loss here"
            )

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

    def batch_shape(self, model: Model) -> torch.Size:
        """The leading dimensions: independent problems."""
        return self.shape[: len(self.shape) - model.ndim]

    def fits(self, model: Model, factors: Factors) -> None:
        """Check that factors of these shapes predict such data.

        Raises:
            ValueError: they do not.
        """
        model.check(factors, self.shape)

    def terms(self, model: Model, loss: Loss, factors: Factors) -> list[Term]:
        """The data sets that this is made of."""
        return [Term(self, model, loss, None, factors, tuple(range(len(factors))))]

    def seen(self, model: Model, loss: Loss, n: int) -> tuple[Loss, int]:
        """The loss that factor ``n`` meets, and how many entries a product with its data visits."""
        return loss, self.count(model)

    def rest(self, model: Model, loss: Loss, factors: Factors, n: int) -> Tensor:
        """The loss of the data sets that do not see factor ``n``, (*,)."""
        return torch.zeros((), dtype=self.dtype, device=self.device)

    def upright(self, model: Model, loss: Loss, factors: Factors, even: Sequence[int]) -> Factors:
        """The factors, one of them times -1 where the prediction is opposite to the data.

        Args:
            model, loss, factors: what predicts.
            even: the factors that may change sign, of which the first one does.
        """
        if not even or loss.nonnegative:
            return factors
        return turned(factors, even[0], self.scale(model, loss, factors)[0])

    def scales(
        self,
        model: Model,
        loss: Loss,
        factors: Factors,
        values: dict[int, Tensor],
        degrees: list[float],
    ) -> list[Tensor]:
        """What to multiply some factors by, (*,) for each, so that the objective is least.

        Args:
            model, loss, factors: what is scaled.
            values: the penalties (*,) of those factors.
            degrees: and their degrees of homogeneity.
        """
        top, bottom = self.scale(model, loss, factors)
        tiny, count = torch.finfo(bottom.dtype).tiny, len(values)
        scale = (top.clamp_min(tiny) / bottom.clamp_min(tiny)) ** (1 / count)
        if any(degrees) and isinstance(loss, BetaDivergence):
            penalties = torch.stack(list(values.values()), -1)
            scale = penalized_scale(loss.beta, top, bottom, penalties, degrees)
        return [scale] * count

    def curvature(self, model: Model, loss: Loss) -> Tensor:
        """The curvature of the loss at the mean of the data, times the mean weight, (*,)."""
        mean, weight = self.means(model)
        return weight * torch.where(mean > 0, loss.curvature(mean, mean), 1)

    def metric(
        self, model: Model, factors: Factors, n: int, x: Tensor, curvature: Tensor
    ) -> Tensor:
        """The diagonal in which a step of factor ``n`` is measured, as a block.

        The curvature of the loss times the energy of each column times how many of them an entry of
        the prediction sees: the rank, or fewer where the model says so.

        Args:
            model, factors, n: the factor.
            x: the factor as a block.
            curvature: of `curvature`.
        """
        energy = model.column_energy(factors, n, self.kept)
        energy = energy.expand(*energy.shape[:-1], x.shape[-1])
        # A component that is zero adds nothing to the rank: problems padded with it keep theirs.
        rank = model.density(factors, n) * (energy > 0).sum(-1, keepdim=True)
        return rank * curvature[(..., *(None,) * (x.ndim - curvature.ndim))] * energy

    def picked(self, where: tuple[Tensor, ...]) -> Data | None:
        """Some problems of a batch, or None where that cannot be.

        Args:
            where: their indices along each leading dimension, (k,) each.
        """
        return None

    def repeated(self, count: int) -> Data | None:
        """The same data for each of several problems, or None where that cannot be.

        Args:
            count: the new leading dimension.
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


def turned(factors: Factors, n: int, along: Tensor) -> Factors:
    """The factors, the n-th times -1 where the product (*,) with the data is negative."""
    sign = torch.where(along < 0, -1, 1).to(factors[n].dtype)
    own = factors[n].ndim - sign.ndim
    return replaced(factors, n, factors[n] * sign.reshape(*sign.shape, *(1,) * own))
