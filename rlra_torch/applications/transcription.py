"""Which notes a recording has, and when: templates of isolated notes, activations, events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import Tensor
from torch.nn.functional import pad

from ..datasets.sounds import Note, read_sound
from ..estimators import cnmf, convolutive_regression, nnkl
from ..functional.spectrograms import Analysis, stft_magnitudes
from ..iterations import MU, Alternating
from ..losses import KullbackLeibler
from ..models import NMF
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import solve

SOUNDS = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3")
# Between the rises of the strongest note and those of harmonics and of beats.
THRESHOLD = 0.15
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class NoteTemplates:
    """Spectra of notes, each of sum one.

    Args:
        templates: (frequencies, window, notes); a window of one frame is NMF, a longer one
            convolutive NMF.
        pitches: MIDI numbers, rising.
        analysis: the frames in which they were learned.
    """

    templates: Tensor
    pitches: tuple[int, ...]
    analysis: Analysis = Analysis()

    def save(self, path: str | Path) -> Path:
        """Write to an .npz file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            templates=self.templates.numpy(),
            pitches=self.pitches,
            analysis=np.array(self.analysis),
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
                rate, window, hop, highest = found["analysis"].tolist()
                analysis = Analysis(int(rate), int(window), int(hop), highest)
                pitches = tuple(found["pitches"].tolist())
                return cls(torch.from_numpy(found["templates"]), pitches, analysis)
        except (KeyError, ValueError, EOFError, AttributeError):
            raise ValueError(
                f"'{path}' holds no templates; `rlra learn-notes` makes them"
            ) from None


