"""Sounds from files, from soundfonts and from scores."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Note(NamedTuple):
    """A note that sounds.

    Attributes:
        onset: when it begins, in seconds.
        offset: when it ends, in seconds.
        pitch: MIDI number; 69 is the A of 440 hertz.
        velocity: loudness from 1 to 127.
    """

    onset: float
    offset: float
    pitch: int
    velocity: int = 80


def read_sound(path: str | Path, rate: int = 22050) -> Tensor:
    """The samples of a file, channels averaged, at a given rate.

    Args:
        path: what libsndfile reads: .wav, .flac, .ogg, .mp3, ...
        rate: samples a second to resample to.

    Returns:
        (samples,), in single precision.

    Raises:
        ValueError: not a sound, no samples, or samples that are not finite.
        FileNotFoundError: there is no such file.

    Example:
        >>> import soundfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     soundfile.write(f"{folder}/a.wav", np.zeros((44100, 2)), 44100)
        ...     read_sound(f"{folder}/a.wav").shape
        torch.Size([22050])
    """
    import soundfile
    from scipy.signal import resample_poly

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}'")
    try:
        samples, found = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        raise ValueError(f"'{path.name}' cannot be read as sound; give a whole .wav") from None
    if not len(samples) or not np.isfinite(samples).all():
        what = "values that are not finite" if len(samples) else "no samples"
        raise ValueError(f"'{path.name}' has {what}; give a sound that was written to its end")
    sound = samples.mean(1)
    if found != rate:
        common = gcd(found, rate)
        sound = resample_poly(sound, rate // common, found // common)
    return torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32))


def rendered(
    notes: Sequence[Note],
    soundfont: str | Path | None = None,
    program: int = 0,
    rate: int = 22050,
    tail: float = 1.0,
) -> Tensor:
    """Notes played by an instrument of a soundfont, without reverberation.

    Args:
        notes: what is played.
        soundfont: an .sf2 file; None: the small one that comes with pretty_midi.
        program: General MIDI number of the instrument from 0; 0 is a grand piano.
        rate: samples a second.
        tail: seconds after the last offset.

    Returns:
        (samples,), the largest magnitude 0.5.

    Raises:
        ValueError: no notes, or a soundfont without this program.

    Example:
        >>> rendered([Note(0.0, 0.5, 69)]).shape  # doctest: +SKIP
        torch.Size([33075])
    """
    import tinysoundfont  # pyright: ignore[reportMissingImports]  # not among the extras

    if not notes:
        raise ValueError("there are no notes to render; give at least one")
    synth = tinysoundfont.Synth(samplerate=rate, gain=-10)
    font = synth.sfload(str(soundfont or small_soundfont()))
    synth.program_select(0, font, 0, program)
    # Where a note is repeated, the one before ends first.
    events = sorted(
        [(round(n.offset * rate), 0, n) for n in notes]
        + [(round(n.onset * rate), 1, n) for n in notes],
        key=lambda event: event[:2],
    )
    pieces, now = [], 0
    for sample, starts, note in [*events, (events[-1][0] + round(tail * rate), 2, notes[-1])]:
        if sample > now:
            piece = np.frombuffer(synth.generate(sample - now), dtype=np.float32)
            pieces.append(piece.reshape(-1, 2).mean(1))
            now = sample
        if starts == 1:
            synth.noteon(0, note.pitch, note.velocity)
        elif starts == 0:
            synth.noteoff(0, note.pitch)
    sound = torch.from_numpy(np.concatenate(pieces))
    return sound * (0.5 / sound.abs().amax().clamp_min(1e-6))


def small_soundfont() -> Path:
    """TimGM6mb, which comes with pretty_midi."""
    import pretty_midi

    return Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"


def read_midi(path: str | Path) -> list[Note]:
    """The notes of a MIDI file, in order of their onsets; drums are left out.

    Args:
        path: the file.
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(str(path))
    played = [n for part in midi.instruments if not part.is_drum for n in part.notes]
    return sorted(Note(float(n.start), float(n.end), n.pitch, n.velocity) for n in played)


def write_midi(notes: Sequence[Note], path: str | Path) -> Path:
    """Write notes to a MIDI file, as a piano.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_midi(write_midi([Note(0.5, 1.0, 60)], f"{folder}/a.mid"))
        [Note(onset=0.5, offset=1.0, pitch=60, velocity=80)]
    """
    import pretty_midi

    midi, piano = pretty_midi.PrettyMIDI(), pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(n.velocity, n.pitch, n.onset, n.offset) for n in notes]
    midi.instruments.append(piano)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    midi.write(str(path))
    return Path(path)


def score(name: str = "bach/bwv846") -> list[Note]:
    """The notes of a piece in the corpus of music21, such as the Prelude in C major of Bach.

    Args:
        name: as `music21.corpus.parse` takes it.
    """
    from music21 import corpus

    with tempfile.TemporaryDirectory() as folder:
        corpus.parse(name).write("midi", f"{folder}/score.mid")
        return read_midi(f"{folder}/score.mid")
