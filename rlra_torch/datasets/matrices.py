"""Matrices in files: arrays, sparse matrices, tables of numbers, and stores of chunks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from zlib import error as ZlibError

import numpy as np
import scipy.io
import scipy.sparse

from rlra_torch.datasets.csr_file import CsrFile
from rlra_torch.datasets.readers import WrongVariable, choose_variable, read_mat
from rlra_torch.datasets.tables import read_table


class Matrix(Protocol):
    """What gives its rows by slices, as an array or as a SciPy sparse matrix."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, n)."""
        ...

    @property
    def dtype(self) -> Any:  # noqa: ANN401
        """Of its entries."""
        ...

    def __getitem__(self, rows: slice) -> Any:  # noqa: ANN401
        """Some rows."""
        ...


def load_matrix(path: str | Path, variable: str | None = None) -> Any:  # noqa: ANN401
    """Read a matrix whole: a NumPy array, or a SciPy sparse matrix where the file holds one.

    Args:
        path, variable: as in `open_matrix`.

    Raises:
        FileNotFoundError, ImportError, ValueError: as in `open_matrix`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "table.csv"
        ...     _ = path.write_text("gene,a,b\\nx,1,2\\ny,,4\\n")
        ...     load_matrix(path)
        array([[ 1.,  2.],
               [nan,  4.]])
    """
    matrix = open_matrix(path, variable)
    whole = matrix[0 : matrix.shape[0]]
    return whole.copy() if scipy.sparse.issparse(whole) else np.array(whole)


def open_matrix(path: str | Path, variable: str | None = None) -> Matrix:
    """A matrix in a file, of which nothing is read before it is asked for, where that can be.

    A ``.npy`` array is mapped into memory; rows of ``.zarr``, of HDF5 (``.h5``, ``.hdf5``) and of a
    sparse ``.npz`` in CSR, as `scipy.sparse.save_npz` writes it, are read when they are sliced.
    What else there is is read whole: arrays and other sparse formats in ``.npz``, MATLAB's ``.mat``
    of any version, Matrix Market's ``.mtx``, and ``.csv`` or ``.tsv`` tables, which may have a line
    of names and a name in front of each line, and in which empty cells, ``NaN`` and ``NA`` are
    missing and become NaN.

    Args:
        path: the file.
        variable: the name of the array, where a file holds several; None: its only matrix.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another kind of file, a damaged one, or no matrix of real numbers.
        ImportError: a library is missing that the file needs.

    Example:
        >>> open_matrix("counts.csv")
        Traceback (most recent call last):
        FileNotFoundError: no file at counts.csv
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in OPENERS:
        known = ", ".join(OPENERS)
        raise ValueError(f"matrices are read from {known} files, not from {path.name!r}")
    if not path.exists():
        raise FileNotFoundError(f"no file at {path}")
    if variable is not None and kind in (".npy", ".mtx", ".csv", ".tsv"):
        raise ValueError(f"{path.name} has no variables; leave variable out")
    try:
        matrix = OPENERS[kind](path, variable)
    except (EOFError, KeyError, OSError, zipfile.BadZipFile, ZlibError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    shape, entries = tuple(matrix.shape), np.dtype(matrix.dtype)
    if len(shape) != 2 or 0 in shape or entries.kind not in "biuf":
        raise ValueError(
            f"{path.name} needs a matrix of real numbers, got {entries} of shape {shape}"
        )
    return matrix


def _open_npy(path: Path, _: str | None) -> Matrix:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a .npy file of numbers ({error})") from error


def _open_npz(path: Path, variable: str | None) -> Any:  # noqa: ANN401
    try:
        with np.load(path, allow_pickle=False) as file:
            if variable is not None or "format" not in file:
                shapes = {name: file[name].shape for name in file.files}
                return file[choose_variable(path, shapes, variable, 2)]
            by_rows = file["format"].item() in (b"csr", "csr")
        return CsrFile(path) if by_rows else _by_rows(scipy.sparse.load_npz(path))
    except WrongVariable:
        raise
    except Exception as error:
        raise ValueError(f"{path.name} is not a .npz file that can be read ({error})") from error


def _open_mtx(path: Path, _: str | None) -> Any:  # noqa: ANN401
    try:
        found = scipy.io.mmread(path, spmatrix=False)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a Matrix Market file ({error})") from error
    return _by_rows(found)


def _open_mat(path: Path, variable: str | None) -> Any:  # noqa: ANN401
    return _by_rows(read_mat(path, variable, ndim=2).array)


def _open_table(path: Path, _: str | None) -> np.ndarray:
    return read_table(path)


def _by_rows(matrix: Any) -> Any:  # noqa: ANN401
    """A sparse matrix in a format that gives rows by slices; an array as it is."""
    return scipy.sparse.csr_matrix(matrix) if scipy.sparse.issparse(matrix) else matrix


def _open_zarr(path: Path, variable: str | None) -> Matrix:
    try:
        import zarr  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{path.name} needs the zarr package; install rlra_torch[io]") from error
    try:
        found = zarr.open(str(path), mode="r")
    except Exception as error:  # zarr has errors of its own for each store
        raise ValueError(f"{path.name} is not a zarr store ({error})") from error
    return _chosen(path, found, variable)


def _open_hdf5(path: Path, variable: str | None) -> Matrix:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{path.name} needs the h5py package; install rlra_torch[io]") from error
    return _chosen(path, h5py.File(path, "r"), variable)


def _chosen(path: Path, found: Any, variable: str | None) -> Matrix:  # noqa: ANN401
    """The array of a group: the one named, or the only matrix."""
    if hasattr(found, "shape"):
        if variable is not None:
            raise ValueError(f"{path.name} is one array; leave variable out")
        return found
    if variable is not None:
        if variable not in found or not hasattr(found[variable], "shape"):
            raise ValueError(f"{path.name} has no array {variable!r}; it has {_names(found)}")
        return found[variable]
    matrices = [name for name in found if len(getattr(found[name], "shape", ())) == 2]
    if len(matrices) != 1:
        raise ValueError(
            f"{path.name} has {len(matrices)} matrices ({_names(found)}); choose with variable="
        )
    return found[matrices[0]]


def _names(group: Any) -> str:  # noqa: ANN401
    return ", ".join(str(name) for name in group) or "nothing"


OPENERS: dict[str, Callable[[Path, str | None], Any]] = {
    ".csv": _open_table,
    ".tsv": _open_table,
    ".mat": _open_mat,
    ".mtx": _open_mtx,
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".zarr": _open_zarr,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
