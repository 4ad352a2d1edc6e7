"""A background that is fitted for every prediction, and so leaves the problem."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Operator


class WithoutBackground(Operator):
    """``Phi X = X - B B^+ X``: what a background ``B C`` cannot explain of a prediction.

    In least squares ``min over C of ||Y - X - B C||^2 = ||Phi (Y - X)||^2``: with data ``Phi Y`` a
    model seen through this has any background of the form ``B C`` beside it, free of penalties, and
    none of it in its factors. `background` is its best C. A column of ones is a constant in each
    column of the data; more of them may be slow drifts, or an image that comes and goes.

    Args:
        basis: B, (m, q), of independent columns.
        dim: -2 for ``B C`` with C (*, q, n), -1 for ``C B^T`` with C (*, m, q).

    Raises:
        ValueError: a basis that is no matrix, or whose columns are dependent.

    References:
        | Golub, Pereyra, The differentiation of pseudo-inverses and nonlinear least squares
        | problems whose variables separate (1973)

    Example:
        >>> phi = WithoutBackground(torch.ones(2, 1))
        >>> y = torch.tensor([[1.0, 4.0], [3.0, 4.0]])
        >>> phi(y).round(decimals=4) + 0.0, phi.background(y).round(decimals=4)
        (tensor([[-1.,  0.],
                [ 1.,  0.]]), tensor([[2., 4.]]))
    """

    input_ndim = output_ndim = 2
    basis: Tensor
    orthonormal: Tensor

    def __init__(self, basis: Tensor, dim: int = -2) -> None:
        super().__init__()
        if basis.ndim != 2 or bool(torch.linalg.matrix_rank(basis) < basis.shape[-1]):
            raise ValueError(
                "the basis of a background must be a matrix of independent columns, got shape "
                f"{tuple(basis.shape)}"
            )
        if dim not in (-2, -1):
            raise ValueError(f"a background lies along dimension -2 or -1, got {dim}")
        self.dim = dim
        self.register_buffer("basis", basis)
        self.register_buffer("orthonormal", torch.linalg.qr(basis).Q)

    def forward(self, x: Tensor) -> Tensor:
        q = self.orthonormal
        return x - q @ (q.mT @ x) if self.dim == -2 else x - (x @ q) @ q.mT

    def adjoint(self, y: Tensor) -> Tensor:
        return self(y)

    def squared_norm(self) -> Tensor:
        return self.basis.new_ones(())

    def background(self, y: Tensor) -> Tensor:
        """C, from what the model leaves of the data."""
        pseudo = torch.linalg.pinv(self.basis)
        return pseudo @ y if self.dim == -2 else y @ pseudo.mT
