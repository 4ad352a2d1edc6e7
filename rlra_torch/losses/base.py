"""What every loss offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A separable discrepancy ``d(prediction, y)``, elementwise here and summed by the problem.

    Attributes:
        quadratic: whether its Hessian is the identity, so that blocks are least squares.
        nonnegative: whether it needs nonnegative data and factors.
        constant_positive: whether the positive part of its gradient is 1 everywhere, so that one
            adjoint of it serves all inner iterations.
    """

    quadratic: bool = False
    nonnegative: bool = True
    constant_positive: bool = False

    @abstractmethod
    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The loss of each entry."""

    @abstractmethod
    def split(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient in the prediction as ``positive - negative``, entrywise.

        Both are nonnegative for nonnegative data and predictions.
        """

    @abstractmethod
    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """The second derivative of the convex part, entrywise and nonnegative."""

    @abstractmethod
    def scale(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Numerator and denominator of the best ``lambda`` for ``lambda prediction``, entrywise."""

    @abstractmethod
    def magnitude(self, y: Tensor) -> Tensor:
        """The size of the data in the unit of the loss, entrywise; it scales residuals."""

    def majorized(
        self, x: Tensor, positive: Tensor, negative: Tensor, l1: Tensor | None, l2: Tensor | None
    ) -> Tensor:
        """The minimizer ``z >= 0`` of a separable majorizer at ``x`` plus ``l1 z + l2 z^2 / 2``.

        Args:
            x: the current block, positive.
            positive: ``J^T positive`` of `split`, like ``x``.
            negative: ``J^T negative`` of `split`, like ``x``.
            l1: linear weight, broadcastable, or None; of any sign where there is ``l2``.
            l2: quadratic weight, broadcastable, or None.

        Raises:
            TypeError: this loss has no such majorizer.
        """
        raise TypeError(f"{type(self).__name__} has no separable majorizer, which MU needs")

    def domain(self, y: Tensor) -> str | None:
        """What is wrong with observed data ``y``, or None; this synchronises."""
        return None
