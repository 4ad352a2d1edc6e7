"""A simulated calcium movie: regions that fire, seen through decay and much noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.datasets.synthetic import _check_sizes, _generator

_TRIES = 3000


class CalciumMovie(NamedTuple):
    """A movie, and what it was made from.

    Attributes:
        movie: (frames, rows, cols), noise included.
        footprints: 1 in each region and 0 elsewhere, (regions, rows, cols).
        spikes: 1 where a region fires and 0 elsewhere, (regions, frames).
        labels: The region of each pixel from 1 on, 0 for none, (rows, cols).
        noise: Standard deviation of the noise.
        decay: Time constant of the decay, in frames.
    """

    movie: Tensor
    footprints: Tensor
    spikes: Tensor
    labels: Tensor
    noise: float
    decay: float


def calcium_movie(
    shape: tuple[int, int, int] = (200, 64, 64),
    regions: int = 19,
    spikes: int = 5,
    snr_db: float = -16.0,
    decay: float = 3.68,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float32,
) -> CalciumMovie:
    """Elliptic regions without overlap, each with its own spikes, under white noise.

        Y = D A Zᵀ + noise,   (D a)_t = Σ_{s <= t} exp(-(t - s) / decay) a_s

    Half axes are drawn from 3 to 6 pixels, and spike times uniformly among those at least four
    frames apart; the ratio of the energies of signal and noise is ``snr_db``. The defaults are the
    phantom of the paper, with the decay of GCaMP5G at five frames a second.

    Args:
        shape: Frames, rows and columns.
        regions: How many.
        spikes: Of each region.
        snr_db: Energy of the signal over that of the noise, in decibels.
        decay: Time constant, in frames.
        seed: Integer or a generator on the CPU.
        dtype: Floating-point type of the result.

    Raises:
        ValueError: A size is not positive, or regions or spikes do not fit.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 5.1

    Example:
        >>> phantom = calcium_movie((80, 24, 24), regions=3)
        >>> tuple(phantom.movie.shape), int(phantom.spikes.sum()), int(phantom.labels.max())
        ((80, 24, 24), 15, 3)
    """
    frames, rows, cols = shape
    sizes = {"frames": frames, "rows": rows, "cols": cols, "regions": regions, "spikes": spikes}
    _check_sizes(sizes)
    draw = _generator(seed, None)
    labels = _ellipses(rows, cols, regions, draw)
    footprints = (labels == torch.arange(1, regions + 1)[:, None, None]).to(torch.float64)
    trains = torch.stack([_train(frames, spikes, draw) for _ in range(regions)])
    time = torch.arange(frames, dtype=torch.float64)
    lag = time[:, None] - time
    response = torch.where(lag >= 0, torch.exp(-lag.clamp_min(0) / decay), 0)
    clean = torch.einsum("ts,ks,kij->tij", response, trains, footprints)
    noise = float(clean.square().mean().sqrt()) * 10 ** (-snr_db / 20)
    movie = clean + noise * torch.randn(shape, generator=draw, dtype=torch.float64)
    return CalciumMovie(
        movie.to(dtype), footprints.to(dtype), trains.to(dtype), labels, noise, decay
    )


def _ellipses(rows: int, cols: int, regions: int, draw: torch.Generator) -> Tensor:
    """Labels of ellipses inside the image that neither overlap nor touch."""
    y, x = torch.arange(rows)[:, None], torch.arange(cols)
    labels, taken = torch.zeros(rows, cols, dtype=torch.int64), torch.zeros(rows, cols).bool()
    count = 0
    for _ in range(_TRIES):
        u = torch.rand(5, generator=draw, dtype=torch.float64)
        a, b = (3 + 3 * u[:2]).tolist()
        reach = max(a, b)
        top = reach + float(u[2]) * (rows - 1 - 2 * reach)
        left = reach + float(u[3]) * (cols - 1 - 2 * reach)
        turn = math.pi * float(u[4])
        along = math.cos(turn) * (y - top) + math.sin(turn) * (x - left)
        across = math.cos(turn) * (x - left) - math.sin(turn) * (y - top)
        # Half a pixel wider, so that neighbours do not touch.
        if bool((taken & ((along / (a + 1)) ** 2 + (across / (b + 1)) ** 2 <= 1)).any()):
            continue
        inside = (along / a) ** 2 + (across / b) ** 2 <= 1
        count += 1
        labels[inside], taken = count, taken | inside
        if count == regions:
            return labels
    raise ValueError(f"{regions} regions do not fit into {rows} x {cols} pixels; ask for fewer")


def _train(frames: int, spikes: int, draw: torch.Generator) -> Tensor:
    """Spikes at least four frames apart, uniformly among all such trains."""
    room = frames - 3 * (spikes - 1)
    if room < spikes:
        raise ValueError(f"{spikes} spikes do not fit into {frames} frames, four frames apart")
    place = torch.randperm(room, generator=draw)[:spikes].sort().values
    train = torch.zeros(frames, dtype=torch.float64)
    train[place + 3 * torch.arange(spikes)] = 1
    return train
