"""How much of the truth several methods recover, against what makes it hard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rlra_torch.plots.style import (
    LABEL,
    TITLE,
    legend_below,
    line_style,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osd^v*XP"


class Panel(NamedTuple):
    """The curves of one panel.

    Args:
        xlabel: what makes it hard.
        x: its values, increasing.
        curves: the recovery of each method at those, in percent.
        log: whether the horizontal axis is logarithmic.
        title: of the panel.
    """

    xlabel: str
    x: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    log: bool = False
    title: str | None = None


def recovery(
    panels: Sequence[Panel], title: str | None = None, ylabel: str = "recovered (%)"
) -> Figure:
    """Recovery in percent against noise or conditioning, one marker for each method.

    Args:
        panels: Two or three in a row; a method has the same line in all of them.
        title: Title of the figure.
        ylabel: What is recovered.

    Raises:
        ValueError: There is no panel, or a curve has not one value for each ``x``.

    Example:
        >>> panel = Panel("SNR (dB)", [0, 20], {"HOMP": [69.0, 85.0]})
        >>> recovery([panel]).axes[0].get_ylabel()
        'recovered (%)'
    """
    if not panels or not any(panel.curves for panel in panels):
        raise ValueError("there is nothing to draw: no method has a curve")
    across = len(panels) if len(panels) < 4 else 2
    down = -(-len(panels) // across)
    figure = new_figure(5.5 * max(across, 1.4), 1 + 4 * down)
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    several = list(grid.flat[: len(panels)])
    methods = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    for axes, panel in zip(several, panels, strict=True):
        for name, values in panel.curves.items():
            if len(values) != len(panel.x):
                raise ValueError(
                    f"{name!r} has {len(values)} values for {len(panel.x)} of {panel.xlabel!r}"
                )
            index = methods.index(name)
            marker = MARKERS[index % len(MARKERS)]
            y = np.asarray(values, dtype=float)
            axes.plot(panel.x, y, label=name, marker=marker, markersize=7, **line_style(index))
        style_axes(axes, panel.xlabel, ylabel if axes in grid[:, 0] else "")
        if panel.title is not None:
            axes.set_title(panel.title, fontsize=LABEL)
        axes.set_ylim(-2, 102)
        if panel.log:
            axes.set_xscale("log")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, *several)
    return figure
