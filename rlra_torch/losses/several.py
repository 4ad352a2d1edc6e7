"""A loss for each of several data sets."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..functional.roots import root_of_powers
from .base import Loss
from .beta import BetaDivergence


class Several(Loss):
    """``sum_i w_i d_i(p_i, y_i)``: a loss and a weight for each data set of a coupled model.

    Predictions and data are tuples. For Gaussian noise of standard deviation ``s_i`` the weights of
    the likelihood are ``1 / s_i^2`` (and 1 for the Kullback-Leibler divergence of counts).

    Where data sets of different beta-divergences share a factor, the separable majorizers of their
    losses are bounded by one with the largest and the least power of all, for ``(t^p - 1) / p``
    grows with p: with ``P, N`` the sums of the two parts of the gradients, the minimizer ``x t`` of

        P t^(a + 1) / (a + 1) - N (t^(b + 1) - 1) / (b + 1) + l1 t + l2 x t^2 / 2

    with ``a`` and ``b`` the powers of the derivative, so that MU never raises the objective.

    Args:
        losses: one for each data set.
        weights: positive, one for each, numbers or tensors; None: 1.

    Raises:
        TypeError: something that is not a loss or a weight.
        ValueError: another number of weights, or one that is not positive.

    References:
        | Schenker, Cohen, Acar, A flexible optimization framework for regularized matrix-tensor
        | factorizations with linear couplings (2021), equation 4
        | Cohen et al., Exploring multimodal data fusion through joint decompositions with flexible
        | couplings (2016)

    Example:
        >>> from rlra_torch.losses import Frobenius, KullbackLeibler
        >>> loss = Several((Frobenius(), KullbackLeibler()), weights=(2.0, 1.0))
        >>> loss((torch.ones(1), torch.ones(1)), (torch.zeros(1), torch.zeros(1)))
        (tensor([1.]), tensor([1.]))
    """

    def __init__(
        self, losses: Sequence[Loss], weights: Sequence[float | Tensor] | None = None
    ) -> None:
        super().__init__()
        for loss in losses if isinstance(losses, (list, tuple)) and losses else [losses]:
            if not isinstance(loss, Loss) or isinstance(loss, Several):
                raise TypeError(f"Several takes a list of losses, got {loss!r}")
        self.losses = nn.ModuleList(losses)
        self.weighted = weights is not None
        if weights is not None:
            _check_weights(weights, len(losses))
            for i, weight in enumerate(weights):
                self._register(f"weight{i}", weight)
        self.quadratic = all(loss.quadratic for loss in losses)
        self.nonnegative = any(loss.nonnegative for loss in losses)
        self.constant_positive = all(loss.constant_positive for loss in losses)

    def loss(self, i: int) -> Loss:
        """The loss of data set ``i``."""
        found = self.losses[i]
        assert isinstance(found, Loss)
        return found

    def weight(self, i: int) -> Tensor | None:
        """The weight of data set ``i``, or None where all are 1."""
        return getattr(self, f"weight{i}") if self.weighted else None

    def forward(self, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple[Tensor, ...]:  # pyright: ignore
        """The weighted loss of each entry of each data set."""
        return self._each("forward", prediction, y)

    def split(self, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple:  # pyright: ignore
        """The two parts of the weighted gradient in each prediction."""
        return self._pairs("split", prediction, y)

    def curvature(self, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple:  # pyright: ignore
        """The weighted second derivatives."""
        return self._each("curvature", prediction, y)

    def scale(self, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple:  # pyright: ignore
        """Weighted numerators and denominators, for each data set."""
        return self._pairs("scale", prediction, y)

    def magnitude(self, y: Sequence[Tensor]) -> tuple:  # pyright: ignore
        """The weighted size of each data set, entrywise."""
        return tuple(self._times(i, self.loss(i).magnitude(own)) for i, own in enumerate(y))

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """The minimizer of the majorizer above.

        Args:
            x, positive, negative, l1, l2: as in `Loss.majorized`, the sums over the data sets.
        """
        betas = [loss.beta for loss in self.losses if isinstance(loss, BetaDivergence)]
        if len(betas) < len(self.losses):
            raise TypeError("MU on a shared factor needs a beta-divergence for each data set")
        # The derivatives of the majorizers have the terms P t^a and N t^b.
        high = max(max(beta - 1, 0.0) for beta in betas)
        low = min(min(beta - 2, 0.0) for beta in betas)
        return root_of_powers(x, positive, negative, (high, low), l1, l2)

    def domain(self, y: Tensor) -> str | None:
        """Nothing: each data set asks its own loss."""
        return None

    def extra_repr(self) -> str:
        if not self.weighted:
            return ""
        weights = (self.weight(i) for i in range(len(self.losses)))
        return "weights=" + str([w.detach().tolist() for w in weights if w is not None])

    def _register(self, name: str, weight: float | Tensor) -> None:
        if isinstance(weight, nn.Parameter):
            self.register_parameter(name, weight)
            return
        fixed = weight if isinstance(weight, Tensor) else torch.tensor(float(weight)).double()
        self.register_buffer(name, fixed)

    def _times(self, i: int, entries: Tensor) -> Tensor:
        weight = self.weight(i)
        return entries if weight is None else weight * entries

    def _each(self, name: str, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple:
        return tuple(
            self._times(i, getattr(self.loss(i), name)(p, own))
            for i, (p, own) in enumerate(zip(prediction, y, strict=True))
        )

    def _pairs(self, name: str, prediction: Sequence[Tensor], y: Sequence[Tensor]) -> tuple:
        found = [
            tuple(self._times(i, part) for part in getattr(self.loss(i), name)(p, own))
            for i, (p, own) in enumerate(zip(prediction, y, strict=True))
        ]
        return tuple(zip(*found, strict=True))


def together(losses: Sequence[Loss]) -> Loss:
    """The loss that a factor in several data sets sees: the one they share, or `Several`.

    Example:
        >>> from rlra_torch.losses import Frobenius, KullbackLeibler
        >>> together([Frobenius(), Frobenius()])
        Frobenius(beta=2)
    """
    first = losses[0]
    betas = {loss.beta if isinstance(loss, BetaDivergence) else None for loss in losses}
    alike = len(betas) == 1 and None not in betas
    return first if len(losses) == 1 or alike else Several(list(losses))


def _check_weights(weights: Sequence[float | Tensor], count: int) -> None:
    if not isinstance(weights, (list, tuple)) or len(weights) != count:
        raise ValueError(f"Several needs one weight for each of {count} losses, got {weights!r}")
    for weight in weights:
        if isinstance(weight, Tensor):
            if weight.ndim:
                raise ValueError(
                    f"a weight of Several is one number, got shape {tuple(weight.shape)}"
                )
            continue
        if not isinstance(weight, numbers.Real) or isinstance(weight, bool):
            raise TypeError(f"a weight of Several is a number, got {type(weight).__name__}")
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"a weight of Several must be positive and finite, got {weight}")
