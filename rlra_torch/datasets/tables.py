"""Tables of numbers in text files."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

_MISSING = {"", "nan", "na", "n/a", "null"}


def read_table(path: Path) -> np.ndarray:
    """The numbers of a table with comma-separated cells, or tab-separated ones in a ``.tsv`` file.

    There may be a line of names, and a name in front of each line; empty cells, ``NaN`` and ``NA``
    are missing and become NaN.

    Args:
        path: the file.

    Raises:
        ValueError: it is empty, a cell is no number, or its lines differ in length.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = [line for line in csv.reader(stream, delimiter=delimiter) if any(line)]
    if not lines:
        raise ValueError(f"{path.name} is empty")
    named = any(_number(cell) is None for cell in lines[0][1:] or lines[0])
    rows = lines[1:] if named else lines
    labelled = any(_number(line[0]) is None for line in rows)
    values = [[_number(cell) for cell in line[labelled:]] for line in rows]
    for i, line in enumerate(values):
        if len(line) != len(values[0]) or None in line:
            wrong = [cell for cell, x in zip(rows[i][labelled:], line, strict=True) if x is None]
            said = f"{wrong[0]!r} is no number" if wrong else f"{len(line)} numbers"
            raise ValueError(
                f"line {i + 1 + named} of {path.name} does not fit: {said}; "
                f"each line needs {len(values[0])} numbers"
            )
    return np.array(values, dtype=float)


def _number(cell: str) -> float | None:
    if cell.strip().lower() in _MISSING:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None
