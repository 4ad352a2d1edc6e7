"""Magnitudes of sounds over time and frequency."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Analysis(NamedTuple):
    """How a sound is cut into frames.

    Attributes:
        rate: samples a second.
        window: samples of a frame, under a Hann window.
        hop: samples from the middle of a frame to that of the next.
        highest: the largest frequency that is kept, in hertz.
    """

    rate: int = 22050
    window: int = 4096
    hop: int = 441
    highest: float = 5000.0

    @property
    def step(self) -> float:
        """Seconds from frame to frame."""
        return self.hop / self.rate

    @property
    def frequencies(self) -> Tensor:
        """Of the rows, in hertz."""
        every = torch.arange(self.window // 2 + 1) * (self.rate / self.window)
        return every[every <= self.highest]


def stft_magnitudes(sound: Tensor, analysis: Analysis) -> Tensor:
    """Magnitudes of a short-time Fourier transform, frame t being centred at ``t hop / rate``.

        V[f, t] = | sum_n w[n] s[n + t hop - window / 2] exp(-2 pi i f n / window) |

    Args:
        sound: (*, samples); what lies before and after is silence.
        analysis: the frames.

    Returns:
        (*, frequencies, frames).

    Example:
        >>> time = torch.arange(22050) / 22050
        >>> V = stft_magnitudes(torch.sin(2 * math.pi * 440 * time), Analysis())
        >>> tuple(V.shape), round(float(Analysis().frequencies[V[:, 25].argmax()]))
        ((929, 51), 441)
    """
    hann = torch.hann_window(analysis.window, dtype=sound.dtype, device=sound.device)
    found = torch.stft(
        sound.reshape(-1, sound.shape[-1]),
        analysis.window,
        analysis.hop,
        window=hann,
        pad_mode="constant",
        return_complex=True,
    ).abs()[:, : len(analysis.frequencies)]
    return found.reshape(*sound.shape[:-1], *found.shape[-2:])


def cqt_magnitudes(
    sound: Tensor, analysis: Analysis, lowest: float = 27.5, octave: int = 24
) -> Tensor:
    """Magnitudes of a constant-Q transform: a row for each step of a scale, however low.

        V[k, t] = | sum_n w_k[n] s[n + t hop] exp(-2 pi i f_k n / rate) |,   f_k = lowest 2^(k / b)

    with Hann windows ``w_k`` of sum one that last Q periods, ``Q = 1 / (2^(1 / b) - 1)``.

    Args:
        sound: (samples,).
        analysis: rate, hop and highest frequency; the window is not used.
        lowest: frequency of the first row, in hertz.
        octave: b, rows of an octave.

    Returns:
        (rows, frames), frames as in `stft_magnitudes`.

    References:
        | Brown, Calculation of a constant Q spectral transform (1991)

    Example:
        >>> time = torch.arange(22050) / 22050
        >>> V = cqt_magnitudes(torch.sin(2 * math.pi * 440 * time), Analysis())
        >>> int(V[:, 25].argmax())  # four octaves above
        96
    """
    rows = math.floor(octave * math.log2(analysis.highest / lowest)) + 1
    quality = 1 / (2 ** (1 / octave) - 1)
    frames = sound.shape[-1] // analysis.hop + 1
    found = []
    for k in range(rows):
        frequency = lowest * 2 ** (k / octave)
        half = math.ceil(quality * analysis.rate / frequency / 2)
        time = torch.arange(-half, half + 1, dtype=sound.dtype, device=sound.device)
        hann = torch.cos(math.pi * time / (2 * half + 1)).square()
        wave = torch.polar(hann / hann.sum(), 2 * math.pi * frequency / analysis.rate * time)
        # The wave at the sound's own rate is needed at the frames only.
        size = sound.shape[-1] + 2 * half
        spectrum = torch.fft.fft(sound, size) * torch.fft.fft(wave, size)
        full = torch.fft.ifft(spectrum)[half : half + sound.shape[-1]]
        found.append(torch.nn.functional.pad(full.abs(), (0, 1))[:: analysis.hop][:frames])
    return torch.stack(found)
