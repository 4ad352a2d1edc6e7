"""Short kernels, and where they occur."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.style import (
    OKABE_ITO,
    TITLE,
    as_array,
    legend_below,
    line_style,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def deconvolution(
    kernels: np.ndarray,
    maps: np.ndarray,
    fitted: np.ndarray,
    y: np.ndarray | None = None,
    title: str | None = None,
    rate: float | None = None,
) -> Figure:
    """The kernels side by side, and below them the data, what was fitted, and the spikes.

    Args:
        kernels: (p, K) of a trace, or (p_1, p_2, K) of an image.
        maps: (m, K) or (m_1, m_2, K).
        fitted: the prediction, (m,) or (m_1, m_2).
        y: the data, likewise.
        title: title of the figure.
        rate: of a trace, samples a second, in Hz: then axes are in seconds.

    Raises:
        ValueError: neither a trace nor an image.

    Example:
        >>> figure = deconvolution(np.ones((3, 1)), np.eye(9)[:, :1], np.ones(9))
        >>> len(figure.axes)
        2
    """
    kernels, maps, fitted = as_array(kernels), as_array(maps), as_array(fitted)
    if kernels.ndim not in (2, 3):
        raise ValueError(f"kernels of traces or images are drawn, got shape {kernels.shape}")
    if kernels.ndim == 3:
        return _images(kernels, maps, fitted, y, title)
    figure = new_figure(10, 6)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    top, below = figure.subplots(2, 1, height_ratios=(2, 3))
    unit, label = (1.0, "sample") if rate is None else (1 / rate, "time (s)")
    for k in range(kernels.shape[-1]):
        top.plot(
            unit * np.arange(len(kernels)), kernels[:, k], label=f"kernel {k + 1}", **line_style(k)
        )
    style_axes(top, label, "kernel")
    time = unit * np.arange(len(fitted))
    if y is not None:
        below.plot(time, as_array(y), color="0.7", linewidth=1, label="data")
    below.plot(time, fitted, color="black", linewidth=1, label="fitted")
    low = np.nanmin(fitted if y is None else np.minimum(fitted, y))
    for k in range(kernels.shape[-1]):
        # Kernels may begin later than their windows do.
        size = np.abs(kernels[:, k])
        onset = int(np.argmax(size >= 0.1 * size.max()))
        place = time[(np.flatnonzero(maps[:, k]) + onset) % len(time)]
        floor = low - 0.12 * (k + 1) * (np.ptp(fitted) or 1)
        colour = OKABE_ITO[k % len(OKABE_ITO)]
        ticks = {"color": colour, "markersize": 10, "label": f"where kernel {k + 1} begins"}
        below.plot(place, np.full(len(place), floor), "|", **ticks)
    style_axes(below, label, "signal")
    legend_below(figure, top, below)
    return figure


def _images(
    kernels: np.ndarray,
    maps: np.ndarray,
    fitted: np.ndarray,
    y: np.ndarray | None,
    title: str | None,
) -> Figure:
    count = kernels.shape[-1]
    whole = [("fitted", fitted)] if y is None else [("data", as_array(y)), ("fitted", fitted)]
    tiles = whole + [(f"kernel {k + 1}", kernels[..., k]) for k in range(count)]
    tiles += [(f"map {k + 1}", np.abs(maps[..., k])) for k in range(count)]
    columns = min(4, len(tiles))
    rows = -(-len(tiles) // columns)
    figure = new_figure(3 * columns, 3.2 * rows)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    for axes, tile in zip(
        figure.subplots(rows, columns, squeeze=False).flat,
        [*tiles, *[None] * columns],
        strict=False,
    ):
        axes.set_axis_off()
        if tile is not None:
            axes.imshow(tile[1], cmap="gray_r" if tile[0].startswith("map") else "gray")
            axes.set_title(tile[0])
    return figure


def transition(
    success: np.ndarray, sizes: np.ndarray, exponents: np.ndarray, title: str | None = None
) -> Figure:
    """A phase transition: how often kernels are recovered, over their length and sparsity.

    Args:
        success: (sizes, exponents), shares in [0, 1].
        sizes: lengths n of the kernels.
        exponents: e of the rates ``n^e`` of the spikes.
        title: title of the figure.

    Example:
        >>> figure = transition(np.ones((2, 3)), np.array([50, 100]), np.array([-1, -0.7, -0.4]))
        >>> len(figure.axes)
        2
    """
    success = as_array(success)
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    image = axes.imshow(success, vmin=0, vmax=1, cmap="cividis", aspect="auto", origin="lower")
    axes.set_xticks(range(len(exponents)), [f"{e:g}" for e in as_array(exponents)])
    axes.set_yticks(range(len(sizes)), [f"{n:g}" for n in as_array(sizes)])
    for (i, j), value in np.ndenumerate(success):
        colour = "black" if value > 0.6 else "white"
        axes.text(j, i, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=12)
    style_axes(axes, "e, spikes at a rate of n^e", "length n of the kernel")
    axes.grid(visible=False)
    figure.colorbar(image, label="share recovered")
    if title:
        axes.set_title(title, fontsize=TITLE)
    return figure
