"""Parallel units with a rectified linear activation: a network with one hidden layer."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.activations import gates
from ..functional.einsum import Layout
from ..functional.tree import Kept
from .base import Factors, Model


class ReLU(Model):
    """``Y = sum_k relu(V u_k) z_k^T``: a network with one hidden layer, one unit a column.

    Factors are the weights ``U (*, n, r)`` of the hidden units and ``Z (*, c, r)`` of the outputs.
    It is linear in Z, and in U on the cone ``{U : the signs of V U stay}`` that the blocks of a
    `ReLUNorm` never leave; there ``relu(V u_k) = D_k V u_k``. Terms are of degree two.

    Args:
        inputs: V, (p, n), a sample a row.

    Raises:
        ValueError: inputs that are no matrix.

    References:
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), section 3.3
        | Pilanci, Ergen, Neural networks are convex regularizers (2020)

    Example:
        >>> model = ReLU(torch.tensor([[1.0], [-2.0]]))
        >>> model((torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, 5.0]])))
        tensor([[ 3.],
                [10.]])
    """

    ndim, factor_ndims = 2, (2, 2)
    inputs: Tensor

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        if inputs.ndim != 2:
            raise ValueError(f"the inputs of ReLU are a matrix, got shape {tuple(inputs.shape)}")
        self.register_buffer("inputs", inputs)

    @property
    def cones(self) -> Tensor:
        return self.inputs

    def forward(self, factors: Factors) -> Tensor:
        u, z = factors
        return (self.inputs @ u).relu() @ z.mT

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        u, z = factors
        if n == 1:
            return residual.mT @ (self.inputs @ u).relu()
        return self.inputs.mT @ (gates(self.inputs, u) * (residual @ z))

    def layout(self, n: int) -> Layout:
        # Units see each other through the data, so the weights of all of them are one row.
        return Layout((0, 1), 0, 0) if n == 0 else super().layout(n)

    def rescalable(self, order: tuple[int, ...]) -> bool:
        return True

    def has_gram(self, n: int) -> bool:
        return True

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        u, z = factors
        if n == 1:
            hidden = (self.inputs @ u).relu()
            if weights is None:
                return hidden.mT @ hidden
            return torch.einsum("...pc,...pk,...pl->...ckl", weights, hidden, hidden)
        features = self.inputs[:, :, None] * gates(self.inputs, u)[..., :, None, :]
        if weights is None:
            found = torch.einsum("...pik,...pjl->...ikjl", features, features)
            found = found * (z.mT @ z)[..., None, :, None, :]
        else:
            outputs = torch.einsum("...pc,...ck,...cl->...pkl", weights, z, z)
            found = torch.einsum("...pik,...pjl,...pkl->...ikjl", features, features, outputs)
        found = found.flatten(-4, -3).flatten(-2)
        return found if weights is None else found[..., None, :, :]

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        return self.gram(factors, n).diagonal(dim1=-2, dim2=-1)[..., None, :]

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        super().check(factors, shape)
        u, z = factors
        if u.shape[-1] != z.shape[-1] or u.shape[-2] != self.inputs.shape[-1]:
            raise ValueError(
                f"{self.inputs.shape[-1]} inputs need hidden weights ({self.inputs.shape[-1]}, r) "
                f"and output weights (c, r), got {tuple(u.shape)} and {tuple(z.shape)}"
            )
        expected = (self.inputs.shape[0], z.shape[-2])
        if shape is not None and tuple(shape[-2:]) != expected:
            raise ValueError(f"the data has shape {tuple(shape)} but the model predicts {expected}")
