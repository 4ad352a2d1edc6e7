"""Convergence curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from rlra_torch.plots.style import (
    TICK,
    TITLE,
    legend_below,
    line_style,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Record(Protocol):
    """What a history holds for each check of a solve."""

    @property
    def iteration(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def objective(self) -> float: ...
    @property
    def kkt(self) -> float: ...


def convergence(
    curves: Mapping[str, Sequence[Record]],
    x: Literal["iteration", "seconds"] = "iteration",
    title: str | None = None,
    offset: float = 0.0,
    tol: float | None = None,
) -> Figure:
    """Objective and KKT residual of one or several solves, side by side.

    A panel is logarithmic where its positive values span a decade or more, else linear. Values that
    a logarithmic axis cannot show (zero or negative) are left out of it.

    Args:
        curves: The history of each solve, under its name.
        x: What runs along the horizontal axis.
        title: Title of the figure.
        offset: Subtracted from the objectives: the best known value shows the gap to it.
        tol: The tolerance on the KKT residual, positive, drawn as a horizontal line.

    Raises:
        ValueError: There is no curve, a curve is empty, or ``x`` is another word.

    Example:
        >>> from types import SimpleNamespace as Row
        >>> rows = [Row(iteration=i, seconds=i, objective=2 + 0.5**i, kkt=0.5**i) for i in range(9)]
        >>> [axes.get_ylabel() for axes in convergence({"HALS": rows}, offset=2.0).axes]
        ['objective $-$ 2', 'KKT residual']
    """
    if x not in ("iteration", "seconds"):
        raise ValueError(f"the horizontal axis is 'iteration' or 'seconds', not {x!r}")
    if tol is not None and not tol > 0:
        raise ValueError(f"a tolerance is positive, not {tol}")
    empty = [name for name, records in curves.items() if len(records) == 0]
    if not curves or empty:
        raise ValueError(f"there is nothing to draw{''.join(f' for {name!r}' for name in empty)}")
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    for index, (name, records) in enumerate(curves.items()):
        abscissa = np.array([getattr(record, x) for record in records], dtype=float)
        objective = np.array([record.objective for record in records], dtype=float) - offset
        residual = np.array([record.kkt for record in records], dtype=float)
        _draw(left, abscissa, objective, name, index)
        _draw(right, abscissa, residual, name, index)
    xlabel = "iteration" if x == "iteration" else "time (s)"
    style_axes(left, xlabel, f"objective $-$ {offset:.6g}" if offset else "objective")
    style_axes(right, xlabel, "KKT residual")
    if tol is not None:
        right.axhline(tol, color="0.35", linewidth=1.2, linestyle=(0, (6, 3)))
        # Beside the axes, where no curve can cross it.
        right.annotate(
            f"tol\n{tol:g}", (1, tol), (4, 0), ("axes fraction", "data"), "offset points",
            ha="left", va="center", fontsize=TICK, color="0.25",
        )  # fmt: skip
    for axes in (left, right):
        _scale(axes)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    if len(curves) > 1 or next(iter(curves)):
        legend_below(figure, left)
    return figure


def _draw(axes: Axes, x: np.ndarray, y: np.ndarray, name: str, index: int) -> None:
    # A lone point makes no line.
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, y, label=name, marker=marker, **line_style(index))


def _scale(axes: Axes) -> None:
    """Logarithmic where the positive values span a decade, those that are not then left out."""
    lines = axes.get_lines()
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in lines])
    positive = values[np.isfinite(values) & (values > 0)]
    if len(positive) == 0 or positive.max() < 10 * positive.min():
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.yaxis.get_offset_text().set_fontsize(TICK)
        return
    for line in lines:
        y = np.asarray(line.get_ydata(), dtype=float)
        line.set_ydata(np.where(y > 0, y, np.nan))
    axes.set_yscale("log")
    axes.relim()
    axes.autoscale_view()
