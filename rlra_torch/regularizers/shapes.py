"""Regularizers of the shape of each column: monotone, unimodal, piecewise constant, smooth."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..functional.segments import taut_string
from ..functional.smoothing import smooth
from ..functional.unimodal import unimodal
from .base import hyperparameter
from .vectorwise import Vectorwise


class Monotone(Vectorwise):
    """``x_1 <= x_2 <= ...`` down each column (or along each row), or the reverse.

    Args:
        decreasing: whether it falls instead.
        nonnegative: whether entries are nonnegative too.
        dim: -2 for columns, -1 for rows.

    References:
        | Barlow, Bartholomew, Bremner, Brunk, Statistical inference under order restrictions (1972)

    Example:
        >>> Monotone().prox(torch.tensor([[3.0], [1.0], [4.0]]), 1.0).flatten()
        tensor([2., 2., 4.])
    """

    degree = 0.0

    def __init__(self, decreasing: bool = False, nonnegative: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        self.decreasing, self.nonnegative = decreasing, nonnegative

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        return _on_vectors(self._projected, x, self.dim)

    def _projected(self, x: Tensor) -> Tensor:
        x = x.flip(-1) if self.decreasing else x
        zero = x.new_zeros(x.shape[0], 1)
        # The maximum changes nothing but rounding; projections onto both sets compose.
        z = taut_string(x, zero, zero + math.inf).cummax(-1).values
        z = z.clamp_min(0) if self.nonnegative else z
        return z.flip(-1) if self.decreasing else z

    def extra_repr(self) -> str:
        return f"decreasing={self.decreasing}, nonnegative={self.nonnegative}, dim={self.dim}"


class Unimodal(Vectorwise):
    """Rising to a mode and then falling, down each column (or along each row); any mode.

    Args:
        nonnegative: whether entries are nonnegative too.
        dim: -2 for columns, -1 for rows.

    References:
        | Bro, Sidiropoulos, Least squares algorithms under unimodality and non-negativity
        | constraints (1998)
        | Stout, Unimodal regression via prefix isotonic regression (2008)

    Example:
        >>> Unimodal().prox(torch.tensor([[1.0], [3.0], [1.0], [2.0]]), 1.0).flatten()
        tensor([1.0000, 3.0000, 1.5000, 1.5000])
    """

    convex = False
    degree = 0.0

    def __init__(self, nonnegative: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        self.nonnegative = nonnegative

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """A projection; the step does not matter."""
        return _on_vectors(lambda x: unimodal(x, nonnegative=self.nonnegative), x, self.dim)

    def extra_repr(self) -> str:
        return f"nonnegative={self.nonnegative}, dim={self.dim}"


class TotalVariation(Vectorwise):
    """``weight sum_i |x_(i+1) - x_i|`` down each column (or along each row): few jumps.

    Args:
        weight: a float or a tensor that broadcasts with the values kept as ``(*, 1, rank)``.
        nonnegative: whether entries are nonnegative too.
        dim: -2 for columns, -1 for rows.

    References:
        | Rudin, Osher, Fatemi, Nonlinear total variation based noise removal algorithms (1992)
        | Davies, Kovac, Local extremes, runs, strings and multiresolution (2001)

    Example:
        >>> TotalVariation(1.0).prox(torch.tensor([[0.0], [0.0], [4.0], [4.0]]), 1.0).flatten()
        tensor([0.5000, 0.5000, 3.5000, 3.5000])
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
        """The weighted sum of the jumps, (*,)."""
        jumps = x.diff(dim=self.dim).abs().sum(self.dim, keepdim=True)
        return (self.weight * jumps).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The fused lasso, exactly; clipped, since the two proximal maps compose."""
        width = _per_vector(self.weight * step, x, self.dim)
        z = _on_vectors(lambda x: taut_string(x, -width, width), x, self.dim)
        return z.clamp_min(0) if self.nonnegative else z

    def extra_repr(self) -> str:
        return f"nonnegative={self.nonnegative}, dim={self.dim}"


class Smooth(Vectorwise):
    """``weight/2 sum_i (x_(i+1) - x_i)^2`` down each column (or along each row).

    Args:
        weight: a float or a tensor that broadcasts with the values kept as ``(*, 1, rank)``.
        zero_ends: whether the jumps from 0 to the first entry and from the last to 0 count too;
            else constants cost nothing.
        dim: -2 for columns, -1 for rows.

    Example:
        >>> Smooth(1.0).prox(torch.tensor([[0.0], [3.0]]), 1.0).flatten()
        tensor([1., 2.])
    """

    degree = 2.0
    weight: Tensor

    def __init__(self, weight: float | Tensor, zero_ends: bool = False, dim: int = -2) -> None:
        super().__init__(dim)
        hyperparameter(self, "weight", weight)
        self.zero_ends = zero_ends

    def forward(self, x: Tensor) -> Tensor:
        """Half the weighted sum of squares of the jumps, (*,)."""
        jumps = x.diff(dim=self.dim).square().sum(self.dim, keepdim=True)
        if self.zero_ends:
            first, last = (x.narrow(self.dim, i, 1) for i in (0, x.shape[self.dim] - 1))
            jumps = jumps + first.square() + last.square()
        return 0.5 * (self.weight * jumps).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """A linear filter."""
        weight = _per_vector(self.weight * step, x, self.dim)
        return _on_vectors(lambda x: smooth(x, weight, zero_ends=self.zero_ends), x, self.dim)

    def extra_repr(self) -> str:
        return f"zero_ends={self.zero_ends}, dim={self.dim}"


class Quadratic(Vectorwise):
    """``weight/2 x_q^T M x_q`` for each column (or row): the Laplacian of a graph, for example.

    M is decomposed once, so that the prox is two products for any step.

    Args:
        matrix: M, (n, n), symmetric positive semidefinite, in the dtype of the data.
        weight: a float or a tensor that broadcasts with the values kept as ``(*, 1, rank)``.
        dim: -2 for columns, -1 for rows.

    Raises:
        TypeError: not a matrix of real numbers.
        ValueError: not symmetric positive semidefinite.

    Example:
        >>> laplacian = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
        >>> Quadratic(laplacian).prox(torch.tensor([[0.0], [3.0]]), 1.0).flatten()
        tensor([1.0000, 2.0000])
    """

    degree = 2.0
    weight: Tensor
    modes: Tensor
    curvatures: Tensor

    def __init__(self, matrix: Tensor, weight: float | Tensor = 1.0, dim: int = -2) -> None:
        super().__init__(dim)
        hyperparameter(self, "weight", weight)
        curvatures, modes = _decomposed(matrix)
        self.register_buffer("modes", modes)
        self.register_buffer("curvatures", curvatures)

    @property
    def weighing(self) -> tuple[Tensor, ...]:
        """The weight: the matrix is that of every column."""
        return (self.weight,)

    def forward(self, x: Tensor) -> Tensor:
        """Half the weighted quadratic form, (*,)."""
        waves = x.movedim(self.dim, -1) @ self.modes
        values = (self.curvatures * waves.square()).sum(-1, keepdim=True)
        return 0.5 * (self.weight * values.movedim(-1, self.dim)).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """``(I + weight step M)^-1 x``."""
        weight = _per_vector(self.weight * step, x, self.dim)

        def solved(x: Tensor) -> Tensor:
            return ((x @ self.modes) / (1 + weight * self.curvatures)) @ self.modes.mT

        return _on_vectors(solved, x, self.dim)

    def extra_repr(self) -> str:
        return f"matrix of size {len(self.curvatures)}, dim={self.dim}"


def _decomposed(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a matrix that must be positive semidefinite."""
    real = isinstance(matrix, Tensor) and matrix.is_floating_point()
    if not real or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        kind = f"shape {tuple(matrix.shape)}" if isinstance(matrix, Tensor) else type(matrix)
        raise TypeError(f"the matrix of Quadratic must be square, of real numbers, got {kind}")
    size = matrix.abs().max() * len(matrix) * torch.finfo(matrix.dtype).eps
    if bool((matrix - matrix.mT).abs().max() > 10 * size):
        raise ValueError("the matrix of Quadratic must be symmetric; use (M + M^T) / 2")
    curvatures, modes = torch.linalg.eigh(matrix.detach())
    if bool(curvatures[0] < -10 * size):
        raise ValueError(
            f"the matrix of Quadratic must be positive semidefinite, but it has the eigenvalue "
            f"{float(curvatures[0]):.3g}"
        )
    return curvatures.clamp_min(0), modes


def _on_vectors(function: Callable[[Tensor], Tensor], x: Tensor, dim: int) -> Tensor:
    """A map of (m, n) applied to all vectors along a dimension."""
    turned = x.movedim(dim, -1)
    return function(turned.reshape(-1, turned.shape[-1])).reshape(turned.shape).movedim(-1, dim)


def _per_vector(weight: Tensor, x: Tensor, dim: int) -> Tensor:
    """One number for each vector along a dimension, (m, 1), in the dtype of ``x``."""
    weight = weight.to(device=x.device, dtype=x.dtype).expand_as(x).narrow(dim, 0, 1)
    return weight.movedim(dim, -1).reshape(-1, 1)
