"""Deconvolve what is in a file: short kernels, sparse maps, and a figure of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.matrices import open_matrix
from ..estimators import Deconvolution
from ..plots import save
from .events import events, write_events
from .output import written_together

EVENTS = "events.csv"
FILES = ("deconvolution.npz", "deconvolution.png", "report.json", EVENTS)


def read_signals(path: str | Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Traces or images from a file.

    Args:
        path: .npy of any shape, or .csv or .tsv with a trace in each row.
        dtype: what they are read as.

    Raises:
        ValueError: another ending.
        FileNotFoundError: there is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/traces.npy", np.ones((2, 50)))
        ...     read_signals(f"{folder}/traces.npy").shape
        torch.Size([2, 50])
    """
    path = Path(path)
    if path.suffix not in (".npy", ".csv", ".tsv"):
        raise ValueError(f"traces and images are read from .npy, .csv or .tsv, got '{path.name}'")
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}'")
    if path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise ValueError(f"{path.name} is not a whole .npy file of numbers") from error
    else:
        matrix = open_matrix(str(path), None)
        values = np.asarray(matrix[0 : matrix.shape[0]])
        values = values[0] if len(values) == 1 else values
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)


def write_deconvolution(
    fit: Deconvolution,
    y: torch.Tensor,
    out: str | Path,
    settings: dict[str, Any],
    rate: float | None = None,
) -> list[Path]:
    """Kernels and maps, a figure of the first problem, a report, and the events of traces.

    All of them or nothing.

    Args:
        fit: what was found.
        y: the data.
        out: the folder.
        settings: what it was asked with, for the report.
        rate: of traces, samples a second, in Hz, for times in seconds.

    Returns:
        the files.
    """
    order = fit.maps.ndim - np.ndim(fit.bias) - 1
    report = {
        **settings,
        "shape": list(y.shape),
        "lambda": _listed(fit.lam),
        "noise": _listed(fit.noise),
        "relative_error": _listed(fit.relative_error),
        "kkt": _listed(fit.kkt),
        "iterations": _listed(fit.n_iter),
        "converged": _listed(fit.converged),
        "seconds": fit.seconds,
    }
    files = FILES if order == 1 else tuple(name for name in FILES if name != EVENTS)
    with written_together(out, files) as folder:
        fit.save(folder / FILES[0])
        save(fit.plot(y, (0,) * (y.ndim - order), rate), folder / FILES[1])
        (folder / FILES[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if order == 1:
            write_events(events(fit), folder / EVENTS, rate)
    return [Path(out) / name for name in files]


def _listed(value: Any) -> Any:  # noqa: ANN401
    return np.asarray(value).tolist()
