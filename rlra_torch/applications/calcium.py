"""Calcium imaging: fluorescence traces in, spikes and the response to one of them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..estimators import Deconvolution, deconvolve
from ..estimators.inputs import Array
from ..functional.arguments import real_number
from .events import Event, events

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class CalciumSpikes:
    """Spikes of fluorescence traces.

    Args:
        fit: kernels, maps, baselines, and how honest that is.
        rate: frames a second, in Hz.
        events: spikes, by trace and time.
    """

    fit: Deconvolution
    rate: float
    events: tuple[Event, ...]

    def plot(self, y: Array | None = None, index: tuple[int, ...] = ()) -> Figure:
        """The response, and a trace with its spikes, over seconds; see `Deconvolution.plot`."""
        return self.fit.plot(y, index, rate=self.rate)


def calcium_spikes(
    traces: Array,
    rate: float,
    response: float = 1.0,
    *,
    shared: bool = False,
    lam: float | None = None,
    reweights: int = 5,
    starts: int = 3,
    max_iter: int = 1000,
    tol: float = 1e-4,
    seed: int = 0,
) -> CalciumSpikes:
    """Find when neurons fired, and how fluorescence responds to one spike; neither is known.

        min  ||y - b - a * x||^2 / 2 + lambda ||w x||_1   with x >= 0, ||a|| = 1

    `deconvolve` with spikes that are nonnegative, a baseline that is free and reweighting: traces
    may be raw fluorescence or dF/F, in any unit.

    Args:
        traces: (n, frames), or (frames,) of one neuron.
        rate: frames a second, in Hz.
        response: the longest response to a spike, in seconds.
        shared: whether all traces have the same response, else each has its own.
        lam: weight of the spikes, in the unit of the traces; None: from the noise.
        reweights: rounds in which large spikes are spared the penalty.
        starts: pieces of the data to start from; the lowest objective is kept.
        max_iter: the largest number of iterations of each solve.
        tol: on the scale-free optimality residual of the last solve.
        seed: of the starts.

    Returns:
        a `CalciumSpikes`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> from rlra_torch.datasets import calcium_traces
        >>> data = calcium_traces(n=1, frames=400, rate=20.0, decay=0.3, noise=0.02, baseline=5.0)
        >>> found = calcium_spikes(data.traces[0], rate=20.0, response=0.8, starts=1)
        >>> abs(float(found.fit.bias) - 5) < 0.1
        True
    """
    size = kernel_samples(response, rate)
    fit = deconvolve(
        traces,
        size,
        lam=lam,
        nonnegative=True,
        shared=shared,
        reweights=reweights,
        starts=starts,
        max_iter=max_iter,
        tol=tol,
        seed=seed,
    )
    return CalciumSpikes(fit, float(rate), events(fit))


def kernel_samples(seconds: float, rate: float) -> int:
    """How many samples a kernel of so many seconds has.

    Raises:
        ValueError: not positive, or less than a sample.

    Example:
        >>> kernel_samples(1.5, 30.0)
        45
    """
    for name, value in (("the response, in seconds,", seconds), ("the rate, in Hz,", rate)):
        if not real_number(name, value) > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    samples = round(seconds * rate)
    if samples < 1:
        raise ValueError(f"a response of {seconds} s at {rate} Hz is shorter than a frame")
    return samples
