"""Moments of a Kullback-Leibler regression ``y ~ x A^T`` in one column of ``x`` after the other.

With ``p = x A^T`` the sweeps of coordinate descent ask, column by column, for

    sum_j y_j A_jq / p_j    and    sum_j y_j A_jq^2 / p_j^2

of each row, and then move that column. Rows are independent, so a few of them are taken at a time:
as many as stay in the cache until all columns are done. Everything is in place, without derivative.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

TILE = 2**16
"""Entries of a tile on a CPU, whose three copies in double precision a cache holds."""


class Tile:
    """Some rows of the regression, their prediction kept up to date.

    Args:
        y: (rows, n) data, each entry times its weight.
        basis: ``A^T``, (r, n), contiguous.
        squared: its square.
        x: (rows, r).
        floor: below what no prediction falls, positive.

    Example:
        >>> basis = torch.ones(1, 2)
        >>> tile = Tile(torch.tensor([[1.0, 3.0]]), basis, basis, torch.ones(1, 1), 1e-9)
        >>> tile.add(0, torch.ones(1))
        >>> tile.moments(0)
        (tensor([2.]), tensor([1.]))
    """

    def __init__(self, y: Tensor, basis: Tensor, squared: Tensor, x: Tensor, floor: float) -> None:
        self.y, self.basis, self.squared = y.contiguous(), basis, squared
        self.floor = floor
        self.prediction = (x @ basis).clamp_min_(self.floor)
        self.ratio = torch.empty_like(self.prediction)

    def moments(self, q: int) -> tuple[Tensor, Tensor]:
        """The two sums of column ``q``, each (rows,)."""
        torch.div(self.y, self.prediction, out=self.ratio)
        first = self.ratio @ self.basis[q]
        self.ratio.div_(self.prediction)
        return first, self.ratio @ self.squared[q]

    def add(self, q: int, change: Tensor) -> None:
        """Change column ``q`` by (rows,)."""
        self.prediction.addr_(change, self.basis[q]).clamp_min_(self.floor)


def tiles(
    x: Tensor, y: Tensor, weights: Tensor | None, basis: Tensor, floor: float
) -> Iterator[tuple[slice, Tile]]:
    """Which rows a tile holds, and the tile, one after the other.

    Args:
        x: (rows, r).
        y: (rows, n) data.
        weights: of its entries, or None.
        basis: ``A^T``, (r, n).
        floor: as in `Tile`.

    Example:
        >>> [(rows, _)] = tiles(torch.ones(3, 1), torch.ones(3, 2), None, torch.ones(1, 2), 1e-9)
        >>> rows
        slice(0, 3, None)
    """
    basis = basis.contiguous()
    squared = basis.square()
    height = max(TILE // y.shape[1], 1) if y.device.type == "cpu" else y.shape[0]
    for start in range(0, y.shape[0], height):
        rows = slice(start, min(start + height, y.shape[0]))
        data = y[rows] if weights is None else weights[rows] * y[rows]
        yield rows, Tile(data.to(x.dtype), basis, squared, x[rows], floor)
