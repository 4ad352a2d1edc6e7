"""Heuristic extrapolation with restart, around any alternating iteration."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..models import Factors
from ..problem import Problem
from .accelerated import multiplied
from .alternating import Alternating
from .base import Iteration, State, require_prox, times


class Momentum(NamedTuple):
    """What `Extrapolated` remembers.

    Args:
        inner: the memory of the iteration inside.
        pairing: the extrapolated factors, from which updates start.
        beta: (*,) how far they lie beyond.
        limit: (*,) how far they may.
        value: (*,) the objective at the last sweep, up to a constant.
    """

    inner: tuple
    pairing: Factors
    beta: Tensor
    limit: Tensor
    value: Tensor


class Extrapolated(Iteration):
    """HER: after each block update, go on in the same direction; restart when the objective rises.

        X_n+ = update of X_n from the pairing factors Y
        Y_n+ = project(X_n+ + beta (X_n+ - X_n D)),   D: column norms of X_n+ over those of X_n

    After a sweep the objective at ``(Y_1, ..., Y_{d-1}, X_d)``, which the last block gives at no
    further product with the data, is compared with the last one. Where it rose, ``Y = X``, the
    limit becomes beta and ``beta`` is divided by eta; else both grow, ``limit = min(1, gamma_limit
    limit)`` and ``beta = min(limit, gamma beta)``. The factors of the state are the feasible ``X``.

    Three things are not in the papers. The diagonal ``D``, where each prediction is made of two
    factors only, keeps momentum out of the scale of columns, along which the objective is flat or
    nearly so, and which would drift without end; with more factors it slows down. The scale is
    solved for instead: after each sweep penalized columns are balanced, see `Problem.balance`. And
    multiplicative updates, which never leave 0, are extrapolated by ``X_n+ (X_n+ / X_n D)^beta``.

    Where the last block is not least squares, its objective takes a prediction: little beside a
    sweep of `ScalarNewton`, but as much as MU itself, so that `AcceleratedMU` is the faster one.

    Args:
        iteration: what is extrapolated.
        beta: the first extrapolation, in [0, 1).
        gamma: growth of beta, at least 1.
        gamma_limit: growth of its limit, from 1 to gamma.
        eta: shrinkage of beta at a restart, above 1.

    Raises:
        ValueError: parameters out of range.
        TypeError: not an `Alternating`.

    References:
        | Ang, Cohen, Gillis, Hien, Accelerating block coordinate descent for nonnegative tensor
        | factorization (2021), algorithm 2
        | Ang, Gillis, Accelerating nonnegative matrix factorization algorithms using extrapolation
        | (2019)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 17.2

    Example:
        >>> from rlra_torch.iterations import HALS
        >>> Extrapolated(Alternating(HALS())).beta
        0.5
    """

    def __init__(
        self,
        iteration: Alternating,
        beta: float = 0.5,
        gamma: float = 1.05,
        gamma_limit: float = 1.01,
        eta: float = 1.5,
    ) -> None:
        super().__init__()
        if not isinstance(iteration, Alternating):
            raise TypeError(
                f"Extrapolated takes an Alternating, got {type(iteration).__name__}; "
                "wrap block iterations in Alternating(...)"
            )
        if not (0 <= beta < 1 and 1 <= gamma_limit <= gamma and eta > 1):
            raise ValueError(
                "extrapolation needs 0 <= beta < 1 <= gamma_limit <= gamma and eta > 1, got "
                f"beta={beta}, gamma_limit={gamma_limit}, gamma={gamma}, eta={eta}"
            )
        self.iteration, self.beta, self.gamma = iteration, beta, gamma
        self.gamma_limit, self.eta = gamma_limit, eta

    def init(self, factors: Factors, problem: Problem) -> State:
        shape, device = problem.batch_shape, problem.data.device
        beta = torch.full(shape, self.beta, dtype=problem.data.dtype, device=device)
        value = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
        inner = self.iteration.init(factors, problem)
        momentum = Momentum(inner.memory, tuple(factors), beta, torch.ones_like(beta), value)
        return State(tuple(factors), tuple(momentum))

    def forward(self, state: State, problem: Problem) -> State:
        problem = problem.sweep()
        old, factors = Momentum(*state.memory), state.factors
        inner, block, last = State(old.pairing, old.inner), None, 0
        lead = len(problem.batch_shape)
        for last in problem.order:
            inner, block = self.iteration.update(inner, problem, last)
            new = inner.factors[last]
            before = self._rescaled(factors[last], new, problem, last)
            momentum = _over(old.beta, new)
            if self.iteration.of(last).multiplicative:
                beyond = multiplied(new, before, momentum)
            else:
                beyond = new + momentum * (new - before)
            moved = problem.regs[last].onto(beyond)
            factors = (*factors[:last], new, *factors[last + 1 :])
            pairing = (*inner.factors[:last], moved, *inner.factors[last + 1 :])
            inner = State(pairing, inner.memory)
        assert block is not None
        value = block.value(problem.pack(last, factors), lead) + problem.rest(last, factors)
        rose = value > old.value
        pairing = tuple(
            torch.where(_over(rose, x), x, y) if n in problem.order else y
            for n, (x, y) in enumerate(zip(factors, inner.factors, strict=True))
        )
        limit = torch.where(rose, old.beta, (self.gamma_limit * old.limit).clamp_max(1))
        grown = torch.minimum(limit, self.gamma * old.beta)
        beta = torch.where(rose, old.beta / self.eta, grown)
        found = State(factors, tuple(Momentum(inner.memory, pairing, beta, limit, value)))
        if any(freedom.penalized for freedom in problem.freedoms):
            return self.rescaled(found, problem.balance(factors), problem)
        return found

    def rescaled(self, state: State, scales: Factors, problem: Problem) -> State:
        old = Momentum(*state.memory)
        inner = self.iteration.rescaled(State(old.pairing, old.inner), scales, problem)
        moved = old._replace(inner=inner.memory, pairing=inner.factors)
        return State(times(state.factors, scales), tuple(moved))

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        return self.iteration.measure(State(state.factors, state.memory[0]), problem)

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)
        for n in problem.order:
            require_prox("Extrapolated", problem, n)

    def _rescaled(self, before: Tensor, new: Tensor, problem: Problem, n: int) -> Tensor:
        """The factor before, in the scale of the new one where scales cost nothing.

        Momentum along a scale that the objective does not see would never be slowed down.
        """
        # With three factors or more momentum in the scale pays.
        if problem.regs[n].degree is None or problem.model.meeting(problem.order) != 2:
            return before
        own = tuple(range(before.ndim - problem.model.factor_ndims[n], before.ndim - 1))
        size = torch.linalg.vector_norm(before, dim=own, keepdim=True)
        moved = torch.linalg.vector_norm(new, dim=own, keepdim=True) / size
        return before * torch.where(size > 0, moved, 1)


def _over(per_problem: Tensor, x: Tensor) -> Tensor:
    return per_problem.reshape(*per_problem.shape, *(1,) * (x.ndim - per_problem.ndim))
