"""How noisy data is, from its high frequencies."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def noise_level(y: Tensor, order: int = 1) -> Tensor:
    """The standard deviation of white noise, from the upper half of the frequencies.

    Signals that are smooth have none of their energy there; where they have, this is too large.
    Of the power at those frequencies it takes the median, which a few lines do not move.

    Args:
        y: (*, m_1, ..., m_d).
        order: d.

    Returns:
        (*,).

    Example:
        >>> y = torch.randn(4000, generator=torch.Generator().manual_seed(0))
        >>> bool((noise_level(y) - 1).abs() < 0.05)
        True
    """
    f = torch.fft.rfftn(y, dim=tuple(range(-order, 0)), norm="ortho")
    high = torch.zeros((), dtype=torch.bool, device=y.device)
    for n, size in enumerate(y.shape[-order:]):
        fast = (torch.fft.rfftfreq if n == order - 1 else torch.fft.fftfreq)(size).abs() >= 0.25
        high = high | fast.to(y.device).reshape(-1, *(1,) * (order - 1 - n))
    power = f.abs().square().flatten(-order)[..., high.flatten()]
    if power.shape[-1] == 0:
        return torch.zeros_like(y.sum(tuple(range(-order, 0))))
    # The power of white noise at a frequency is exponential: its median is log 2 of its mean.
    return (power.median(-1).values / math.log(2)).sqrt()
