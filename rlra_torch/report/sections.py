"""What the page of a run shows, read from the files in its folder only."""

from __future__ import annotations

import base64
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = "command.json"
"""How a run was started: the command, its options, versions, seconds."""
FINEST, SAMPLE, BUDGET, FIGURES = 2.0**-12, 400_000, 1_500_000, 2_000_000
MOST, LONGEST = 24, 4000  # lines of a figure, and points of a line
LINKED = ("maps", "footprints", "spectra", "spikes", "labels")
Section = dict[str, Any]


def run_sections(run: Path) -> tuple[str, list[Section]]:
    """The title of a run and its sections.

    Args:
        run: the folder.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
        ValueError: a file in it cannot be read.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"no folder at '{run}'; give the --out of a command")
    arrays = [(path, _arrays(path)) for path in sorted(run.glob("*.npz"))]
    records = [(path, _record(path)) for path in sorted(run.glob("*.json"))]
    if not arrays and not records:
        raise FileNotFoundError(f"'{run}' holds no run; give the --out of a command")
    sections: list[Section] = []
    title = run.resolve().name
    for _, found in arrays if len(arrays) == 1 else ():  # several are steps on the way
        if {"spectra", "abundances", "shape", "settings"} <= set(found):
            title, shown = _unmixing(found)
            sections += shown
        else:
            sections += _generic(found)
    if "measured" not in {name for _, found in arrays for name in found}:
        sections += _figures(run)
    for path, record in records:
        if path.name != COMMAND:
            sections += _results(f"Results: {path.name}", record)
    sections += _reproduce(run)
    return title, sections


def _unmixing(found: dict[str, np.ndarray]) -> tuple[str, list[Section]]:
    settings = json.loads(str(found["settings"]))
    rows, cols, _ = (int(n) for n in found["shape"])
    W, H, unit = found["spectra"], found["abundances"], settings.get("wavelength_unit")
    names = found.get("labels")
    labels = [f"component {k + 1}" for k in range(W.shape[1])] if names is None else names.tolist()
    section: Section = {
        "kind": "linked",
        "title": "Maps and spectra",
        "rows": rows,
        "cols": cols,
        "labels": labels,
        "spectra": W,
        "maps": H.T,
        "axis": found.get("wavelengths", np.arange(1.0, len(W) + 1)).tolist(),
        "along": f"wavelength ({unit})" if unit else "band",
        "value": "of the largest value",
        "range": [0.0, 1.0],
    }
    if "measured" in found:
        residual = found["measured"].astype(np.float32) - H.astype(np.float32) @ W.T
        section["step"], section["residual"] = _quantized(residual)
        section["error"] = np.linalg.norm(residual, axis=1) / np.sqrt(len(W))
    histories = {
        name.removeprefix("history_"): values
        for name, values in found.items()
        if name.startswith("history_")
    }
    methods = settings.pop("methods")
    table: Section = {
        "kind": "table",
        "title": "Methods",
        "head": ["method", *next(iter(methods.values()))],
        "rows": [[name, *map(_said, row.values())] for name, row in methods.items()],
    }
    curves = [_curves(histories)] if histories else []
    name = settings.get("image") or "Unmixing"
    return name, [section, *curves, table, _table("Settings", settings)]


def _quantized(residual: np.ndarray) -> tuple[float, np.ndarray]:
    """Whole steps around 128, as fine as fits into the budget of the page."""
    residual = np.nan_to_num(residual)
    step = max(FINEST, float(np.abs(residual).max()) / 127)
    every = max(1, residual.size // SAMPLE)  # some pixels tell how well all compress
    while len(gzip.compress(_levels(residual[::every], step).tobytes(), 6)) * every > BUDGET:
        step *= 1.5
    return step, _levels(residual, step)


def _levels(residual: np.ndarray, step: float) -> np.ndarray:
    return (np.rint(residual / step) + 128).astype(np.uint8)


def _curves(histories: dict[str, np.ndarray]) -> Section:
    """Objective and optimality over iterations; a history is (checks, 4)."""
    lines = [
        {"name": name, "x": values[:, 0].tolist(), "y": values[:, at].tolist(), "panel": panel}
        for panel, at in (("objective", 2), ("KKT residual", 3))
        for name, values in histories.items()
    ]
    return {"kind": "curves", "title": "Convergence", "lines": lines}


def _generic(found: dict[str, np.ndarray]) -> list[Section]:
    """Histories as curves, maps linked to their spectra, factors as lines; the rest not at all."""
    sections: list[Section] = []
    linked = _linked(found)
    if linked:
        sections.append(linked)
        found = {name: values for name, values in found.items() if name not in LINKED}
    names = ("iteration", "seconds", "objective", "kkt")
    if all(f"history_{name}" in found for name in names):
        history = np.stack([np.asarray(found[f"history_{n}"], float) for n in names], 1)
        sections.append(_curves({"fit": history}))
    for name, values in found.items():
        if values.dtype.kind != "f" or name.startswith("history_") or values.ndim not in (2, 3):
            continue
        columns = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
        if 1 < len(columns) <= LONGEST and 0 < columns.shape[1] <= MOST:
            title = name.replace("_", " ")
            sections.append({"kind": "components", "title": title, "values": columns.T})
    return sections


def _linked(found: dict[str, np.ndarray]) -> Section | None:
    """Maps (r, rows, cols), and what each pixel has of spectra (n, r) or of spikes (r, n)."""
    maps = found.get("maps", found.get("footprints", np.empty(0)))
    W = found["spikes"].T if "spikes" in found else found.get("spectra", np.empty(0))
    if maps.ndim != 3 or W.ndim != 2 or W.shape[1] != len(maps) or not 0 < len(maps) <= MOST:
        return None
    along, what = ("frame", "spikes") if "spikes" in found else ("band", "spectra")
    return {
        "kind": "linked",
        "title": f"Maps and {what}",
        "rows": maps.shape[1],
        "cols": maps.shape[2],
        "labels": [f"component {k + 1}" for k in range(len(maps))],
        "spectra": W,
        "maps": maps.reshape(len(maps), -1),
        "axis": np.arange(1.0, len(W) + 1).tolist(),
        "along": along,
        "value": "intensity",
        "range": None,
    }


def _figures(run: Path) -> list[Section]:
    shown, left = [], FIGURES
    for path in sorted(run.glob("*.png")):
        content = path.read_bytes()
        left -= len(content)
        if left > 0:
            text = base64.b64encode(content).decode()
            shown.append({"kind": "figure", "title": path.stem.replace("_", " "), "png": text})
    return shown


def _reproduce(run: Path) -> list[Section]:
    if not (run / COMMAND).is_file():
        return []
    record = _record(run / COMMAND)
    command = record.pop("command", "")
    again: Section = {"kind": "code", "title": "How to reproduce", "text": command}
    return [again, _table("Options and versions", record)]


def _results(title: str, record: Any) -> list[Section]:  # noqa: ANN401
    """A table of a record; lists of flat records in it are tables of their own."""
    if not isinstance(record, dict):
        return [_table(title, record)]
    several = {k: rows for k, rows in record.items() if isinstance(rows, list) and _flat_rows(rows)}
    nested = {k for k, v in record.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    kept = {name: value for name, value in record.items() if name not in nested}
    tables: list[Section] = [
        {
            "kind": "table",
            "title": name.replace("_", " "),
            "head": [key.replace("_", " ") for key in rows[0]],
            "rows": [[_said(value) for value in row.values()] for row in rows],
        }
        for name, rows in several.items()
    ]
    return [*tables, _table(title, kept)]


def _flat_rows(rows: list[Any]) -> bool:
    return bool(rows) and all(
        isinstance(row, dict)
        and list(row) == list(rows[0])
        and not any(isinstance(value, list | dict) for value in row.values())
        for row in rows
    )


def _table(title: str, record: Any) -> Section:  # noqa: ANN401
    rows = [[name.replace("_", " "), _said(value)] for name, value in _flat("", record)]
    return {"kind": "table", "title": title, "head": ["", "value"], "rows": rows}


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    """The entries of nested records."""
    if not isinstance(value, dict):
        return [(name, value)]
    return [pair for key, inner in value.items() for pair in _flat(key, inner)]


def _said(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"'{path}' cannot be read; run the command again") from error


def _record(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"'{path}' cannot be read; run the command again") from error
