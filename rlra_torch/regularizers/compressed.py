"""Nonnegativity of a factor that is known through its coordinates in a basis."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.cones import project_onto_dual_cone
from .base import Regularizer


class NonNegativeThrough(Regularizer):
    """``U x >= 0``: a compressed factor whose decompression is nonnegative.

    The projection is one onto a polyhedral cone for each column, found exactly through its dual, a
    nonnegative least-squares problem. Far cheaper is `near`, one round of alternating projections.

    Args:
        basis: U, (n, r) with orthonormal columns.

    Raises:
        ValueError: not a matrix with orthonormal columns.

    References:
        | Cohen, Farias, Comon, Fast decomposition of large nonnegative tensors (2015)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.3

    Example:
        >>> reg = NonNegativeThrough(torch.eye(2))
        >>> reg.prox(torch.tensor([[1.0], [-2.0]]), 1.0)
        tensor([[1.],
                [0.]])
    """

    basis: Tensor
    degree = 0.0
    couples = (-2,)

    def __init__(self, basis: Tensor) -> None:
        super().__init__()
        if not isinstance(basis, Tensor) or basis.ndim != 2 or not basis.is_floating_point():
            raise ValueError("NonNegativeThrough takes a matrix with orthonormal columns")
        gram = basis.mT @ basis
        eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        if float((gram - eye).abs().max()) > 1e3 * torch.finfo(basis.dtype).eps * len(basis):
            raise ValueError("NonNegativeThrough takes a matrix with orthonormal columns")
        self.register_buffer("basis", basis)

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-2])

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        return project_onto_dual_cone(self.basis.to(x.dtype), x)

    def expand(self, x: Tensor) -> Tensor:
        """The factor itself, ``U x``."""
        return self.basis.to(x.dtype) @ x

    def near(self, x: Tensor) -> Tensor:
        """``U^T [U x]_+``, one round of projections onto the orthant and onto the subspace."""
        return self.basis.to(x.dtype).mT @ self.expand(x).clamp_min(0)
