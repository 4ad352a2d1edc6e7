"""Several methods on one problem, against the clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlra_torch.plots.curves import Record
from rlra_torch.plots.style import (
    OKABE_ITO,
    TICK,
    TITLE,
    legend_below,
    line_style,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def race(
    curves: Mapping[str, Sequence[Record]],
    best: float,
    others: Collection[str] = (),
    within: float | None = 1e-3,
    title: str | None = None,
) -> Figure:
    """How far each method is from the best known objective, and from optimality, after how long.

    Left ``(objective - best) / |best|``, right the KKT residual, against seconds, all axes
    logarithmic. What such an axis cannot show (the start at 0 seconds, the best point itself) is
    left out, and so are residuals above 10.

    Args:
        curves: What was measured of each method, under its name.
        best: The best known objective, not zero.
        others: Names that are drawn with dashes and markers, to tell two groups apart.
        within: A relative gap, drawn as a horizontal line; None for no line.
        title: Title of the figure.

    Raises:
        ValueError: There is no curve, a curve is empty, a name is unknown, or ``best`` is zero.

    Example:
        >>> from types import SimpleNamespace as Row
        >>> rows = [Row(iteration=i, seconds=i, objective=2 + 0.5**i, kkt=0.5**i) for i in range(9)]
        >>> [axes.get_xscale() for axes in race({"MU": rows}, best=2.0).axes]
        ['log', 'log']
    """
    empty = [name for name, records in curves.items() if len(records) == 0]
    if not curves or empty:
        raise ValueError(f"there is nothing to draw{''.join(f' for {name!r}' for name in empty)}")
    unknown = sorted(set(others) - set(curves))
    if unknown:
        raise ValueError(f"no curve is called {unknown[0]!r}; there are {', '.join(curves)}")
    if not best or not np.isfinite(best):
        raise ValueError(f"relative gaps need a best objective that is not zero, got {best}")
    figure = new_figure(12, 5.4)
    left, right = figure.subplots(1, 2)
    counts = [0, 0]
    for name, records in curves.items():
        group = int(name in others)
        style = _peer_style(counts[1]) if group else line_style(counts[0])
        counts[group] += 1
        seconds = _positive([record.seconds for record in records])
        gaps = (np.array([record.objective for record in records], dtype=float) - best) / abs(best)
        left.plot(seconds, _positive(gaps), label=name, **style)
        right.plot(seconds, _positive([record.kkt for record in records]), label=name, **style)
    style_axes(left, "time (s)", "relative gap to the best objective")
    style_axes(right, "time (s)", "KKT residual")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
    # A residual far above 1 says only that something vanished; the others must stay readable.
    right.set_ylim(top=min(10.0, right.get_ylim()[1]))
    if within is not None:
        left.axhline(within, color="0.35", linewidth=1.2, linestyle=(0, (6, 3)))
        # Beside the axes, where no curve can cross it.
        left.annotate(
            f"{within:.3g}", (1, within), (4, 0), ("axes fraction", "data"), "offset points",
            ha="left", va="center", fontsize=TICK, color="0.25",
        )  # fmt: skip
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, left)
    return figure


def _peer_style(index: int) -> dict[str, Any]:
    return {
        "color": OKABE_ITO[::-1][index % len(OKABE_ITO)],
        "linestyle": (0, (4, 2)),
        "linewidth": 1.5,
        "marker": _MARKERS[index % len(_MARKERS)],
        "markersize": 5,
    }


def _positive(values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array) & (array > 0), array, np.nan)
