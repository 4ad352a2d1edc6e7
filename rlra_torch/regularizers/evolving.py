"""Regularizers of matrices that evolve, ``(*, K, rows, rank)``: PARAFAC2 and smoothness over K."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.parafac2 import nearest_orbit
from ..functional.tridiagonal import solve_tridiagonal
from .base import Regularizer, hyperparameter


class Parafac2Set(Regularizer):
    """The matrices that share a cross product, ``B_k = P_k Delta`` with ``P_k^T P_k = I``.

    Its prox is the projection, in the metric of a step for each ``B_k``; see `nearest_orbit`. As
    part of a loop it goes on from the Delta of the last call, so that one pass is enough there.

    Args:
        passes: passes of a projection that starts anew.
        warm_passes: passes of one that goes on.

    Raises:
        ValueError: less than one pass.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.3.3
        | Roald, Schenker, Calhoun, Adali, Bro, Cohen, Acar, An AO-ADMM approach to constraining
        | PARAFAC2 on all modes (2022), section 3

    Example:
        >>> turns = torch.stack((torch.eye(2), torch.eye(2).flip(0)))
        >>> Parafac2Set().prox(turns, 1.0).round(decimals=6)
        tensor([[[1., 0.],
                 [0., 1.]],
        <BLANKLINE>
                [[0., 1.],
                 [1., 0.]]])
    """

    degree = 0.0
    couples = (-2, -1)
    convex = False

    def __init__(self, passes: int = 5, warm_passes: int = 1) -> None:
        super().__init__()
        self.passes = whole_number("the passes of Parafac2Set", passes)
        self.warm_passes = whole_number("the warm passes of Parafac2Set", warm_passes)

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:-2])

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection of (*, K, rows, rank); the step may differ between the K matrices."""
        return nearest_orbit(x, _weights(step, x), passes=self.passes).x

    def warm(self, x: Tensor) -> tuple[Tensor, ...]:
        """The Delta to go on from."""
        return (nearest_orbit(x, passes=self.passes).delta,)

    def warm_prox(
        self, x: Tensor, step: Tensor | float, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The projection from the Delta of the last one, and its own."""
        found = nearest_orbit(x, _weights(step, x), memory[0], self.warm_passes)
        return found.x, (found.delta,)


class TemporalSmoothness(Regularizer):
    """``weight / 2 * sum_k ||B_k - B_{k-1}||^2``: factors that change little from k to k + 1.

    Args:
        weight: nonnegative.

    Raises:
        TypeError, ValueError: a weight that is not a nonnegative number.

    References:
        | Chatzis, Schenker, Pfeffer, Acar, tPARAFAC2: tracking evolving patterns in (incomplete)
        | temporal data (2024)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.2.1

    Example:
        >>> x = torch.tensor([0.0, 3.0])[:, None, None]
        >>> TemporalSmoothness(1.0).prox(x, 1.0).flatten()
        tensor([1., 2.])
    """

    degree = 2.0
    weight: Tensor

    def __init__(self, weight: float | Tensor) -> None:
        super().__init__()
        hyperparameter(self, "weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        jumps = x.diff(dim=-3, prepend=x.narrow(-3, 0, 1)).square().sum((-2, -1))
        return 0.5 * self.weight.to(x.dtype) * jumps

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """One tridiagonal system over k for each entry; the step may differ between entries."""
        weight = self.weight.to(x.dtype)
        inverse = 1 / torch.as_tensor(step, dtype=x.dtype, device=x.device).expand_as(x)
        off = -weight * torch.ones_like(inverse.narrow(-3, 0, x.shape[-3] - 1))
        edge = torch.zeros_like(inverse.narrow(-3, 0, 1))
        diagonal = inverse - torch.cat((edge, off), -3) - torch.cat((off, edge), -3)
        return solve_tridiagonal(diagonal, off, x * inverse, -3)


def _weights(step: Tensor | float, x: Tensor) -> Tensor | None:
    """The weights of the K distances, (..., K or 1, 1, 1)."""
    if not isinstance(step, Tensor) or step.ndim < 3:
        return None
    return (1 / step)[..., :1, :1]
