"""Which notes a recording has, and when."""

from __future__ import annotations

import torch
from torch import Tensor

from ..datasets.sounds import Note
from ..estimators import convolutive_regression, nnkl
from ..functional.spectrograms import stft_magnitudes
from ..iterations import MU, Alternating
from ..losses import KullbackLeibler
from ..models import NMF
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import solve
from .note_events import THRESHOLD, note_events
from .note_templates import NoteTemplates, partials


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
        >>> from rlra_torch.applications.note_templates import learn_notes
        >>> wave = torch.sin(2 * torch.pi * 440 / 22050 * torch.arange(22050))
        >>> sound = torch.cat([torch.zeros(11025), wave])
        >>> [note.pitch for note in transcribe(sound, learn_notes({69: wave}))]
        [69]
    """
    if l1 < 0 or (threshold is not None and not 0 < threshold < 1):
        raise ValueError(f"l1 is at least 0 and the threshold in (0, 1), got {l1}, {threshold}")
    if sound.ndim != 1 or not len(sound):
        raise ValueError(f"a recording is (samples,), got shape {tuple(sound.shape)}")
    v = stft_magnitudes(_faded(sound, notes.analysis.window), notes.analysis)
    if not v.sum() > 0:
        return []
    # Magnitudes of mean one per entry, whatever the volume, so that one weight suits all.
    v = v / v.mean()
    if adapt:
        notes, h = adapted(v, notes, l1)
    else:
        h = activations(v, notes, l1)
    return note_events(h, notes, THRESHOLD if threshold is None else threshold)


def _faded(sound: Tensor, count: int) -> Tensor:
    """Without the click, which all notes would share, of a recording that is cut off at its end."""
    count = min(count, len(sound))
    fade = torch.linspace(0, torch.pi, count).cos().add(1).div(2).to(sound)
    return torch.cat([sound[: len(sound) - count], sound[len(sound) - count :] * fade])
