"""The common look of the figures, readable from the last row and by the colour-blind."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, less yellow, which vanishes on white.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
TITLE, LABEL, TICK = 16, 14, 12

_VECTOR = ContextVar("vector", default=False)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the line of this number; no two of the first 28 agree in both."""
    dashes = DASHES[index // len(OKABE_ITO) % len(DASHES)]
    return {"color": OKABE_ITO[index % len(OKABE_ITO)], "linestyle": dashes, "linewidth": 2}


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure that lays itself out, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # type: ignore[union-attr]
    return figure


def style_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Labels, sizes and a light grid behind the lines."""
    axes.set_xlabel(xlabel, fontsize=LABEL)
    axes.set_ylabel(ylabel, fontsize=LABEL)
    axes.tick_params(which="both", labelsize=TICK)
    axes.grid(which="major", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, *several: Axes) -> None:
    """One legend for the whole figure under its axes, where it cannot cover a line.

    What has the same label in several axes is listed once.
    """
    parts = [axes.get_legend_handles_labels() for axes in several]
    named = {label: handle for part in parts for handle, label in zip(*part, strict=True)}
    handles, labels = list(named.values()), list(named)
    columns = _legend_columns(labels, figure.get_figwidth())
    rows = math.ceil(len(labels) / columns)
    figure.set_figheight(figure.get_figheight() + 0.25 * max(0, rows - 2))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=TICK,
        frameon=False,
        handlelength=2.6,
    )


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """The number of columns that makes the lowest legend that fits into so many inches."""
    # A letter is about 0.62 times as wide as high, and a handle takes the place of nine.
    letters = width * 72 / (0.62 * TICK)
    for rows in range(max(1, math.ceil(len(labels) / 5)), len(labels)):
        columns = math.ceil(len(labels) / rows)
        split = np.array_split([len(label) for label in labels], columns)
        if sum(int(part.max()) + 9 for part in split) <= letters:
            return columns
    return 1


def as_array(x: Tensor | np.ndarray | Sequence[float]) -> np.ndarray:
    """A float64 NumPy array of the values, wherever they live."""
    if isinstance(x, Tensor):
        return x.detach().cpu().double().numpy()
    return np.asarray(x, dtype=np.float64)


def names(labels: Sequence[str] | None, count: int) -> list[str]:
    """The labels of ``count`` components, or their numbers from 1.

    Raises:
        ValueError: The number of labels is not the number of components.
    """
    if labels is None:
        return [f"component {k + 1}" for k in range(count)]
    if len(labels) != count:
        raise ValueError(f"{count} components need as many labels, not {len(labels)}")
    return list(labels)


def not_seen(cmap: str) -> Colormap:
    """A colour map in which NaN are grey."""
    from matplotlib import colormaps

    return colormaps[cmap].with_extremes(bad="0.6")


@contextmanager
def vector_too() -> Iterator[None]:
    """Figures that `save` writes as ``.png`` here, at any depth, are written as ``.svg`` beside it.

    Example:
        >>> with vector_too():
        ...     _VECTOR.get()
        True
    """
    token = _VECTOR.set(True)
    try:
        yield
    finally:
        _VECTOR.reset(token)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a ``.png`` file at 200 dots an inch, or to a ``.svg`` file.

    Args:
        figure: The figure.
        path: Where to write; missing folders are made.

    Returns:
        The path written.

    Raises:
        ValueError: The path ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower() not in {".png", ".svg"}:
        raise ValueError(f"figures are saved as .png or .svg, not as '{path.name}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200, format=path.suffix.lower()[1:])
    if _VECTOR.get() and path.suffix.lower() == ".png":
        figure.savefig(path.with_suffix(".svg"))
    return path
