"""Matrices in files, opened without being read: their rows come by slices."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol
from zlib import error as ZlibError

import numpy as np
import scipy.io
import scipy.sparse


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


def open_matrix(path: str | Path, variable: str | None = None) -> Matrix:
    """A matrix in a file, of which nothing is read before it is asked for.

    A NumPy array is mapped into memory; rows of a sparse ``.npz`` in CSR, of zarr and of HDF5 are
    read when they are sliced. Matrix Market files and other sparse formats are read whole.

    Args:
        path: ``.npy``, ``.npz`` (of `scipy.sparse.save_npz`), ``.mtx``, ``.zarr``, ``.h5`` or
            ``.hdf5``.
        variable: the name of the array, for zarr groups and HDF5; None where there is one only.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another kind of file, a damaged one, or no matrix.
        ImportError: a library is missing that the file needs.

    Example:
        >>> open_matrix("counts.csv")
        Traceback (most recent call last):
        FileNotFoundError: no file at counts.csv
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file at {path}")
    if path.suffix not in OPENERS:
        raise ValueError(f"{path.name} must end in one of {', '.join(OPENERS)}")
    if variable is not None and path.suffix not in (".zarr", ".h5", ".hdf5"):
        raise ValueError(
            f"only zarr and HDF5 files have variables, and {path.name} is none; leave variable out"
        )
    try:
        matrix = OPENERS[path.suffix](path, variable)
    except (EOFError, KeyError, OSError, zipfile.BadZipFile, ZlibError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    if len(matrix.shape) != 2 or 0 in matrix.shape:
        raise ValueError(f"{path.name} must hold a matrix, got shape {tuple(matrix.shape)}")
    if np.dtype(matrix.dtype).kind not in "fiub":
        raise ValueError(f"{path.name} must hold real numbers, got {matrix.dtype}")
    return matrix


class CsrFile:
    """A sparse matrix by rows as `scipy.sparse.save_npz` wrote it, of which only rows are read.

    Slices in increasing order, such as chunks or the share of a process, read the file once.

    Args:
        path: the file.

    Raises:
        ValueError: the file holds another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with np.load(path, allow_pickle=False) as file:
            if "format" not in file or file["format"].item() not in (b"csr", "csr"):
                raise ValueError(f"{path.name} holds no matrix in CSR")
            rows, columns = (int(size) for size in file["shape"])
            self.shape, self.starts = (rows, columns), file["indptr"]
        self._members: dict[str, _Member] = {}
        self.dtype = self._member("data").dtype

    def __getitem__(self, rows: slice) -> scipy.sparse.csr_matrix:
        start, stop, _ = rows.indices(self.shape[0])
        starts = self.starts[start : stop + 1]
        first, last = int(starts[0]), int(starts[-1])
        data, indices = (self._read(name, first, last) for name in ("data", "indices"))
        shape = (stop - start, self.shape[1])
        return scipy.sparse.csr_matrix((data, indices, starts - first), shape=shape)

    def _member(self, name: str) -> _Member:
        self._members[name] = _Member(self.path, name)
        return self._members[name]

    def _read(self, name: str, first: int, last: int) -> np.ndarray:
        member = self._members.get(name)
        if member is None or member.position > first:
            member = self._member(name)
        return member.read(first, last)


class _Member:
    """An array inside of a ``.npz``, read from the front."""

    def __init__(self, path: Path, name: str) -> None:
        self.stream: IO[bytes] = zipfile.ZipFile(path).open(f"{name}.npy")
        version = np.lib.format.read_magic(self.stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}
        header = read.get(version, np.lib.format.read_array_header_2_0)(self.stream)
        self.dtype, self.position = header[2], 0

    def read(self, first: int, last: int) -> np.ndarray:
        """The entries from ``first``, at or beyond the position, to before ``last``."""
        size = self.dtype.itemsize
        self.stream.seek((first - self.position) * size, 1)
        raw = self.stream.read((last - first) * size)
        if len(raw) != (last - first) * size:
            raise EOFError("it ends too early")
        self.position = last
        return np.frombuffer(raw, self.dtype)


def _open_npy(path: Path, _: str | None) -> Matrix:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a .npy file of numbers ({error})") from error


def _open_npz(path: Path, _: str | None) -> Any:  # noqa: ANN401
    try:
        return CsrFile(path)
    except ValueError:
        pass
    try:
        return scipy.sparse.csr_matrix(scipy.sparse.load_npz(path))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path.name} holds no sparse matrix of scipy.sparse.save_npz; store dense ones as .npy"
        ) from error


def _open_mtx(path: Path, _: str | None) -> Any:  # noqa: ANN401
    try:
        found = scipy.io.mmread(path)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a Matrix Market file ({error})") from error
    return scipy.sparse.csr_matrix(found) if scipy.sparse.issparse(found) else found


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


OPENERS: dict[str, Callable[[Path, str | None], Matrix]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".mtx": _open_mtx,
    ".zarr": _open_zarr,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
}