def learn_notes(
    sounds: Mapping[int, Tensor], window: int = 1, analysis: Analysis | None = None
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
    v = stft_magnitudes(torch.stack(padded), analysis)
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
    if found := re.search(r"(?:^|[_\W])M?(\d{1,3})(?=$|[_\W])", name):
        pitch = int(found[1])
    elif found := re.search(r"(?:^|[_\W])([A-G])(#|b|s)?(-?\d)(?=$|[_\W])", name):
        letter, sign, octave = found.groups()
        pitch = STEPS[letter] + {"#": 1, "s": 1, "b": -1, None: 0}[sign] + 12 * (int(octave) + 1)
    else:
        pitch = -1
    if not 0 <= pitch <= 127:
        raise ValueError(f"'{name}' names no pitch; name it as 60, C4 or F#3")
    return pitch


def activations(v: Tensor, notes: NoteTemplates, l1: float = 0.0, max_iter: int = 60) -> Tensor:
    """How loud each note is in each frame, by Kullback-Leibler regression on known templates.

    Args:
        v: (frequencies, frames) magnitudes.
        notes: the templates; of a window longer than one, when and how loudly each begins.
        l1: weight of the activations, templates being of sum one.
        max_iter: iterations at most.

    Returns:
        (frames, notes).
    """
    if notes.templates.shape[1] == 1:
        return nnkl(notes.templates[:, 0], v, "amu", l1=l1, max_iter=max_iter, tol=1e-3).x.mT
    fit = convolutive_regression(v, notes.templates, l1=l1, max_iter=max_iter, tol=1e-3)
    return fit.activations


def adapted(
    v: Tensor, notes: NoteTemplates, l1: float = 0.0, max_iter: int = 60, width: float = 0.5
) -> tuple[NoteTemplates, Tensor]:
    """Templates of another instrument made those of this recording, and the activations.

    Known templates start a factorization that moves them too. Outside of the partials of a note its
    template is zero, and multiplicative updates leave it so: a template keeps its pitch.

    Args:
        v: (frequencies, frames) magnitudes.
        notes: templates with a window of one frame.
        l1: weight of the activations.
        max_iter: iterations at most.
        width: semitones around each partial, to either side.

    Returns:
        the templates, of sum one, and (frames, notes).

    Raises:
        ValueError: a longer window.

    References:
        | Vincent, Bertin, Badeau, Harmonic and inharmonic nonnegative matrix factorization for
        | polyphonic pitch transcription (2008)
    """
    if notes.templates.shape[1] > 1:
        raise ValueError(
            "templates that adapt have a window of one frame; learn them with window=1"
        )
    w = notes.templates[:, 0] * partials(notes, width)
    h = activations(v, NoteTemplates(w[:, None] / w.sum(0), notes.pitches, notes.analysis), l1)
    # What is small may grow, what is zero may not.
    floor = 1e-3 * w.amax(0) * (w > 0)
    start = (torch.maximum(w, floor) / w.sum(0), h.clamp_min(1e-6 * float(h.amax())))
    regs = (NonNegative(), NonNegative(l1))
    # Not by `nmf`, which lifts the zeros of a start; here they must stay.
    problem = Problem(v, NMF(), KullbackLeibler(), regs)
    w, h = solve(Alternating(MU(floor=0.0)), problem, start, max_iter=max_iter, tol=1e-4).factors
    size = w.sum(0).clamp_min(torch.finfo(w.dtype).tiny)
    return NoteTemplates((w / size)[:, None], notes.pitches, notes.analysis), h * size


def partials(notes: NoteTemplates, width: float = 0.5) -> Tensor:
    """Which frequencies belong to a partial of each note, (frequencies, notes), as 0 and 1."""
    f = notes.analysis.frequencies[:, None].to(notes.templates)
    first = 440 * 2 ** ((torch.tensor(notes.pitches).to(f) - 69) / 12)
    nearest = (f / first).round().clamp_min(1) * first
    apart = (f - nearest).abs()
    # Two bins are the main lobe of the window, however narrow a semitone is.
    bins = 2 * notes.analysis.rate / notes.analysis.window
    return (apart <= torch.clamp_min(nearest * (2 ** (width / 12) - 1), bins)).to(f)


def note_events(
    h: Tensor,
    notes: NoteTemplates,
    threshold: float = THRESHOLD,
    shortest: float = 0.06,
) -> list[Note]:
    """Notes from activations: each begins where its activation rises, and ends where it is small.

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
        begins = _peaks(rise[:, k], threshold * top) if top > 0 else np.empty(0, int)
        for i, begin in enumerate(begins):
            end = begins[i + 1] if i + 1 < len(begins) else len(values)
            level = values[begin:end, k]
            quiet = np.flatnonzero(level[3:] < 0.1 * level[: min(len(level), 10)].max())
            length = (quiet[0] + 3 if len(quiet) else len(level)) * step
            velocity = int(np.clip(round(127 * np.sqrt(rise[begin, k] / top)), 1, 127))
            if length >= shortest:
                found.append(Note(begin * step, begin * step + length, pitch, velocity))
    return sorted(found)


def _levels(h: Tensor, notes: NoteTemplates) -> np.ndarray:
    """How loud each note is in each frame: its magnitudes, summed; a median of three frames."""
    mass = notes.templates.sum(0)  # (window, notes)
    window = len(mass)
    padded = pad(h, (0, 0, window - 1, 0)).unfold(0, window, 1)  # (frames, notes, window)
    levels = (padded * mass.flip(0).mT).sum(-1)
    return median_filter(levels.detach().cpu().double().numpy(), (3, 1))


def _rises(levels: np.ndarray) -> np.ndarray:
    """How much louder each note is two frames later than two frames before."""
    padded = np.pad(levels, ((2, 2), (0, 0)), mode="edge")
    return np.maximum(padded[4:] - padded[:-4], 0)


def _peaks(x: np.ndarray, least: float, apart: int = 4) -> np.ndarray:
    """Where x is at least so large and the largest among its neighbours."""
    from scipy.signal import find_peaks

    return find_peaks(np.pad(x, 1), height=least, distance=apart)[0] - 1


def transcribe(
    sound: Tensor,
    notes: NoteTemplates,
    *,
    adapt: bool = False,
    threshold: float | None = None,
    l1: float = 0.0,
) -> list[Note]:
    """The notes of a recording.

    Args:
        sound: (samples,) at the rate of the templates' analysis; silence has no notes.
        notes: templates of the notes that may occur.
        adapt: whether templates move towards the recording's own instrument; see `adapted`.
        threshold: see `note_events`.
        l1: weight of the activations; templates have sum one, so that 1 halves all of them.

    Raises:
        ValueError: a negative weight, a threshold outside of (0, 1), or no samples.

    References:
        | Wu, Marmoret, Cohen, Semi-supervised convolutive NMF for automatic music transcription
        | (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 21.2.3

    Example:
        >>> wave = torch.sin(2 * torch.pi * 440 / 22050 * torch.arange(22050))
        >>> sound = torch.cat([torch.zeros(11025), wave])
        >>> [note.pitch for note in transcribe(sound, learn_notes({69: wave}))]
        [69]
    """
    if l1 < 0 or (threshold is not None and not 0 < threshold < 1):
        raise ValueError(f"l1 is at least 0 and the threshold in (0, 1), got {l1}, {threshold}")
    if sound.ndim != 1 or not len(sound):
        raise ValueError(f"a recording is (samples,), got shape {tuple(sound.shape)}")
    v = stft_magnitudes(sound, notes.analysis)
    if not v.sum() > 0:
        return []
    # Magnitudes of mean one per entry, whatever the volume, so that one weight suits all.
    v = v / v.mean()
    if adapt:
        notes, h = adapted(v, notes, l1)
    else:
        h = activations(v, notes, l1)
    return note_events(h, notes, THRESHOLD if threshold is None else threshold)


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
    scores = mir_eval.transcription.precision_recall_f1_overlap(
        *sides, onset_tolerance=tolerance, offset_ratio=None
    )
    return (float(scores[0]), float(scores[1]), float(scores[2]))


def fundamental(spectrum: Tensor, analysis: Analysis) -> int:
    """The MIDI number whose partials hold most of a spectrum, each counted less than the one below.

    Args:
        spectrum: (frequencies,).
        analysis: the frames.
    """
    pitches = tuple(range(21, 109))
    f = analysis.frequencies.to(spectrum)
    best = []
    for pitch in pitches:
        first = 440 * 2 ** ((pitch - 69) / 12)
        heights = [
            spectrum[(f - k * first).abs() <= analysis.rate / analysis.window].amax()
            * 0.8 ** (k - 1)
            for k in range(1, 11)
            if k * first < float(f[-1])
        ]
        best.append(torch.stack(heights).sum())
    return pitches[int(torch.stack(best).argmax())]
