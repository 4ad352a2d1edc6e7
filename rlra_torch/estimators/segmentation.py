"""Calcium movies: regions, when they fire, and a map of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.noise import noise_level
from ..functional.total_variation import Lattice
from ..iterations import Alternating, Nesterov, ProjectedGradient
from ..losses import Frobenius
from ..models import NMF, Factors, Sensed
from ..operators import Autoregressive, WithoutBackground
from ..problem import Problem
from ..regularizers import Gauge, ProjectiveNorm
from ..solvers import solve
from .growth import alive
from .inputs import Array, to_tensor
from .segmented import Segmentation


class Weights(NamedTuple):
    """Of the norms of spike trains (a) and footprints (z), see `segment`.

    Args:
        spikes: l1 of a spike train.
        footprint: l1 of a footprint.
        tv: total variation of a footprint.
        l2: of both.
    """

    spikes: float = 1.0
    footprint: float = 0.6
    tv: float = 1.0
    l2: float = 1.0


LOW_RANK_TV = Weights()
SPARSE_LOW_RANK = Weights(1.0, 1.0, 0.0, 1.0)
SPARSE = Weights(1.0, 1.0, 0.0, 0.0)


def segment(
    movie: Array,
    decay: float,
    *,
    lam: float = 0.7,
    weights: Weights = LOW_RANK_TV,
    columns: int = 100,
    background: int = 0,
    max_iter: int = 60,
    tol: float = 1e-4,
) -> Segmentation:
    """Find the regions of a calcium movie, and when each fires.

        min over A, Z >= 0 of  1/2 ||Y - D A Z^T - B C||^2 + lam noise sum_i ||A_i||_a ||Z_i||_z
        ||a||_a = spikes ||a||_1 + l2 ||a||_2
        ||z||_z = footprint ||z||_1 + tv TV(z) + l2 ||z||_2

    with exponential decay D, by alternating extrapolated proximal gradient steps from Z = 0 and
    columns of A that are single frames. Several columns may belong to one region: those whose
    footprints are alike become one region, whose footprint and spike train are the best term of
    rank one for their sum; `Segmentation` has the map.

    Args:
        movie: Y, (frames, rows, cols).
        decay: time constant, in frames.
        lam: the weight of the penalty, in units of the noise, which is estimated.
        weights: inside it; `LOW_RANK_TV`, `SPARSE_LOW_RANK` and `SPARSE` are those of the paper.
        columns: how many to begin with, at most one a frame; those that are not needed vanish.
        background: how many slow cosines each pixel has beside the model, free of penalties; 1 is a
            constant level. The slow part of the regions goes with it, so that faint ones need a
            smaller lam.
        max_iter: the largest number of iterations.
        tol: on the scale-free optimality residual.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 5.1
        | Xu, Yin, A block coordinate descent method for regularized multiconvex optimization with
        | applications to nonnegative tensor factorization and completion (2013)

    Example:
        >>> from rlra_torch.datasets import calcium_movie
        >>> phantom = calcium_movie((40, 20, 20), regions=1, spikes=3, snr_db=0)
        >>> found = segment(phantom.movie, phantom.decay, columns=20)
        >>> len(found.footprints), [len(times) for times in found.events()]
        (1, [3])
    """
    y, back = to_tensor(movie, "movie")
    if y.ndim != 3:
        raise ValueError(f"a movie is (frames, rows, cols), got shape {tuple(y.shape)}")
    if not bool(y.isfinite().all()):
        raise ValueError("the movie has values that are not finite; fill them first")
    if not real_number("lam", lam) > 0:
        raise ValueError(f"lam must be positive, got {lam}")
    whole_number("the number of columns", columns)
    whole_number("the size of the background", background, least=0)
    noise = float(noise_level(y.movedim(0, -1).flatten(0, 1)).median())
    problem, removed = movie_problem(y, decay, lam * noise, weights, background)
    step = Alternating(Nesterov(ProjectedGradient()), order=(1, 0))
    found = solve(step, problem, spikes_start(y, columns), max_iter=max_iter, tol=tol)
    a, z = alive(found.factors)
    slow = torch.zeros_like(y)
    if removed is not None:
        left = y.flatten(1) - _movie(y, decay)((a, z))
        slow = removed.basis @ removed.background(left)
    return Segmentation.of(a, z, slow.reshape(y.shape), found, noise, decay, back)


def movie_problem(
    y: Tensor, decay: float, lam: float, weights: Weights, background: int
) -> tuple[Problem, WithoutBackground | None]:
    """The problem of `segment`, and what takes the background off, None without one."""
    norm = ProjectiveNorm(
        lam,
        Gauge(l1=weights.spikes, l2=weights.l2, nonnegative=True),
        Gauge(weights.footprint, weights.tv, weights.l2, Lattice.of(tuple(y.shape[1:])), True),
    ).to(y)
    model = _movie(y, decay)
    if not background:
        return Problem(y.flatten(1), model, Frobenius(), norm), None
    removed = WithoutBackground(_cosines(len(y), background).to(y))
    return Problem(removed(y.flatten(1)), Sensed(model, removed), Frobenius(), norm), removed


def _movie(y: Tensor, decay: float) -> Sensed:
    return Sensed(NMF(), Autoregressive.decay(decay, dtype=y.dtype).to(y.device))


def _cosines(frames: int, count: int) -> Tensor:
    """The slowest of the discrete cosine transform, the constant first, (frames, count)."""
    time = torch.arange(frames, dtype=torch.float64)[:, None] + 0.5
    return (torch.pi / frames * time * torch.arange(count)).cos()


def spikes_start(y: Tensor, columns: int) -> Factors:
    """Spikes at single frames, evenly spread, and no footprints."""
    frames = len(y)
    place = torch.linspace(0, frames - 1, min(columns, frames), device=y.device).round().long()
    spikes = torch.nn.functional.one_hot(place, frames).to(y).mT
    return spikes, y.new_zeros(y[0].numel(), spikes.shape[-1])
