"""What a single-pixel camera saw: where each component is, and its spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from .style import (
    LABEL,
    TICK,
    TITLE,
    as_array,
    legend_below,
    line_style,
    names,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def unmixed_pictures(
    maps: Tensor | np.ndarray,
    spectra: Tensor | np.ndarray,
    wavelengths: Tensor | np.ndarray | Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Abundance maps side by side over the spectra, named in the colours of their lines.

    Args:
        maps: (r, rows, cols).
        spectra: (bands, r).
        wavelengths: (bands,) in nm; None: numbers of the bands.
        labels: name of each component.
        title: title of the figure.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> figure = unmixed_pictures(np.ones((2, 4, 4)), np.ones((5, 2)))
        >>> [axes.get_title() for axes in figure.axes[:2]]
        ['component 1', 'component 2']
    """
    pictures, columns = as_array(maps), as_array(spectra)
    if pictures.ndim != 3 or columns.ndim != 2 or columns.shape[1] != len(pictures):
        raise ValueError(
            f"maps are (r, rows, cols) and spectra (bands, r), got {pictures.shape} and "
            f"{columns.shape}"
        )
    called = names(labels, len(pictures))
    figure = new_figure(max(7.0, 3.2 * len(pictures)), 6.8)
    grid = figure.add_gridspec(2, len(pictures), height_ratios=(3, 2))
    below = figure.add_subplot(grid[1, :])
    x = np.arange(1, len(columns) + 1) if wavelengths is None else as_array(wavelengths)
    panels = [figure.add_subplot(grid[0, k]) for k in range(len(pictures))]
    top = float(pictures.max()) or 1.0
    for k, (axes, picture) in enumerate(zip(panels, pictures, strict=True)):
        image = axes.imshow(picture, cmap="cividis", vmin=0, vmax=top, interpolation="nearest")
        axes.set_title(called[k], fontsize=LABEL, color=line_style(k)["color"])
        axes.set_xticks([])
        axes.set_yticks([])
        below.plot(x, columns[:, k], label=called[k], marker="o", **line_style(k))
        if k == len(pictures) - 1:
            bar = figure.colorbar(image, ax=panels, shrink=0.9)
            bar.set_label("abundance", fontsize=LABEL)
            bar.ax.tick_params(labelsize=TICK)
    style_axes(below, "band" if wavelengths is None else "wavelength (nm)", "intensity (a.u.)")
    if wavelengths is None:
        below.locator_params(axis="x", integer=True)
    legend_below(figure, below)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    # The maps come first for who reads the axes.
    figure.delaxes(below)
    figure.add_axes(below)
    return figure


def band_pictures(
    pictures: Tensor | np.ndarray,
    wavelengths: Tensor | np.ndarray | Sequence[float] | None = None,
    most: int = 6,
    title: str | None = None,
) -> Figure:
    """Some of the bands, evenly spread, on one scale.

    Args:
        pictures: (bands, rows, cols).
        wavelengths: (bands,) in nm; None: numbers of the bands.
        most: how many at most.
        title: title of the figure.

    Example:
        >>> [axes.get_title() for axes in band_pictures(np.ones((2, 4, 4))).axes[:2]]
        ['band 1', 'band 2']
    """
    stack = as_array(pictures)
    chosen = np.unique(np.linspace(0, len(stack) - 1, min(most, len(stack))).round().astype(int))
    figure = new_figure(max(4.0, 2.6 * len(chosen)), 3.2)
    panels = [figure.add_subplot(1, len(chosen), k + 1) for k in range(len(chosen))]
    top = float(stack[chosen].max()) or 1.0
    image = None
    for k, axes in zip(chosen, panels, strict=True):
        image = axes.imshow(stack[k], cmap="cividis", vmin=0, vmax=top, interpolation="nearest")
        name = f"band {k + 1}" if wavelengths is None else f"{as_array(wavelengths)[k]:g} nm"
        axes.set_title(name, fontsize=LABEL)
        axes.set_xticks([])
        axes.set_yticks([])
    assert image is not None
    bar = figure.colorbar(image, ax=panels, shrink=0.9)
    bar.set_label("intensity", fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    return figure
