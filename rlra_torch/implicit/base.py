"""What every implicit layer does: solve, check, and differentiate the solution."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..functional.arguments import whole_number
from ..iterations import Iteration, State
from ..losses import Loss
from ..models import Factors, Model
from ..problem import Problem
from ..regularizers import Regularizer
from ..solvers import Solution, solve


class Implicit(nn.Module, ABC):
    """``y -> argmin``, called like `Unrolled` and solved by any iteration, without a graph.

    Leading dimensions are the way to batch; ``torch.vmap`` refuses the solve. Under
    ``torch.compile`` the layer runs as it is, outside the compiled graph.

    Args:
        iteration: what solves the problem.
        model: what predicts the data.
        loss: how the two are compared.
        regs: one regularizer per factor.
        init: the start as a function of the data; None: it is given with the data.
        free: which factors are sought, the others stay as they start; None: all.
        max_iter: iterations of a solve at most.
        tol: on the residual `Problem.kkt`; None: the rounding unit to the power 3/4. The gradient
            at a point that does not meet it would be wrong, so it is refused.
        strict: refuse by an error; False: problems of a batch without a gradient get zeros, and one
            warning says how many.

    Attributes:
        check_every: iterations between two checks of the residual.
    """

    check_every = 10
    regs: Sequence[Regularizer]

    def __init__(
        self,
        iteration: Iteration,
        model: Model,
        loss: Loss,
        regs: Sequence[Regularizer],
        init: Callable[[Tensor], Factors] | None = None,
        free: tuple[int, ...] | None = None,
        max_iter: int = 1000,
        tol: float | None = None,
        strict: bool = True,
    ) -> None:
        super().__init__()
        self.iteration, self.model, self.loss = iteration, model, loss
        # A module list, typed as what it holds.
        self.regs = cast("Sequence[Regularizer]", nn.ModuleList(regs))
        self.init, self.free = init, free
        self.max_iter, self.tol = whole_number("max_iter", max_iter), tol
        self.strict = strict
        smallest = self.problem(torch.ones((1,) * model.ndim))
        iteration.check(smallest)
        self.check(smallest)

    def problem(self, y: Tensor, weights: Tensor | None = None) -> Problem:
        """The problem that the layer solves.

        Args:
            y: the data.
            weights: of its entries, or None.
        """
        return Problem(y, self.model, self.loss, tuple(self.regs), weights, self.free)

    @abstractmethod
    def check(self, problem: Problem) -> None:
        """Check that the solution of such a problem can be differentiated.

        Raises:
            TypeError, ValueError: it cannot.
        """

    @abstractmethod
    def differentiable(self, problem: Problem, factors: Factors, met: Tensor) -> Factors:
        """The solution with its derivatives, or those of zero where the tolerance is not ``met``.

        Args:
            problem: with the graph of the data and the parameters.
            factors: the solution without a graph; frozen factors with theirs.
            met: (*,) of bool.
        """

    @torch.compiler.disable
    def forward(
        self, y: Tensor, start: Factors | None = None, weights: Tensor | None = None
    ) -> Factors:
        """The factors that minimize the objective.

        Args:
            y: the data.
            start: the factors to start from, or None: ``init(y)``.
            weights: of the entries of the data, or None.

        Raises:
            RuntimeError: the solve ended above the tolerance and a gradient is asked for.
        """
        problem = self.problem(y, weights)
        factors = self._start(problem, start)
        solution = self.solve(problem, factors)
        found = tuple(
            new if n in problem.order else old
            for n, (old, new) in enumerate(zip(factors, solution.factors, strict=True))
        )
        inputs = (y, weights, *found, *self.parameters())
        if not torch.is_grad_enabled() or not any(
            x is not None and x.requires_grad for x in inputs
        ):
            return found
        if not bool(solution.converged.all()):
            self.refuse(
                ~solution.converged,
                f"the solve ended after {self.max_iter} iterations at a KKT residual of "
                f"{float(solution.kkt.max()):.1e}, where gradients would be wrong; raise max_iter, "
                "or penalize the factors",
            )
        return self.differentiable(problem, found, solution.converged)

    def iterates(
        self, y: Tensor, start: Factors | None = None, weights: Tensor | None = None
    ) -> Iterator[State]:
        """The start and the solution, as the iterates of `Unrolled`.

        Args:
            y, start, weights: as in `forward`.
        """
        factors = self._start(self.problem(y, weights), start)
        yield State(factors, ())
        yield State(self(y, factors, weights), ())

    def solve(self, problem: Problem, start: Factors) -> Solution:
        """The solution without a graph."""
        tol = torch.finfo(problem.data.dtype).eps ** 0.75 if self.tol is None else self.tol
        start = tuple(x.detach() for x in start)
        return solve(
            self.iteration,
            problem,
            start,
            max_iter=self.max_iter,
            tol=tol,
            check_every=self.check_every,
        )

    def refuse(self, failed: Tensor, reason: str) -> None:
        """Say why some problems have no gradient: by an error, or in a warning where not strict."""
        if self.strict:
            raise RuntimeError(f"no gradient: {reason}")
        warnings.warn(
            f"zero gradients for {int(failed.sum())} of {failed.numel()} problems: {reason}",
            RuntimeWarning,
            stacklevel=3,
        )

    def _start(self, problem: Problem, start: Factors | None) -> Factors:
        if start is not None:
            return tuple(start)
        if self.init is None:
            raise ValueError(
                f"{type(self).__name__} needs a start: give factors with the data, or an init"
            )
        return tuple(self.init(problem.imputed))
