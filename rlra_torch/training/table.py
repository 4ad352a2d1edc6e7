"""A comparison of methods as a table for eighty columns, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Record = Mapping[str, Any]

HEADINGS = {
    "spectral_angle": "angle",
    "abundance_rmse": "RMSE H",
    "relative_error": "residual",
}
LEGEND = {
    "spectral_angle": "angle: degrees, mean over matched endmembers",
    "abundance_rmse": "RMSE H: of the abundances",
    "relative_error": "residual: ||Y - W H^T|| / ||Y||",
}
# What decides whether a method is better; data without a truth have the residual only.
DECISIVE = ("spectral_angle", "abundance_rmse")


def table(records: Sequence[Record]) -> Table:
    """Medians over scenes, one row a method, a section for each test set.

    Args:
        records: one a row, as `Comparison.records` gives them.

    Example:
        >>> row = {"test": "a", "method": "MU", "steps": 25, "scenes": 4, "relative_error": 0.1}
        >>> table([row | {"seconds_per_scene": 0.001}]).row_count
        1
    """
    from rich.table import Table

    shown = [name for name in HEADINGS if name in records[0]]
    legend = "; ".join([*(LEGEND[name] for name in shown), "ms: of the steps, a scene"])
    title = f"medians over {records[0]['scenes']} scenes"
    drawn = Table(title=title, caption=legend, caption_justify="left")
    drawn.add_column("test set")
    drawn.add_column("method")
    for heading in ("steps", *(HEADINGS[name] for name in shown), "ms"):
        drawn.add_column(heading, justify="right")
    before = None
    for record in records:
        same = record["test"] == before
        if not same and before is not None:
            drawn.add_section()
        drawn.add_row(
            "" if same else record["test"],
            record["method"],
            str(record["steps"] or ""),
            *(_number(record.get(name)) for name in shown),
            f"{1e3 * record['seconds_per_scene']:.2f}",
        )
        before = record["test"]
    return drawn


def verdict(records: Sequence[Record], name: str, method: str, steps: int) -> str:
    """On which test sets a method has lower medians than another, in all that is decisive.

    Args:
        records: one a row of the table.
        name: the method.
        method, steps: the other.

    Example:
        >>> rows = [
        ...     {"test": "a", "method": "NALMU", "steps": 25, "abundance_rmse": 0.1},
        ...     {"test": "a", "method": "MU", "steps": 250, "abundance_rmse": 0.2},
        ... ]
        >>> verdict(rows, "NALMU", "MU", 250)
        'NALMU has lower RMSE H than MU with 250 steps on this test set.'
    """
    compared = [key for key in DECISIVE if key in records[0]] or ["relative_error"]
    own = {record["test"]: record for record in records if record["method"] == name}
    others = [r for r in records if (r["method"], r["steps"]) == (method, steps)]
    worse = [r["test"] for r in others if any(own[r["test"]][k] >= r[k] for k in compared)]
    better = len(others) - len(worse)
    what = " and ".join(HEADINGS[key] for key in compared)
    sentence = f"{name} has lower {what} than {method} with {steps} steps on "
    if not worse:
        return sentence + ("every test set." if len(others) > 1 else "this test set.")
    if not better:
        return sentence + "no test set."
    return f"{sentence}{better} of {len(others)} test sets; not on: {', '.join(worse)}."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value < 1 else f"{value:.3f}"
