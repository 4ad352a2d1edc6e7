"""Direct fitting of PARAFAC2: orthogonal factors in closed form, then a small CP model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Dense
from ..functional.batch import sum_each
from ..functional.einsum import Equation
from ..functional.parafac2 import nearest_orbit, orthonormal_factors
from ..losses import Frobenius
from ..models import CP, Factors, Multilinear
from ..problem import Problem
from ..regularizers import Free, Parafac2Set
from .alternating import Alternating, Inner
from .base import BlockIteration, Iteration, State
from .projected_ls import ProjectedLeastSquares

SLICES = Equation.parse("ir,kr,kjr->ijk")


class Fit(NamedTuple):
    """What `DirectFitting` remembers.

    Args:
        inner: the memory of the block iterations.
        delta: (*, r, r) the common part of the ``B_k``.
        pairing: A, D and Delta, extrapolated: from where the next step goes on.
        age: (*,) steps since the momentum was started anew.
        value: (*,) the objective.
    """

    inner: tuple
    delta: Tensor
    pairing: Factors
    age: Tensor
    value: Tensor


class DirectFitting(Iteration):
    """Direct fitting of ``X_k = A D_k (P_k Delta)^T``, all slices at once.

        P_k = polar factor of X_k^T A D_k Delta^T,   Y_k = X_k P_k = A D_k Delta^T + noise

    followed by one block iteration each for A, D and Delta on the small tensor of the ``Y_k``. The
    next step starts beyond, ``x + a / (a + 3) (x - x_old)`` with a the steps since the objective
    last rose, so that it gets out of the swamps of alternating least squares. The factors of the
    state are those before extrapolation; their objective is known without a further product.

    Args:
        iterations: for A, D and Delta, one for all or a list; None: least squares, for factors
            without a regularizer.
        inner: inner iterations of each.
        momentum: whether to extrapolate; without it the objective never rises.

    Raises:
        TypeError, ValueError: as `Alternating`.

    References:
        | Kiers, ten Berge, Bro, PARAFAC2 - Part I. A direct fitting algorithm for the PARAFAC2
        | model (1999)
        | O'Donoghue, Candes, Adaptive restart for accelerated gradient schemes (2015)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.3.1

    Example:
        >>> DirectFitting(momentum=False).momentum
        False
    """

    def __init__(
        self,
        iterations: BlockIteration | Sequence[BlockIteration] | None = None,
        inner: Inner | Sequence[Inner] = 1,
        momentum: bool = True,
    ) -> None:
        super().__init__()
        own = ProjectedLeastSquares() if iterations is None else iterations
        self.sweep, self.momentum = Alternating(own, inner), momentum
        self.small = CP(3)

    def init(self, factors: Factors, problem: Problem) -> State:
        found = nearest_orbit(factors[2])
        factors = (*factors[:2], found.x)
        small = (*factors[:2], found.delta)
        compressed = self._slices(problem) @ found.p
        inner = self.sweep.init(small, self._compressed(compressed, problem))
        value = torch.full(problem.batch_shape, torch.inf, dtype=torch.float64)
        value = value.to(problem.data.device)
        memory = Fit(inner.memory, found.delta, small, torch.zeros_like(value), value)
        return State(factors, tuple(memory))

    def forward(self, state: State, problem: Problem) -> State:
        old, slices = Fit(*state.memory), self._slices(problem)
        a, d, delta = old.pairing
        target = problem.model.adjoint((a, d, state.factors[2]), 2, _dense(problem).y)
        p = orthonormal_factors(target, delta)
        compressed = slices @ p
        small = self._compressed(compressed, problem)
        inner = self.sweep(State(old.pairing, old.inner), small)
        a, d, delta = inner.factors
        value = self._value(small, inner.factors, compressed, slices)
        # Where the momentum led uphill the last factors stay and it starts anew from them.
        noise = 4 * torch.finfo(slices.dtype).eps * sum_each(slices.square(), value.ndim).double()
        rose = (value > old.value + noise) & (old.age > 0)
        new = (a, d, delta, p @ delta.unsqueeze(-3))
        before = (*state.factors[:2], old.delta, state.factors[2])
        a, d, delta, b = (
            torch.where(_over(rose, x), y, x) for x, y in zip(new, before, strict=True)
        )
        age = torch.where(rose, 0, old.age + 1) if self.momentum else old.age
        pairing = self._beyond((a, d, delta), before[:3], age, problem)
        value = torch.where(rose, old.value, value)
        return State((a, d, b), tuple(Fit(inner.memory, delta, pairing, age, value)))

    def check(self, problem: Problem) -> None:
        model, reg = problem.model, problem.regs[2] if len(problem.regs) > 2 else None
        if not isinstance(model, Multilinear) or model.equation != SLICES:
            raise TypeError(f"DirectFitting fits Parafac2(), got {type(model).__name__}")
        if not isinstance(reg, Parafac2Set) or 2 not in problem.order:
            raise TypeError(
                "DirectFitting needs a free evolving factor with Parafac2Set() and nothing else; "
                "use Alternating(ADMM(), 5) for other constraints on it"
            )
        if not problem.loss.quadratic or not isinstance(problem.data, Dense):
            raise TypeError(
                f"DirectFitting needs dense data and the Frobenius loss, got "
                f"{type(problem.data).__name__} and {type(problem.loss).__name__}"
            )
        if problem.data.weights is not None:
            raise TypeError(
                "DirectFitting needs data without weights; wrap it in Imputed(DirectFitting())"
            )
        y, rank = problem.data.y.movedim(-1, -3)[..., :1], 1
        self.sweep.check(self._compressed(y[..., :rank], problem))

    def _slices(self, problem: Problem) -> Tensor:
        """The slices one after the other, (*, K, I, J)."""
        return _dense(problem).y.movedim(-1, -3)

    def _compressed(self, y: Tensor, problem: Problem) -> Problem:
        """The CP model of the slices (*, K, I, r) in the coordinates of their own factors."""
        regs, y = (*problem.regs[:2], Free()), y.transpose(-3, -2).contiguous()
        return Problem(y, self.small, problem.loss, regs, free=problem.order)

    def _value(
        self, small: Problem, factors: Factors, compressed: Tensor, slices: Tensor
    ) -> Tensor:
        """The objective: that of the small problem, and what the ``P_k`` leave out."""
        lead = len(small.batch_shape)
        left = sum_each(slices.square(), lead, torch.float64)
        left = left - sum_each(compressed.square(), lead, torch.float64)
        return small.objective(factors).double() + 0.5 * left

    def _beyond(self, new: Factors, before: Factors, age: Tensor, problem: Problem) -> Factors:
        if not self.momentum:
            return new
        momentum = (age - 1).clamp_min(0) / (age + 2)
        regs, tiny = (*problem.regs[:2], None), torch.finfo(new[0].dtype).tiny
        found = []
        for n, (x, y, reg) in enumerate(zip(new, before, regs, strict=True)):
            moved = x + _over(momentum, x).to(x.dtype) * (x - y) if n in problem.order else x
            found.append(moved if reg is None else reg.prox(moved, tiny))
        return tuple(found)


def _dense(problem: Problem) -> Dense:
    assert isinstance(problem.data, Dense) and isinstance(problem.loss, Frobenius)
    return problem.data


def _over(each: Tensor, x: Tensor) -> Tensor:
    return each.reshape(*each.shape, *(1,) * (x.ndim - each.ndim))
