"""What iterations see of the subproblem of one factor."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from ..losses import Loss


class Block(ABC):
    """``f(x) = loss(A x, y)`` in one factor ``x`` of shape ``(*, batch, rows, rank)``.

    Iterations see nothing else of a problem: the two parts of the gradient, products with the
    Hessian, and the gram where there is one.
    """

    loss: Loss

    @abstractmethod
    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient as ``positive - negative``, each broadcasting with ``x``."""

    @property
    def quadratic(self) -> bool:
        """Whether it is least squares."""
        return self.loss.quadratic

    def majorized(self, x: Tensor, l1: Tensor | None, l2: Tensor | None) -> Tensor:
        """The minimizer ``z >= 0`` of a separable majorizer at ``x`` plus ``l1 z + l2 z^2 / 2``.

        Where frozen factors are negative, outside the domain of the loss, a finite answer.

        Args:
            x: positive.
            l1: of any sign if ``l2`` is given, broadcasting with ``x``, or None.
            l2: positive, likewise.
        """
        positive, negative = self.split(x)
        return self.loss.majorized(x, positive.clamp_min(0), negative.clamp_min(0), l1, l2)

    @abstractmethod
    def majorant(self, x: Tensor, u: Tensor) -> Tensor:
        """The diagonal ``|H(x)| u / u``, which majorizes the Hessian ``H(x)`` for any ``u > 0``."""

    @abstractmethod
    def hessian_product(self, x: Tensor, u: Tensor) -> Tensor:
        """``H(x) u``, with the Hessian of the convex part of the loss."""

    @abstractmethod
    def hessian(self, x: Tensor) -> Tensor:
        """``H(x)``, one matrix for all rows (*, batch, rank, rank) or (*, batch, rows, rank, rank).

        Raises:
            TypeError: the model gives no gram.
        """

    @abstractmethod
    def lipschitz(self) -> Tensor:
        """A bound on the largest eigenvalue of the Hessian, broadcasting with ``x``.

        Raises:
            TypeError: the Hessian is not bounded.
        """

    @abstractmethod
    def value(self, x: Tensor, lead: int = 0) -> Tensor:
        """``f(x)`` up to a constant of the block, summed over all but ``lead`` dimensions."""

    def gradient(self, x: Tensor) -> Tensor:
        """``A^T loss'(A x, y)``, like ``x``."""
        positive, negative = self.split(x)
        return positive - negative
