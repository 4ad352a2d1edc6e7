"""The metrics of factors as torchmetrics: they gather one value a sample over many batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from rlra_torch.metrics.errors import nmse, rmse
from rlra_torch.metrics.factors import factor_match, match
from rlra_torch.metrics.spectral import spectral_angle

Factors = Sequence[Tensor]
Reduction = Literal["mean", "median", "none"]

# The median of an even number of values lies halfway, as in NumPy; torch.median takes the lower.
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "median": lambda values: values.quantile(0.5),
    "none": lambda values: values,
}


class FactorMetric(Metric, ABC):
    """A number for each sample, from its factors and the true ones, reduced over all samples.

    Args:
        reduction: ``"mean"`` or ``"median"`` over samples, or ``"none"`` for the value of each.

    Raises:
        ValueError: another word.
    """

    full_state_update = False
    is_differentiable = False
    values: list[Tensor]

    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"a reduction is one of {', '.join(REDUCTIONS)}, not {reduction!r}")
        super().__init__()
        self.reduction = reduction
        self.add_state("values", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def each(self, factors: Factors, true_factors: Factors) -> Tensor:
        """The value of each sample, (*,)."""

    def update(self, factors: Factors, true_factors: Factors) -> None:
        """Take in a batch.

        Args:
            factors: estimates ``(W, H)``, (*, m, r) and (*, n, r).
            true_factors: the truth ``(W, H)``, (*, m, s) and (*, n, s).
        """
        self.values.append(self.each(factors, true_factors).detach().reshape(-1))

    def compute(self) -> Tensor:
        """The reduced value, or for ``"none"`` one value a sample in the order they came."""
        return REDUCTIONS[self.reduction](dim_zero_cat(self.values))


class SpectralAngle(FactorMetric):
    """Mean angle in degrees between matched columns of W and of the truth.

    Columns are matched by the assignment of least total angle. Where one side has more columns than
    the other, those left over do not count.

    Args:
        reduction: as in `FactorMetric`.

    Example:
        >>> W, H = torch.eye(3)[None, :, :2], torch.ones(1, 4, 2)
        >>> metric = SpectralAngle()
        >>> metric.update((W.flip(-1), H), (W, H))
        >>> metric.compute()
        tensor(0.)
    """

    higher_is_better = False

    def each(self, factors: Factors, true_factors: Factors) -> Tensor:
        (W, _), (W_true, _) = matched(factors, true_factors)
        return spectral_angle(W, W_true).mean(-1)


class AbundanceRMSE(FactorMetric):
    """Root mean square error of the abundances, over pixels and matched components.

    Args:
        reduction: as in `FactorMetric`.

    Example:
        >>> W, H = torch.eye(3)[None, :, :2], torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
        >>> metric = AbundanceRMSE()
        >>> metric.update((W.flip(-1), H.flip(-1) + 0.25), (W, H))
        >>> metric.compute()
        tensor(0.2500)
    """

    higher_is_better = False

    def each(self, factors: Factors, true_factors: Factors) -> Tensor:
        (_, H), (_, H_true) = matched(factors, true_factors)
        return rmse(H_true, H)


class NMSE(FactorMetric):
    """Normalized mean square error of one factor, its columns matched by the angles of W.

    Args:
        factor: 0 for W, 1 for H.
        reduction: as in `FactorMetric`.

    Raises:
        ValueError: another number than 0 or 1.

    Example:
        >>> W, H = torch.eye(3)[None, :, :2], torch.ones(1, 4, 2)
        >>> metric = NMSE(factor=1)
        >>> metric.update((W.flip(-1), H / 2), (W, H))
        >>> metric.compute()
        tensor(0.2500)
    """

    higher_is_better = False

    def __init__(self, factor: int = 1, reduction: Reduction = "mean") -> None:
        if factor not in (0, 1):
            raise ValueError(f"the factor is 0 for W or 1 for H, not {factor!r}")
        super().__init__(reduction)
        self.factor = factor

    def each(self, factors: Factors, true_factors: Factors) -> Tensor:
        found, truth = matched(factors, true_factors)
        return nmse(truth[self.factor], found[self.factor])


class FactorMatch(FactorMetric):
    """Factor match score: the mean congruence of matched rank-one terms, 1 for the same model.

    Args:
        reduction: as in `FactorMetric`.

    Example:
        >>> W, H = torch.eye(3)[None, :, :2], torch.eye(4)[None, :, :2]
        >>> metric = FactorMatch()
        >>> metric.update((W.flip(-1), 3 * H.flip(-1)), (W, H))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True

    def each(self, factors: Factors, true_factors: Factors) -> Tensor:
        return factor_match(factors, true_factors)


def matched(
    factors: Factors, true_factors: Factors
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Estimate and truth with columns that stand for each other side by side.

    The first factors decide, by their angles. The side with more columns loses those left over.

    Args:
        factors: estimates, (*, d_n, r) each.
        true_factors: the truth, (*, d_n, s) each.

    Returns:
        both, with min(r, s) columns.

    Raises:
        ValueError: as in `match`.

    Example:
        >>> W_true, H_true = torch.eye(3), torch.arange(6.0).reshape(2, 3)
        >>> found, truth = matched((W_true[:, [2, 0]], H_true[:, [2, 0]]), (W_true, H_true))
        >>> truth[1].tolist()
        [[2.0, 0.0], [5.0, 3.0]]
    """
    found, truth = tuple(factors), tuple(true_factors)
    if found[0].shape[-1] >= truth[0].shape[-1]:
        return _columns(found, match(found[0], truth[0])), truth
    return found, _columns(truth, match(truth[0], found[0]))


def _columns(factors: tuple[Tensor, ...], order: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.take_along_dim(order.unsqueeze(-2), -1) for x in factors)
