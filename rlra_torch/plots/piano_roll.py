"""Notes over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlra_torch.plots.style import OKABE_ITO, TITLE, legend_below, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def piano_roll(
    notes: Sequence[tuple[float, float, int, int]],
    truth: Sequence[tuple[float, float, int, int]] | None = None,
    title: str | None = None,
) -> Figure:
    """Each note as a bar from its onset to its offset, above what was really played.

    Args:
        notes: (onset, offset, pitch, velocity), times in seconds, pitches as MIDI numbers.
        truth: what was played, likewise.
        title: title of the figure.

    Example:
        >>> figure = piano_roll([(0.0, 1.0, 60, 80), (1.0, 2.0, 64, 80)])
        >>> len(figure.axes)
        1
    """
    figure = new_figure(11, 5)
    axes = figure.subplots()
    layers = [("played", truth or (), OKABE_ITO[4], 0.8), ("found", notes, OKABE_ITO[0], 0.4)]
    for label, layer, colour, height in layers:
        if layer:
            axes.barh(
                [n[2] for n in layer],
                [n[1] - n[0] for n in layer],
                height,
                [n[0] for n in layer],
                color=colour,
                label=label,
            )
            axes.plot([n[0] for n in layer], [n[2] for n in layer], "|", color="black", ms=7)
    pitches = [n[2] for n in (*notes, *(truth or ()))] or [60]
    shown = range(min(pitches) - 1, max(pitches) + 2)
    every = 1 if len(shown) <= 16 else 12
    ticks = [p for p in shown if p % every == 0]
    axes.set_yticks(ticks, [f"{NAMES[p % 12]}{p // 12 - 1}" for p in ticks])
    axes.set_ylim(shown[0], shown[-1])
    style_axes(axes, "time (s)", "pitch")
    if title:
        axes.set_title(title, fontsize=TITLE)
    if notes or truth:
        legend_below(figure, axes)
    return figure
