"""Which notes a recording has, and when."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..datasets.sounds import Note
from ..estimators import convolutive_regression, nnkl
from ..iterations import MU, Alternating
from ..losses import KullbackLeibler, Several
from ..models import NMF, Coupled, Multilinear
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import solve
from .note_events import THRESHOLD, note_events
from .note_templates import NoteTemplates

# How loudly known templates count, relative to a note of the recording; and how loudly they do when
# the filter that all notes share is found, relative to the whole of it.
PRIOR, FLAT = 1.0, 0.3
# Seconds over which the end of a recording fades.
FADE = 0.2


def activations(v: Tensor, notes: NoteTemplates, max_iter: int = 60) -> Tensor:
    """How loud each note is in each frame, by Kullback-Leibler regression on known templates.

    Without a penalty on their sum: where the templates have sum one, ``D(V, W H^T) + l1 sum H`` is
    ``D(V, W G^T)`` and a constant, with ``G = (1 + l1) H``, so that it would only rescale them all.

    Args:
        v: (frequencies, frames) magnitudes.
        notes: the templates; of a window longer than one, when and how loudly each begins.
        max_iter: iterations at most.

    Returns:
        (frames, notes).
    """
    if notes.templates.shape[1] == 1:
        return nnkl(notes.templates[:, 0], v, "amu", max_iter=max_iter, tol=1e-3).x.mT
    return convolutive_regression(v, notes.templates, max_iter=max_iter, tol=1e-3).activations


def adapted(
    v: Tensor, notes: NoteTemplates, prior: float = PRIOR, max_iter: int = 40
) -> tuple[NoteTemplates, Tensor]:
    """Templates of another instrument moved towards that of this recording, and the activations.

        min over e, W, H >= 0 of
            D(V, diag(e) W H^T) + c sum(V) (D(W0, W) / notes + 0.3 D(b, diag(e) b))

    with D the Kullback-Leibler divergence, b the mean of the known templates W0 and c the
    ``prior``. The filter e, one gain for each frequency, is what makes all notes of an instrument,
    a room and a microphone sound different in the same way; few numbers, which all notes tell. Each
    template besides counts as if it had been heard alone, c times as loud as a note is on average:
    what is seldom heard stays as it was, but for the filter.

    Args:
        v: (frequencies, frames) magnitudes.
        notes: templates with a window of one frame.
        prior: trust in the templates, positive.
        max_iter: iterations at most.

    Returns:
        the templates ``diag(e) W``, of sum one, and (frames, notes).

    Raises:
        ValueError: a longer window, or a prior that is not positive.

    References:
        | Cemgil, Bayesian inference for nonnegative matrix factorisation models (2009)

    Example:
        >>> notes = NoteTemplates(torch.tensor([[[0.5]], [[0.5]]]), (60,))
        >>> found, _ = adapted(torch.tensor([[3.0], [1.0]]), notes, prior=1.0)
        >>> found.templates.flatten()  # between (0.5, 0.5) and (0.75, 0.25)
        tensor([0.7020, 0.2980])
    """
    if notes.templates.shape[1] > 1:
        raise ValueError(
            "templates that adapt have a window of one frame; learn them with window=1"
        )
    if not prior > 0:
        raise ValueError(f"the trust in the templates must be positive, got {prior}")
    known = notes.templates[:, 0]
    mean, alone = known.mean(1, keepdim=True), torch.eye(known.shape[1]).to(known)
    # The filter is a factor of one column, which a recording as (frequencies, frames, 1) has too.
    heard, filtered = Multilinear("fa,fr,tr->fta"), Multilinear("fa,fa->f")
    model = Coupled([(heard, (0, 1, 2)), (NMF(), (1, 3)), (filtered, (0, 4))])
    trust = prior * float(v.sum())
    loss = Several((KullbackLeibler(),) * 3, (1.0, trust / known.shape[1], FLAT * trust))
    tables = (v[..., None], known, mean[:, 0])
    problem = Problem(tables, model, loss, (NonNegative(),) * 5, free=(0, 1, 2))
    start = (torch.ones_like(mean), known, activations(v, notes, max_iter=20), alone, mean)
    e, w, h, *_ = solve(Alternating(MU()), problem, start, max_iter=max_iter, tol=1e-4).factors
    w = e * w
    size = w.sum(0)
    return NoteTemplates((w / size)[:, None], notes.pitches, notes.analysis), h * size


def transcribe(
    sound: Tensor,
    notes: NoteTemplates,
    *,
    adapt: bool = False,
    network: nn.Module | None = None,
    threshold: float | None = None,
) -> list[Note]:
    """The notes of a recording.

    Args:
        sound: (samples,) at the rate of the templates' analysis; silence has no notes.
        notes: templates of the notes that may occur.
        adapt: whether templates move towards the recording's own instrument; see `adapted`.
        network: from magnitudes to templates and activations, as `training.transcriber` makes it
            for the same notes and analysis; None: regression on the templates.
        threshold: see `note_events`.

    Raises:
        ValueError: a threshold outside of (0, 1), no samples, or templates
            that adapt beside a network.

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
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"the threshold lies between 0 and 1, got {threshold}")
    notes, h = sounding(sound, notes, adapt=adapt, network=network)
    return note_events(h, notes, THRESHOLD if threshold is None else threshold)


def sounding(
    sound: Tensor, notes: NoteTemplates, *, adapt: bool = False, network: nn.Module | None = None
) -> tuple[NoteTemplates, Tensor]:
    """How loud each note is in each frame of a recording, and the templates that say so.

    Args:
        sound, notes, adapt, network: as for `transcribe`.

    Returns:
        the templates, and (frames, notes).

    Raises:
        ValueError: no samples, or templates that adapt beside a network.

    Example:
        >>> notes = NoteTemplates(torch.ones(929, 1, 1), (60,))
        >>> sounding(torch.zeros(4410), notes)[1].abs().max()
        tensor(0.)
    """
    if adapt and network is not None:
        raise ValueError("a network has templates of its own, which do not adapt; leave one out")
    if sound.ndim != 1 or not len(sound):
        raise ValueError(f"a recording is (samples,), got shape {tuple(sound.shape)}")
    v = notes.analysis.magnitudes(_faded(sound, round(FADE * notes.analysis.rate)))
    if not v.sum() > 0:
        return notes, v.new_zeros(v.shape[1], len(notes.pitches))
    # Mean one, whatever the volume.
    v = v / v.mean()
    if adapt:
        return adapted(v, notes)
    if network is None:
        return notes, activations(v, notes)
    with torch.no_grad():
        w, h = network(v)
    return notes, h * w.sum(0)


def _faded(sound: Tensor, count: int) -> Tensor:
    """Without the click, which all notes would share, of a recording that is cut off at its end."""
    count = min(count, len(sound))
    fade = torch.linspace(0, torch.pi, count).cos().add(1).div(2).to(sound)
    return torch.cat([sound[: len(sound) - count], sound[len(sound) - count :] * fade])
