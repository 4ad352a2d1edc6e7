"""Simulated calcium imaging: fluorescence traces with known spikes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from ..functional.randomized import as_generator


class CalciumTraces(NamedTuple):
    """Fluorescence of several neurons and the spikes behind it.

    Attributes:
        traces: (n, frames), in units of the peak of the response to one spike.
        spikes: (n, frames), how many spikes fell into each frame.
        response: (size,), the response to one spike at the frame of the spike and after it, until
            it has fallen below a thousandth of its peak, which is 1.
        rate: frames a second, in Hz.
    """

    traces: Tensor
    spikes: Tensor
    response: Tensor
    rate: float


def calcium_traces(
    n: int,
    frames: int,
    rate: float = 30.0,
    firing: float = 1.0,
    decay: float = 0.5,
    rise: float = 0.0,
    noise: float = 0.2,
    baseline: float = 0.0,
    seed: int | torch.Generator = 0,
) -> CalciumTraces:
    """Poisson spikes through an autoregressive process of order one, or two if there is a rise.

        c_t = g_1 c_t-1 + g_2 c_t-2 + s_t,   y_t = baseline + c_t / max(response) + noise
        g_1 = d + r, g_2 = -d r   with   d = exp(-1 / (decay rate)), r = exp(-1 / (rise rate))

    Args:
        n: number of traces.
        frames: their length.
        rate: frames a second, in Hz.
        firing: spikes a second, on average.
        decay: time constant of the decay, in seconds.
        rise: that of the rise, in seconds, below `decay`; 0: at once, a process of order one.
        noise: standard deviation of white noise, in peaks of the response to one spike.
        baseline: the fluorescence at rest, likewise.
        seed: integer, or a generator on the CPU.

    Returns:
        a `CalciumTraces`, in float64.

    Raises:
        ValueError: sizes, rates or time constants out of range.

    References:
        | Friedrich, Zhou, Paninski, Fast online deconvolution of calcium imaging data (2017)

    Example:
        >>> found = calcium_traces(n=2, frames=3000, rate=30.0, firing=0.5)
        >>> found.traces.shape, found.spikes.sum(1)
        (torch.Size([2, 3000]), tensor([56., 53.], dtype=torch.float64))
    """
    if min(n, frames) < 1:
        raise ValueError(f"n and frames are at least 1, got n={n} and frames={frames}")
    if not (rate > 0 and firing >= 0 and noise >= 0):
        raise ValueError(
            "rate must be positive, firing and noise nonnegative, got "
            f"rate={rate}, firing={firing}, noise={noise}"
        )
    if not 0 <= rise < decay:
        raise ValueError(f"time constants need 0 <= rise < decay, got rise={rise}, decay={decay}")
    draw = as_generator(seed)
    expected = torch.full((n, frames), firing / rate, dtype=torch.float64)
    spikes = torch.poisson(expected, generator=draw)
    d, r = (math.exp(-1 / (t * rate)) if t else 0.0 for t in (decay, rise))
    poles = [1.0, -d - r, d * r]
    alone = np.zeros(1 + math.ceil(10 * decay * rate))
    alone[0] = 1.0
    response = np.asarray(lfilter([1.0], poles, alone))
    peak = response.max()
    kept = 1 + int(np.flatnonzero(response >= 1e-3 * peak)[-1])
    clean = torch.from_numpy(lfilter([1.0], poles, spikes.numpy()) / peak)
    white = torch.randn(n, frames, generator=draw, dtype=torch.float64)
    return CalciumTraces(
        baseline + clean + noise * white, spikes, torch.from_numpy(response[:kept] / peak), rate
    )
