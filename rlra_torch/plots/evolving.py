"""The components of PARAFAC2, one mode of which changes from slice to slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlra_torch.plots.components import Columns, Mode
from rlra_torch.plots.style import (
    DASHES,
    LABEL,
    OKABE_ITO,
    TICK,
    TITLE,
    as_array,
    legend_below,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def evolving(
    A: Columns,  # noqa: N803
    D: Columns,  # noqa: N803
    B: Sequence[Columns] | Columns,  # noqa: N803
    modes: Sequence[Mode],
    still: Columns | None = None,
    landscape: tuple[Mode, Mode] | None = None,
    title: str | None = None,
) -> Figure:
    """The columns of A, of all B_k and of D, one row a component.

    Columns of A and of the B_k have norm 1 and D carries the sizes. Each B_k is as opaque as its
    weight in D is large: where a component is absent its profile says nothing. The largest
    component comes first.

    Args:
        A: (I, R).
        D: (K, R), the weights of each slice.
        B: K profiles (J_k, R).
        modes: how A, B and D are drawn.
        still: (J, R) profiles of a model in which they do not change, drawn over the B_k.
        landscape: two modes with ticks, where the entries of A are all their pairs: a picture.
        title: of the figure.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> A, D, B = np.eye(3)[:, :2], np.ones((4, 2)), [np.eye(5)[:, :2]] * 4
        >>> figure = evolving(A, D, B, (Mode("emission", "nm"), Mode("time"), Mode("sample")))
        >>> len(figure.axes)
        6
    """
    a, d, profiles = as_array(A), as_array(D), [as_array(b) for b in B]
    _check(a, d, profiles, modes, landscape)
    lengths = np.linalg.norm(a, axis=0)
    norms = np.stack([np.linalg.norm(b, axis=0) for b in profiles])
    sizes = d * lengths * norms
    up = [np.where(np.abs(x.max(0)) >= np.abs(x.min(0)), 1, -1) for x in (a, sizes)]
    a, sizes = up[0] * a / np.where(lengths > 0, lengths, 1), up[1] * sizes
    sign = up[0] * up[1]
    shown = [sign * b / np.where(n > 0, n, 1) for b, n in zip(profiles, norms, strict=True)]
    rank = a.shape[1]
    figure = new_figure(12.5, 2.7 * rank + 1.0)
    grid = figure.subplots(rank, 3, squeeze=False, width_ratios=(1, 1.2, 1))
    rows = np.argsort(-np.linalg.norm(sizes, axis=0), kind="stable")
    for row, k in enumerate(rows):
        colour = OKABE_ITO[row % len(OKABE_ITO)]
        _first(grid[row][0], a[:, k], modes[0], landscape, colour)
        _changing(grid[row][1], [b[:, k] for b in shown], sizes[:, k], modes[1], colour)
        if still is not None:
            _still(grid[row][1], as_array(still)[:, k], modes[1])
        grid[row][2].bar(np.arange(1, len(sizes) + 1), sizes[:, k], width=0.85, color=colour)
        grid[row][0].annotate(
            f"component {row + 1}", (-0.32, 0.5), xycoords="axes fraction", rotation=90,
            va="center", ha="center", fontsize=LABEL, color=colour,
        )  # fmt: skip
    _finish(grid, modes, landscape)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    legend_below(figure, grid[0][1])
    return figure


def _check(
    a: np.ndarray,
    d: np.ndarray,
    profiles: Sequence[np.ndarray],
    modes: Sequence[Mode],
    landscape: tuple[Mode, Mode] | None,
) -> None:
    if len(modes) != 3:
        raise ValueError(f"A, B and D are drawn in 3 modes, not {len(modes)}")
    ranks = {x.shape[1:] for x in (a, d, *profiles)}
    if len(ranks) != 1 or len(d) != len(profiles):
        raise ValueError(
            f"A {a.shape}, D {d.shape} and {len(profiles)} profiles are not of one model"
        )
    if landscape is not None:
        pairs = int(np.prod([len(_ticks(mode, 0)) for mode in landscape]))
        if pairs != len(a):
            raise ValueError(f"the landscape has {pairs} pairs of ticks, A has {len(a)} rows")


def _ticks(mode: Mode, size: int) -> np.ndarray:
    """Where the entries of a mode lie; their numbers where ticks are not given, or are others."""
    ticks = None if mode.ticks is None else as_array(mode.ticks)
    return ticks if ticks is not None and size in (0, len(ticks)) else np.arange(1, size + 1.0)


def _first(
    axes: Axes, values: np.ndarray, mode: Mode, landscape: tuple[Mode, Mode] | None, colour: str
) -> None:
    if landscape is None:
        axes.plot(_ticks(mode, len(values)), values, color=colour, linewidth=2)
        return
    down, across = (_ticks(each, 0) for each in landscape)
    picture = values.reshape(len(down), len(across))
    mesh = axes.pcolormesh(across, down, picture, cmap="cividis", shading="nearest")
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.ax.tick_params(labelsize=TICK)
    bar.ax.locator_params(nbins=4)


def _changing(
    axes: Axes, profiles: Sequence[np.ndarray], sizes: np.ndarray, mode: Mode, colour: str
) -> None:
    most = np.abs(sizes).max() or 1.0
    label = "profile of each slice, fainter where its weight is small"
    for profile, size in zip(profiles, sizes, strict=True):
        style = {"color": colour, "alpha": 0.05 + 0.5 * abs(size) / most, "linewidth": 1.2}
        axes.plot(_ticks(mode, len(profile)), profile, **style)
    axes.plot([], [], color=colour, linewidth=1.5, label=label)


def _still(axes: Axes, profile: np.ndarray, mode: Mode) -> None:
    up = 1 if profile.max() >= -profile.min() else -1
    profile = up * profile / (np.linalg.norm(profile) or 1.0)
    style = {"color": "black", "linestyle": DASHES[1], "linewidth": 2}
    axes.plot(_ticks(mode, len(profile)), profile, label="the same for all (CP)", **style)


def _finish(grid: np.ndarray, modes: Sequence[Mode], landscape: tuple[Mode, Mode] | None) -> None:
    for axes in grid.flat:
        axes.tick_params(labelsize=TICK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(nbins=5)
    first = modes[0]
    if landscape is not None:
        down, first = landscape
        for axes in grid[:, 0]:
            axes.set_ylabel(down.label, fontsize=LABEL)
    for axes, mode in zip(grid[-1], (first, *modes[1:]), strict=True):
        axes.set_xlabel(mode.label, fontsize=LABEL)
    for axes, name in zip(grid[0], ("loading", "loading", "size"), strict=True):
        axes.set_title(name, fontsize=LABEL, color="0.35")
