"""Nonnegative regressions in one call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..blocks import QuadraticBlock
from ..diagnostics import GapStop, duality_gap
from ..diagnostics.gap import magnitude
from ..functional.linalg import masked_least_squares
from ..iterations import ActiveSet, Alternating, BlockIteration
from ..losses import Frobenius, KullbackLeibler, Loss
from ..models import NMF
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import solve
from .inputs import Array, like, to_tensor
from .names import block_iteration_named
from .results import Regression, checks, plain


def nnls(
    A: Array,  # noqa: N803
    Y: Array,  # noqa: N803
    iteration: str | BlockIteration = "active_set",
    *,
    l1: float = 0.0,
    ridge: float = 0.0,
    max_iter: int = 1000,
    tol: float | None = None,
    gap: float | None = None,
) -> Regression:
    """Nonnegative least squares, ``min_{X >= 0} ||A X - Y||^2 / 2 + l1 sum X + ridge ||X||^2 / 2``.

    Args:
        A: (*, m, r).
        Y: (*, m) or (*, m, k), all right-hand sides solved at once.
        iteration: "active_set" (exact), "hals", "msom", "fista", "pg", "mu" or a `BlockIteration`.
        l1: weight of the sum.
        ridge: weight of half the sum of squares.
        max_iter: the largest number of iterations (pivots of the active set).
        tol: on the scale-free KKT residual; None: 10 rounding errors of the dtype.
        gap: on the duality gap over ``||Y||^2 / 2``, to stop at whichever is met first; None: none.

    Returns:
        a `Regression` with ``x`` (*, r) or (*, r, k).

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.1 and 7.4

    Example:
        >>> A = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> nnls(A, torch.tensor([1.0, -2.0])).x
        tensor([1., 0.])
    """
    reg = NonNegative(l1, ridge)
    return _regress(A, Y, Frobenius(), iteration, reg, max_iter, (tol, gap))


def nnkl(
    A: Array,  # noqa: N803
    Y: Array,  # noqa: N803
    iteration: str | BlockIteration = "newton",
    *,
    l1: float = 0.0,
    ridge: float = 0.0,
    max_iter: int = 10000,
    tol: float | None = None,
    gap: float | None = None,
) -> Regression:
    """Nonnegative Kullback-Leibler regression, ``min_{X >= 0} KL(Y, A X)`` plus an elastic net.

    Args:
        A: (*, m, r), nonnegative.
        Y: (*, m) or (*, m, k), nonnegative, all right-hand sides solved at once.
        iteration: "newton" (to full accuracy in some ten steps), "sn", "amu", "mu", "burg", "msom"
            or a `BlockIteration`.
        l1: weight of the sum.
        ridge: weight of half the sum of squares.
        max_iter: the largest number of iterations.
        tol: on the scale-free KKT residual; None: 1e-6, or 1e-5 in float32, for which MU and Burg
            need thousands of iterations.
        gap: on the duality gap over the sum of Y, to stop at whichever is met first; None: none.

    Returns:
        a `Regression` with ``x`` (*, r) or (*, r, k).

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.2

    Example:
        >>> A = torch.tensor([[1.0], [1.0]], dtype=torch.float64)
        >>> nnkl(A, torch.tensor([1.0, 3.0], dtype=torch.float64)).x.round(decimals=6)
        tensor([2.], dtype=torch.float64)
    """
    reg = NonNegative(l1, ridge)
    return _regress(A, Y, KullbackLeibler(), iteration, reg, max_iter, (tol, gap))


def _regress(
    A: Array,  # noqa: N803
    Y: Array,  # noqa: N803
    loss: Loss,
    iteration: str | BlockIteration,
    reg: NonNegative,
    max_iter: int,
    tols: tuple[float | None, float | None],
) -> Regression:
    tol, gap = tols
    y, back = to_tensor(Y, "Y")
    a = like(A, "A", y)
    vector = y.ndim == a.ndim - 1
    y = y[..., None] if vector else y
    check_shapes(a, y, Y)
    check_entries(a, y, loss)
    if iteration == "active_set" and reg.degree == 0:
        iteration = ActiveSet(on_support=_through_qr(a, y))
    step = Alternating(block_iteration_named(iteration, loss, "active_set")).to(y.device)
    problem = Problem(y, NMF(), loss, (NonNegative(), reg.to(y.device)), free=(1,))
    step.check(problem)
    shape = (*y.shape[:-2], y.shape[-1], a.shape[-1])
    if isinstance(step.iterations[0], ActiveSet):
        x = y.new_zeros(shape)
    else:
        (_, x) = problem.scaled((a, y.new_ones(shape)))
        x = torch.where(x.amax((-2, -1), keepdim=True) > 0, x, 1.0)
    coarse = y.dtype == torch.float32
    if tol is None:
        tol = 10 * torch.finfo(y.dtype).eps if loss.quadratic else 1e-5 if coarse else 1e-6
    watch = [] if gap is None else [GapStop(problem, gap)]
    found = solve(step, problem, (a, x), max_iter=max_iter, tol=tol, callbacks=watch)
    reached, converged = duality_gap(problem, found.factors), found.converged
    if gap is not None:
        converged = converged | (reached <= gap * magnitude(problem))
    x = found.factors[1].mT
    x = x[..., 0] if vector else x
    measured = (plain(converged), plain(found.n_iter), plain(reached))
    return Regression(back(x), checks(found.history), *measured)


def _through_qr(a: Tensor, y: Tensor) -> Callable[[QuadraticBlock, Tensor], Tensor]:
    """Least squares on supports that does not square the condition number of A."""
    q, root = torch.linalg.qr(a)
    target = (q.mT @ y).mT
    return lambda block, passive: masked_least_squares(root, target, passive)


def check_shapes(a: Tensor, y: Tensor, given: Array) -> None:
    """Check that a matrix and right-hand sides fit.

    Raises:
        ValueError: they do not.
    """
    if a.ndim < 2:
        raise ValueError(f"A must be a matrix, got shape {tuple(a.shape)}")
    if y.ndim != a.ndim or y.shape[:-1] != a.shape[:-1]:
        raise ValueError(
            f"Y has shape {tuple(given.shape)} but A, of shape {tuple(a.shape)}, needs "
            f"{tuple(a.shape[:-1])} or {(*a.shape[:-1], 'k')}".replace("'", "")
        )


def check_entries(a: Tensor, y: Tensor, loss: Loss) -> None:
    """Check that a loss can take them.

    Raises:
        ValueError: NaN or infinite entries, or negative ones where the loss takes none.
    """
    for name, x in (("A", a), ("Y", y)):
        bad = int((~x.isfinite()).sum())
        if bad:
            raise ValueError(
                f"{name} has {bad} NaN or infinite entries of {x.numel()}; leave those rows out"
            )
        negative = int((x < 0).sum()) if loss.nonnegative else 0
        if negative:
            raise ValueError(
                f"{name} has {negative} negative entries of {x.numel()}, which "
                f"{type(loss).__name__} cannot take; clip them or use nnls"
            )
