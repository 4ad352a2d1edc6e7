"""Spectra of notes: learned from isolated sounds, saved, and what their fundamentals are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..datasets.sounds import read_sound
from ..estimators import cnmf
from ..functional.spectrograms import REPRESENTATIONS, Analysis, ConstantQ

SOUNDS = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3")
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class NoteTemplates:
    """Spectra of notes, each of sum one.

    Args:
        templates: (frequencies, window, notes); a window of one frame is NMF, a longer one
            convolutive NMF.
        pitches: MIDI numbers, rising.
        analysis: the frames in which they were learned, of a Fourier or a constant-Q transform.
    """

    templates: Tensor
    pitches: tuple[int, ...]
    analysis: Analysis | ConstantQ = Analysis()

    @property
    def representation(self) -> str:
        """The transform of the analysis: "stft" or "cqt"."""
        return next(name for name, kind in REPRESENTATIONS.items() if kind is type(self.analysis))

    def save(self, path: str | Path) -> Path:
        """Write to an .npz file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            templates=self.templates.numpy(),
            pitches=self.pitches,
            analysis=np.array(self.analysis),
            representation=self.representation,
        )
        return path

    @classmethod
    def load(cls, path: str | Path) -> NoteTemplates:
        """Read what `save` wrote.

        Raises:
            ValueError: another file.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                kind = REPRESENTATIONS[str(found["representation"])]
                # A file knows floats only, and numbers of samples are whole.
                analysis = kind(*(int(x) if x == int(x) else x for x in found["analysis"].tolist()))
                pitches = tuple(found["pitches"].tolist())
                return cls(torch.from_numpy(found["templates"]), pitches, analysis)
        except (KeyError, ValueError, EOFError, AttributeError):
            raise ValueError(
                f"'{path}' holds no templates; `rlra learn-notes` makes them"
            ) from None


def learn_notes(
    sounds: Mapping[int, Tensor], window: int = 1, analysis: Analysis | ConstantQ | None = None
) -> NoteTemplates:
    """A template for each note, from a sound of it alone.

    For a window of one frame this is the rank-one approximation of least Kullback-Leibler
    divergence, whose spectrum is the sum of the frames; else rank-one convolutive NMF.

    Args:
        sounds: MIDI number to samples (n,) at the rate of the analysis.
        window: frames of a template.
        analysis: the frames; None: those of `Analysis`.

    Raises:
        ValueError: no sounds, silence, or a sound shorter than the window.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 21.2.2

    Example:
        >>> wave = torch.sin(2 * torch.pi * 440 / 22050 * torch.arange(22050))
        >>> learn_notes({69: wave}).templates.shape
        torch.Size([929, 1, 1])
    """
    if not sounds:
        raise ValueError("there are no notes to learn from; give a sound of each note alone")
    analysis = analysis or Analysis()
    for pitch, sound in sounds.items():
        if not sound.abs().sum() > 0:
            raise ValueError(f"the sound of note {pitch} is silent; leave it out or record it anew")
    pitches = tuple(sorted(sounds))
    longest = max(len(sound) for sound in sounds.values())
    padded = [pad(sounds[p], (0, longest - len(sounds[p]))) for p in pitches]
    v = analysis.magnitudes(torch.stack(padded))
    if window == 1:
        learned = v.sum(-1, keepdim=True)
    else:
        learned = cnmf(v, 1, window, "kl", max_iter=30, tol=1e-3).templates[..., 0]
    learned = learned / learned.sum((-2, -1), keepdim=True)
    return NoteTemplates(learned.movedim(0, -1).contiguous(), pitches, analysis)


def read_notes(folder: str | Path, rate: int = 22050) -> dict[int, Tensor]:
    """The sounds of isolated notes in a folder, by the pitch in their names.

    Args:
        folder: files such as ``60.wav``, ``C4.wav``, ``F#3.flac`` or ``ISOL_NO_M60_S0.wav``.
        rate: samples a second.

    Raises:
        ValueError: no sounds, or a name without one pitch.
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder at '{folder}'")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SOUNDS)
    if not files:
        raise ValueError(f"no sounds in '{folder}'; put one file for each note, such as C4.wav")
    named = {pitch_named(f.stem): f for f in files}
    if len(named) < len(files):
        raise ValueError(f"two sounds in '{folder}' have one pitch; keep one file for each note")
    return {pitch: read_sound(file, rate) for pitch, file in named.items()}


def pitch_named(name: str) -> int:
    """The MIDI number in a name.

    Raises:
        ValueError: there is none.

    Example:
        >>> pitch_named("C4"), pitch_named("F#3"), pitch_named("Bb2"), pitch_named("ISOL_M21_S0")
        (60, 54, 46, 21)
    """
    # Letters first: the octave of F#3 is no number of its own.
    if found := re.search(r"(?:^|[_\W])([A-G])(#|b|s)?(-?\d)(?=$|[_\W])", name):
        letter, sign, octave = found.groups()
        pitch = STEPS[letter] + {"#": 1, "s": 1, "b": -1, None: 0}[sign] + 12 * (int(octave) + 1)
    elif found := re.search(r"(?:^|[_\W])M?(\d{1,3})(?=$|[_\W])", name):
        pitch = int(found[1])
    else:
        pitch = -1
    if not 0 <= pitch <= 127:
        raise ValueError(f"'{name}' names no pitch; name it as 60, C4 or F#3")
    return pitch


def fundamental(spectrum: Tensor, analysis: Analysis | ConstantQ) -> int:
    """The MIDI number whose partials hold most of a spectrum, each counted less than the one below.

    Args:
        spectrum: (frequencies,).
        analysis: the frames.
    """
    pitches = tuple(range(21, 109))
    f, near = analysis.frequencies.to(spectrum), analysis.lobes.to(spectrum) / 2
    best = []
    for pitch in pitches:
        first = 440 * 2 ** ((pitch - 69) / 12)
        heights = [
            spectrum[(f - k * first).abs() <= near].amax() * 0.8 ** (k - 1)
            for k in range(1, 11)
            if k * first < float(f[-1])
        ]
        best.append(torch.stack(heights).sum())
    return pitches[int(torch.stack(best).argmax())]
