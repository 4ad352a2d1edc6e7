"""One-variable steps for Kullback-Leibler, over one column after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import threshold

from ..blocks import Block, DivergenceBlock
from ..functional.arguments import whole_number
from ..losses import KullbackLeibler
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration
from .columns import columns_of

SAFE = 0.6838
"""Just below the root of ``-t - log(1 - t) = t^2``."""


class Column(NamedTuple):
    """One column of a block and its derivatives, each (*, batch, rows) or broadcasting with it.

    Args:
        x: the column.
        positive: the positive part of its gradient, with that of the penalties.
        negative: the negative part, ``sum_j a_j h_j / p_j``.
        curvature: of the divergence, ``sum_j a_j h_j^2 / p_j^2``.
        ridge: weight of the ridge penalty, or 0.
    """

    x: Tensor
    positive: Tensor
    negative: Tensor
    curvature: Tensor
    ridge: Tensor | float


class CoordinateDescent(BlockIteration, ABC):
    """Steps in one entry of each row, for one column after the other, on a Kullback-Leibler block.

    In one entry x of a row, with ``a_j`` the data times their weights, ``h_j`` the entries of the
    component and ``p_j = c_j + h_j x`` the prediction, the objective is up to a constant

        f(x) = (sum_j w_j h_j + l1) x + l2 x^2 / 2 - sum_j a_j log(c_j + h_j x)

    The prediction is kept up to date, so that a step passes some five times over the data.

    Args:
        inner: steps in one entry before the next.

    Raises:
        ValueError: fewer than one.
    """

    nonnegative = True

    def __init__(self, inner: int = 1) -> None:
        super().__init__()
        self.inner = whole_number(f"the inner steps of {type(self).__name__}", inner)

    @abstractmethod
    def step(self, column: Column) -> Tensor:
        """The new column, before it is clipped to its interval."""

    def least(self, x: Tensor, lower: float) -> Tensor:
        """Below what no entry of a column may fall, (*, batch, 1, rank)."""
        return x.new_full((1, x.shape[-1]), lower)

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, DivergenceBlock)
        l1, l2, lower, upper = reg.split(x)
        ceilings = upper.expand_as(x) if isinstance(upper, Tensor) else None
        slopes = block.split(x)[0] if block.positive is None else block.positive
        slopes = (slopes if l1 is None else slopes + l1).expand_as(x)
        ridges = None if l2 is None else l2.to(x.dtype).expand_as(x)
        least, parts = self.least(x, lower), []
        for rows, columns in columns_of(block, x):
            found = list(x[..., rows, :].unbind(-1))
            for q, _ in ((q, i) for q in range(x.shape[-1]) for i in range(self.inner)):
                old, ridge = found[q], 0.0 if ridges is None else ridges[..., rows, q]
                positive = slopes[..., rows, q] + ridge * old
                column = Column(old, positive, *columns.moments(q), ridge)
                moved = torch.maximum(self.step(column), least[..., q])
                ceiling = upper if ceilings is None else ceilings[..., rows, q]
                found[q] = moved.clamp_max(ceiling)
                columns.add(q, found[q] - old)
            parts.append(torch.stack(found, -2))
        return torch.cat(parts, -1).mT, memory

    def check(self, problem: Problem, n: int) -> None:
        name = type(self).__name__
        if not problem.model.has_gram(n):
            raise TypeError(
                f"{name} needs the gram of factor {n}, which {type(problem.model).__name__} does "
                "not give; use MU, MSOM or BurgMirrorDescent"
            )
        loss = problem.loss_of(n)
        if not isinstance(loss, KullbackLeibler):
            raise TypeError(f"{name} is for KullbackLeibler, not {type(loss).__name__}; use MU")
        problem.regs[n].split(torch.ones((1,) * problem.model.factor_ndims[n]))


class CoordinateNewton(CoordinateDescent):
    """CCD: plain Newton steps in one variable, over one column after the other.

        x <- max(x - f'(x) / f''(x), floor)

    Nothing makes the objective fall. A step to the left can pass the minimizer by far, down to
    where a prediction vanishes, and from there a step to the right no more than doubles the entry.
    So it does well near a solution and badly far from one; `ScalarNewton` mends both at the same
    cost, and `Safeguarded` takes another step where this one rises.

    Args:
        inner: Newton steps in one entry before the next.

    Raises:
        ValueError: fewer than one.

    References:
        | Hsieh, Dhillon, Fast coordinate descent methods with variable selection for nonnegative
        | matrix factorization (2011), section 4

    Example:
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> factors, y = (torch.ones(1, 1), torch.ones(2, 1)), torch.tensor([[1.0, 3.0]])
        >>> sums = torch.tensor([[2.0]])
        >>> block = DivergenceBlock(NMF(), KullbackLeibler(), y, None, factors, 0, sums)
        >>> CoordinateNewton(inner=1)(factors[0], (), block, NonNegative())[0]
        tensor([[1.5000]])
    """

    def __init__(self, inner: int = 2) -> None:
        super().__init__(inner)

    def step(self, column: Column) -> Tensor:
        """``x - f' / f''``, or no further than ``-x``: where f is a slope, ``f''`` is 0."""
        tiny = torch.finfo(column.x.dtype).tiny
        slope = column.positive - column.negative
        least = 0.5 * slope / column.x.clamp_min(tiny**0.5)
        curvature = torch.maximum(column.curvature + column.ridge, least)
        return column.x - slope / curvature.clamp_min(tiny)

    def least(self, x: Tensor, lower: float) -> Tensor:
        """The rounding unit times the largest entry: from 0 a Newton step may lead nowhere."""
        largest = x.detach().amax(-2, keepdim=True)
        return (torch.finfo(x.dtype).eps * largest).clamp_min(lower)


class ScalarNewton(CoordinateDescent):
    """SN: steps in one variable that never raise the objective, over one column after the other.

    To the left, Newton's step or a damped one. ``h_j / p_j <= 1 / x`` bounds ``|f'''|`` by
    ``2 f'' / x`` there, so that for the entry alone

        f(x - d) <= f(x) - f' d + f'' x^2 w(d / x),    w(t) = -t - log(1 - t)

    The step is ``f' / f''`` as long as this majorant allows, which is up to ``0.6838 x``, and else
    its minimizer ``f' / (f'' + f' / x)``.

    To the right, Newton's step for the reciprocal of the negative part N of the gradient, which is
    concave in x: the root z of ``N^2 / (N + |N'| (z - x)) = sum_j w_j h_j + l1 + l2 z``. It is
    longer than the step for ``f'``, never passes the minimizer, and leaves 0 at once.

    Args:
        inner: steps in one entry before the next.

    Raises:
        ValueError: fewer than one.

    References:
        | Hien, Gillis, Algorithms for nonnegative matrix factorization with the Kullback-Leibler
        | divergence (2021), section 3.3. There the damping is that of a self-concordant function,
        | ``f' / (f'' + k sqrt(f'') f')`` with ``k = max_j a_j^(-1/2)``, which a single datum near 0
        | slows down, and steps to the right are Newton's.

    Example:
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> factors, y = (torch.ones(1, 1), torch.ones(2, 1)), torch.tensor([[1.0, 3.0]])
        >>> sums = torch.tensor([[2.0]])
        >>> block = DivergenceBlock(NMF(), KullbackLeibler(), y, None, factors, 0, sums)
        >>> ScalarNewton()(factors[0], (), block, NonNegative())[0]
        tensor([[2.]])
    """

    def step(self, column: Column) -> Tensor:
        """The sum of the two steps, one of which is 0."""
        slope = column.positive - column.negative
        new = column.x + _rightwards(column, slope) - _leftwards(column, slope)
        # On the way to 0 an entry is squared again and again.
        return threshold(new, torch.finfo(new.dtype).tiny ** 0.5, 0.0)


def _rightwards(column: Column, slope: Tensor) -> Tensor:
    """The root ``e >= 0`` of ``l2 e^2 + (P + l2 D) e = (N - P) D`` with ``D = N / |N'|``."""
    tiny = torch.finfo(slope.dtype).tiny
    distance = column.negative / column.curvature.clamp_min(tiny)
    gain = (-slope).clamp_min(0) * distance
    if isinstance(column.ridge, float):
        return gain / column.positive.clamp_min(tiny)
    linear = column.positive + column.ridge * distance
    return 2 * gain / (linear + (linear.square() + 4 * column.ridge * gain + tiny).sqrt())


def _leftwards(column: Column, slope: Tensor) -> Tensor:
    """``f' / f''`` or ``f' / (f'' + f' / x)``, and 0 where ``f'`` is negative."""
    slope, tiny = slope.clamp_min(0), torch.finfo(slope.dtype).tiny
    curvature = column.curvature + column.ridge
    braked = slope / column.x.clamp_min(tiny**0.5)
    damping = braked * (braked > SAFE * curvature)
    return slope / (curvature + damping).clamp_min(tiny)
