"""A factorization of any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..data import Data, given
from ..iterations import MU, Alternating, BlockIteration, Iteration, State
from ..losses import Loss
from ..models import Factors, Model
from ..problem import Problem
from ..regularizers import NonNegative, Regularizer
from ..solvers import Progress, Solution, solve
from ..solvers.progress import Callback
from .inputs import (
    Array,
    Back,
    check_regs,
    check_values,
    given_factors,
    kind_of,
    observations,
    to_tensor,
    whole,
)
from .names import RandomStart, iteration_named, loss_named
from .results import Factorization, checks, plain

Begin = Callable[[Tensor], Factors] | RandomStart | Sequence[Array]


def factorize(
    y: Array | Data,
    model: Model,
    loss: str | float | Loss,
    iteration: str | BlockIteration | Iteration | None,
    *,
    start: Begin,
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    free: tuple[int, ...] | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
    back: Back | None = None,
) -> Factorization:
    """Fit any model: what `nmf` and `cp` do once they know theirs.

    Args:
        y: the data, NaN where missing.
        model: what predicts it.
        loss, iteration, regs, weights, max_iter, tol, check_every, callbacks, resume: as in `nmf`.
        start: the factors, used as they are, or a function of the data that gives them, which are
            then made feasible and scaled to it; `RandomStart` does not read the data.
        free: which factors are sought, the others stay as they start; None: all.
        back: turns factors into the kind of array that the caller had; None: the kind of ``y``.

    Returns:
        a `Factorization`.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    Example:
        >>> from rlra_torch.models import Multilinear
        >>> y = torch.ones(3, 4)
        >>> fit = factorize(y, Multilinear("ir,jr->ij"), "kl", "mu",
        ...                 start=(torch.ones(3, 1), torch.ones(4, 1)))
        >>> fit.converged
        True
    """
    matrix = isinstance(model, Model) and model.matrix
    known, own = (y, whole) if isinstance(y, Data) else to_tensor(y, "y", compact=matrix)
    if resume is not None and not isinstance(resume, Progress):
        raise TypeError(f"resume takes what load_checkpoint reads, got {kind_of(resume)}")
    loss = loss_named(loss)
    step = iteration_named(iteration, loss).to(known.device)
    problem = _problem(known, model, loss, regs, weights, free)
    step.check(problem)
    solution = solve(
        step,
        problem,
        _begin(problem, start, iteration) if resume is None else _placed(problem, step, resume),
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    return described(problem, step, solution, own if back is None else back)


def _problem(
    y: Tensor | Data,
    model: Model,
    loss: Loss,
    regs: Sequence[Regularizer] | None,
    weights: Array | None,
    free: tuple[int, ...] | None,
) -> Problem:
    if not isinstance(model, Model):
        raise TypeError(f"the model must be a Model such as NMF(), got {kind_of(model)}")
    if isinstance(y, Data):
        data = given(y, weights)
    else:
        data = observations(y, weights, sparse=model.matrix)
    check_values(data, loss)
    several = [NonNegative() for _ in model.factor_ndims] if regs is None else check_regs(regs)
    return Problem(data, model, loss, [reg.to(y.device) for reg in several], free=free)


def _begin(problem: Problem, start: Begin, iteration: object) -> Factors:
    """The factors given, or those of a function: feasible, and scaled to the data."""
    data = problem.data
    if not callable(start):
        return data.placed(given_factors(start, data))
    random = isinstance(start, RandomStart)
    factors = data.placed(tuple(start(data) if random else start(problem.imputed)))
    problem.model.check(factors, data.shape)
    step = torch.finfo(problem.data.dtype).tiny
    factors = tuple(
        reg.terms[0].prox(x, step) for reg, x in zip(problem.regs, factors, strict=True)
    )
    factors = warmed(problem, iteration, factors)
    if any(freedom.penalized for freedom in problem.freedoms):
        factors = problem.balanced(factors)
    return problem.scaled(factors)


def _placed(problem: Problem, step: Iteration, progress: Progress) -> Progress:
    """The progress with its factors and its memory where the data wants them."""
    factors = problem.data.placed(progress.state.factors)
    if factors is progress.state.factors:
        return progress
    fresh = step.init(factors, problem).memory
    memory = problem.data.placed_like(progress.state.memory, fresh)
    return replace(progress, state=State(factors, memory))


def warmed(problem: Problem, iteration: object, factors: Factors) -> Factors:
    """A few steps of MU where the iteration by name converges only from near, and MU can."""
    if iteration != "msom" or problem.loss.quadratic:
        return factors
    start = Alternating(MU())
    try:
        start.check(problem)
    except TypeError:
        return factors
    return solve(start, problem, problem.scaled(factors), max_iter=20, check_every=20).factors


def described(problem: Problem, step: Iteration, solution: Solution, back: Back) -> Factorization:
    error = whole(problem.relative_error(tuple(x.double() for x in solution.factors)))
    description = {
        "model": type(problem.model).__name__,
        "rank": str(solution.factors[0].shape[-1]),
        "loss": type(problem.loss).__name__,
        "iteration": iteration_name(step),
    }
    return Factorization(
        tuple(back(x) for x in solution.factors),
        checks(solution.history),
        plain(solution.converged),
        plain(solution.n_iter),
        plain(error),
        description,
    )


def iteration_name(iteration: Iteration) -> str:
    """What tables call an iteration."""
    if isinstance(iteration, Alternating):
        return "/".join(dict.fromkeys(type(it).__name__ for it in iteration.iterations))
    return type(iteration).__name__
