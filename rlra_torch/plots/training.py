"""Curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.curves import _draw, _scale
from rlra_torch.plots.style import TITLE, legend_below, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]


def learning_curves(
    panels: Mapping[str, Mapping[str, Curve]], title: str | None = None, xlabel: str = "epoch"
) -> Figure:
    """What was measured over the epochs of a training, one panel for each quantity.

    A panel is logarithmic where its values span a decade or more, else linear.

    Args:
        panels: for each quantity the curves to draw, pairs (epoch, value) under a name; the same
            name has the same colour everywhere.
        title: title of the figure.
        xlabel: what the curves run over.

    Raises:
        ValueError: there is nothing to draw.

    Example:
        >>> loss = {"training": [(1, 2.0), (2, 1.0)], "validation": [(1, 2.5), (2, 1.5)]}
        >>> figure = learning_curves({"loss": loss, "angle": {"validation": [(1, 3.0), (2, 2.5)]}})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['loss', 'angle']
    """
    empty = [name for name, curves in panels.items() if not all(map(len, curves.values()))]
    if not panels or empty:
        raise ValueError(f"there is nothing to draw{''.join(f' for {name!r}' for name in empty)}")
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(5.5 * across, 3.6 * down + 0.8)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (quantity, curves) in zip(grid, panels.items(), strict=False):
        for name, curve in curves.items():
            epochs, values = np.array(curve, dtype=float).T
            _draw(axes, epochs, values, name, names.index(name))
        style_axes(axes, xlabel, quantity)
        axes.locator_params(axis="x", integer=True)
        _scale(axes)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    fullest = max(zip(grid, panels.values(), strict=False), key=lambda pair: len(pair[1]))
    legend_below(figure, fullest[0])
    return figure
