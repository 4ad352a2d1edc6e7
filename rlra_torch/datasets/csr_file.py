"""Rows of a sparse matrix, read from its file when they are asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import scipy.sparse


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
