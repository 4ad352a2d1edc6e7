"""Which rank: held-out loss and stability against the number of components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlra_torch.plots.style import (
    OKABE_ITO,
    TITLE,
    legend_below,
    line_style,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STABILITY = ("congruence", "silhouette", "cophenetic", "dispersion")


def rank_curves(
    rows: Sequence[Mapping[str, Any]],
    minimum: int | None = None,
    one_standard_error: int | None = None,
    title: str | None = None,
) -> Figure:
    """Held-out loss with error bars on the left, measures of stability on the right.

    Args:
        rows: One for each rank, with ``rank``, ``held_out``, ``standard_error``, ``objective`` and
            those of ``congruence``, ``silhouette``, ``cophenetic`` and ``dispersion`` that are
            known; None where a value is not.
        minimum: The rank of least held-out loss, marked with a star.
        one_standard_error: The rank of the one-standard-error rule, marked with a vertical line.
        title: Title of the figure.

    Raises:
        ValueError: There is no row.

    Example:
        >>> row = {"held_out": 1.0, "standard_error": 0.1, "objective": 0.5, "cophenetic": 1.0}
        >>> figure = rank_curves([{"rank": 2, **row}, {"rank": 3, **row}], minimum=2)
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['rank', 'rank']
    """
    if not rows:
        raise ValueError("there is nothing to draw: no rank was tried")
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    ranks = [row["rank"] for row in rows]
    held, error = _column(rows, "held_out"), np.nan_to_num(_column(rows, "standard_error"))
    left.errorbar(ranks, held, error, label="held-out entries", marker="o", capsize=4, **_line(0))
    fit = _column(rows, "objective")
    left.plot(ranks, fit, label="fit to all data", marker="s", **_line(1))
    if minimum is not None:
        best = held[ranks.index(minimum)]
        left.plot(
            [minimum], [best], label=f"least: rank {minimum}", marker="*", markersize=18,
            color=OKABE_ITO[0], linestyle="none",
        )  # fmt: skip
    if one_standard_error is not None:
        for axes in (left, right):
            axes.axvline(
                one_standard_error, label=f"one standard error: rank {one_standard_error}",
                color="0.35", linewidth=1.2, linestyle=(0, (6, 3)),
            )  # fmt: skip
    style_axes(left, "rank", "mean loss of an entry")
    left.ticklabel_format(axis="y", useOffset=False)
    shown = [name for name in STABILITY if any(row.get(name) is not None for row in rows)]
    for index, name in enumerate(shown):
        right.plot(ranks, _column(rows, name), label=name, marker="ovd^"[index], **_line(index + 2))
    style_axes(right, "rank", "agreement of the starts")
    right.set_ylim(min(-0.02, *(np.nanmin(_column(rows, n)) for n in shown), 0), 1.02)
    for axes in (left, right):
        _ticks(axes, ranks)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, left, *([right] if shown else []))
    return figure


def _line(index: int) -> dict[str, Any]:
    return {**line_style(index), "linestyle": ("solid", (0, (5, 1.5)), (0, (1, 1)))[index % 3]}


def _ticks(axes: Any, ranks: Sequence[int]) -> None:  # noqa: ANN401
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(min(ranks) - 0.5, max(ranks) + 0.5)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
