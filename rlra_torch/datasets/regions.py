"""Regions of an image that show few materials each, in a file."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor


class ImageRegion(NamedTuple):
    """Pixels of an image, and how many materials to look for there.

    Attributes:
        name: Of the region.
        pixels: Their indices, row by row, (p,).
        count: How many materials, at most.
    """

    name: str
    pixels: Tensor
    count: int


def load_regions(source: str | os.PathLike[str], shape: Sequence[int]) -> tuple[ImageRegion, ...]:
    """Read regions of an image.

    Args:
        source: A ``.json`` list of objects with ``name``, ``count`` and either ``rectangle``,
            [first row, first column, rows, columns] counted from 0, or ``pixels``, a list of
            [row, column]; or a ``.csv`` table of rectangles with the columns name, count, row,
            col, rows, cols. Entries of one name are one region, with the count of the first.
        shape: Rows and columns of the image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or a region does not fit the image.
    """
    path = Path(source)
    if path.suffix.lower() not in (".json", ".csv"):
        raise ValueError(f"regions are read from a .json or .csv file, not from '{path}'")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'; check the path")
    read = _json_entries if path.suffix.lower() == ".json" else _csv_entries
    pixels: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    for number, entry in enumerate(read(path), 1):
        where = f"region {number} of {path.name}"
        try:
            name, count = str(entry["name"]), int(entry["count"])
            found = _pixels(entry, shape, where)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{where} needs name, count and a rectangle or pixels, but is {entry!r}"
            ) from error
        if count < 1:
            raise ValueError(f"{where} asks for {count} materials, but needs at least 1")
        pixels.setdefault(name, []).extend(found)
        counts.setdefault(name, count)
    if not pixels:
        raise ValueError(f"{path.name} holds no region")
    return tuple(
        ImageRegion(name, torch.tensor(sorted(set(where))), counts[name])
        for name, where in pixels.items()
    )


def _json_entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path.name} needs a list of regions, not a {type(entries).__name__}")
    return entries


def _csv_entries(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.DictReader(stream, skipinitialspace=True))
    try:
        return [
            {**line, "rectangle": [int(line[key]) for key in ("row", "col", "rows", "cols")]}
            for line in lines
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path.name} needs the columns name, count, row, col, rows, cols, the last five whole "
            "numbers"
        ) from error


def _pixels(entry: dict[str, Any], shape: Sequence[int], where: str) -> list[int]:
    rows, cols = shape
    if "pixels" in entry:
        places = [(int(row), int(col)) for row, col in entry["pixels"]]
    else:
        row, col, height, width = (int(value) for value in entry["rectangle"])
        places = [(r, c) for r in range(row, row + height) for c in range(col, col + width)]
    outside = [(r, c) for r, c in places if not (0 <= r < rows and 0 <= c < cols)]
    if outside or not places:
        said = f"holds pixel {outside[0]}" if outside else "holds no pixel"
        raise ValueError(
            f"{where} {said}, but the image has {rows} x {cols} pixels, counted from 0"
        )
    return [r * cols + c for r, c in places]
