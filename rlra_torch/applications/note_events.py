"""Notes from activations, and how well they agree with those that were played."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import find_peaks
from torch import Tensor
from torch.nn.functional import pad

from ..datasets.sounds import Note
from .note_templates import NoteTemplates

# Between the rises of the strongest note and those of harmonics and of beats: the best of eight on
# average over three pieces by Mozart, Bach and Schumann.
THRESHOLD = 0.2
# Frames on both sides between which a rise is measured.
REACH = 2


def note_events(
    h: Tensor,
    notes: NoteTemplates,
    threshold: float = THRESHOLD,
    shortest: float = 0.06,
) -> list[Note]:
    """Notes from activations: each begins where its activation rises, and ends where it is small.

    A rise that lasts, as that of a pipe or a bow does, is the largest long after the note began: it
    counts once, and from where it was 0.3 of that.

    Args:
        h: (frames, notes).
        notes: the templates that they belong to.
        threshold: of the rise, relative to the largest rise of all.
        shortest: seconds that a note lasts at least; others are dropped.

    Returns:
        the notes in order of their onsets.
    """
    step, values = notes.analysis.step, _levels(h, notes)
    rise = _rises(values)
    top = rise.max(initial=0.0)
    found: list[Note] = []
    for k, pitch in enumerate(notes.pitches):
        begins, onsets = _rising(rise[:, k], threshold * top) if top > 0 else ([], [])
        for i, begin in enumerate(begins):
            end = begins[i + 1] if i + 1 < len(begins) else len(values)
            level = values[begin:end, k]
            quiet = np.flatnonzero(level[3:] < 0.1 * level[: min(len(level), 10)].max())
            length = (quiet[0] + 3 if len(quiet) else len(level)) * step
            velocity = int(np.clip(round(127 * np.sqrt(rise[begin, k] / top)), 1, 127))
            if length >= shortest:
                onset, offset = float(onsets[i] * step), float(begin * step + length)
                found.append(Note(onset, offset, pitch, velocity))
    return sorted(found)


def _levels(h: Tensor, notes: NoteTemplates) -> np.ndarray:
    """How loud each note is in each frame: its magnitudes, summed; a median of three frames."""
    mass = notes.templates.sum(0)  # (window, notes)
    window = len(mass)
    padded = pad(h, (0, 0, window - 1, 0)).unfold(0, window, 1)  # (frames, notes, window)
    levels = (padded * mass.flip(0).mT).sum(-1)
    return median_filter(levels.detach().cpu().double().numpy(), (3, 1))


def _rises(levels: np.ndarray) -> np.ndarray:
    """How much louder each note is some frames later than as many before."""
    padded = np.pad(levels, ((REACH, REACH), (0, 0)), mode="edge")
    return np.maximum(padded[2 * REACH :] - padded[: -2 * REACH], 0)


def _rising(rise: np.ndarray, least: float) -> tuple[list[int], list[int]]:
    """Frames where a rise is the largest and at least so large, and where it began.

    It began where a sudden one would be whose difference over four frames begins as this one does.
    """
    peaks, starts = [], []
    for peak in _peaks(rise, least):
        small = np.flatnonzero(rise[:peak] < 0.3 * rise[peak])
        first = int(small[-1]) + 1 if len(small) else 0
        if not peaks or first > peaks[-1]:
            peaks.append(int(peak))
            starts.append(min(int(peak), first + REACH))
    return peaks, starts


def _peaks(x: np.ndarray, least: float, apart: int = 4) -> np.ndarray:
    """Where x is at least so large and the largest among its neighbours."""
    return find_peaks(np.pad(x, 1), height=least, distance=apart)[0] - 1


def onset_f1(
    truth: Sequence[Note], found: Sequence[Note], tolerance: float = 0.05
) -> tuple[float, float, float]:
    """Precision, recall and F1 of notes whose pitch is right and whose onset is near.

    Args:
        truth: the notes that were played.
        found: those that were transcribed.
        tolerance: in seconds.

    Returns:
        precision, recall, F1, as `mir_eval` counts them.

    Example:
        >>> onset_f1([Note(0.0, 1.0, 60)], [Note(0.02, 0.5, 60), Note(0.5, 1.0, 64)])
        (0.5, 1.0, 0.6666666666666666)
    """
    import mir_eval

    if not truth or not found:
        return (0.0, 0.0, 0.0)
    sides = []
    for notes in (truth, found):
        times = np.array([n[:2] for n in notes])
        sides += [times, 440 * 2 ** ((np.array([n.pitch for n in notes]) - 69) / 12)]
    pairs = mir_eval.transcription.match_notes(
        *sides,
        onset_tolerance=tolerance,
        offset_ratio=None,  # pyright: ignore[reportArgumentType]  (onsets alone, as documented)
    )
    precision, recall = len(pairs) / len(found), len(pairs) / len(truth)
    return precision, recall, 2 * len(pairs) / (len(found) + len(truth))
