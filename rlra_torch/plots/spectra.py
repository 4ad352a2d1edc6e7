"""Spectra, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from rlra_torch.plots.style import (
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


def spectra(
    W: Tensor | np.ndarray,
    wavelengths: Tensor | np.ndarray | Sequence[float] | None = None,
    unit: str = "",
    labels: Sequence[str] | None = None,
    reference: Tensor | np.ndarray | None = None,
    title: str | None = None,
) -> Figure:
    """The columns of W as lines over the wavelength, or over the band number.

    Lines are broken where bands are missing or where wavelengths run backwards.

    Args:
        W: Spectra, (bands, r).
        wavelengths: Band centres, (bands,).
        unit: Unit of the wavelengths; ``"um"`` is written µm.
        labels: Name of each spectrum.
        reference: True spectra to compare with, (bands, r), drawn as broad pale lines of the same
            colour under the line of the same column.
        title: Title of the figure.

    Raises:
        ValueError: The shapes or the number of labels do not fit.

    Example:
        >>> figure = spectra(np.array([[0.1, 0.9], [0.5, 0.5]]), wavelengths=[450, 550], unit="nm")
        >>> figure.axes[0].get_xlabel()
        'wavelength (nm)'
    """
    columns = as_array(W)
    if columns.ndim != 2 or columns.size == 0:
        raise ValueError(f"spectra are the columns of a (bands, r) matrix, not {columns.shape}")
    bands, rank = columns.shape
    titles = names(labels, rank)
    x = np.arange(1, bands + 1.0) if wavelengths is None else as_array(wavelengths)
    if x.shape != (bands,):
        raise ValueError(f"{bands} bands need as many wavelengths, but their shape is {x.shape}")
    truth = None if reference is None else as_array(reference)
    if truth is not None and truth.shape != columns.shape:
        raise ValueError(f"the reference has shape {truth.shape}, the spectra {columns.shape}")
    figure = new_figure(9.5, 5.2)
    axes = figure.subplots()
    breaks = _breaks(x)
    if truth is not None:
        for k, column in enumerate(truth.T):
            style = {"color": line_style(k)["color"], "linewidth": 7, "alpha": 0.35, "zorder": 1.5}
            axes.plot(*_broken(x, column, breaks), solid_joinstyle="round", **style)
        # One entry in the legend stands for all.
        axes.plot([], [], color="0.35", linewidth=7, alpha=0.35, label="truth")
    for k in range(rank):
        axes.plot(*_broken(x, columns[:, k], breaks), label=titles[k], **line_style(k))
    shown = "µm" if unit == "um" else unit
    xlabel = "band" if wavelengths is None else f"wavelength ({shown})" if shown else "wavelength"
    style_axes(axes, xlabel, "amplitude (arbitrary unit)")
    axes.margins(x=0.01)
    if min(columns.min(), 0 if truth is None else truth.min()) >= 0:
        axes.set_ylim(bottom=0)
    if title is not None:
        axes.set_title(title, fontsize=TITLE)
    legend_below(figure, axes)
    return figure


def _breaks(x: np.ndarray) -> np.ndarray:
    """Positions before which a line is broken: steps backwards, or four times the usual one."""
    steps = np.diff(x)
    if len(steps) < 3:
        return np.array([], dtype=int)
    sign = 1 if np.median(steps) >= 0 else -1
    usual = np.median(np.abs(steps))
    return np.flatnonzero((sign * steps < 0) | (np.abs(steps) > 4 * usual)) + 1


def _broken(x: np.ndarray, y: np.ndarray, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.insert(x, breaks, np.nan), np.insert(y, breaks, np.nan)
