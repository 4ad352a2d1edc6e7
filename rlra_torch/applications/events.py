"""Where kernels occur in traces, as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from ..estimators import Deconvolution
from ..metrics import merged_spikes


class Event(NamedTuple):
    """One occurrence of a kernel.

    Args:
        trace: the number of the trace, from 0, in the order of the data.
        kernel: the number of the kernel, from 0.
        sample: where its response begins, from 0.
        amplitude: of the response at its largest sample, in the unit of the data.
    """

    trace: int
    kernel: int
    sample: int
    amplitude: float


def events(fit: Deconvolution) -> tuple[Event, ...]:
    """The occurrences in traces, by trace, kernel and time.

    Neighbours count as one. Responses that are lower than the standard deviation of the noise are
    left out. A response begins at the first sample at which the kernel has a tenth of its peak, so
    that a kernel that stands later in its window makes the same events.

    Args:
        fit: of traces.

    Raises:
        ValueError: a fit of images.

    Example:
        >>> from rlra_torch import deconvolve
        >>> y = torch.zeros(60, dtype=torch.float64)
        >>> y[[5, 6, 30, 31]] = torch.tensor([4.0, 2.0, 8.0, 4.0], dtype=torch.float64)
        >>> found = events(deconvolve(y, 2, lam=0.01, bias=False, nonnegative=True))
        >>> [(event.sample, round(event.amplitude)) for event in found]
        [(5, 4), (30, 8)]
    """
    kernels, maps, noise = (
        torch.as_tensor(x).detach().cpu().double() for x in (fit.kernels, fit.maps, fit.noise)
    )
    if maps.ndim != noise.ndim + 2:
        raise ValueError(f"events are of traces, but the maps have shape {tuple(maps.shape)}")
    kernels = (kernels.unsqueeze(-3) if fit.shared else kernels).mT
    count, (size, length) = maps.shape[-1], (kernels.shape[-1], maps.shape[-2])
    kernels = kernels.expand(*noise.shape, count, size).reshape(-1, count, size)
    maps, noise = maps.mT.reshape(-1, count, length), noise.reshape(-1)
    peak = kernels.abs().amax(-1)
    onset = (kernels.abs() >= 0.1 * peak[..., None]).double().argmax(-1)
    heights = merged_spikes(maps) * peak[..., None]
    rows = (heights.abs() > noise[:, None, None]).nonzero().tolist()
    found = (
        Event(n, k, (t + int(onset[n, k])) % length, float(heights[n, k, t])) for n, k, t in rows
    )
    return tuple(sorted(found))


def write_events(found: Sequence[Event], path: str | Path, rate: float | None = None) -> None:
    """A table with a row for each event, as ``.csv``.

    Args:
        found: the events.
        path: where to write.
        rate: samples a second, in Hz, for a column of times in seconds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "events.csv"
        ...     write_events([Event(0, 0, 15, 0.5)], path, rate=30.0)
        ...     print(path.read_text())
        trace,kernel,sample,seconds,amplitude
        0,0,15,0.5,0.5
        <BLANKLINE>
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        times = [] if rate is None else ["seconds"]
        table.writerow(["trace", "kernel", "sample", *times, "amplitude"])
        for event in found:
            seconds = [] if rate is None else [f"{event.sample / rate:.6g}"]
            row = (event.trace, event.kernel, event.sample)
            table.writerow([*row, *seconds, f"{event.amplitude:.6g}"])
