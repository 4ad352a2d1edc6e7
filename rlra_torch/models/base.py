"""What every model offers: a map that is linear in each of its factors."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..functional.einsum import Layout
from ..functional.linalg import times_gram
from ..functional.tree import Kept

Factors = tuple[Tensor, ...]
Gauge = tuple[tuple[int, int], ...]


class Model(nn.Module, ABC):
    """A map ``(X_1, ..., X_d) -> prediction``, linear in each factor and batched.

    A new model writes `forward` and says its dimensions; it gains from a closed-form `adjoint` and,
    where the normal operator of a factor is small, from `gram` and `has_gram`.

    Attributes:
        ndim: the number of dimensions of one prediction, without leading ones.
        factor_ndims: the same for each factor.
        matrix: whether it is ``W H^T``, for which there are kernels and sparse data.
    """

    ndim: int
    factor_ndims: tuple[int, ...]
    matrix: bool = False

    @property
    def cones(self) -> Tensor | None:
        """V, (p, n), where it is linear in factor 0 as long as ``V X_0`` keeps its signs, or None.

        It then needs a `Joint` regularizer of the same V, whose blocks keep them.
        """
        return None

    @abstractmethod
    def forward(self, factors: Factors) -> Tensor:
        """The prediction, of shape ``(*, ...)`` with ``ndim`` dimensions of its own."""

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        """``J_n^T residual``, shaped like factor ``n``; by default the vjp of autograd."""

        def block(x: Tensor) -> Tensor:
            return self((*factors[:n], x, *factors[n + 1 :]))

        return torch.func.vjp(block, factors[n])[1](residual)[0]

    def cross(self, factors: Factors, n: int, y: Tensor, kept: Kept, name: str = "data") -> Tensor:
        """The adjoint of the data, which may keep what the blocks of other factors need again.

        Args:
            factors, n: as in `adjoint`.
            y: what is pulled back.
            kept: remembers partial contractions while a sweep lasts.
            name: under which name.
        """
        return self.adjoint(factors, n, y)

    def layout(self, n: int) -> Layout:
        """How factor ``n`` becomes a block ``(*, batch, rows, rank)``."""
        own = self.factor_ndims[n]
        return Layout(tuple(range(own)), own - 2, 1)

    def rescalable(self, order: tuple[int, ...]) -> bool:
        """Whether factors share components: ``X_n D_n`` with ``prod D_n = I`` predict the same.

        The ``D_n`` are diagonal, of the size of the last dimension of each of these factors.
        """
        return False

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        """Where some factors can be rescaled against each other without a change of the prediction.

        Multiplied by ``d_n`` along these dimensions, with ``prod d_n = 1`` entry by entry, they
        predict the same.

        Args:
            order: the factors that may be scaled.

        Returns:
            for each such freedom the factors, and which of their dimensions, counted from the end.
        """
        return (tuple((n, -1) for n in order),) if self.rescalable(order) else ()

    def meeting(self, order: tuple[int, ...]) -> int:
        """How many of some factors make one prediction, at most.

        Args:
            order: the factors that count.
        """
        return len(order)

    def has_gram(self, n: int) -> bool:
        """Whether `gram` and `column_energy` are there for factor ``n``."""
        return False

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        """``J_n^T diag(weights) J_n`` on the rank of a block, where it is small.

        Args:
            factors, n: as in `adjoint`.
            weights: shaped like the prediction.
            kept: as in `cross`.

        Returns:
            (*, batch, rank, rank), or (*, batch, rows, rank, rank) with weights.

        Raises:
            TypeError: this model has no small normal operator.
        """
        raise TypeError(f"{type(self).__name__} gives no gram for factor {n}")

    def grams(self, factors: Factors, n: int) -> tuple[Tensor, Tensor] | None:
        """P and Q, symmetric, with ``P x Q`` the normal operator on a matrix factor; or None.

        For models in which the gram, the Kronecker product of the two, would be large.
        """
        return None

    def normal(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        """``J_n^T J_n x_n``, as a block, where there is a gram."""
        return times_gram(self.layout(n).pack(factors[n]), self.gram(factors, n, None, kept))

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        """The squared norm of the prediction per unit of an entry of each column of factor ``n``.

        It tells the scale in which a column is to be measured. By default one number for all
        columns, from the prediction of a factor of ones.

        Returns:
            broadcastable with a block ``(*, batch, rows, rank)``.
        """
        ones = torch.ones_like(factors[n])
        energy = self(replaced(factors, n, ones)).square()
        block = self.layout(n).pack(ones)
        lead = energy.ndim - self.ndim
        own = block.shape[lead:].numel() * block.shape[-1]
        return energy.flatten(lead).sum(-1)[(..., *(None,) * (block.ndim - lead))] / own

    def density(self, factors: Factors, n: int) -> float:
        """Which fraction of the columns of a block an entry of the prediction sees at most."""
        return 1.0

    def squared_norm(self, factors: Factors, n: int) -> Tensor | None:
        """``||J_n||^2``, the largest eigenvalue of the normal operator, (*,), where it is known."""
        return None

    def column_sum(self, factors: Factors, n: int) -> Tensor:
        """The adjoint of a prediction of ones, as a block that broadcasts over what it can.

        Returns:
            broadcastable with a block ``(*, batch, rows, rank)``.
        """
        prediction = self(factors)
        return self.layout(n).pack(self.adjoint(factors, n, torch.ones_like(prediction)))

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        """Check the number and the shapes of the factors, and against that of the data if given.

        Raises:
            ValueError: with one sentence on what does not fit.
        """
        if len(factors) != len(self.factor_ndims):
            raise ValueError(
                f"{type(self).__name__} has {len(self.factor_ndims)} factors, got {len(factors)}"
            )
        for n, (x, own) in enumerate(zip(factors, self.factor_ndims, strict=True)):
            if x.ndim < own:
                raise ValueError(
                    f"factor {n} needs at least {own} dimensions, got shape {tuple(x.shape)}"
                )


def replaced(factors: Factors, n: int, x: Tensor) -> Factors:
    """The factors with the ``n``-th exchanged for ``x``."""
    return (*factors[:n], x, *factors[n + 1 :])
