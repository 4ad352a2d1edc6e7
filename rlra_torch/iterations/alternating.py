"""Alternating optimization: a block iteration for each factor in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..blocks import Block, QuadraticBlock
from ..functional.arguments import whole_number
from ..models import Factors
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration, Iteration, State, rank_first, require_prox, times


@dataclass(frozen=True)
class Counted:
    """Inner iterations from counted operations: ``1 + alpha * (outer cost / inner cost)``.

    The outer cost is that of the products with the data, the inner one that of a step on the block;
    both are counted in floating-point operations, a step with a constant for its launches, never
    measured on a clock, so that results reproduce.

    Args:
        alpha: how much of the time of the data products goes to inner iterations.
        largest: never more than this.

    References:
        | Gillis, Glineur, Accelerated multiplicative updates and hierarchical ALS algorithms for
        | nonnegative matrix factorization (2012), section 3.1

    Example:
        >>> Counted()(outer=5e7, inner=2.6e6)
        10
    """

    alpha: float = 0.5
    largest: int = 100

    def __call__(self, outer: float, inner: float) -> int:
        return int(min(1 + self.alpha * outer / inner, self.largest))


Inner = int | Counted


class Alternating(Iteration):
    """Update the factors one after the other, each by its own block iteration and inner count.

    What a block needs (its gram and cross product with the data) is computed once and serves all
    its inner iterations.

    Args:
        iterations: one for all factors, or one for each.
        inner: inner iterations, a number or `Counted`, one for all factors or one for each.
        order: in which order the factors are updated; None: those the problem leaves free.

    Raises:
        ValueError: inner counts below 1.
        TypeError: something that is not a block iteration.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 8

    Example:
        >>> from rlra_torch.iterations import HALS
        >>> Alternating(HALS(), inner=2).inner
        2
    """

    def __init__(
        self,
        iterations: BlockIteration | Sequence[BlockIteration],
        inner: Inner | Sequence[Inner] = 1,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        listed = isinstance(iterations, (list, tuple, nn.ModuleList))
        several: list[Any] = list(iterations) if listed else [iterations]
        for iteration in several or [None]:
            if not isinstance(iteration, BlockIteration):
                kind = iteration if isinstance(iteration, type) else type(iteration)
                raise TypeError(f"Alternating takes block iterations, got {kind.__name__}")
        self.iterations = nn.ModuleList(several)
        self._several = tuple(several)
        self.inner: Any = tuple(inner) if isinstance(inner, (list, tuple)) else inner
        for count in self.inner if isinstance(self.inner, tuple) else (self.inner,):
            if not isinstance(count, Counted):
                whole_number("the number of inner iterations", count)
        if order is not None and not isinstance(order, (list, tuple)):
            raise TypeError(f"the order is a list of factors, got {order!r}")
        self.order = None if order is None else tuple(order)

    def init(self, factors: Factors, problem: Problem) -> State:
        memory: list[tuple] = [()] * len(factors)
        for n in problem.order:
            x, reg = problem.pack(n, factors), problem.regularizer(n, factors)
            memory[n] = self.of(n).init(x, reg)
        moving = rank_first(factors)
        stored = (moving[n] if n in problem.order else x for n, x in enumerate(factors))
        return State(tuple(stored), tuple(memory))

    def forward(self, state: State, problem: Problem) -> State:
        problem = problem.sweep()
        for n in problem.order if self.order is None else self.order:
            state, _ = self.update(state, problem, n)
        return state

    def rescaled(self, state: State, scales: Factors, problem: Problem) -> State:
        factors, memory = times(state.factors, scales), list(state.memory)
        for n in [n for n in problem.order if memory[n]]:
            x, layout = problem.pack(n, factors), problem.model.layout(n)
            scale = layout.pack(scales[n].expand_as(factors[n]))
            reg = problem.regularizer(n, factors)
            memory[n] = self.of(n).rescaled(x, memory[n], scale, reg)
        return State(factors, tuple(memory))

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        def squares(
            n: int, x: Tensor, gradient: Tensor, metric: Tensor, reg: Regularizer
        ) -> Tensor:
            return self.of(n).squares(x, state.memory[n], gradient, metric, reg)

        return problem.measure(state.factors, squares)

    def check(self, problem: Problem) -> None:
        count = len(problem.model.factor_ndims)
        for name, given in (("iterations", self.iterations), ("inner counts", self.inner)):
            if isinstance(given, (tuple, nn.ModuleList)) and len(given) not in (1, count):
                raise TypeError(f"Alternating has {len(given)} {name} for {count} factors")
        if self.order is not None and set(self.order) - set(problem.order):
            raise ValueError(
                f"the order {self.order} has factors that are not free: those are {problem.order}"
            )
        for n in problem.order if self.order is None else self.order:
            if not self.of(n).termwise:
                require_prox(type(self.of(n)).__name__, problem, n)
            self.of(n).check(problem, n)

    def of(self, n: int) -> BlockIteration:
        """The block iteration of factor ``n``."""
        return self._several[n if len(self._several) > 1 else 0]

    def update(self, state: State, problem: Problem, n: int) -> tuple[State, Block]:
        """The inner iterations of one factor; also the block that they worked on."""
        factors = state.factors
        iteration, memory = self.of(n), state.memory[n]
        block, reg = problem.block(n, factors), problem.regularizer(n, factors)
        x = problem.pack(n, factors)
        times = self._count(problem, n, block, x, iteration)
        x, memory = iteration.repeat(x, memory, block, reg, times)
        kept = (*state.memory[:n], memory, *state.memory[n + 1 :])
        return State(problem.unpack(n, factors, x), kept), block

    def _count(
        self, problem: Problem, n: int, block: Block, x: Tensor, iteration: BlockIteration
    ) -> int:
        several = self.inner if isinstance(self.inner, tuple) else (self.inner,)
        inner = several[n if len(several) > 1 else 0]
        if not isinstance(inner, Counted):
            return inner
        if not isinstance(block, QuadraticBlock):
            return 1  # nothing is computed once for all: an inner step costs an outer one
        outer = 2.0 * problem.count(n) * x.shape[-1]
        return inner(outer, iteration.sweep_cost(x.shape[-2], x.shape[-1]))
