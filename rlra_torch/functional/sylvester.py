"""Sylvester equations with symmetric coefficients, without host synchronisation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sylvester(NamedTuple):
    """``w L X + X R = C`` for positive semidefinite L and R, factorized once for many C.

    With ``L = U diag(l) U^T`` and ``R = V diag(r) V^T``,

        X = U [(U^T C V)_ij / (w l_i + r_j)] V^T

    Args:
        left: U, (*, rows, rows).
        right: V, (*, rank, rank).
        sums: ``w l_i + r_j``, (*, rows, rank), positive.

    Example:
        >>> solve = Sylvester.of(torch.eye(2), 3 * torch.eye(1), torch.ones(1, 1))
        >>> solve(torch.tensor([[4.0], [8.0]]))
        tensor([[1.],
                [2.]])
    """

    left: Tensor
    right: Tensor
    sums: Tensor

    @classmethod
    def of(cls, left: Tensor, right: Tensor, weight: Tensor) -> Sylvester:
        """Two symmetric eigendecompositions.

        The weight stays out of them: a known L may have repeated eigenvalues, at which they have no
        derivative.

        Args:
            left: L, (*, rows, rows).
            right: R, (*, rank, rank).
            weight: w, (*, 1, 1).
        """
        low, vectors = torch.linalg.eigh(left)
        high, others = torch.linalg.eigh(right)
        sums = weight * low.clamp_min(0)[..., :, None] + high.clamp_min(0)[..., None, :]
        # What neither of the two sees stays out of the solution.
        least = torch.finfo(sums.dtype).eps * sums.amax((-2, -1), keepdim=True)
        return cls(vectors, others, torch.where(sums > least, sums, torch.inf))

    def __call__(self, c: Tensor) -> Tensor:
        """X for one C, (*, rows, rank)."""
        turned = self.left.mT @ c @ self.right / self.sums
        return self.left @ turned @ self.right.mT


def rows_and_blocks(left: Tensor, blocks: Tensor) -> Tensor:
    """The matrix of ``X -> L X + [x_i R_i]``, where each row has an R of its own.

    Args:
        left: L, (*, rows, rows).
        blocks: (*, rows, rank, rank).

    Returns:
        (*, rows rank, rows rank), for the rows of X one after the other.

    Example:
        >>> rows_and_blocks(torch.ones(2, 2), torch.zeros(2, 1, 1))
        tensor([[1., 1.],
                [1., 1.]])
    """
    rows, rank = blocks.shape[-3], blocks.shape[-1]
    eye = torch.eye(rank, dtype=left.dtype, device=left.device)
    mixing = left[..., :, None, :, None] * eye[:, None, :]
    # (*, rank, rank, rows) to a diagonal of blocks, (*, rows, rank, rows, rank).
    own = torch.diag_embed(blocks.movedim(-3, -1)).movedim((-2, -1), (-4, -2))
    total = mixing + own
    return total.reshape(*total.shape[:-4], rows * rank, rows * rank)
