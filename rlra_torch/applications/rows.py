"""Data of a fit from a matrix in a file: whole, in chunks, or the rows of one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ..data import Chunks, Data, Dense, Sparse
from ..datasets.matrices import Matrix
from ..estimators.inputs import observations
from ..kernels.pattern import from_scipy
from .processes import Team


@dataclass(frozen=True)
class Source:
    """A matrix in a file, and how to compute with it.

    Args:
        matrix: gives rows by slices.
        weights: alike, nonnegative or boolean; 0 marks what is missing, and so does what sparse
            weights do not store. Or None.
        dtype: "float16", "float32" or "float64", what entries are turned into; half precision is
            computed with in single precision.
        device: where to compute.

    Raises:
        ValueError: weights of another shape.

    Example:
        >>> source = Source(np.ones((5, 3)), None, "float32", torch.device("cpu"))
        >>> source.part(slice(1, 3)).shape
        torch.Size([2, 3])
    """

    matrix: Matrix
    weights: Matrix | None
    dtype: str
    device: torch.device

    def __post_init__(self) -> None:
        if self.weights is not None and tuple(self.weights.shape) != tuple(self.matrix.shape):
            raise ValueError(
                f"the weights have shape {tuple(self.weights.shape)}, "
                f"the data {tuple(self.matrix.shape)}"
            )

    def part(self, rows: slice) -> Data:
        """Some rows, where NaN and no weight mean missing."""
        computed = "float32" if self.dtype == "float16" else self.dtype
        y = self._tensor(self.matrix[rows], self.dtype)
        weights = None
        if self.weights is not None:
            weights = self._tensor(self.weights[rows], computed)
        return observations(y, weights, sparse=True)

    def _tensor(self, array: Any, dtype: str) -> Tensor:  # noqa: ANN401
        if scipy.sparse.issparse(array):
            return from_scipy(array.astype(dtype)).to(self.device)
        # Own memory: torch does not read what is mapped from a file that must not change.
        return torch.from_numpy(np.array(array, dtype=dtype, order="C")).to(self.device)


@dataclass(frozen=True)
class Pieces:
    """Some rows of a matrix, a few at a time.

    Args:
        source: the matrix.
        rows: which.
        size: how many at a time.
        masked: whether each piece gets weights, which all pieces have or none.
    """

    source: Source
    rows: slice
    size: int
    masked: bool = False

    def __iter__(self) -> Iterator[Data]:
        for start in range(self.rows.start, self.rows.stop, self.size):
            found = self.source.part(slice(start, min(start + self.size, self.rows.stop)))
            yield _with_weights(found) if self.masked else found


def read(source: Source, rows: slice, size: int | None, team: Team) -> Data:
    """The rows of one process, whole or in chunks.

    Args:
        source: the matrix.
        rows: which.
        size: the rows of a chunk; None: all of them are read now.
        team: the processes, which have weights all together or not at all.

    Example:
        >>> source = Source(np.ones((5, 3)), None, "float32", torch.device("cpu"))
        >>> read(source, slice(0, 5), 2, Team(0, 1, source.device, None)).shape
        torch.Size([5, 3])
    """
    if size is None:
        data = source.part(rows)
        return _with_weights(data) if team.any(_has_weights(data)) else data
    pieces = Pieces(source, rows, size)
    dtype = torch.float64 if source.dtype == "float64" else torch.float32
    masked = team.any(any([_has_weights(piece) for piece in pieces]))
    shape = torch.Size((rows.stop - rows.start, source.matrix.shape[1]))
    return Chunks(replace(pieces, masked=masked), shape, dtype, source.device)


def _has_weights(data: Data) -> bool:
    assert isinstance(data, Dense | Sparse)
    return (data.weights if isinstance(data, Dense) else data.entries.weights) is not None


def _with_weights(data: Data) -> Data:
    """The same data with weights of 1 where it had none, which changes the shape of its blocks."""
    if _has_weights(data):
        return data
    if isinstance(data, Dense):
        return replace(data, weights=torch.ones_like(data.y, dtype=data.dtype))
    assert isinstance(data, Sparse)
    ones = torch.ones_like(data.entries.y)
    return replace(data, entries=data.entries._replace(weights=ones))
