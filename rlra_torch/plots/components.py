"""The components of a tensor: one row for each, one column for each mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

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

Columns = Tensor | np.ndarray


class Mode(NamedTuple):
    """How one mode is drawn.

    Args:
        name: what it is, such as "emission".
        unit: of its ticks, such as "nm", or "".
        ticks: where its entries lie, (n,); None: their numbers from 1.
        bars: bars instead of a line: for samples, which have no order.
    """

    name: str
    unit: str = ""
    ticks: Columns | Sequence[float] | None = None
    bars: bool = False

    @property
    def label(self) -> str:
        """Of its axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def components(
    fits: Mapping[str, Sequence[Columns]] | Sequence[Columns],
    modes: Sequence[Mode] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """The columns of the factors of a CP model, one row a component and one column a mode.

    Columns have norm 1 in all modes but those of bars, or but the first where there are none, which
    carry the size: heights compare there between components. The largest component of the first fit
    comes first; further fits are drawn in the order in which their components come, so match them
    before.

    Args:
        fits: the factors (n_i, R) of a model, or those of several by name, drawn over each other.
        modes: how each is drawn; None: lines over numbers.
        names: of the components, in the order of the columns.
        title: of the figure.

    Raises:
        ValueError: nothing to draw, or shapes and numbers that do not fit.

    Example:
        >>> A, B = np.eye(3)[:, :2], np.eye(4)[:, :2]
        >>> figure = components((A, B), (Mode("sample", bars=True), Mode("time", "min")))
        >>> [axes.get_xlabel() for axes in figure.axes[-2:]]
        ['sample', 'time (min)']
    """
    named = fits if isinstance(fits, Mapping) else {"": fits}
    models = {key: [as_array(x) for x in factors] for key, factors in named.items()}
    first = _checked(models)
    order, rank = len(first), first[0].shape[1]
    shown = [Mode(f"mode {n + 1}") for n in range(order)] if modes is None else list(modes)
    _check_modes(shown, first)
    if names is not None and len(names) != rank:
        raise ValueError(f"{rank} components need as many names, not {len(names)}")
    called = list(names) if names is not None else [f"component {k + 1}" for k in range(rank)]
    sizes = np.prod([np.linalg.norm(x, axis=0) for x in first], axis=0)
    rows = np.argsort(-sizes, kind="stable")
    if names is None:
        called = [called[rank_of] for rank_of in np.argsort(rows, kind="stable")]
    figure = new_figure(3.4 * order + 0.8, 1.9 * rank + 1.0)
    grid = figure.subplots(rank, order, squeeze=False, sharex="col")
    drawn = {key: _normalized(factors, shown) for key, factors in models.items()}
    for row, k in enumerate(rows):
        for n, mode in enumerate(shown):
            columns = {key: factors[n][:, k] for key, factors in drawn.items()}
            _draw(grid[row][n], mode, columns, OKABE_ITO[int(row) % len(OKABE_ITO)])
        grid[row][0].set_ylabel(called[k], fontsize=LABEL)
    _finish(grid, shown, drawn)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE)
    if len(models) > 1:
        # Lines are easier to tell apart than bars are.
        legend_below(figure, grid[0][next((n for n, m in enumerate(shown) if not m.bars), 0)])
    return figure


def _checked(models: Mapping[str, list[np.ndarray]]) -> list[np.ndarray]:
    """The factors of the first model, once all have one list of shapes."""
    shapes = [[x.shape for x in factors] for factors in models.values()]
    if not shapes or not shapes[0] or any(len(s) != 2 or 0 in s for s in shapes[0]):
        raise ValueError(f"components are the columns of factors (n_i, R), not of {shapes}")
    if any(other != shapes[0] for other in shapes) or len({s[1] for s in shapes[0]}) > 1:
        raise ValueError(f"models drawn over each other have factors of one shape, not {shapes}")
    return next(iter(models.values()))


def _check_modes(modes: Sequence[Mode], factors: Sequence[np.ndarray]) -> None:
    if len(modes) != len(factors):
        raise ValueError(f"{len(factors)} factors need as many modes, not {len(modes)}")
    for mode, x in zip(modes, factors, strict=True):
        if mode.ticks is not None and as_array(mode.ticks).shape != (len(x),):
            raise ValueError(
                f"mode {mode.name!r} has {len(x)} entries but ticks of shape "
                f"{as_array(mode.ticks).shape}"
            )


def _normalized(factors: Sequence[np.ndarray], modes: Sequence[Mode]) -> list[np.ndarray]:
    """Unit columns, but in the mode that carries the sizes, each with its larger side upwards."""
    carrier = _carrier(modes)
    norms = [np.linalg.norm(x, axis=0) for x in factors]
    found = [x / np.where(norm > 0, norm, 1) for x, norm in zip(factors, norms, strict=True)]
    sign = np.ones(factors[0].shape[1])
    for n, x in enumerate(found):
        if n != carrier:
            up = np.where(x.max(0) >= -x.min(0), 1.0, -1.0)
            found[n], sign = x * up, sign * up
    found[carrier] = found[carrier] * sign * np.prod(norms, axis=0)
    return found


def _carrier(modes: Sequence[Mode]) -> int:
    """The mode that carries the sizes."""
    return next((n for n, mode in enumerate(modes) if mode.bars), 0)


def _draw(axes: Axes, mode: Mode, columns: Mapping[str, np.ndarray], colour: str) -> None:
    size = len(next(iter(columns.values())))
    x = np.arange(1, size + 1.0) if mode.ticks is None else as_array(mode.ticks)
    step = float(np.min(np.abs(np.diff(x)))) if size > 1 else 1.0
    for i, (name, y) in enumerate(columns.items()):
        # One colour a component; the first fit is drawn full, the others over it, the last black.
        over = "black" if i == len(columns) - 1 else "0.6"
        style = {"color": colour if i == 0 else over, "label": name or None}
        if mode.bars and i == 0:
            axes.bar(x, y, width=0.85 * step, **style)
        elif mode.bars:
            axes.plot(x, y, marker="_", linestyle="none", markersize=6, **style)
        else:
            dashes = DASHES[i % len(DASHES)]
            axes.plot(x, y, linestyle=dashes, linewidth=2.2 if i == 0 else 1.3, **style)
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    axes.margins(x=0.02)
    axes.locator_params(axis="y", nbins=4, min_n_ticks=3)
    axes.locator_params(axis="x", nbins=5, min_n_ticks=3)
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    axes.yaxis.get_offset_text().set_fontsize(TICK)


def _finish(grid: np.ndarray, modes: Sequence[Mode], drawn: Mapping[str, list[np.ndarray]]) -> None:
    """One scale for each mode, so that the rows compare, and labels at the bottom."""
    carrier = _carrier(modes)
    for n, mode in enumerate(modes):
        values = np.concatenate([factors[n].ravel() for factors in drawn.values()])
        low, high = min(values.min(), 0.0), max(values.max(), 0.0)
        room = 0.05 * ((high - low) or 1.0)
        for axes in grid[:, n]:
            axes.set_ylim(low - (room if low < 0 else 0), high + room)
        for axes in grid[1:, n]:
            axes.yaxis.get_offset_text().set_visible(False)
        kind = "size" if n == carrier else "loading"
        grid[0][n].set_title(kind, fontsize=LABEL, color="0.35")
        grid[-1][n].set_xlabel(mode.label, fontsize=LABEL)
