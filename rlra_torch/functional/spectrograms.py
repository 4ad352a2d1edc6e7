"""Magnitudes of sounds over time and frequency."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


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

    @property
    def lobes(self) -> Tensor:
        """How far the peak of a steady sound reaches to either side of each row, in hertz."""
        return torch.full_like(self.frequencies, 2 * self.rate / self.window)

    def magnitudes(self, sound: Tensor) -> Tensor:
        """(*, rows, frames) of (*, samples)."""
        return stft_magnitudes(sound, self)


class ConstantQ(NamedTuple):
    """How a sound is cut into frames whose rows are the steps of a scale.

    Attributes:
        rate: samples a second.
        hop: samples from the middle of a frame to that of the next.
        lowest: frequency of the first row, in hertz.
        highest: the largest frequency that is kept, in hertz.
        octave: rows of an octave.
        longest: seconds that a window lasts at most. Rows whose Q periods would last longer, the
            low ones, tell frequencies apart less well, and onsets better.
    """

    rate: int = 22050
    hop: int = 441
    lowest: float = 27.5
    highest: float = 5000.0
    octave: int = 24
    longest: float = 0.2

    @property
    def step(self) -> float:
        """Seconds from frame to frame."""
        return self.hop / self.rate

    @property
    def frequencies(self) -> Tensor:
        """Of the rows, in hertz."""
        count = math.floor(self.octave * math.log2(self.highest / self.lowest)) + 1
        return self.lowest * 2 ** (torch.arange(count) / self.octave)

    @property
    def seconds(self) -> Tensor:
        """That the windows of the rows last."""
        quality = 1 / (2 ** (1 / self.octave) - 1)
        return (quality / self.frequencies).clamp_max(self.longest)

    @property
    def lobes(self) -> Tensor:
        """How far the peak of a steady sound reaches to either side of each row, in hertz."""
        return 2 / self.seconds

    def magnitudes(self, sound: Tensor) -> Tensor:
        """(*, rows, frames) of (*, samples)."""
        return cqt_magnitudes(sound, self)


REPRESENTATIONS: dict[str, type[Analysis] | type[ConstantQ]] = {"stft": Analysis, "cqt": ConstantQ}


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


def cqt_magnitudes(sound: Tensor, analysis: ConstantQ) -> Tensor:
    """Magnitudes of a constant-Q transform: a row for each step of a scale, however low.

        V[k, t] = | sum_n w_k[n] s[n + t hop] exp(-2 pi i f_k n / rate) |,   f_k = lowest 2^(k / b)

    with Hann windows ``w_k`` of sum one that last Q periods, ``Q = 1 / (2^(1 / b) - 1)``, and at
    most so long as the analysis says.

    Args:
        sound: (*, samples); what lies before and after is silence.
        analysis: the frames.

    Returns:
        (*, rows, frames), frames as in `stft_magnitudes`.

    References:
        | Brown, Calculation of a constant Q spectral transform (1991)
        | Schoerkhuber, Klapuri, Holighaus, Doerfler, A Matlab toolbox for efficient perfect
        | reconstruction time-frequency transforms with log-frequency resolution (2014)

    Example:
        >>> wave = torch.sin(2 * torch.pi * 440 * torch.arange(22050) / 22050)
        >>> int(cqt_magnitudes(wave, ConstantQ())[:, 25].argmax())  # four octaves above
        96
    """
    frames, found = sound.shape[-1] // analysis.hop + 1, []
    frequencies, seconds = analysis.frequencies.to(sound), analysis.seconds.to(sound)
    # An octave at a time: the windows of the next one are half as long.
    for f, length in zip(
        frequencies.split(analysis.octave), seconds.split(analysis.octave), strict=True
    ):
        half = math.ceil(float(length[0]) * analysis.rate / 2)
        time = torch.arange(-half, half + 1).to(sound)[:, None] / analysis.rate
        hann = torch.where(time.abs() < length / 2, torch.cos(math.pi * time / length).square(), 0)
        phase = 2 * math.pi * f * time
        waves = torch.stack((phase.cos(), phase.sin())) * (hann / hann.sum(0))
        padded = pad(sound, (half, half + analysis.hop)).unfold(-1, 2 * half + 1, analysis.hop)
        parts = padded[..., None, :frames, :] @ waves
        found.append(torch.linalg.vector_norm(parts, dim=-3).mT)
    return torch.cat(found, -2)
