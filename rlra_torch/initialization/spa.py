"""Successive projection: a start made of columns of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.pixels import column_norms, pieces, select_columns, waits_for_nothing

_CANDIDATES = 256


def spa_indices(y: Tensor, rank: int) -> Tensor:
    """Indices of `rank` columns of Y chosen by successive projection.

    R = Y; repeat: k = argmax ||R[:, k]||, u = R[:, k] / ||R[:, k]||, R = R - u uᵀ R. Residual
    norms that differ by rounding only are ties; the column of largest norm in Y wins, then the
    lowest index, and none is chosen twice. Columns with NaN or infinite values are not chosen. Once
    the residual vanishes (rank-deficient data) the lowest unused indices follow.

    Args:
        y: Data, shape (*, m, n); the columns are the samples.
        rank: Number of indices, at most n.

    Returns:
        Indices, int64, shape (*, rank), in order of choice.

    Raises:
        ValueError: If rank is not between 1 and n.

    References:
        N. Gillis and S. A. Vavasis, Fast and robust recursive algorithms for separable
        nonnegative matrix factorization, IEEE TPAMI 36, 2014, algorithm 1.

    Example:
        >>> spa_indices(torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 3.0]]), 2)
        tensor([2, 1])
    """
    check_columns("spa", y, rank)
    return with_unused(successive_projection(y, rank), y.shape[-1])


def check_columns(name: str, y: Tensor, rank: int) -> None:
    """Check that there are as many columns as a start selects.

    Raises:
        ValueError: If rank is not between 1 and n.
    """
    columns = y.shape[-1]
    if not 1 <= rank <= columns:
        raise ValueError(
            f"{name} was given rank {rank} for data of shape {tuple(y.shape)}, whose columns it "
            f"selects; choose a rank between 1 and {columns}."
        )


def with_unused(chosen: Tensor, columns: int) -> Tensor:
    """Indices with the lowest that are unused in the place of each -1.

    Args:
        chosen: Indices, (*, r), r at most the number of columns.
        columns: How many columns there are.

    Example:
        >>> with_unused(torch.tensor([1, -1, -1]), 4)
        tensor([1, 0, 2])
    """
    missing = chosen < 0
    used = torch.zeros(*chosen.shape[:-1], columns + 1, dtype=torch.uint8, device=chosen.device)
    used = used.scatter(-1, chosen.where(~missing, columns), 1)[..., :columns]
    unused = used.argsort(dim=-1, stable=True)
    return chosen.where(~missing, unused.gather(-1, (missing.cumsum(-1) - 1).clamp_min(0)))


def spa(y: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Columns of Y chosen by successive projection, with clamped least-squares coefficients.

    W = Y[:, K] with K from `spa_indices`, H = max((W⁺ Y)ᵀ, 0) with W⁺ the pseudo-inverse. Exact
    for separable data, where the columns of Y are conic combinations of `rank` of them that are
    linearly independent (the coefficients of each summing to at most one).

    Args:
        y: Nonnegative data, shape (*, m, n).
        rank: Number of components, at most n.

    Returns:
        W of shape (*, m, rank) and H of shape (*, n, rank).

    Raises:
        ValueError: If rank is not between 1 and n.

    References:
        N. Gillis and S. A. Vavasis, Fast and robust recursive algorithms for separable
        nonnegative matrix factorization, IEEE TPAMI 36, 2014.

    Example:
        >>> w, h = spa(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> h.round(decimals=4)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    y = y.detach() if y.layout == torch.strided else y.detach().to_dense()
    w = select_columns(y, spa_indices(y, rank))
    return w, (torch.linalg.pinv(w) @ y).mT.clamp_min(0)


def successive_projection(
    y: Tensor, rank: int, allowed: Tensor | None = None, norms: Tensor | None = None
) -> Tensor:
    """What `spa_indices` computes, with -1 where the residual has vanished.

    Args:
        y: Data, shape (*, m, n).
        rank: Number of indices, at least 1.
        allowed: Columns that may be chosen, bool, shape (*, n); None: all that are finite.
        norms: Of the columns, shape (*, n), if they are known.

    Returns:
        Indices, int64, shape (*, rank), in order of choice.

    Example:
        >>> successive_projection(torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0]]), 2)
        tensor([ 1, -1])
    """
    left = ProjectedColumns(y, allowed, norms)
    tolerance = 20 * rank * torch.finfo(y.dtype).eps
    chosen = []
    for step in range(rank):
        chosen.append(left.largest(tolerance))
        if step < rank - 1:
            left.project_out(select_columns(left.data, chosen[-1]))
    return torch.cat(chosen, -1)


class ProjectedColumns:
    """The columns of a matrix orthogonal to those that were projected out, never formed.

    Their squared norms are kept, ||m||² - Σ (uᵢᵀ m)², so that each direction takes one product
    with the data and the memory is that of one row. This cancels; so the norms of those columns
    that may be the longest are computed anew from the data, and of all where these are too many
    (on other devices than the CPU always, for there the host would have to wait for the device).

    Args:
        data: (*, m, n).
        allowed: Columns that count, bool, (*, n); those that are not finite never do.
        norms: Of the columns, (*, n), if they are known.

    Example:
        >>> left = ProjectedColumns(torch.tensor([[4.0, 1.0], [0.0, 2.0]]))
        >>> left.project_out(torch.tensor([[1.0], [0.0]]))
        >>> left.norms
        tensor([0.0000, 0.5000])
    """

    def __init__(
        self, data: Tensor, allowed: Tensor | None = None, norms: Tensor | None = None
    ) -> None:
        self.data = data.detach()
        norms = column_norms(self.data) if norms is None else norms
        finite = norms.isfinite()
        self.allowed = finite if allowed is None else finite & allowed
        norms = torch.where(self.allowed, norms, 0)
        largest = norms.amax(-1, keepdim=True)
        self.scale = torch.where(largest > 0, largest, 1)
        self.original = norms / self.scale
        self.basis = self.data.new_empty((*data.shape[:-1], 0))
        self.looks = waits_for_nothing(self.data)
        # On the CPU what does not count is minus infinity.
        self.squares = torch.where(self.allowed, self.original.square(), -torch.inf)
        self.finite = not self.looks or bool(finite.all())

    def project_out(self, column: Tensor) -> None:
        """Make all columns orthogonal to one more, (*, m, 1)."""
        direction = self.rest(column)
        self.basis = torch.cat([self.basis, direction], -1)
        if self.looks:
            heights = (self.data.mT @ (direction / self.scale.unsqueeze(-1)))[..., 0]
            self.squares.addcmul_(heights, heights, value=-1)
            if not self.finite:
                self.squares.nan_to_num_(-torch.inf)

    def rest(self, column: Tensor) -> Tensor:
        """The direction of what is new in a column, (*, m, 1); 0 where that is rounding noise."""
        column = column / self.scale.unsqueeze(-1)
        rest = self._complement(self._complement(column))
        size, new = (torch.linalg.vector_norm(x, dim=-2, keepdim=True) for x in (column, rest))
        noise = 20 * torch.finfo(column.dtype).eps * size
        return torch.where(new > noise, rest / torch.where(new > 0, new, 1), 0)

    @property
    def norms(self) -> Tensor:
        """Those of all columns, (*, n), relative to the longest column of the data."""
        parts = [self._lengths(self.data[..., where]) for where in pieces(self.data, 3)]
        return torch.where(self.allowed, torch.cat(parts, -1), -1)

    def largest(self, tolerance: float) -> Tensor:
        """The index (*, 1) of the longest column, which then no longer counts.

        It is -1 where all are at most ``tolerance`` times as long as the longest of the data.
        """
        columns, norms = self._longest(tolerance)
        original = self.original if columns is None else self.original.gather(-1, columns)
        index, found = first_of_longest(columns, norms, original, tolerance)
        self.allowed = self.allowed.scatter(-1, index, False)
        if self.looks:
            self.squares.scatter_(-1, index, -torch.inf)
        return torch.where(found, index, -1)

    def _longest(self, tolerance: float) -> tuple[Tensor | None, Tensor]:
        """Columns (*, k) among which are all of the largest norm, or None for all; their norms."""
        if not self.basis.shape[-1]:
            return None, torch.where(self.allowed, self.original, -1)
        if not self.looks:
            return None, self.norms
        rounding = 32 * self.basis.shape[-1] * torch.finfo(self.data.dtype).eps
        first = self._lengths(select_columns(self.data, self.squares.argmax(-1, keepdim=True)))
        least = (first - tolerance).clamp_min(0).square() - rounding
        # What rounding could hide: no column that is left out can be as long as the first.
        several = _padded(self.squares >= least)
        if several is None:
            return None, self.norms
        norms = self._lengths(select_columns(self.data, several))
        return several.clamp_min(0), torch.where(several < 0, -1, norms)

    def _lengths(self, columns: Tensor) -> Tensor:
        return torch.linalg.vector_norm(
            self._complement(columns / self.scale.unsqueeze(-1)), dim=-2
        )

    def _complement(self, columns: Tensor) -> Tensor:
        return columns - self.basis @ (self.basis.mT @ columns)


def _padded(mask: Tensor) -> Tensor | None:
    """The indices of what is true in each row, filled up with -1; None where they are many."""
    row, column = torch.nonzero(mask.reshape(-1, mask.shape[-1]), as_tuple=True)
    count = row.bincount(minlength=mask.shape[:-1].numel())
    width = max(1, int(count.amax()))
    if width > _CANDIDATES:
        return None
    place = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    out = torch.full((len(count), width), -1, device=mask.device)
    out[row, place] = column
    return out.reshape(*mask.shape[:-1], width)


def first_of_longest(
    columns: Tensor | None, norms: Tensor, original: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Which column to choose: the longest, by ties the one of largest original norm, the first.

    Args:
        columns: Indices of the columns, (*, k), or None for 0, 1, ...
        norms: What is compared, (*, k); negative where a column does not count.
        original: Norms of the columns in the data, (*, k).
        tolerance: Norms that differ by less are ties; smaller ones are zero.

    Returns:
        The index, (*, 1), and whether there is one whose norm is not zero, (*, 1).

    Example:
        >>> norms = torch.tensor([1.0, 2.0, 2.0])
        >>> first_of_longest(None, norms, torch.tensor([9.0, 3.0, 4.0]), 1e-6)
        (tensor([2]), tensor([True]))
    """
    best = norms.amax(-1, keepdim=True)
    original = torch.where(norms >= best - tolerance, original, -1)
    ties = original >= original.amax(-1, keepdim=True) - tolerance
    if columns is None:
        # The first of the largest values.
        return ties.to(torch.uint8).argmax(-1, keepdim=True), best > tolerance
    columns = torch.where(ties, columns, torch.iinfo(torch.int64).max)
    return columns.amin(-1, keepdim=True), best > tolerance
