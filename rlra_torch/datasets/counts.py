"""Sparse tables of counts: documents x terms, cells x genes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from rlra_torch.datasets.cache import data_folder
from rlra_torch.datasets.matrices import load_matrix


class Counts(NamedTuple):
    """A sparse table of counts.

    Attributes:
        counts: (rows, columns), sparse CSR; what is not stored is zero.
        rows: A name or label for each row; empty where there is none.
        columns: A name for each column; empty where there is none.
    """

    counts: Tensor
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def load_counts(source: str | os.PathLike[str], dtype: torch.dtype = torch.float32) -> Counts:
    """Read a sparse table of counts.

    Args:
        source: ``"debian"`` (the descriptions of Debian's packages: rows are labelled with the
            section of a package, columns are terms), or the path of a matrix as
            ``scipy.sparse.save_npz`` writes it (with arrays ``rows`` and ``columns`` of names
            beside it in the file, where there are) or of a MatrixMarket ``.mtx`` file.
        dtype: Floating-point type of the counts.

    Raises:
        FileNotFoundError: There is no such file, or the data set was not built yet.
        ValueError: The file cannot be read, or has values that are negative, not finite or not
            real, or names that do not fit.
        TypeError: ``dtype`` is not a floating-point type.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "table.npz"
        >>> scipy.sparse.save_npz(path, scipy.sparse.csr_array([[0, 3], [1, 0]]))
        >>> load_counts(path).counts.to_dense()
        tensor([[0., 3.],
                [1., 0.]])
    """
    if not dtype.is_floating_point:
        raise TypeError(f"counts need a floating-point dtype, not {dtype}")
    path = debian_path() if source == "debian" else Path(source)
    if path.suffix not in (".npz", ".mtx"):
        raise ValueError(
            f"'{path}' is not a table that can be read; give 'debian', or a file that ends in "
            ".npz (scipy.sparse.save_npz) or .mtx (MatrixMarket)"
        )
    if not path.is_file():
        command = "; build it with: python scripts/fetch_data.py debian"
        raise FileNotFoundError(f"no file '{path}'{command if source == 'debian' else ''}")
    matrix = load_matrix(path)
    if not scipy.sparse.issparse(matrix):
        raise ValueError(f"'{path}' holds no sparse matrix")
    rows, columns = _names(path) if path.suffix == ".npz" else ((), ())
    counts = _checked(scipy.sparse.csr_array(matrix), path, dtype)
    for what, names, size in zip(("rows", "columns"), (rows, columns), counts.shape, strict=True):
        if names and len(names) != size:
            raise ValueError(f"'{path}' has {size} {what} but {len(names)} names for them")
    return Counts(counts, rows, columns)


def debian_path() -> Path:
    """Where the descriptions of Debian's packages lie once they are built."""
    return data_folder() / "debian.npz"


def _names(path: Path) -> Iterator[tuple[str, ...]]:
    """The arrays of names beside a matrix."""
    with np.load(path, allow_pickle=False) as arrays:
        for key in ("rows", "columns"):
            yield tuple(str(name) for name in arrays[key].tolist()) if key in arrays else ()


def _checked(matrix: scipy.sparse.csr_array, path: Path, dtype: torch.dtype) -> Tensor:
    matrix.sum_duplicates()
    values = matrix.data.astype(np.float64)
    wrong = int((~(np.isfinite(values) & (values >= 0))).sum())
    if wrong:
        raise ValueError(f"'{path}' has {wrong} values that are negative or not finite; fix them")
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(values).to(dtype),
        size=tuple(matrix.shape or ()),
        check_invariants=True,
    )
