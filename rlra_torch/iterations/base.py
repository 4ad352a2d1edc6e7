"""What an iteration is: a pure, differentiable map from state to state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..blocks import Block
from ..functional.arguments import real_number
from ..models import Factors
from ..problem import Problem, proximal_squares
from ..regularizers import Regularizer
from ..regularizers.base import hyperparameter


class State(NamedTuple):
    """Where an iteration stands.

    Args:
        factors: one tensor per factor.
        memory: what each block keeps for itself (momentum, duals, supports), a tuple of tensors.
    """

    factors: Factors
    memory: tuple[Any, ...]


class Iteration(nn.Module, ABC):
    """One step ``State -> State`` on all factors: out of place, batched, differentiable.

    Attributes:
        couples: whether it keeps the couplings between factors that a problem may have.
    """

    couples: bool = False

    @abstractmethod
    def init(self, factors: Factors, problem: Problem) -> State:
        """The state to start from."""

    @abstractmethod
    def forward(self, state: State, problem: Problem) -> State:
        """One step."""

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        """The objective and an optimality residual, (*,) each: by default `Problem.measure`."""
        return problem.measure(state.factors)

    def check(self, problem: Problem) -> None:
        """Check that this iteration can work on a problem.

        Raises:
            TypeError: it cannot; the sentence names what is missing and what to use.
        """


class BlockIteration(nn.Module, ABC):
    """One step on one factor that sees its block and its regularizer only.

    The whole protocol: ``init(x, reg) -> memory`` and ``forward(x, memory, block, reg) -> x,
    memory``, with ``x`` of shape ``(*, batch, rows, rank)``. One that can share work between steps
    on the same block overrides `repeat` as well.

    Attributes:
        nonnegative: whether it needs factors that are nonnegative, frozen ones included.
        multiplicative: whether it multiplies entries, so that one at 0 stays there.
        termwise: whether it takes the terms of a regularizer one by one, so that a sum needs no
            prox of its own.
    """

    nonnegative: bool = False
    multiplicative: bool = False
    termwise: bool = False

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        """The private memory to start from, a (nested) tuple of tensors."""
        return ()

    @abstractmethod
    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        """One step.

        Args:
            x: (*, batch, rows, rank).
            memory: from the last step on this block.
            block: the subproblem.
            reg: the regularizer.

        Returns:
            the new ``x`` and memory.
        """

    def repeat(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer, times: int
    ) -> tuple[Tensor, tuple]:
        """Several steps on one block.

        Args:
            x, memory, block, reg: as in `forward`.
            times: how many.
        """
        for _ in range(times):
            x, memory = self(x, memory, block, reg)
        return x, memory

    def squares(
        self, x: Tensor, memory: tuple, gradient: Tensor, metric: Tensor, reg: Regularizer
    ) -> Tensor:
        """What the entries of this block add to the square of the optimality residual, like ``x``.

        Args:
            x: (*, batch, rows, rank).
            memory: from the last step on this block.
            gradient: of the loss, like ``x``.
            metric: the curvature that makes it scale-free, like ``x``.
            reg: the regularizer.
        """
        return proximal_squares(x, gradient, metric, reg)

    def check(self, problem: Problem, n: int) -> None:
        """Check that this iteration can work on factor ``n``.

        Raises:
            TypeError: it cannot; the sentence names what is missing and what to use.
        """

    def sweep_cost(self, rows: int, rank: int) -> float:
        """The floating-point operations of one step, for counted inner loops."""
        return 2.0 * rows * rank * rank


class Wrapped(BlockIteration, ABC):
    """A block iteration around another one, whose memory, needs and cost are its own.

    Args:
        iteration: the one inside.

    Raises:
        TypeError: not a block iteration.
    """

    def __init__(self, iteration: BlockIteration) -> None:
        super().__init__()
        if not isinstance(iteration, BlockIteration):
            raise TypeError(
                f"{type(self).__name__} takes a block iteration, got {type(iteration).__name__}"
            )
        self.iteration, self.nonnegative = iteration, iteration.nonnegative
        self.multiplicative = iteration.multiplicative

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        return self.iteration.init(x, reg)

    def check(self, problem: Problem, n: int) -> None:
        self.iteration.check(problem, n)

    def sweep_cost(self, rows: int, rank: int) -> float:
        return self.iteration.sweep_cost(rows, rank)


def rank_first(factors: Factors) -> Factors:
    """The factors with columns that lie together in memory, which products and sweeps want."""
    return tuple(x if x.mT.is_contiguous() else x.mT.contiguous().mT for x in factors)


def require_iteration(name: str, iteration: object) -> None:
    """Check that something is an iteration over all factors.

    Raises:
        TypeError: it is not; a block iteration has to be lifted first.
    """
    if not isinstance(iteration, Iteration):
        raise TypeError(
            f"{name} takes an Iteration, got {type(iteration).__name__}; "
            "wrap block iterations such as HALS() in Alternating(...)"
        )


def require_gram(name: str, problem: Problem, n: int) -> None:
    """Check that factor ``n`` has a least-squares block.

    Raises:
        TypeError: the loss is not quadratic, or the model gives no gram.
    """
    loss = problem.loss_of(n)
    if not loss.quadratic:
        raise TypeError(
            f"{name} needs a least-squares block but {type(loss).__name__} gives none; "
            "use MU, MSOM or BurgMirrorDescent"
        )
    if not problem.model.has_gram(n):
        raise TypeError(
            f"{name} needs the gram of factor {n}, which {type(problem.model).__name__} does not "
            "give; use MU, MSOM or ProjectedGradient"
        )


def require_prox(name: str, problem: Problem, n: int) -> None:
    """Check that the regularizer of factor ``n`` is not a sum, which has no prox.

    Raises:
        TypeError: it is.
    """
    terms = problem.regs[n].terms
    if len(terms) > 1:
        several = " + ".join(type(term).__name__ for term in terms)
        raise TypeError(f"{name} cannot use {several} on factor {n}; use ADMM")


def relaxation(module: BlockIteration, gamma: float | Tensor) -> None:
    """Register ``gamma``, in (0, 2) unless it is a tensor, which is trusted.

    Raises:
        TypeError: not a number.
        ValueError: outside (0, 2).
    """
    name = type(module).__name__
    if not isinstance(gamma, Tensor) and not 0 < real_number(f"gamma of {name}", gamma) < 2:
        raise ValueError(f"gamma of {name} must be in (0, 2), got {gamma}")
    hyperparameter(module, "gamma", gamma)


def iterates(layers: Iterable[Iteration], problem: Problem, state: State) -> Iterator[State]:
    """The one loop of the library: ``state``, then one state for each layer."""
    return accumulate(layers, lambda current, layer: layer(current, problem), initial=state)
