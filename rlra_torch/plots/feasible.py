"""Which spectra are possible: regions of a plane, and the bands that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.style import LABEL, OKABE_ITO, TITLE, legend_below, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def feasible_regions(
    outer: np.ndarray,
    points: np.ndarray,
    regions: Sequence[tuple[np.ndarray, np.ndarray | None]],
    envelopes: Sequence[tuple[np.ndarray, np.ndarray]],
    triangle: np.ndarray | None = None,
    wavelengths: np.ndarray | None = None,
    unit: str = "",
    title: str | None = None,
) -> Figure:
    """A Borgen plot: where the spectra of a factorization of rank three may lie, and what they are.

    On the left the plane of spectra of sum one: what is nonnegative, the data, and the regions of
    possible spectra, in one colour each. On the right the least and the largest value of each band
    over a region: a thin band is known well.

    Args:
        outer: (l, 2) the polygon where spectra are nonnegative.
        points: (n, 2) the data.
        regions: boundary (b, 2) and hole (h, 2) or None of each region.
        envelopes: least and largest value (m,) of each region.
        triangle: (3, 2) the spectra of one factorization, drawn as a triangle.
        wavelengths: (m,), or None for band numbers.
        unit: of the wavelengths.
        title: of the figure.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> band = (np.zeros(4), np.ones(4))
        >>> figure = feasible_regions(square, square / 2, [(square, None)], [band])
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['first coordinate', 'band']
    """
    figure = new_figure(12, 5.4)
    plane, bands = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _plane(plane, outer, points, triangle)
    single = len(regions) == 1
    for k, (boundary, hole) in enumerate(regions):
        colour = OKABE_ITO[k % len(OKABE_ITO)]
        label = "all spectra" if single else f"spectrum {k + 1}"
        _region(plane, boundary, hole, colour, label)
        low, high = envelopes[k]
        x = np.arange(1, len(low) + 1.0) if wavelengths is None else wavelengths
        bands.fill_between(x, low, high, color=colour, alpha=0.35, linewidth=0)
        for y in (low, high):
            bands.plot(x, y, color=colour, linewidth=1.5)
    shown = "µm" if unit == "um" else unit
    xlabel = "band" if wavelengths is None else f"wavelength ({shown})" if shown else "wavelength"
    style_axes(bands, xlabel, "share of a spectrum in a band")
    bands.margins(x=0.01)
    bands.set_title("what they may be", fontsize=LABEL)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, plane)
    return figure


def _plane(axes: Axes, outer: np.ndarray, points: np.ndarray, triangle: np.ndarray | None) -> None:
    around = np.concatenate([outer, outer[:1]])
    axes.plot(*around.T, color="black", linewidth=1.8, label="nonnegative")
    axes.plot(
        *points.T, linestyle="none", marker=".", markersize=4, color="0.45", label="data", zorder=3
    )
    if triangle is not None:
        corners = np.concatenate([triangle, triangle[:1]])
        style = {"color": "black", "linewidth": 1.2, "linestyle": (0, (4, 3)), "zorder": 4}
        axes.plot(*corners.T, label="one factorization", **style)  # type: ignore[arg-type]
    style_axes(axes, "first coordinate", "second coordinate")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("where spectra may lie", fontsize=LABEL)
    axes.grid(False)


def _region(
    axes: Axes, boundary: np.ndarray, hole: np.ndarray | None, colour: str, label: str
) -> None:
    """One filled shape, with a line that shows it where it is too small to be seen filled."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    loops = [boundary] if hole is None else [boundary, hole[::-1]]
    path = Path.make_compound_path(*(Path(np.concatenate([x, x[:1]]), closed=True) for x in loops))
    style = {"edgecolor": colour, "linewidth": 3, "joinstyle": "round", "zorder": 2}
    axes.add_patch(PathPatch(path, facecolor=f"{colour}59", label=label, **style))
    if np.ptp(boundary, axis=0).max() < 0.02 * np.ptp(axes.dataLim.get_points(), axis=0).max():
        axes.plot(*boundary.mean(0), marker="o", markersize=9, color=colour, zorder=5)
