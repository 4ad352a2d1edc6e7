"""Recordings that are made up: notes of several instruments, and how loud each is when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..functional.spectrograms import REPRESENTATIONS, Analysis, ConstantQ
from .scenes import Scenes
from .sounds import Note, rendered

# Frames before the onset of a note alone.
LEAD = 5


class Instrument(NamedTuple):
    """The notes of an instrument, each alone.

    Attributes:
        sounds: (notes, samples), each note from its fifth frame on.
        loudness: (frames, notes), the sums of their magnitudes.
        templates: (rows, notes), their spectra, of sum one.
    """

    sounds: Tensor
    loudness: Tensor
    templates: Tensor


def instrument(sounds: Mapping[int, Tensor], analysis: Analysis | ConstantQ) -> Instrument:
    """An instrument from sounds of its notes.

    Args:
        sounds: MIDI number to samples, in which the note begins after five frames.
        analysis: the frames.
    """
    longest = max(map(len, sounds.values()))
    together = torch.stack([pad(sounds[p], (0, longest - len(sounds[p]))) for p in sorted(sounds)])
    v = analysis.magnitudes(together)
    templates = v.sum(-1).mT
    return Instrument(together, v.sum(-2).mT, templates / templates.sum(0))


@dataclass(frozen=True)
class Ensemble:
    """Instruments of a soundfont.

    Args:
        programs: their General MIDI numbers from 0.
        soundfont: an .sf2 file; None: the small one that comes with pretty_midi.
        lowest: the first of their notes, a MIDI number.
        highest: the last.
        representation: "stft" or "cqt".

    Raises:
        ValueError: no programs or notes, or another representation.

    Example:
        >>> Ensemble((0, 24)).pitches
        range(33, 93)
    """

    programs: Sequence[int] = (0, 6, 24)
    soundfont: str | None = None
    lowest: int = 33
    highest: int = 92
    representation: str = "cqt"

    def __post_init__(self) -> None:
        if not self.programs or not self.pitches or self.representation not in REPRESENTATIONS:
            raise ValueError(
                "an ensemble has programs, a lowest note up to a highest, and a representation "
                f"'stft' or 'cqt', got {self}"
            )

    @property
    def pitches(self) -> range:
        """MIDI numbers of the notes."""
        return range(self.lowest, self.highest + 1)

    @property
    def analysis(self) -> Analysis | ConstantQ:
        """The frames."""
        return REPRESENTATIONS[self.representation]()

    @cached_property
    def instruments(self) -> list[Instrument]:
        """All of them, rendered once."""
        return [instrument(self.alone(program), self.analysis) for program in self.programs]

    @property
    def templates(self) -> Tensor:
        """(rows, notes), the means over instruments."""
        return torch.stack([each.templates for each in self.instruments]).mean(0)

    def alone(self, program: int) -> dict[int, Tensor]:
        """Each note for 0.8 seconds, after five frames of silence."""
        begin = LEAD * self.analysis.step
        notes = (Note(begin, begin + 0.8, p) for p in self.pitches)
        return {n.pitch: rendered([n], self.soundfont, program, tail=0.1) for n in notes}


def draw_recordings(
    instruments: Sequence[Instrument],
    analysis: Analysis | ConstantQ,
    count: int,
    generator: torch.Generator,
    seconds: float = 2.4,
) -> Scenes:
    """Recordings of random chords, each by one of the instruments.

    One to five notes within two octaves and a half begin together, 0.06 to 0.4 seconds after those
    before, each 9 decibels louder to 3 softer than half, for 0.15 to 0.85 seconds.

    Args:
        instruments: to draw from.
        analysis: the frames.
        count: of recordings.
        generator: of the draws.
        seconds: of each.

    Returns:
        `Scenes` with Y (count, rows, frames) of mean one, W the templates of the instrument and H
        (count, frames, notes) how loud each note is: the sum of its own magnitudes.
    """
    found = [_recording(instruments, analysis, generator, seconds) for _ in range(count)]
    return Scenes(*map(torch.stack, zip(*found, strict=True)))


def _recording(
    instruments: Sequence[Instrument],
    analysis: Analysis | ConstantQ,
    generator: torch.Generator,
    seconds: float,
) -> tuple[Tensor, Tensor, Tensor]:
    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    played = instruments[int(uniform(0, len(instruments)))]
    count, frames, hop = len(played.sounds), round(seconds / analysis.step), analysis.hop
    # The first note may begin with the recording, and the last one go on after its end.
    sound = torch.zeros((LEAD + frames) * hop + played.sounds.shape[1])
    h = torch.zeros(LEAD + frames + len(played.loudness), count)
    begin = 0
    while begin < frames:
        centre = uniform(0, count)
        for _ in range(int(uniform(1, 6))):
            k = min(max(int(centre + uniform(-15, 15)), 0), count - 1)
            gain, length = 10 ** uniform(-0.45, 0.15), LEAD + round(uniform(7, 43))
            held = (length * hop - torch.arange(played.sounds.shape[1])).div(3 * hop).clamp(0, 1)
            at = begin * hop
            sound[at : at + len(held)] += gain * held * played.sounds[k]
            lasting = (length - torch.arange(len(played.loudness))).div(3).clamp(0, 1)
            h[begin : begin + len(lasting), k] += gain * lasting * played.loudness[:, k]
        begin += round(uniform(3, 20))
    v = analysis.magnitudes(sound[LEAD * hop : (LEAD + frames) * hop])
    h = h[LEAD : LEAD + v.shape[-1]]
    return v / v.mean(), played.templates, h / v.mean()
