"""All abundances in one picture, and where endmembers were seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rlra_torch.plots.style import (
    OKABE_ITO,
    TITLE,
    as_array,
    legend_below,
    names,
    new_figure,
    not_seen,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST = len(OKABE_ITO) - 1  # colours; black is for where nothing is
GAMMA = 2.2  # of screens: the power that makes light of numbers
GREY = 0.6  # of pixels that were not seen


def abundance_overlay(
    maps: Tensor | np.ndarray,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """All abundance maps as one colour picture: the colours of the spectra, mixed.

    The colour of a pixel is ``sum_k a_k c_k / max(1, sum_k a_k)``, as light adds up (so that halves
    are as bright as wholes), black where there is nothing, grey where the abundances are NaN.

    Args:
        maps: Abundances, (r, rows, cols); of more than six the largest six are shown.
        labels: Name of each map.
        title: Title of the figure.

    Raises:
        ValueError: The shape or the number of labels do not fit.

    Example:
        >>> figure = abundance_overlay(np.full((3, 4, 5), 0.3), labels=["a", "b", "c"])
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['a', 'b', 'c']
    """
    from matplotlib.colors import to_rgb

    pictures = as_array(maps)
    if pictures.ndim != 3 or pictures.size == 0:
        raise ValueError(f"maps have shape (r, rows, cols), not {pictures.shape}")
    titles = names(labels, len(pictures))
    missing = np.isnan(pictures).any(0)
    amounts = np.where(missing, 0, pictures).clip(min=0)
    shown = np.sort((-amounts.sum((1, 2))).argsort(kind="stable")[:LARGEST])
    palette = np.array([to_rgb(OKABE_ITO[k % LARGEST]) for k in shown])
    total = amounts.sum(0).clip(min=1)
    light = np.einsum("krc,kx->rcx", amounts[shown] / total, palette**GAMMA)
    colours = light ** (1 / GAMMA)
    colours[missing] = GREY
    figure, axes = _picture(pictures.shape[1:], title)
    axes.imshow(colours.clip(0, 1), interpolation="nearest")
    entries = [(titles[k], colour) for k, colour in zip(shown, palette, strict=True)]
    for label, colour in entries + [("not seen", str(GREY))] * bool(missing.any()):
        axes.plot([], [], marker="s", markersize=12, linestyle="none", color=colour, label=label)
    legend_below(figure, axes)
    return figure


def pixels_on_image(
    picture: Tensor | np.ndarray,
    pixels: Tensor | np.ndarray | Sequence[int],
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Marks at the pixels of endmembers, in the colours of their spectra, on a grey picture.

    Args:
        picture: Such as the mean over the bands, (rows, cols); NaN where nothing was seen.
        pixels: Indices row by row, (r,); those below 0 are left out.
        labels: Name of each endmember.
        title: Title of the figure.

    Raises:
        ValueError: The shapes or the number of labels do not fit.

    Example:
        >>> figure = pixels_on_image(np.eye(4), [0, 6])
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['component 1', 'component 2']
    """
    from matplotlib.patheffects import withStroke

    grey, places = as_array(picture), as_array(pixels).astype(int)
    if grey.ndim != 2 or places.ndim != 1 or (places >= grey.size).any():
        raise ValueError(
            f"pixels are indices below {grey.size} of a picture (rows, cols), got {places.tolist()}"
            f" and a picture of shape {grey.shape}"
        )
    titles = names(labels, len(places))
    figure, axes = _picture(grey.shape, title)
    known = grey[np.isfinite(grey)]
    low, high = np.percentile(known, (1, 99)) if known.size else (0, 1)
    axes.imshow(grey, cmap=not_seen("Greys_r"), vmin=low, vmax=high, interpolation="nearest")
    for k, place in enumerate(places):
        if place < 0:
            continue
        row, col = divmod(int(place), grey.shape[1])
        (mark,) = axes.plot(
            [col], [row], marker="+", markersize=15, markeredgewidth=3, linestyle="none",
            color=OKABE_ITO[k % LARGEST], label=titles[k], clip_on=False,
        )  # fmt: skip
        mark.set_path_effects([withStroke(linewidth=6, foreground="white")])
    axes.set_xlim(-0.5, grey.shape[1] - 0.5)
    axes.set_ylim(grey.shape[0] - 0.5, -0.5)
    legend_below(figure, axes)
    return figure


def _picture(shape: Sequence[int], title: str | None) -> tuple[Figure, Axes]:
    """An empty figure for a picture of so many rows and columns."""
    rows, cols = shape
    height = min(7.0, max(2.5, 7.0 * rows / cols))
    figure = new_figure(max(5.5, min(9.0, height * cols / rows + 0.6)), height + 1.2)
    axes = figure.subplots()
    axes.set_xticks([])
    axes.set_yticks([])
    if title is not None:
        axes.set_title(title, fontsize=TITLE)
    return figure, axes
