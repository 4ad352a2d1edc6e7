"""Estimates beside the truth."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rlra_torch.plots.style import LABEL, TICK, TITLE, as_array, names, new_figure, not_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def maps_against_truth(
    maps: Tensor | np.ndarray,
    truth: Tensor | np.ndarray,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Abundance maps in columns, the truth above the estimate above their difference.

    Truth and estimate are on one scale from 0 to at least 1; the difference is on a scale of its
    own, symmetric around zero. Values that are NaN are grey.

    Args:
        maps: Estimates, (r, rows, cols), in the order of the truth.
        truth: True abundances, same shape.
        labels: Name of each column.
        title: Title of the figure.

    Raises:
        ValueError: The shapes or the number of labels do not fit.

    Example:
        >>> figure = maps_against_truth(np.full((2, 4, 5), 0.3), np.full((2, 4, 5), 0.5))
        >>> [axes.get_ylabel() for axes in figure.axes[::2][:3]]
        ['truth', 'estimate', 'difference']
    """
    found, true = as_array(maps), as_array(truth)
    if found.ndim != 3 or found.size == 0 or found.shape != true.shape:
        raise ValueError(
            f"maps and their truth need one shape (r, rows, cols), not {found.shape} and "
            f"{true.shape}"
        )
    count, rows, cols = found.shape
    titles = names(labels, count)
    difference = found - true
    known = np.concatenate([x[np.isfinite(x)] for x in (found, true)])
    most = max(1.0, float(np.percentile(known, 99.9))) if known.size else 1.0
    error = difference[np.isfinite(difference)]
    width = max(1.3, min(2.6, 12 / count, 2.6 * cols / rows))
    wide = max(1e-3, float(np.percentile(np.abs(error), 99.5))) if error.size else 1.0
    figure = new_figure(count * width + 1.6, 3 * (width * rows / cols + 0.15) + 0.9)
    grid = figure.subplots(3, count, squeeze=False)
    styles = [
        {"cmap": not_seen("viridis"), "vmin": 0, "vmax": most},
        {"cmap": not_seen("viridis"), "vmin": 0, "vmax": most},
        {"cmap": not_seen("PuOr_r"), "vmin": -wide, "vmax": wide},
    ]
    lines = zip(("truth", "estimate", "difference"), (true, found, difference), strict=True)
    images = []
    for line, (name, pictures), style in zip(grid, lines, styles, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            image = axes.imshow(picture, interpolation="nearest", **style)
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name, fontsize=LABEL)
        images.append(image)
    for axes, text in zip(grid[0], titles, strict=True):
        axes.set_title(textwrap.fill(text, int(8 * width)), fontsize=LABEL)
    for image, several, what in (
        (images[0], grid[:2], "abundance"),
        (images[2], grid[2:], "error"),
    ):
        bar = figure.colorbar(image, ax=list(several.ravel()), aspect=25, pad=0.02)
        bar.set_label(what, fontsize=LABEL)
        bar.ax.tick_params(labelsize=TICK)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    return figure
