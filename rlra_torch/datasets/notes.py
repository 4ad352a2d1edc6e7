"""Spectrograms of notes, with what was played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.datasets.synthetic import _check_sizes, _generator


class Spectrogram(NamedTuple):
    """The magnitudes of a short-time Fourier transform, and the notes that were played.

    Attributes:
        Y: Magnitudes, (frequencies, frames).
        frequencies: In hertz, (frequencies,).
        times: Of the middle of each frame, in seconds, (frames,).
        pitches: MIDI number of each note that was played, (notes,).
        onsets: When each began, in seconds, (notes,).
    """

    Y: Tensor
    frequencies: Tensor
    times: Tensor
    pitches: Tensor
    onsets: Tensor


def note_spectrogram(
    pitches: Sequence[int] = (48, 52, 55, 60, 62, 64, 65, 67, 69, 71, 72, 76),
    notes: int = 150,
    seconds: float = 46.4,
    window: int = 2048,
    noise_db: float = -60.0,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Spectrogram:
    """The spectrogram of decaying harmonic notes, sampled at 22 050 Hz.

    A note is Σ_h a_h exp(-t / τ_h) sin(2π h f t + φ_h) with a sharp attack: the amplitudes a_h
    belong to the pitch, higher harmonics decay faster, phases and loudness are drawn for each note.
    Onsets are uniform. White noise lies ``noise_db`` below the signal, so that no magnitude is
    zero. Magnitudes do not add, so the rank (one column a pitch) explains Y only nearly.

    Args:
        pitches: MIDI numbers to draw from, 60 is middle C.
        notes: How many are played; each pitch is, where there are enough of them.
        seconds: Duration; there are about ``22050 * seconds / (window / 4)`` frames.
        window: Samples of a frame; there are ``window / 2 + 1`` frequencies.
        noise_db: Level of the noise relative to the signal, in decibels.
        seed: Integer, or a generator that lives on ``device``.
        dtype: Floating-point type of the result.
        device: Where the draw is made; by default the device of the generator, else the CPU.

    Raises:
        ValueError: There is no pitch, a size is not positive, or the sound is shorter than a frame.

    Example:
        >>> played = note_spectrogram(pitches=(60, 64, 67), notes=6, seconds=2.0)
        >>> tuple(played.Y.shape), sorted(set(played.pitches.tolist()))
        ((1025, 87), [60, 64, 67])
    """
    _check_sizes({"the number of pitches": len(pitches), "notes": notes, "window": window})
    length = round(seconds * _RATE)
    if length < window:
        raise ValueError(f"{seconds} seconds are {length} samples, less than a window of {window}")
    draw = _generator(seed, device)
    options = {"generator": draw, "dtype": torch.float64, "device": draw.device}
    which = torch.arange(notes, device=draw.device) % len(pitches)
    onsets = torch.rand(notes, **options) * (length - window) / _RATE
    harmonics = torch.arange(1, _HARMONICS + 1, dtype=torch.float64, device=draw.device)
    amplitudes = (0.5 + torch.rand(len(pitches), _HARMONICS, **options)) / harmonics
    sound = torch.zeros(length, dtype=torch.float64, device=draw.device)
    phases = 2 * math.pi * torch.rand(notes, _HARMONICS, **options)
    loudness = 0.3 + 0.7 * torch.rand(notes, **options)
    midi = torch.tensor(tuple(pitches), device=draw.device)[which]
    for number, begin in enumerate((onsets * _RATE).long().tolist()):
        size = min(length - begin, round(2.5 * _RATE))
        note = _note(midi[number], amplitudes[which[number]], phases[number], size)
        sound[begin : begin + size] += loudness[number] * note
    noise = torch.randn(length, **options)
    sound = sound + noise * (sound.norm() / noise.norm() * 10 ** (noise_db / 20))
    magnitudes = _magnitudes(sound, window)
    frames = torch.arange(magnitudes.shape[1], dtype=dtype, device=draw.device)
    frequencies = torch.arange(len(magnitudes), dtype=dtype, device=draw.device) * _RATE / window
    times = frames * (window // 4) / _RATE
    return Spectrogram(magnitudes.to(dtype), frequencies, times, midi, onsets.to(dtype))


_RATE, _HARMONICS = 22050, 10


def _note(midi: Tensor, amplitudes: Tensor, phases: Tensor, size: int) -> Tensor:
    """The samples of one note from its attack."""
    time = torch.arange(size, dtype=torch.float64, device=amplitudes.device) / _RATE
    order = torch.arange(1, len(amplitudes) + 1, device=amplitudes.device)
    frequency = 440.0 * 2 ** ((midi.double() - 69) / 12) * order
    # A harmonic above half of the sampling rate would come back at another frequency.
    heard = amplitudes * (frequency < _RATE / 2)
    decay = torch.exp(-time * order[:, None] ** 0.5 / 0.6)
    waves = torch.sin(2 * math.pi * frequency[:, None] * time + phases[:, None])
    return (1 - torch.exp(-time / 0.004)) * (heard[:, None] * decay * waves).sum(0)


def _magnitudes(sound: Tensor, window: int) -> Tensor:
    hann = torch.hann_window(window, dtype=sound.dtype, device=sound.device)
    return torch.stft(sound, window, window // 4, window=hann, return_complex=True).abs()
