"""Known linear maps between what a model predicts and what is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Operator(nn.Module, ABC):
    """A linear map ``Phi`` on the trailing dimensions of a prediction.

    Attributes:
        input_ndim: how many trailing dimensions it reads.
        output_ndim: how many it writes.
    """

    input_ndim: int
    output_ndim: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``Phi x``."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """``Phi^T y``."""

    def squared_norm(self) -> Tensor | None:
        """An upper bound of ``||Phi||^2``, (*,), where one is known: it saves iterations a search.

        A bound that is far too large makes steps short.
        """
        return None


class Dense(Operator):
    """A stored matrix acting on the first of two trailing dimensions, ``X -> A X``.

    Args:
        matrix: A, (p, m).

    Example:
        >>> phi = Dense(torch.ones(1, 3))
        >>> phi(torch.ones(3, 2))
        tensor([[3., 3.]])
    """

    input_ndim = 2
    output_ndim = 2
    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        if matrix.ndim != 2:
            raise ValueError(f"Dense needs a matrix, got shape {tuple(matrix.shape)}")
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        """``A X`` for X (*, m, n)."""
        return torch.matmul(self.matrix, x)

    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T Y`` for Y (*, p, n)."""
        return torch.matmul(self.matrix.mT, y)
