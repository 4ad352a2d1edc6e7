"""Regions of a movie, and when they fire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.style import LABEL, TITLE, as_array, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def segmentation(
    mean: np.ndarray, labels: np.ndarray, spikes: np.ndarray, title: str | None = None
) -> Figure:
    """The mean of a movie, the map of its regions, and their spike trains.

    Args:
        mean: (rows, cols).
        labels: (rows, cols), integers from 1 on, 0 for none.
        spikes: (k, frames), drawn each as a share of its largest value.
        title: title of the figure.

    Example:
        >>> figure = segmentation(np.ones((4, 4)), np.eye(4), np.ones((1, 9)))
        >>> len(figure.axes)
        3
    """
    spikes = as_array(spikes)
    figure = new_figure(11, 7)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1))
    left, right = (figure.add_subplot(grid[0, k]) for k in range(2))
    left.imshow(as_array(mean), cmap="gray")
    left.set_title("mean of the movie", fontsize=LABEL)
    right.imshow(as_array(mean), cmap="gray")
    _regions(right, as_array(labels).astype(int))
    right.set_title(f"{len(spikes)} regions", fontsize=LABEL)
    for axes in (left, right):
        style_axes(axes, "column (pixels)", "row (pixels)")
        axes.grid(visible=False)
    below = figure.add_subplot(grid[1, :])
    for k, train in enumerate(spikes):
        below.plot(k + 1 + 0.9 * train / (train.max() or 1), color="#0072B2", linewidth=1)
    style_axes(below, "frame", "spike train of region")
    below.set_yticks(range(1, len(spikes) + 1, -(-len(spikes) // 10) or 1))
    return figure


def _regions(axes: Axes, labels: np.ndarray) -> None:
    """Tinted, with their numbers: colours alone do not tell many regions apart."""
    axes.imshow(np.where(labels > 0, 1.0, np.nan), cmap="cividis", alpha=0.5, vmin=0, vmax=1)
    for k in range(1, labels.max(initial=0) + 1):
        rows, cols = np.nonzero(labels == k)
        if len(rows):
            place = (cols.mean(), rows.mean())
            axes.text(*place, str(k), ha="center", va="center", color="black", fontsize=10)


def footprint_rows(
    rows: Mapping[str, np.ndarray], true: np.ndarray, title: str | None = None
) -> Figure:
    """Regions side by side, a row for each way of finding them below the true ones.

    Args:
        rows: (k, rows, cols) footprints under the name of what found them, which match the true
            ones in order; each picture has its own scale.
        true: (k, rows, cols).
        title: title of the figure.

    Example:
        >>> one = np.ones((2, 4, 4))
        >>> len(footprint_rows({"sparse": one}, one).axes)
        4
    """
    pictures = {"true region": as_array(true), **{name: as_array(x) for name, x in rows.items()}}
    count = len(pictures["true region"])
    figure = new_figure(2.2 * count + 1, 2.2 * len(pictures) + 0.8)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    several = figure.subplots(len(pictures), count, squeeze=False)
    for line, (name, maps) in zip(several, pictures.items(), strict=True):
        for axes, picture in zip(line, maps, strict=True):
            axes.imshow(picture, cmap="cividis")
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name, fontsize=LABEL)
    for k, axes in enumerate(several[-1]):
        axes.set_xlabel(f"region {k + 1}", fontsize=LABEL)
    return figure
