"""Core consistency against the rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.style import (
    OKABE_ITO,
    TICK,
    TITLE,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def core_consistencies(
    values: Mapping[int, float | Sequence[float]],
    title: str | None = None,
) -> Figure:
    """The core consistency of models of several ranks, one dot a start and a line through the best.

    What lies below 0 is drawn at 0 with its value below it.

    Args:
        values: the core consistency, or those of several starts, in percent, for each rank.
        title: of the figure.

    Raises:
        ValueError: nothing to draw.

    Example:
        >>> figure = core_consistencies({1: 100.0, 2: 99.0, 3: 95.0, 4: -60.0})
        >>> figure.axes[0].get_ylabel()
        'core consistency (%)'
    """
    if not values:
        raise ValueError("there is nothing to draw: no rank was tried")
    ranks = sorted(values)
    several = [np.atleast_1d(np.asarray(values[rank], dtype=float)) for rank in ranks]
    figure = new_figure(7, 4.6)
    axes = figure.subplots()
    best = np.array([row.max() for row in several])
    axes.plot(ranks, best.clip(0), color=OKABE_ITO[0], linewidth=2, marker="o", markersize=9)
    for rank, row in zip(ranks, several, strict=True):
        axes.plot([rank] * len(row), row.clip(0), "o", color=OKABE_ITO[0], markersize=5, alpha=0.5)
        if row.max() < 0:
            text = f"\N{MINUS SIGN}{-row.max():.0f}" if row.max() > -1000 else "< \N{MINUS SIGN}999"
            axes.annotate(
                text, (rank, 0), (0, -10), textcoords="offset points", ha="center", va="top",
                fontsize=TICK,
            )  # fmt: skip
    style_axes(axes, "rank", "core consistency (%)")
    axes.set_xticks(ranks)
    axes.set_xlim(ranks[0] - 0.4, ranks[-1] + 0.4)
    axes.set_ylim(-14, 106)
    if title is not None:
        axes.set_title(title, fontsize=TITLE)
    return figure
