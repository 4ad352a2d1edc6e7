"""Linear recurrences over time without a loop over time."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor


def impulse_response(coefficients: Tensor, length: int) -> Tensor:
    """The first entries of h with ``h_t = sum_i a_i h_{t - i}`` and ``h_0 = 1``.

    They are those of the power series ``1 / (1 - a_1 x - a_2 x^2 - ...)``, by Newton's iteration
    ``h <- h (2 - A h)``, which doubles how many are right: about ``log2(length)`` products.

    Args:
        coefficients: a_1, ..., a_p, (*, p).
        length: how many.

    Returns:
        (*, length).

    References:
        | Kung, On computing reciprocals of power series (1974)

    Example:
        >>> impulse_response(torch.tensor([0.5]), 4).round(decimals=4)
        tensor([1.0000, 0.5000, 0.2500, 0.1250])
    """
    series = torch.cat([torch.ones_like(coefficients[..., :1]), -coefficients], -1)
    h, known = torch.ones_like(series[..., :1]), 1
    while known < length:
        known = min(2 * known, length)
        product = -causal(series[..., :known], h, known)
        h = causal(h, torch.cat([product[..., :1] + 2, product[..., 1:]], -1), known)
    return h


def causal(a: Tensor, x: Tensor, length: int) -> Tensor:
    """The first entries of the convolution of two series, along the last dimension.

    Args:
        a: (*, p).
        x: (*, m).
        length: how many entries are wanted.

    Example:
        >>> causal(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0, 3.0]), 3).round(decimals=4)
        tensor([1., 2., 3.])
    """
    needed = max(a.shape[-1] + x.shape[-1] - 1, length)
    size = int(next_fast_len(needed, real=True))  # pyright: ignore[reportArgumentType]
    product = torch.fft.rfft(a, size) * torch.fft.rfft(x, size)
    return torch.fft.irfft(product, size)[..., :length]
