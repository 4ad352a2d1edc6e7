"""Factorizations in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..data import given
from ..functional.arguments import whole_number
from ..iterations import MU, Alternating, BlockIteration, Iteration
from ..losses import Loss
from ..models import CP, NMF, Factors, Model
from ..problem import Problem
from ..regularizers import NonNegative, Regularizer
from ..solvers import Progress, Solution, solve
from ..solvers.solve import Callback
from .inputs import (
    Array,
    Back,
    check_regs,
    check_seed,
    check_values,
    given_factors,
    kind_of,
    observations,
    to_tensor,
)
from .names import iteration_named, loss_named, matrix_start, tensor_start
from .results import Factorization, checks, plain

Start = str | Sequence[Array] | None


def nmf(
    Y: Array,  # noqa: N803
    rank: int,
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: Start = None,
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
) -> Factorization:
    """Nonnegative matrix factorization, ``min loss(W H^T, Y) + reg(W) + reg(H)``.

    Args:
        Y: (*, m, n) data, leading dimensions for independent problems: a NumPy array, a SciPy
            sparse matrix or a torch tensor of any layout on any device; NaN marks a missing entry.
            Sparse data stays sparse; half precision is computed with in single precision.
        rank: the number of components, at least 1.
        loss: "frobenius", "kl", "is", a real beta, or a `Loss`.
        iteration: "hals" (the default for Frobenius), "mu" (for all else), "msom", "fista", "pg",
            "active_set", "als", "burg", "newton", "joint", or an `Iteration`.
        init: "random", "nndsvd", "nndsvda", "nndsvdar", "spa" or the pair (W, H); None: "nndsvda"
            where the rank allows, else "random". Named starts are made feasible and scaled to the
            data; factors are used as they are.
        regs: a regularizer for W and one for H; None: nonnegative.
        weights: nonnegative weights or a boolean mask like Y; 0 or False marks a missing entry, and
            so does what a sparse mask does not store.
        max_iter: the largest number of iterations.
        tol: on the scale-free KKT residual.
        check_every: iterations between two checks.
        seed: of the random starts.
        callbacks: called with the progress at each check.
        resume: a progress to go on from, as `load_checkpoint` reads it.

    Returns:
        a `Factorization` with ``factors = (W, H)``, W (*, m, r) and H (*, n, r).

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 6.1.3 and 7.3

    Example:
        >>> Y = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) @ torch.ones(2, 20)
        >>> fit = nmf(Y, rank=2)
        >>> fit.relative_error < 1e-3
        True
    """
    y, back = to_tensor(Y, "Y", compact=True)
    if y.ndim < 2:
        raise ValueError(f"nmf needs a matrix, got shape {tuple(y.shape)}")
    rank, seed = whole_number("the rank", rank), check_seed(seed)
    name = init if init is not None else "nndsvda" if rank <= min(y.shape[-2:]) else "random"

    def start(filled: Tensor) -> Factors:
        assert isinstance(name, str)
        return matrix_start(name, filled, rank, seed)

    return factorize(
        y,
        NMF(),
        loss,
        iteration,
        start=start if isinstance(name, str) else given_factors(name, given(y), rank),
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        resume=resume,
        back=back,
    )


def cp(
    T: Array,  # noqa: N803
    rank: int,
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: Start = "random",
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
) -> Factorization:
    """Canonical polyadic decomposition, nonnegative unless ``regs`` say otherwise.

    Args:
        T: a tensor of order 2 or more, (n_1, ..., n_d), of a kind that `nmf` takes; NaN marks a
            missing entry.
        rank: the number of components, at least 1.
        loss, iteration, regs, weights, max_iter, tol, check_every, seed, callbacks, resume: as in
            `nmf`, with one regularizer per mode.
        init: "random", "svd" or one factor per mode. Named starts are scaled to the data.

    Returns:
        a `Factorization` with one factor (n_i, r) per mode.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.2

    Example:
        >>> a = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
        >>> fit = cp(torch.einsum("ir,jr,kr->ijk", a, a, a), rank=2)
        >>> [tuple(x.shape) for x in fit.factors]
        [(6, 2), (6, 2), (6, 2)]
    """
    y, back = to_tensor(T, "T")
    if y.ndim < 2:
        raise ValueError(f"cp needs a tensor of order 2 or more, got shape {tuple(y.shape)}")
    rank, seed = whole_number("the rank", rank), check_seed(seed)

    def start(filled: Tensor) -> Factors:
        assert isinstance(init, str)
        return tensor_start(init, filled, rank, seed)

    if init is None:
        raise ValueError("cp needs an init: 'random', 'svd' or one factor per mode")
    return factorize(
        y,
        CP(y.ndim),
        loss,
        iteration,
        start=start if isinstance(init, str) else given_factors(init, given(y), rank),
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        resume=resume,
        back=back,
    )


def factorize(
    y: Array,
    model: Model,
    loss: str | float | Loss,
    iteration: str | BlockIteration | Iteration | None,
    *,
    start: Callable[[Tensor], Factors] | Sequence[Array],
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
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
            then made feasible and scaled to it.
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
    tensor, own = to_tensor(y, "y", compact=matrix)
    if resume is not None and not isinstance(resume, Progress):
        raise TypeError(f"resume takes what load_checkpoint reads, got {kind_of(resume)}")
    loss = loss_named(loss)
    step = iteration_named(iteration, loss).to(tensor.device)
    problem = _problem(tensor, model, loss, regs, weights)
    step.check(problem)
    solution = solve(
        step,
        problem,
        _begin(problem, start, iteration) if resume is None else resume,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    return _described(problem, step, solution, own if back is None else back)


def _problem(
    y: Tensor,
    model: Model,
    loss: Loss,
    regs: Sequence[Regularizer] | None,
    weights: Array | None,
) -> Problem:
    if not isinstance(model, Model):
        raise TypeError(f"the model must be a Model such as NMF(), got {kind_of(model)}")
    data = observations(y, weights, sparse=model.matrix)
    check_values(data, loss)
    several = [NonNegative() for _ in model.factor_ndims] if regs is None else check_regs(regs)
    return Problem(data, model, loss, [reg.to(y.device) for reg in several])


def _begin(
    problem: Problem, start: Callable[[Tensor], Factors] | Sequence[Array], iteration: object
) -> Factors:
    """The factors given, or those of a function: feasible, and scaled to the data."""
    if not callable(start):
        return given_factors(start, problem.data)
    factors = tuple(start(problem.imputed))
    problem.model.check(factors, problem.data.shape)
    step = torch.finfo(problem.data.dtype).tiny
    factors = tuple(reg.prox(x, step) for reg, x in zip(problem.regs, factors, strict=True))
    return problem.scaled(warmed(problem, iteration, factors))


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


def _described(problem: Problem, step: Iteration, solution: Solution, back: Back) -> Factorization:
    error = problem.relative_error(tuple(x.double() for x in solution.factors))
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
