"""Data larger than memory, read in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ..kernels.pattern import from_scipy
from ..models import Factors
from .base import Data
from .given import given
from .rows import RowBlocks


@dataclass(frozen=True, eq=False)
class Chunks(RowBlocks):
    """A matrix that is read in chunks of rows, again in each pass over the data.

    Memory holds one chunk at a time. Iterations that update both factors from one pass, such as
    `JointMM`, read half as much as alternating ones.

    Args:
        chunks: gives the chunks in order each time it is iterated over: tensors, arrays or SciPy
            sparse matrices, (k, n) each, or pairs of a chunk and its weights, or `Data`. Such as
            a `DataLoader` that does not shuffle, or `RowsOf` an array on disk.
        shape: (m, n).
        dtype: what is computed in.
        device: where the factors are, and where each chunk is moved to.

    Example:
        >>> data = Chunks.of(np.ones((5, 3), dtype=np.float32), rows=2)
        >>> data.shape, [len(y.y) for y, _ in data.each()]
        (torch.Size([5, 3]), [2, 2, 1])
    """

    chunks: Iterable[Any]
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(
        cls,
        array: Any,  # noqa: ANN401
        rows: int | None = None,
        device: torch.device | str = "cpu",
    ) -> Chunks:
        """From an array that gives rows by slices: a NumPy memory map, zarr, or an HDF5 data set.

        Args:
            array: m x n, of float16, float32 or float64.
            rows: of a chunk; None: what makes 64 MB.
            device: where to compute.
        """
        if len(array.shape) != 2:
            raise ValueError(f"chunks of rows need a matrix, got shape {tuple(array.shape)}")
        dtype = _computing(array[:1].dtype)
        if rows is None:
            rows = max(1, int(2**26 // (array.shape[1] * dtype.itemsize)))
        return cls(RowsOf(array, rows), torch.Size(array.shape), dtype, torch.device(device))

    def each(self) -> Iterator[tuple[Data, Callable[[Factors], Factors]]]:
        start = 0
        for chunk in self.chunks:
            y, weights = (
                chunk if isinstance(chunk, (list, tuple)) and len(chunk) == 2 else (chunk, None)
            )
            y = y[0] if isinstance(y, (list, tuple)) else y
            moved = y if isinstance(y, Data) else self._moved(y)
            data = given(moved, None if weights is None else self._moved(weights))
            stop = start + data.shape[-2]

            def part(factors: Factors, rows: slice = slice(start, stop)) -> Factors:
                return factors[0][..., rows, :], factors[1]

            yield data, part
            start = stop
        if start != self.shape[0]:
            raise ValueError(f"the chunks have {start} rows together, not {self.shape[0]}")

    def stacked(self, found: list[Tensor]) -> Tensor:
        return torch.cat(found)

    def added(self, found: list[Tensor]) -> Tensor:
        return torch.stack(found).sum(0)

    def _moved(self, chunk: Any) -> Tensor:  # noqa: ANN401
        if isinstance(chunk, Tensor):
            return chunk.to(self.device)
        if scipy.sparse.issparse(chunk):
            return from_scipy(chunk).to(self.device)
        return torch.from_numpy(np.array(chunk)).to(self.device)


@dataclass(frozen=True)
class RowsOf:
    """The rows of an array, some at a time.

    Args:
        array: gives rows by slices.
        rows: how many at a time.

    Example:
        >>> [len(chunk) for chunk in RowsOf(np.ones((5, 2)), 3)]
        [3, 2]
    """

    array: Any
    rows: int

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self.array.shape[0], self.rows):
            yield self.array[start : start + self.rows]


def _computing(kind: Any) -> torch.dtype:  # noqa: ANN401
    name = str(kind).removeprefix("torch.")
    known = {"float16": torch.float32, "bfloat16": torch.float32, "float32": torch.float32}
    known["float64"] = torch.float64
    if name not in known:
        raise TypeError(f"the array is {name}; it must be float16, float32 or float64")
    return known[name]
