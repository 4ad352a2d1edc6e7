"""The beta-divergences: Frobenius, Kullback-Leibler, Itakura-Saito and all between and beyond."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..functional.divergences import beta_divergence, prediction_floor
from ..functional.roots import positive_root, signed_root
from .base import Loss


class BetaDivergence(Loss):
    """``(y^b + (b - 1) p^b - b y p^(b - 1)) / (b (b - 1))`` per entry, for any real ``b``.

    Its gradient splits into ``p^(b - 1) - y p^(b - 2)``. The convex part is majorized by Jensen's
    inequality and the concave part by its tangent, which gives a separable majorizer whose
    minimizer ``x t`` solves, with ``P, N`` the two parts of the gradient and ``l1, l2`` an elastic
    net,

        P t^(2 - b) + l1 t^(2 - b) + l2 x t^(3 - b) = N      (b < 1)
        P t         + l1 t^(2 - b) + l2 x t^(3 - b) = N      (1 <= b < 2)
        P t^(b - 1)                + l2 x t         = N - l1 (b >= 2)

    Args:
        beta: any real number; 2, 1 and 0 are better written as their named losses.

    Raises:
        ValueError: beta is not finite.

    References:
        | Fevotte, Idier, Algorithms for nonnegative matrix factorization with the beta-divergence
        | (2011), sections 3 and 4
        | Leplat, Gillis, Idier, Multiplicative updates for NMF with beta-divergences under disjoint
        | equality constraints (2021)

    Example:
        >>> BetaDivergence(1.5)(torch.tensor([1.0]), torch.tensor([1.0]))
        tensor([0.])
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not math.isfinite(beta):
            raise ValueError(f"beta must be a finite real number, got {beta!r}")
        self.beta = float(beta)

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The divergence of each entry.

        Args:
            prediction: p, any shape.
            y: data, the same shape.
        """
        return beta_divergence(prediction, y, self.beta)

    def split(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``(p^(b - 1), y p^(b - 2))``."""
        p, beta = self._floored(prediction), self.beta
        if beta == 1:
            return torch.ones_like(p), y / p
        return p.pow(beta - 1), y * p.pow(beta - 2)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """``(b - 1) p^(b - 2) + (2 - b) y p^(b - 3)`` without its negative terms."""
        p, beta = self._floored(prediction, 3 - self.beta), self.beta
        first = (beta - 1) * p.pow(beta - 2) if beta > 1 else torch.zeros_like(p)
        return first + (2 - beta) * y * p.pow(beta - 3) if beta < 2 else first

    def scale(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``lambda = sum y p^(b - 1) / sum p^b`` minimizes ``d(lambda p, y)``."""
        p = self._floored(prediction)
        return y * p.pow(self.beta - 1), p.pow(self.beta)

    def magnitude(self, y: Tensor) -> Tensor:
        """``|y|^b``."""
        return y.abs().pow(self.beta)

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """The minimizer of the majorizer above; a safeguarded Newton step where no closed form is.

        Args:
            x, positive, negative, l1, l2: as in `Loss.majorized`.
        """
        beta, tiny = self.beta, torch.finfo(x.dtype).tiny
        lower = max(1.0, 2 - beta)
        if beta >= 2:
            right = negative if l1 is None else negative - l1
            terms = [(positive, beta - 1)] + ([] if l2 is None else [(l2 * x, 1.0)])
        else:
            right, terms = negative, [(positive, lower)]
            if l1 is not None:
                terms += [(l1 * torch.ones_like(x), 2 - beta)]
            if l2 is not None:
                terms += [(l2 * x, 3 - beta)]
        right = right.clamp_min(0)
        powers = {power for _, power in terms}
        if l1 is not None and l2 is not None and beta < 2:
            root = x * signed_root(terms, right.clamp_min(tiny))
            return torch.where((right > 0) | (l1 < 0), root, 0)
        if len(powers) == 1:
            total = sum((c for c, _ in terms[1:]), terms[0][0])
            # The root of 0 has no derivative, and what is 0 must not poison a gradient: the square
            # of a total that comes from a vanished prediction is below all numbers.
            sane = (right > 0) & ((x > 0) | (total > tiny ** (1 / 3)))
            ratio = torch.where(sane, right / torch.where(sane, total.clamp_min(tiny), 1), 1)
            return torch.where(right > 0, x * ratio.pow(1 / terms[0][1]), 0)
        root = x * positive_root(terms, right.clamp_min(tiny))
        return torch.where(right > 0, root, 0)

    def domain(self, y: Tensor) -> str | None:
        """Nonnegative data, and positive for ``b <= 0``."""
        negative = int((y < 0).sum())
        if negative:
            return f"{negative} of {y.numel()} entries are negative"
        zeros = int((y == 0).sum()) if self.beta <= 0 else 0
        if zeros:
            return f"{zeros} of {y.numel()} entries are zero, where it is infinite"
        return None

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}"

    def _floored(self, prediction: Tensor, power: float | None = None) -> Tensor:
        power = 2 - self.beta if power is None else power
        return prediction.clamp_min(prediction_floor(prediction.dtype, power))


class Frobenius(BetaDivergence):
    """``(p - y)^2 / 2`` per entry: least squares, for data of any sign.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.1

    Example:
        >>> Frobenius()(torch.tensor([1.0]), torch.tensor([3.0]))
        tensor([2.])
    """

    quadratic = True
    nonnegative = False

    def __init__(self) -> None:
        super().__init__(2.0)

    def split(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``(p, y)``."""
        return prediction, y

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(prediction)

    def scale(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``lambda = <y, p> / <p, p>``."""
        return y * prediction, prediction.square()

    def magnitude(self, y: Tensor) -> Tensor:
        """``y^2 / 2``."""
        return 0.5 * y.square()

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """``x (N - l1)_+ / (P + l2 x)``.

        Args:
            x, positive, negative, l1, l2: as in `Loss.majorized`.
        """
        top = (negative if l1 is None else negative - l1).clamp_min(0)
        bottom = positive if l2 is None else positive + l2 * x
        # Where x is 0 the denominator is as well, and any other will do.
        return x * (top / torch.where(bottom > 0, bottom, 1))

    def domain(self, y: Tensor) -> str | None:
        """Any finite data."""
        return None


class KullbackLeibler(BetaDivergence):
    """``y log(y / p) - y + p`` per entry: the likelihood of Poisson counts.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.2 and 7.6.4 (where the
        | printed quadratic has two signs wrong: it is ``l2 z^2 + (P + l1) z - x N = 0``)

    Example:
        >>> KullbackLeibler()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]))
        tensor([0., 2.])
    """

    constant_positive = True

    def __init__(self) -> None:
        super().__init__(1.0)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """``y / p^2``."""
        return y / self._floored(prediction, 2.0).square()

    def scale(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``lambda = sum y / sum p``."""
        return y, prediction

    def magnitude(self, y: Tensor) -> Tensor:
        """``y``."""
        return y

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """The positive root of ``l2 z^2 + (P + l1) z - x N = 0``, free of cancellation.

        Args:
            x, positive, negative, l1, l2: as in `Loss.majorized`.
        """
        tiny = torch.finfo(x.dtype).tiny
        slope = positive if l1 is None else positive + l1
        if l2 is None:
            return x * (negative / slope.clamp_min(tiny))
        mass = x * negative
        root = (slope.square() + 4 * l2 * mass + tiny).sqrt()
        rising = slope >= 0
        # Each where it does not cancel; the other must stay finite.
        near = 2 * mass / torch.where(rising, slope + root, 1)
        divisor = torch.where(rising, 1, l2).to(x.dtype)
        return torch.where(rising, near, 0.5 * (root - slope) / divisor)


class ItakuraSaito(BetaDivergence):
    """``y / p - log(y / p) - 1`` per entry: scale-invariant, for positive power spectra.

    References:
        | Fevotte, Bertin, Durrieu, Nonnegative matrix factorization with the Itakura-Saito
        | divergence (2009)

    Example:
        >>> ItakuraSaito()(torch.tensor([1.0]), torch.tensor([1.0]))
        tensor([0.])
    """

    def __init__(self) -> None:
        super().__init__(0.0)
