"""Abundance maps."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor

from rlra_torch.plots.style import LABEL, TICK, TITLE, as_array, names, new_figure, not_seen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def abundance_maps(
    maps: Tensor | np.ndarray,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    cmap: Literal["viridis", "cividis"] = "viridis",
    quantity: str = "abundance",
) -> Figure:
    """One picture an endmember, all on one colour scale; NaN are grey.

    Args:
        maps: Abundances, (r, rows, cols), as ``HyperspectralImage.maps`` gives them.
        labels: Name of each map.
        title: Title of the figure.
        limits: Values at the two ends of the colour scale; by default 0 (or the least value, if
            that is negative) and the largest value.
        cmap: Colour map; both are even in lightness.
        quantity: What the colour bar measures.

    Raises:
        ValueError: The shape, the number of labels or the limits do not fit.

    Example:
        >>> figure = abundance_maps(np.full((3, 4, 5), 0.3), limits=(0, 1))
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['component 1', 'component 2', 'component 3']
    """
    pictures = as_array(maps)
    if pictures.ndim != 3 or pictures.size == 0:
        raise ValueError(f"maps have shape (r, rows, cols), not {pictures.shape}")
    count, rows, cols = pictures.shape
    titles = names(labels, count)
    known = pictures[np.isfinite(pictures)]
    low, high = limits or (float(known.min(initial=0)), float(known.max(initial=-np.inf)))
    if limits is None and not low < high:
        high = low + 1
    if not low < high:
        raise ValueError(f"the colour scale needs limits (low, high), low < high, not {limits}")
    grey = not_seen(cmap)
    across = _panels_across(count, rows / cols)
    down = math.ceil(count / across)
    # No wider than a slide in all, nor higher, but wide enough for a short title.
    width = max(1.4, min(3.2, 12 / across, 9 * cols / (rows * down)))
    figure = new_figure(across * width + 1.2, down * (width * rows / cols + 0.4) + 0.4)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    for axes, picture, name in zip(grid, pictures, titles, strict=False):
        image = axes.imshow(picture, cmap=grey, vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(textwrap.fill(name, int(8 * width)), fontsize=LABEL)
        axes.set_xticks([])
        axes.set_yticks([])
    bar = figure.colorbar(image, ax=list(grid), shrink=0.95, aspect=25, pad=0.02)
    bar.set_label(quantity, fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    return figure


def _panels_across(count: int, tallness: float) -> int:
    """The number of panels in a row that makes the figure about 16 by 10."""

    def distance(across: int) -> float:
        shape = across / (math.ceil(count / across) * tallness)
        empty = math.ceil(count / across) * across - count
        return abs(math.log(shape / 1.6)) + empty / count

    return min(range(1, count + 1), key=distance)
