"""The l1 induced matrix norm: one bound on the l1 norms of all columns."""

from __future__ import annotations

from torch import Tensor

from ..functional.induced import shrink_largest_columns
from .base import Regularizer, hyperparameter


class InducedL1(Regularizer):
    """``weight max_i ||x_i||_1`` over the columns, and ``X >= 0`` if wanted.

    The l1 induced norm, ``sup ||X z||_1 / ||z||_1``, is the tightest convex relaxation of the
    largest number of nonzeros of a column. Only the longest columns feel it: where the columns of
    the truth differ in length, `L1` with a weight for each column finds more of their zeros.

    Args:
        weight: nonnegative, a float or a tensor (*, 1, 1).
        nonnegative: whether entries are nonnegative too.

    Raises:
        TypeError, ValueError: a weight that is not a nonnegative number.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.2

    Example:
        >>> import torch
        >>> reg, x = InducedL1(1.0), torch.tensor([[3.0, 1.0], [1.0, 0.0]])
        >>> reg(x), reg.prox(x, 0.5)
        (tensor(4.), tensor([[2.5000, 1.0000],
                [0.5000, 0.0000]]))
    """

    degree = 1.0
    couples = (-2, -1)
    weight: Tensor

    def __init__(self, weight: float | Tensor, nonnegative: bool = False) -> None:
        super().__init__()
        hyperparameter(self, "weight", weight)
        self.nonnegative = nonnegative

    @property
    def even(self) -> bool:
        return not self.nonnegative

    def forward(self, x: Tensor) -> Tensor:
        """The value, (*,)."""
        largest = x.abs().sum(-2, keepdim=True).amax(-1, keepdim=True)
        return (self.weight.to(x.dtype) * largest).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """Cut all columns to one l1 norm; the step is one number for each matrix."""
        x = x.clamp_min(0) if self.nonnegative else x
        step = step[..., :1, :1] if isinstance(step, Tensor) and step.ndim > 1 else step
        return shrink_largest_columns(x, self.weight.to(x.dtype) * step)

    def extra_repr(self) -> str:
        return f"nonnegative={self.nonnegative}"
