"""Matrices in files: arrays, sparse matrices and tables of numbers."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse

from rlra_torch.datasets.readers import WrongVariable, choose_variable, read_mat, read_npy

Matrix: TypeAlias = "np.ndarray | scipy.sparse.sparray | scipy.sparse.spmatrix"

FORMATS = (".csv", ".mat", ".mtx", ".npy", ".npz", ".tsv")
"""The endings that `load_matrix` knows."""

_MISSING = {"", "nan", "na", "n/a", "null"}


def load_matrix(path: str | Path, variable: str | None = None) -> Matrix:
    """Read a matrix: a NumPy array, or a SciPy sparse matrix where the file holds one.

    A ``.csv`` or ``.tsv`` table may have a line of names, and a name in front of each line; empty
    cells, ``NaN`` and ``NA`` are missing and become NaN. A ``.npz`` file is what
    `scipy.sparse.save_npz` or `numpy.savez` wrote, a ``.mtx`` file is in the Matrix Market format.

    Args:
        path: the file.
        variable: which variable of a ``.mat`` or ``.npz`` file; None: the only matrix in it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another kind, damaged, or holds no matrix of numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "table.csv"
        ...     _ = path.write_text("gene,a,b\\nx,1,2\\ny,,4\\n")
        ...     load_matrix(path)
        array([[ 1.,  2.],
               [nan,  4.]])
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"matrices are read from {', '.join(FORMATS)} files, not from {path.name!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    found = _read(path, variable)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "biuf":
        raise ValueError(
            f"{path.name} needs a matrix of real numbers, got {found.dtype} of shape {found.shape}"
        )
    return found


def _read(path: Path, variable: str | None) -> Any:  # noqa: ANN401
    kind = path.suffix.lower()
    if kind == ".mat":
        return read_mat(path, variable, ndim=2).array
    if kind == ".npz":
        return _read_npz(path, variable)
    if kind == ".npy":
        return read_npy(path, variable).array
    if variable is not None:
        raise ValueError(f"{path.name} has no variables; leave variable out")
    return _read_mtx(path) if kind == ".mtx" else _read_table(path, "\t" if kind == ".tsv" else ",")


def _read_npz(path: Path, variable: str | None) -> Any:  # noqa: ANN401
    try:
        with np.load(path, allow_pickle=False) as file:
            if "format" in file.files and variable is None:
                return scipy.sparse.load_npz(path)
            shapes = {name: file[name].shape for name in file.files}
            return file[choose_variable(path, shapes, variable, 2)]
    except WrongVariable:
        raise
    except Exception as error:
        raise ValueError(f"{path.name} is not a .npz file that can be read ({error})") from error


def _read_mtx(path: Path) -> Any:  # noqa: ANN401
    from scipy.io import mmread

    try:
        return mmread(path)
    except Exception as error:
        raise ValueError(f"{path.name} is not a Matrix Market file ({error})") from error


def _read_table(path: Path, delimiter: str) -> np.ndarray:
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
