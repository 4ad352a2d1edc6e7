"""Duality gaps of nonnegative regressions."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..functional.arguments import real_number
from ..functional.linalg import times_gram
from ..iterations import State
from ..losses import KullbackLeibler
from ..models import Factors
from ..problem import Problem
from ..regularizers import ElasticNet


class Penalty(NamedTuple):
    """``l1 x + l2 x^2 / 2`` for ``lower <= x <= upper``, ``lower >= 0``; like a block."""

    l1: Tensor
    l2: Tensor
    lower: float
    upper: float

    @property
    def unbounded(self) -> Tensor:
        """Where a slope below 0 has no minimum."""
        return (self.l2 == 0) & (self.upper == torch.inf)

    def value(self, x: Tensor) -> Tensor:
        return self.l1 * x + 0.5 * self.l2 * x.square()

    def least(self, slope: Tensor) -> Tensor:
        """The least value of ``slope x + l2 x^2 / 2``, for a slope >= 0 where it is unbounded."""
        slope = torch.where(self.unbounded, slope.clamp_min(0), slope)
        curved, upper = self.l2 > 0, self.lower if self.upper == torch.inf else self.upper
        end = torch.where(slope >= 0, slope.new_tensor(self.lower), upper)
        inside = -slope / torch.where(curved, self.l2, 1)
        at = torch.where(curved, inside.clamp(self.lower, self.upper), end)
        return slope * at + 0.5 * self.l2 * at.square()


def duality_gap(problem: Problem, factors: Factors, n: int | None = None) -> Tensor:
    """By how much the objective is at most above its least in one factor, the others as they are.

    The objective of a row is that of a regression ``A x ~ y`` with weights w. Any point of the dual
    problem bounds it from below,

        sum_j w_j y_j log theta_j                       A^T (w theta) <= A^T w + l1    (KL)
        |y|_w^2 / 2 - z^T G z / 2                       G z >= A^T (w y) - l1          (Frobenius)

    and the gap is 0 at the solution, where ``theta = y / p`` and ``z = x``. Elsewhere a factor
    makes this theta feasible and a shift this z, so that the gap falls in proportion to the
    violation. A ridge penalty or an upper bound makes penalties of the constraints.

    Args:
        problem: of Frobenius with a gram, or of Kullback-Leibler.
        factors: where the gap is taken.
        n: in which factor; None: the one that is free.

    Returns:
        (*,); infinite where no feasible point was found.

    Raises:
        TypeError: another loss, or another regularizer than a nonnegative elastic net.
        ValueError: several factors are free and none is named.

    References:
        | Boyd, Vandenberghe, Convex optimization (2004), section 5.5.1
        | Dantas, Soubies, Fevotte, Expanding boundaries of gap safe screening (2021), section 4

    Example:
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> y, regs = torch.tensor([[1.0], [3.0]]), (NonNegative(), NonNegative())
        >>> problem = Problem(y, NMF(), KullbackLeibler(), regs, free=(1,))
        >>> a = torch.ones(2, 1)
        >>> duality_gap(problem, (a, torch.tensor([[2.0]])))
        tensor(0.)
        >>> duality_gap(problem, (a, torch.tensor([[1.0]])))
        tensor(0.7726)
    """
    if n is None and len(problem.order) > 1:
        raise ValueError(
            f"the duality gap is that of one factor but {problem.order} are free; name one"
        )
    n = problem.order[0] if n is None else n
    reg = problem.regularizer(n, factors)
    if not isinstance(reg, ElasticNet) or reg.lower < 0:
        raise TypeError(
            f"the duality gap is that of nonnegative regressions but factor {n} has {reg}; "
            "use NonNegative there"
        )
    block, x = problem.block(n, factors), problem.pack(n, factors)
    zero = torch.zeros_like(x)
    l1, l2 = (zero if w is None else w.to(x.dtype).expand_as(x) for w in reg.weights)
    penalty = Penalty(l1, l2, reg.lower, reg.upper)
    if isinstance(block, QuadraticBlock):
        gaps = _least_squares(block, x, penalty)
    elif isinstance(problem.loss, KullbackLeibler):
        # Where rows are mixed, all of them share a factor.
        own = x.ndim - len(problem.batch_shape)
        gaps = _kullback_leibler(block, x, penalty, 1 if problem.model.has_gram(n) else own)
    else:
        raise TypeError(
            "the duality gap is known for Frobenius, where there is a gram, and KullbackLeibler, "
            f"not for {type(problem.loss).__name__} on {type(problem.model).__name__}"
        )
    return gaps.flatten(len(problem.batch_shape)).sum(-1).clamp_min(0)


class HasState(Protocol):
    """What a callback is called with."""

    @property
    def state(self) -> State: ...


class GapStop:
    """A callback that stops a solve when the duality gap of every problem is small.

    Args:
        problem: what is solved, in one factor.
        tol: on the gap, as a fraction of the size of the data in the unit of the loss.

    Raises:
        ValueError: a tolerance that is not positive, or several free factors.

    Example:
        >>> from rlra_torch.iterations import MU, Alternating
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> from rlra_torch.solvers import solve
        >>> y, regs = torch.tensor([[1.0], [3.0]]), (NonNegative(), NonNegative())
        >>> problem = Problem(y, NMF(), KullbackLeibler(), regs, free=(1,))
        >>> start = (torch.ones(2, 1), torch.ones(1, 1))
        >>> stop = GapStop(problem, 1e-3)
        >>> solve(Alternating(MU()), problem, start, tol=0, callbacks=[stop]).n_iter
        tensor(10)
    """

    def __init__(self, problem: Problem, tol: float) -> None:
        if not real_number("the tolerance on the gap", tol) > 0:
            raise ValueError(f"the tolerance on the gap must be positive, got {tol}")
        if len(problem.order) > 1:
            raise ValueError(f"a gap is that of one factor but {problem.order} are free")
        self.problem, self.tol = problem, tol

    def __call__(self, progress: HasState) -> bool:
        """Whether to stop."""
        gap = duality_gap(self.problem, progress.state.factors)
        return bool((gap <= self.tol * magnitude(self.problem)).all())


def magnitude(problem: Problem) -> Tensor:
    """The size of the data in the unit of the loss, (*,)."""
    entries = problem.loss.magnitude(problem.y)
    entries = entries if problem.weights is None else problem.weights * entries
    return entries.flatten(len(problem.batch_shape)).sum(-1)


def _kullback_leibler(block: Block, x: Tensor, penalty: Penalty, shared: int) -> Tensor:
    """The gap of each row, with ``theta = alpha y / p``, alpha shared by the last dimensions.

    The logarithms of the predictions cancel: with ``s = A^T w``, ``N = A^T (w y / p)`` and M the
    sum of the data, it is ``s x + penalty(x) - M - M log alpha - least(s + l1 - alpha N)``.
    """
    positive, negative = block.split(x)
    slope, unbounded = positive + penalty.l1, penalty.unbounded
    some, dims = negative > 0, tuple(range(-shared, 0))
    room = torch.where(unbounded & some, slope / torch.where(some, negative, 1), torch.inf)
    alpha = room.amin(dims, keepdim=True)
    # A constraint that is not tight may be made so, but only where nothing else is penalized.
    alpha = torch.where(unbounded.all(dims, keepdim=True), alpha, alpha.clamp_max(1))
    mass = (x * negative).sum(-1, keepdim=True)
    alpha = torch.where(alpha.isfinite(), alpha, 1)
    tiny = torch.finfo(x.dtype).tiny
    mean = mass * (1 + alpha.clamp_min(tiny).log())
    entries = positive * x + penalty.value(x) - penalty.least(slope - alpha * negative)
    return entries.sum(-1, keepdim=True) - mean


def _least_squares(block: QuadraticBlock, x: Tensor, penalty: Penalty) -> Tensor:
    """The gap of each row, the smaller for two shifts e of ``z = x + e`` that make it feasible.

    Along ones, where the gram is positive, and by as much as makes up for the violation exactly,
    where the gram can be solved for.
    """
    slope = block.gradient(x) + penalty.l1
    missing = torch.where(penalty.unbounded, (-slope).clamp_min(0), 0)
    sums = times_gram(torch.ones_like(x), block.gram)
    up = torch.where(missing > 0, missing / sums.clamp_min(torch.finfo(x.dtype).tiny), 0)
    along = up.amax(-1, keepdim=True).expand_as(x)
    exact = times_gram(missing, torch.linalg.pinv(block.gram, hermitian=True))
    gaps = [_shifted(block, x, shift, penalty) for shift in (along, exact)]
    return torch.minimum(gaps[0], gaps[1])


def _shifted(block: QuadraticBlock, x: Tensor, shift: Tensor, penalty: Penalty) -> Tensor:
    """The gap of each row at ``z = x + shift``, infinite where that is not feasible."""
    gradient, further = block.gradient(x), times_gram(shift, block.gram)
    slope = gradient + further + penalty.l1
    least = penalty.least(slope)
    entries = x * gradient + penalty.value(x) - least + shift * (gradient + block.cross)
    entries = entries + 0.5 * shift * further
    rounding = 1e3 * torch.finfo(x.dtype).eps * (block.cross.abs() + further.abs() + penalty.l1)
    feasible = (slope >= -rounding) | ~penalty.unbounded
    gap = entries.sum(-1, keepdim=True)
    good = feasible.all(-1, keepdim=True) & gap.isfinite()
    return torch.where(good, gap, torch.inf)
