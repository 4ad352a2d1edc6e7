"""Convolutive nonnegative matrix factorization, and regression on known templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..initialization import loudest_windows, random_factors
from ..iterations import AcceleratedMU, Alternating, BlockIteration, Iteration
from ..losses import Loss
from ..models import Convolutive, Factors
from ..problem import Problem
from ..regularizers import NonNegative, Regularizer
from ..solvers import solve
from ..solvers.progress import Callback
from .factorize import Begin, factorize
from .inputs import Array, Back, check_seed, given_factors, like, to_tensor
from .names import loss_named
from .results import Factorization

# Iterations on the activations alone that a start takes.
FITTED = 50


@dataclass(frozen=True)
class ConvolutiveFactorization(Factorization):
    """``V[f, t] ~ sum_k sum_i templates[f, i, k] activations[t - i, k]``; see `Factorization`."""

    @property
    def templates(self) -> Any:  # noqa: ANN401
        """(*, frequencies, window, rank)."""
        return self.factors[0]

    @property
    def activations(self) -> Any:  # noqa: ANN401
        """(*, frames, rank)."""
        return self.factors[1]


def cnmf(
    V: Array,  # noqa: N803
    rank: int,
    window: int,
    loss: str | float | Loss = "kl",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: str | Sequence[Array] = "separable",
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> ConvolutiveFactorization:
    """Convolutive nonnegative matrix factorization: sounds that last, and when each begins.

        min  loss(P, V),   P[f, t] = sum_k sum_i A[f, i, k] X[t - i, k],   A, X >= 0

    Before its first frame the data is silent; what would sound after its last frame is not seen,
    and is not fitted. A window of one frame is `nmf`.

    Args:
        V: (*, frequencies, frames) nonnegative, such as the magnitudes of a spectrogram; leading
            dimensions for independent problems; NaN marks a missing entry.
        rank: the number of templates.
        window: their length in frames.
        loss, regs, weights, max_iter, tol, check_every, seed, callbacks: as in `nmf`, the
            regularizers for the templates and for the activations.
        iteration: "amu" (the default), "mu", whose objective never rises, or what `nmf` takes.
        init: "separable" (pieces around the loudest frames, then activations for these), "random",
            or the pair (templates, activations), used as given.

    Returns:
        a `ConvolutiveFactorization` with ``templates`` (*, frequencies, window, rank) and
        ``activations`` (*, frames, rank).

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Smaragdis, Non-negative matrix factor deconvolution (2004)
        | Fagot, Wendt, Fevotte, Smaragdis, Majorization-minimization algorithms for convolutive NMF
        | with the beta-divergence (2019)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 21.2

    Example:
        >>> V = torch.zeros(2, 12)
        >>> V[0, [1, 2, 7, 8]] = V[1, [4, 5, 10, 11]] = torch.tensor([2.0, 1.0, 4.0, 2.0])
        >>> fit = cnmf(V, rank=2, window=2)
        >>> tuple(fit.templates.shape), tuple(fit.activations.shape), fit.relative_error < 1e-3
        ((2, 2, 2), (12, 2), True)
    """
    y, back = _spectrogram(V)
    rank, window = whole_number("the rank", rank), whole_number("the window", window)
    if window > y.shape[-1]:
        raise ValueError(f"a window of {window} frames does not fit data of {y.shape[-1]} frames")
    loss = loss_named(loss)
    begin: Begin
    if not isinstance(init, str):
        begin = given_factors(init, y, rank)
    elif init == "separable":
        begin = _Separable(rank, window, loss)
    elif init == "random":
        begin = _Random(rank, window, check_seed(seed))
    else:
        raise ValueError(f"unknown init {init!r}: use 'separable', 'random' or the factors")
    fit = factorize(
        y,
        Convolutive(channels=True, cyclic=False),
        loss,
        "amu" if iteration is None else iteration,
        start=begin,
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        back=back,
    )
    return ConvolutiveFactorization(**vars(fit))


def convolutive_regression(
    V: Array,  # noqa: N803
    templates: Array,
    loss: str | float | Loss = "kl",
    iteration: str | BlockIteration | None = None,
    *,
    l1: float = 0.0,
    start: Array | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-4,
    check_every: int = 10,
    callbacks: Sequence[Callback] = (),
) -> ConvolutiveFactorization:
    """When known templates begin: ``min_{X >= 0} loss(P, V) + l1 sum X``, with P as in `cnmf`.

    The problem is convex for beta in [1, 2].

    Args:
        V, loss, iteration, weights, max_iter, tol, check_every, callbacks: as in `cnmf`.
        templates: (frequencies, window, rank) or (*, frequencies, window, rank), nonnegative.
        l1: weight of the sum of the activations; with Kullback-Leibler it adds to the sum of each
            template, so templates of one sum are penalized alike.
        start: (*, frames, rank) activations near the solution, or None; zeros stay.

    Returns:
        a `ConvolutiveFactorization`, whose templates are those given.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Wu, Marmoret, Cohen, Semi-supervised convolutive NMF for automatic music transcription
        | (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 21.2.3

    Example:
        >>> V = torch.tensor([[0.0, 2.0, 1.0, 4.0, 2.0, 0.0]])
        >>> fit = convolutive_regression(V, torch.tensor([[[1.0], [0.5]]]), tol=1e-7)
        >>> fit.activations.flatten().round(decimals=2)
        tensor([0., 2., 0., 4., 0., 0.])
    """
    y, back = _spectrogram(V)
    known = like(templates, "templates", y)
    if known.ndim < 3 or known.shape[-3] != y.shape[-2] or known.shape[-2] > y.shape[-1]:
        raise ValueError(
            f"templates have shape {tuple(known.shape)} but data of shape {tuple(y.shape)} needs "
            f"({y.shape[-2]}, window, rank) with a window of at most {y.shape[-1]}"
        )
    if not bool((known >= 0).all()) or not bool(known.isfinite().all()):
        raise ValueError("templates have negative, NaN or infinite entries; clip or replace them")
    known = known.expand(*y.shape[:-2], *known.shape[-3:])
    shape = (*y.shape[:-2], y.shape[-1], known.shape[-1])
    fit = factorize(
        y,
        Convolutive(channels=True, cyclic=False),
        loss,
        "amu" if iteration is None else iteration,
        start=(lambda _: (known, known.new_ones(shape))) if start is None else (known, start),
        regs=(NonNegative(), NonNegative(l1)),
        weights=weights,
        free=(1,),
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        back=back,
    )
    return ConvolutiveFactorization(**vars(fit))


def _spectrogram(data: Array) -> tuple[Tensor, Back]:
    y, back = to_tensor(data, "V")
    if y.ndim < 2:
        raise ValueError(f"V needs frequencies and frames, got shape {tuple(y.shape)}")
    return y, back


@dataclass(frozen=True)
class _Random:
    rank: int
    window: int
    seed: int

    def __call__(self, y: Tensor) -> Factors:
        *lead, frequencies, frames = y.shape
        shapes = [(*lead, frequencies, self.window, self.rank), (*lead, frames, self.rank)]
        return random_factors(shapes, y, self.seed)


@dataclass(frozen=True)
class _Separable:
    """Pieces of the data, and the activations that these templates have."""

    rank: int
    window: int
    loss: Loss

    def __call__(self, y: Tensor) -> Factors:
        templates = loudest_windows(y.clamp_min(0), self.rank, self.window)
        # Zeros would stay, and pieces at the ends of the data have some that say nothing.
        least = 1e-3 * templates.mean((-3, -2), keepdim=True)
        templates = torch.where(least > 0, templates.clamp_min(least), 1)
        model = Convolutive(channels=True, cyclic=False)
        problem = Problem(y, model, self.loss, (NonNegative(), NonNegative()), free=(1,))
        ones = y.new_ones((*y.shape[:-2], y.shape[-1], self.rank))
        begin = problem.scaled((templates, ones))
        step = Alternating(AcceleratedMU())
        return solve(step, problem, begin, max_iter=FITTED, check_every=FITTED).factors
