"""Regularizers that act on each column of a factor (or on each row: ``dim=-1``)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.proximal import group_shrink, keep_largest, normalize_l2, project_simplex
from ..functional.smoothing import polar
from .base import Regularizer, Split, hyperparameter


class Vectorwise(Regularizer):
    """The base of those that couple the entries of a column, or of a row.

    Args:
        dim: -2 for the columns of the factor, -1 for its rows.

    Raises:
        ValueError: another dimension.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim not in (-2, -1):
            raise ValueError(f"dim is -2 (columns) or -1 (rows of the factor), got {dim}")
        self.dim, self.couples = dim, (dim,)

    def forward(self, x: Tensor) -> Tensor:
        """0: a constraint that is met costs nothing."""
        return x.new_zeros(x.shape[:-2])


class Simplex(Vectorwise):
    """``x >= 0`` and ``sum x = total`` for each row (abundances that sum to one) or column.

    Args:
        total: the sum, positive.
        dim: -1 for the rows of the factor, -2 for its columns.

    Raises:
        ValueError: a sum that is not positive.

    References:
        | Duchi et al., Efficient projections onto the l1-ball (2008)

    Example:
        >>> import torch
        >>> Simplex().prox(torch.tensor([[2.0, 0.0]]), 1.0)
        tensor([[1., 0.]])
    """

    def __init__(self, total: float = 1.0, dim: int = -1) -> None:
        super().__init__(dim)
        if not real_number("the sum of a simplex", total) > 0:
            raise ValueError(f"the sum of a simplex must be positive, got {total}")
        self.total = float(total)

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        return project_simplex(x, self.dim, self.total)

    def extra_repr(self) -> str:
        return f"total={self.total:g}, dim={self.dim}"


class SumAtMost(Simplex):
    """``x >= 0`` and ``sum x <= total`` for each row (abundances with shade) or column.

    Args:
        total: the largest sum, positive.
        dim: -1 for the rows of the factor, -2 for its columns.

    Raises:
        ValueError: a sum that is not positive.

    Example:
        >>> import torch
        >>> SumAtMost().prox(torch.tensor([[2.0, 0.0], [0.5, -1.0]]), 1.0)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.0000]])
    """

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        inside = x.clamp_min(0)
        within = inside.sum(self.dim, keepdim=True) <= self.total
        return torch.where(within, inside, super().prox(x, step))


class UnitNorm(Vectorwise):
    """``||x||_2 = 1`` for each column (or row), and ``x >= 0`` if wanted.

    Args:
        nonnegative: whether entries are nonnegative too.
        dim: -2 for columns, -1 for rows.

    Example:
        >>> import torch
        >>> UnitNorm(nonnegative=True).prox(torch.tensor([[3.0], [-1.0]]), 1.0)
        tensor([[1.],
                [0.]])
    """

    convex = False

    def __init__(self, nonnegative: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        self.nonnegative = nonnegative

    @property
    def even(self) -> bool:
        return not self.nonnegative

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        return normalize_l2(x, self.dim, nonnegative=self.nonnegative)

    def extra_repr(self) -> str:
        return f"nonnegative={self.nonnegative}, dim={self.dim}"


class KSparse(Vectorwise):
    """At most ``k`` nonzeros in each column (or row), and ``x >= 0`` if wanted.

    Args:
        k: how many nonzeros, at least 1.
        nonnegative: whether entries are nonnegative too.
        dim: -2 for the columns of the factor, -1 for its rows (the columns of ``H^T``).

    Raises:
        ValueError: k below 1.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapters 11 and 15

    Example:
        >>> import torch
        >>> KSparse(1, dim=-1).prox(torch.tensor([[3.0, -4.0]]), 1.0)
        tensor([[ 0., -4.]])
    """

    convex = False
    degree = 0.0

    def __init__(self, k: int, nonnegative: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        self.k, self.nonnegative = whole_number("k of KSparse", k), nonnegative

    @property
    def even(self) -> bool:
        return not self.nonnegative

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """Keep the largest; the step does not matter."""
        x = x.clamp_min(0) if self.nonnegative else x
        return keep_largest(x, self.k, self.dim)

    def extra_repr(self) -> str:
        return f"k={self.k}, nonnegative={self.nonnegative}, dim={self.dim}"


class Orthonormal(Regularizer):
    """``X^T X = I``: orthonormal columns.

    Its projection is the polar factor. For factors with at least as many rows as columns.

    References:
        | Schonemann, A generalized solution of the orthogonal Procrustes problem (1966)

    Example:
        >>> Orthonormal().prox(torch.tensor([[2.0, 0.0], [0.0, -3.0], [0.0, 0.0]]), 1.0)
        tensor([[ 1.,  0.],
                [ 0., -1.],
                [ 0.,  0.]])
    """

    convex = False
    couples = (-2, -1)

    def forward(self, x: Tensor) -> Tensor:
        """0: a constraint that is met costs nothing."""
        return x.new_zeros(x.shape[:-2])

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter.

        Raises:
            ValueError: more columns than rows.
        """
        if x.shape[-2] < x.shape[-1]:
            raise ValueError(
                f"{x.shape[-1]} columns of {x.shape[-2]} entries cannot be orthonormal; "
                "choose a lower rank"
            )
        return polar(x)


class Group(Vectorwise):
    """``weight ||x||_2`` summed over columns (or rows): whole columns go to zero together.

    Args:
        weight: a float or a tensor that broadcasts with the norms kept as ``(*, 1, rank)``.
        nonnegative: whether entries are nonnegative too.
        dim: -2 for columns, -1 for rows.

    References:
        | Yuan, Lin, Model selection and estimation in regression with grouped variables (2006)

    Example:
        >>> import torch
        >>> Group(1.0).prox(torch.tensor([[3.0], [4.0]]), 1.0)
        tensor([[2.4000],
                [3.2000]])
    """

    degree = 1.0
    weight: Tensor

    def __init__(self, weight: float | Tensor, nonnegative: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        hyperparameter(self, "weight", weight)
        self.nonnegative = nonnegative

    @property
    def even(self) -> bool:
        return not self.nonnegative

    def forward(self, x: Tensor) -> Tensor:
        """The weighted sum of norms, (*,)."""
        norms = x.square().sum(self.dim, keepdim=True)
        positive = norms > 0
        safe = norms.where(positive, norms.new_ones(())).sqrt()
        return (self.weight * safe.where(positive, norms.new_zeros(()))).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """Shrink the norm of each group."""
        x = x.clamp_min(0) if self.nonnegative else x
        return group_shrink(x, self.weight * step, self.dim)

    def split(self, x: Tensor) -> Split:
        """``||z|| <= ||z||^2 / (2 ||x||) + ||x|| / 2``: a ridge of weight ``weight / ||x||``."""
        norm = x.square().sum(self.dim, keepdim=True).sqrt()
        return Split(l2=self.weight / norm.clamp_min(torch.finfo(x.dtype).tiny ** 0.5))

    def extra_repr(self) -> str:
        return f"nonnegative={self.nonnegative}, dim={self.dim}"
