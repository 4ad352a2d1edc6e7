"""Components along a path of penalties."""

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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def penalty_path(
    weights: Sequence[float],
    sizes: Tensor | np.ndarray,
    zeros: Tensor | np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """The size of each component as a penalty grows, and how many entries are zero.

    A line ends with a cross where its component is lost.

    Args:
        weights: of the penalty, rising, (points,).
        sizes: of the components, (points, R).
        zeros: the fraction of zeros in each factor, (points, d), drawn below.
        labels: of the components.
        title: of the figure.

    Raises:
        ValueError: nothing to draw, or shapes that do not fit.

    Example:
        >>> figure = penalty_path([0.0, 1.0, 2.0], np.array([[3.0, 1.0], [2.0, 0.0], [1.0, 0.0]]))
        >>> figure.axes[0].get_xlabel()
        'weight of the penalty'
    """
    x, y = as_array(weights), as_array(sizes)
    if y.ndim != 2 or y.size == 0 or x.shape != y.shape[:1]:
        raise ValueError(f"a path has weights (points,) and sizes (points, R), not {y.shape}")
    figure = new_figure(8.5, 4.6 if zeros is None else 6.4)
    panels = figure.subplots(1 if zeros is None else 2, 1, squeeze=False, sharex=True)[:, 0]
    for k, label in enumerate(names(labels, y.shape[1])):
        lost = np.flatnonzero(y[:, k] <= 0)
        end = int(lost[0]) if len(lost) else len(x)
        style = line_style(k)
        panels[0].plot(x[:end], y[:end, k], label=label, marker="o", markersize=4, **style)
        if 0 < end < len(x):
            panels[0].plot(
                [x[end - 1], x[end], x[end]], [y[end - 1, k], y[end - 1, k], 0],
                color=style["color"], linewidth=1, linestyle=(0, (1, 1)),
            )  # fmt: skip
            panels[0].plot(
                [x[end]], [0], marker="x", markersize=10, color=style["color"], clip_on=False
            )
    style_axes(panels[0], "" if zeros is not None else "weight of the penalty", "size")
    if zeros is not None:
        shares = as_array(zeros)
        for n in range(shares.shape[1]):
            style = {**line_style(n), "color": "0.25"}
            style["linestyle"] = line_style(7 * n)["linestyle"]
            panels[1].plot(x, 100 * shares[:, n], label=f"zeros of factor {n + 1}", **style)
        style_axes(panels[1], "weight of the penalty", "zeros (%)")
        panels[1].set_ylim(0, 103)
    for axes in panels:
        _weights_axis(axes, x)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, *panels)
    return figure


def _weights_axis(axes: Axes, x: np.ndarray) -> None:
    """Logarithmic, with a place for 0."""
    positive = x[x > 0]
    if len(positive) == 0 or positive.max() < 10 * positive.min():
        return
    low, high = float(positive.min()), float(positive.max())
    axes.set_xscale("symlog", linthresh=low, linscale=0.3)
    decades = 10.0 ** np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    ticks = [*([0.0] if (x <= 0).any() else []), *decades]
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(min(float(x.min()), 0.98 * low), 1.1 * high)
