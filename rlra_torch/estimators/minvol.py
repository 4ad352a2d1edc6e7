"""Minimum-volume nonnegative matrix factorization in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..iterations import FISTA, HALS, Alternating, Majorized, ProjectedGradient, Safeguarded
from ..losses import Frobenius
from ..models import NMF, Factors
from ..problem import Problem
from ..regularizers import LogDet, NonNegative, Regularizer, Simplex, Sum, SumAtMost
from ..separable import snpa, sum_to_one
from ..solvers import solve
from ..solvers.progress import Callback
from .factorize import described
from .inputs import Array, given_factors, to_tensor
from .results import Factorization

INNER = 10  # steps on a factor before the other's turn


def minvol(
    M: Array,  # noqa: N803
    rank: int,
    weight: float = 0.1,
    *,
    delta: float = 0.01,
    sums: Literal["at_most_one", "one", "spectra"] = "at_most_one",
    init: Sequence[Array] | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    callbacks: Sequence[Callback] = (),
) -> Factorization:
    """Minimum-volume factorization: spectra as close together as the data allows.

    ``min ||M - W H^T||^2 / 2 + lambda / 2 logdet(W^T W + delta I)`` over nonnegative W and H with
    sums that are bounded. Spectra are found that no pixel shows, if the pixels are spread over the
    faces of their simplex.

    Args:
        M: pixels as columns, (m, n).
        rank: how many spectra.
        weight: lambda, in units of ``||M - W_0 H_0^T||^2 / |logdet(W_0^T W_0 / s + delta I)|`` at
            the start, with s the mean of the squared norms of the spectra there.
        delta: in units of s.
        sums: the abundances of a pixel sum to "at_most_one" or to "one", or each of the "spectra"
            sums to one.
        init: (W, H); None: `snpa`.
        max_iter, tol, check_every, callbacks: as in `nmf`.

    Returns:
        a `Factorization` with ``factors = (W, H)``.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Leplat, Ang, Gillis, Minimum-volume rank-deficient nonnegative matrix factorizations
        | (2019)

    Example:
        >>> W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> share = torch.linspace(0.1, 0.9, 9)
        >>> fit = minvol(W @ torch.stack((share, 1 - share)), 2)
        >>> fit.relative_error < 0.1
        True
    """
    y, back = to_tensor(M, "M")
    if y.ndim != 2:
        raise ValueError(f"minvol needs a matrix (m, n), got shape {tuple(y.shape)}")
    if sums not in ("at_most_one", "one", "spectra"):
        raise ValueError(f"sums is 'at_most_one', 'one' or 'spectra', got {sums!r}")
    whole_number("the rank", rank)
    for name, value in (("weight", weight), ("delta", delta)):
        if not real_number(name, value) > 0:
            raise ValueError(f"{name} of minvol must be positive, got {value}")
    if not bool(y.isfinite().all()):
        raise ValueError("minvol needs data without NaN or infinite values; leave those pixels out")
    start = _start(y, rank, sums) if init is None else given_factors(init, y, rank)
    problem = _problem(y, start, weight, delta, sums)
    abundances = Safeguarded(FISTA(), ProjectedGradient())
    step = Alternating((Majorized(HALS()), abundances), inner=INNER).to(y.device)
    step.check(problem)
    found = solve(
        step,
        problem,
        start,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    return described(problem, step, found, back)


def _start(y: Tensor, rank: int, sums: str) -> Factors:
    """Pixels and their abundances by SNPA, in the set that is sought."""
    found = snpa(y, rank)
    w, h = found.factors
    w = w.clamp_min(0)
    if sums == "one":
        return w, sum_to_one(y, w)
    if sums == "spectra":
        total = w.sum(-2)
        total = torch.where(total > 0, total, 1)
        return torch.where(w.sum(-2) > 0, w / total, 1 / len(w)), h * total
    return w, h


def _problem(y: Tensor, start: Factors, weight: float, delta: float, sums: str) -> Problem:
    w, h = start
    size = w.square().sum(-2).mean().clamp_min(torch.finfo(y.dtype).tiny)
    eye = torch.eye(w.shape[-1], dtype=y.dtype, device=y.device)
    volume = torch.linalg.slogdet(w.mT @ w / size + delta * eye).logabsdet.abs()
    # A start without error, or with a volume of one, would leave nothing to weigh with.
    error = (y - w @ h.mT).square().sum().clamp_min(1e-6 * y.square().sum())
    volume_term = LogDet(float(weight * error / volume.clamp_min(1)), float(delta * size))
    kept: dict[str, tuple[Regularizer, Regularizer]] = {
        "at_most_one": (NonNegative(), SumAtMost()),
        "one": (NonNegative(), Simplex()),
        "spectra": (Simplex(dim=-2), NonNegative()),
    }
    spectra, abundances = kept[sums]
    regs = [Sum(spectra, volume_term).to(y.device), abundances]
    return Problem(y, NMF(), Frobenius(), regs)
