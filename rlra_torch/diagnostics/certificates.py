"""Whether a factorization under a projective norm is a global optimum, with proof."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.dense import Dense
from ..functional.batch import sum_each
from ..models import Factors, Sensed
from ..problem import Problem
from ..regularizers import ProjectiveNorm
from .degrees import check_degrees


class Certificate(NamedTuple):
    """What is known about the distance to the global optimum.

    Args:
        stationarity: (*,) ``|<M, X> / Omega - 1|``, with Omega the penalty: 0 where no scale of the
            factors is better, as at every stationary point.
        polar_lower, polar_upper: (*,) bounds of the polar of M. Above 1 at the lower bound: there
            is a rank-one term, `direction`, whose addition descends. At most 1 at the upper one:
            the factors are a global optimum, of all ranks.
        gap_upper: (*,) the objective is at most this far above the global minimum.
        method: where the upper bound comes from.
        direction: the rank-one term of the lower bound, a vector for each mode.
    """

    stationarity: Tensor
    polar_lower: Tensor
    polar_upper: Tensor
    gap_upper: Tensor
    method: str
    direction: tuple[Tensor, ...]


def certificate(problem: Problem, factors: Factors, seed: int = 0) -> Certificate:
    """Bounds of the polar and of the distance to the global minimum, whatever the rank.

        M = -gradient of the loss in X = A Z^T,   k = polar(M)
        F(X) - F* <= Omega - <M, X> + F(X) max(k - 1, 0)

    for every convex loss that is nonnegative; for least squares, with residuals R, also the duality
    gap ``F(X) - (s <Y, R> - s^2 ||R||^2 / 2)`` with ``s = min(<Y, R> / ||R||^2, 1 / k)``. The least
    of them holds. Only the upper bound of k enters, so that what is claimed is proved.

    Args:
        problem: with a `ProjectiveNorm` and dense data, of a CP model or, under a `ReLUNorm`, a
            network, maybe seen through an operator.
        factors: where; near a stationary point.
        seed: of the random starts of the lower bound.

    Raises:
        TypeError: another penalty, model or kind of data.
        ValueError: the penalty has another degree than the terms, see `degrees`.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 3
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), theorem 15

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> y = torch.diag(torch.tensor([3.0, 1.0]))
        >>> problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(2.0))
        >>> one = torch.tensor([[1.0], [0.0]])
        >>> found = certificate(problem, (one, one))
        >>> round(float(found.polar_upper), 4), round(float(found.gap_upper), 4)
        (1.0, 0.0)
        >>> round(float(certificate(problem, (0 * one, one)).polar_lower), 4)
        1.5
    """
    check_degrees(problem)
    norm, data, loss = problem.regs, problem.data, problem.loss
    if not isinstance(norm, ProjectiveNorm):
        raise TypeError("a certificate needs a ProjectiveNorm as the regularizer of the problem")
    if not isinstance(data, Dense):
        raise TypeError(f"a certificate needs dense data, got {type(data).__name__}")
    inner = problem.model.model if isinstance(problem.model, Sensed) else problem.model
    if not inner.rescalable(tuple(range(len(factors)))) or inner.ndim != len(factors):
        raise TypeError(f"a certificate needs a CP or ReLU model, got {type(inner).__name__}")
    lead = len(problem.batch_shape)
    positive, negative = loss.split(problem.model(factors), data.y)
    residual = negative - positive if data.weights is None else data.weights * (negative - positive)
    slope = residual
    if isinstance(problem.model, Sensed):
        slope = problem.model.operator.adjoint(residual)
    found = norm.polar(slope, seed)
    penalty = norm.penalty(factors)
    inside = sum_each(slope * inner(factors), lead)
    value = problem.objective(factors)
    gap = (penalty - inside + value * (found.upper - 1).clamp_min(0)).clamp_min(0)
    if loss.quadratic:
        gap = gap.minimum(_duality_gap(data, residual, value, found.upper, lead))
    tiny = torch.finfo(value.dtype).tiny
    stationarity = torch.where(penalty > 0, (inside / penalty.clamp_min(tiny) - 1).abs(), 0)
    return Certificate(stationarity, found.lower, found.upper, gap, found.method, found.vectors)


def _duality_gap(data: Dense, residual: Tensor, value: Tensor, upper: Tensor, lead: int) -> Tensor:
    """That of the weighted residuals, scaled such that they are feasible."""
    squares = residual.square()
    if data.weights is not None:
        squares = torch.where(data.weights > 0, squares / data.weights, 0)
    inner = sum_each(data.y * residual, lead)
    energy = sum_each(squares, lead)
    tiny = torch.finfo(value.dtype).tiny
    scale = (inner / energy.clamp_min(tiny)).clamp_min(0).minimum(1 / upper.clamp_min(tiny))
    return (value - (scale * inner - scale.square() * energy / 2)).clamp_min(0)
