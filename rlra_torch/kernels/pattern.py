"""Where a sparse matrix has its entries, and the sparse tensors of torch on it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

with warnings.catch_warnings():
    # torch says once that its CSR tensors are in beta.
    warnings.simplefilter("ignore")
    torch.zeros(1, 1).to_sparse_csr()


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where a sparse matrix has its entries, row by row.

    Args:
        crow: (m + 1,) where each row begins.
        col: (nnz,) the column of each entry, ascending in each row.
        shape: (m, n).

    Example:
        >>> pattern = Pattern.at(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1]), (2, 2))[0]
        >>> pattern.crow.tolist(), pattern.transposed.col.tolist()
        ([0, 1, 3], [1, 0, 1])
    """

    crow: Tensor
    col: Tensor
    shape: tuple[int, int]

    @classmethod
    def at(cls, row: Tensor, col: Tensor, shape: tuple[int, int]) -> tuple[Pattern, Tensor]:
        """The pattern of these positions, and the order in which it holds them.

        Args:
            row, col: (nnz,), each position once.
            shape: (m, n).
        """
        order = torch.argsort(row.long() * shape[1] + col.long())
        count = torch.bincount(row.long(), minlength=shape[0])
        crow = torch.cat((count.new_zeros(1), count.cumsum(0)))
        # In 32 bits where they suffice, which halves the traffic.
        short = max(*shape, len(col)) < 2**31
        kind = torch.int32 if short else torch.int64
        return cls(crow.to(kind), col[order].to(kind), shape), order

    @property
    def row(self) -> Tensor:
        """(nnz,) the row of each entry."""
        rows = torch.arange(self.shape[0], device=self.crow.device, dtype=self.crow.dtype)
        return rows.repeat_interleave(self.crow.diff(), output_size=len(self.col))

    @cached_property
    def order(self) -> Tensor:
        """(nnz,) which entry each one of the transpose is."""
        return self.transpose()[1]

    @cached_property
    def transposed(self) -> Pattern:
        """The pattern of the transpose."""
        return self.transpose()[0]

    def transpose(self) -> tuple[Pattern, Tensor]:
        """The transposed pattern and `order`, computed anew and not kept."""
        count, (m, n) = len(self.col), self.shape
        entries = torch.arange(count, dtype=self.col.dtype, device=self.col.device)
        if self.col.device.type == "cpu":
            parts = (entries.numpy(), self.col.numpy(), self.crow.numpy())
            turned = scipy.sparse.csr_array(parts, shape=self.shape).T.tocsr()
            crow, col, order = (
                torch.from_numpy(np.asarray(x))
                for x in (turned.indptr, turned.indices, turned.data)
            )
        else:
            turned = csr_of_parts(self.crow, self.col, entries, self.shape).to_sparse_csc()
            crow, col, order = turned.ccol_indices(), turned.row_indices(), turned.values()
        return Pattern(crow.to(self.crow.dtype), col.to(self.col.dtype), (n, m)), order

    def index(self, *operands: Tensor) -> list[Tensor]:
        """What the operators take; the transpose comes along where there is a derivative."""
        if not torch.is_grad_enabled() or not any(x.requires_grad for x in operands):
            return [self.crow, self.col]
        other = self.transposed
        return [self.crow, self.col, other.crow, other.col, self.order]


def csr_tensor(pattern: Pattern, values: Tensor) -> Tensor:
    """The sparse tensor of torch.

    Args:
        pattern: where the entries are.
        values: (nnz,).
    """
    return csr_of_parts(pattern.crow, pattern.col, values, pattern.shape)


def from_scipy(matrix: Any) -> Tensor:  # noqa: ANN401
    """A SciPy matrix as a sparse tensor, which shares its memory where it can.

    Args:
        matrix: m x n, in any format.
    """
    csr = scipy.sparse.csr_array(matrix)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    parts = (csr.indptr, csr.indices, csr.data)
    # torch reads neither foreign byte orders nor read-only memory.
    crow, col, values = (
        torch.from_numpy(np.require(x, x.dtype.newbyteorder("="), ["C", "W"])) for x in parts
    )
    m, n = matrix.shape
    return csr_of_parts(crow, col, values, (m, n))


def with_values(csr: Tensor, values: Tensor) -> Tensor:
    """A sparse tensor with other values.

    Args:
        csr: m x n.
        values: (nnz,).
    """
    return csr_of_parts(csr.crow_indices(), csr.col_indices(), values, (csr.shape[0], csr.shape[1]))


def csr_of_parts(crow: Tensor, col: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """The sparse tensor of torch, from the parts of a pattern that is known to be right.

    Args:
        crow: (m + 1,) where each row begins.
        col: (nnz,) the column of each entry.
        values: (nnz,).
        shape: (m, n).
    """
    return torch.sparse_csr_tensor(crow, col, values, size=shape, check_invariants=False)
