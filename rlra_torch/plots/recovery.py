"""How much is recovered as the noise grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlra_torch.plots.style import LABEL, TITLE, legend_below, line_style, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^vP*X"


def recovery_curves(
    panels: Mapping[str, tuple[Sequence[float], Mapping[str, Sequence[float]]]],
    title: str | None = None,
) -> Figure:
    """The fraction recovered against the level of noise, one panel a setting, one marker a method.

    Args:
        panels: for each setting the levels of noise, and for each method the fractions.
        title: of the figure.

    Raises:
        ValueError: nothing to draw, or a method without a fraction for each level.

    Example:
        >>> figure = recovery_curves({"mild": ([0.1, 1.0], {"SPA": [1.0, 0.5]})})
        >>> figure.axes[0].get_xscale(), figure.axes[0].get_title()
        ('log', 'mild')
    """
    if not panels:
        raise ValueError("there is nothing to draw: no setting was given")
    down = -(-len(panels) // 2)
    figure = new_figure(11 if len(panels) > 1 else 6.5, 0.9 + 3.4 * down)
    grid = figure.subplots(down, min(2, len(panels)), squeeze=False, sharey=True)
    for axes, (name, (levels, curves)) in zip(grid.flat, panels.items(), strict=False):
        for index, (method, values) in enumerate(curves.items()):
            if len(values) != len(levels):
                raise ValueError(
                    f"{method} has {len(values)} fractions for {len(levels)} levels of noise"
                )
            marker = MARKERS[index % len(MARKERS)]
            style = line_style(index)
            axes.semilogx(levels, values, marker=marker, markersize=8, label=method, **style)
        style_axes(axes, "", "")
        axes.set_title(name, fontsize=LABEL)
        axes.set_ylim(-0.04, 1.06)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("noise level", fontsize=LABEL)
    for axes in grid[:, 0]:
        axes.set_ylabel("fraction recovered", fontsize=LABEL)
    legend_below(figure, *grid.flat)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    return figure
