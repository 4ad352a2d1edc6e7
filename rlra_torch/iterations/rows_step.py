"""A factor's step where a coupling mixes its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.sylvester import Sylvester, rows_and_blocks
from ..regularizers.couplings import Coupling
from .admm import FactorStep
from .mu import lowest

INERTIA = 1e-3  # of a step in a factor that nothing else holds


@dataclass(frozen=True)
class RowsStep:
    """``argmin f(x) + w ||x||^2 / 2 + rho <x, S x> / 2 - <x, L>`` where S mixes rows.

    Args:
        block: f.
        weight: w, (*, 1, 1).
        matrix: S, (rows, rows) and positive semidefinite.
        rho: (*, 1, 1).
        equation: for least squares with one gram, the factorized Sylvester equation.
        root: for least squares with a gram for each row, a Cholesky factor of the whole matrix.
    """

    block: Block
    weight: Tensor
    matrix: Tensor
    rho: Tensor
    equation: Sylvester | None = None
    root: Tensor | None = None

    @classmethod
    def of(cls, block: Block, x: Tensor, weight: Tensor, matrix: Tensor, rho: Tensor) -> RowsStep:
        """Factorize what there is to factorize."""
        plain = cls(block, weight, matrix, rho)
        if not isinstance(block, QuadraticBlock):
            return plain
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        if block.gram.ndim == x.ndim:
            return replace(plain, equation=Sylvester.of(matrix, block.gram + weight * eye, rho))
        whole = rows_and_blocks(rho * matrix, block.gram + weight[..., None] * eye)
        return replace(plain, root=torch.linalg.cholesky_ex(whole)[0])

    def __call__(self, x: Tensor, linear: Tensor) -> Tensor:
        """The minimizer, as that of `FactorStep`."""
        if self.equation is not None or self.root is not None:
            assert isinstance(self.block, QuadraticBlock)
            right = self.block.cross + linear
            if self.equation is not None:
                return self.equation(right)
            assert self.root is not None
            return torch.cholesky_solve(right.flatten(-2)[..., None], self.root).reshape_as(right)
        lumped = self.rho * self.matrix.abs().sum(-1, keepdim=True)
        linear = linear + lumped * x - self.rho * (self.matrix @ x)
        weight = self.weight + lumped
        if self.block.quadratic:
            bound = self.block.lipschitz()
            return (bound * x - self.block.gradient(x) + linear) / (bound + weight)
        x = torch.maximum(x, lowest(x.detach(), torch.finfo(x.dtype).eps ** 2))
        return self.block.majorized(x, -linear, weight)


def coupled_step(
    block: Block, x: Tensor, rho: Tensor, terms: int, coupling: Coupling, n: int
) -> FactorStep | RowsStep:
    """The step in factor ``n`` of a coupling, for `Member`.

    Args:
        block: of the factor, (*, rows, rank).
        x: the factor.
        rho: the weight of the coupling and of each term, (*, 1, 1).
        terms: how many terms its regularizer has.
        coupling: the coupling.
        n: the number of the factor.
    """
    weight = terms * rho + rho if coupling.free else terms * rho
    if not coupling.free and not terms:
        weight = INERTIA * rho
    left, right = coupling.map("left", n), coupling.map("right", n)
    if left is not None:
        return RowsStep.of(block, x, weight, left.mT @ left, rho)
    return FactorStep.of(block, x, weight, None if right is None else rho * (right @ right.mT))
