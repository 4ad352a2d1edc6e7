"""Patterns from rows of Hadamard matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..functional.hadamard import exponent, pattern_order, walsh_hadamard
from .patterns import Patterns, checked, count_of, permutation


class SplitHadamard(Patterns):
    """Hadamard patterns, their positive parts and then their negative parts.

        A = [(1 + H_S) / 2; (1 - H_S) / 2]   without the row of zeros

    with H_S any rows of the Hadamard matrix of the pixels. All rows give ``A^T A = n/2 (I + 11^T)``
    and ``A^+ = 2/n (I - 11^T / (n + 1)) A^T``. It is diagonal in the Hadamard basis whatever the
    rows, so nothing costs more than two fast transforms, and no matrix is stored.

    Args:
        shape: of the picture, powers of two.
        order: as in `pattern_order`, or natural numbers of rows, (k,), each once.
        count: how many patterns are kept, the first ones; None: all.

    Raises:
        ValueError: sizes, orders or counts that are none.

    References:
        | Harwit, Sloane, Hadamard transform optics (1979), section 3.5
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 22.2

    Example:
        >>> phi = SplitHadamard((2, 2))
        >>> phi(torch.tensor([[1.0], [2.0], [3.0], [4.0]])).flatten()
        tensor([10.,  4.,  3.,  5.,  6.,  7.,  5.])
    """

    def __init__(
        self, shape: Sequence[int], order: str | Tensor = "natural", count: int | None = None
    ) -> None:
        chosen = _chosen(shape, order, count)
        self.whole = bool((chosen == 0).any())
        super().__init__(shape, 2 * len(chosen) - self.whole, math.prod(shape) / 2)
        self.register_buffer("chosen", chosen)
        self.register_buffer("pairs", (chosen != 0).nonzero().flatten())
        self.register_buffer("flat", (chosen == 0).nonzero().flatten())

    pairs: Tensor
    flat: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """``A X`` for X (*, n, p)."""
        x = self.seen(x)
        h = walsh_hadamard(x)
        total, h = h[..., :1, :], h[..., self.chosen, :]
        return torch.cat([total + h, (total - h)[..., self.pairs, :]], -2) / 2

    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T Y`` for Y (*, m, p)."""
        difference, _ = self._differences(y)
        total = y.sum(-2, keepdim=True)
        return (walsh_hadamard(self._placed(difference)) + total) / 2

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """Differences of pairs are coefficients; sums of pairs all estimate that of the pixels."""
        difference, ones = self._differences(y)
        total = (y.sum(-2, keepdim=True) + ones) / (len(self.pairs) + 2 * self.whole)
        coefficients = self._placed(difference)
        coefficients = torch.cat([total, coefficients[..., 1:, :]], -2)
        return walsh_hadamard(coefficients) / self.pixels

    def resolvent(self, z: Tensor, rho: float | Tensor) -> Tensor:
        n = self.pixels
        eigenvalues = z.new_zeros(n, 1)
        eigenvalues[self.chosen] = n / 2
        eigenvalues[0] = n / 2 * (len(self.pairs) + 2 * self.whole)
        return walsh_hadamard(walsh_hadamard(self.seen(z)) / (eigenvalues + rho)) / n

    def from_pairs(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Measurements where each pattern is followed by its negative.

        Args:
            y: (*, 2 k, p).

        Returns:
            y: (*, m, p) in the order of this operator.
            dark: (*, p) what was counted at the pattern of zeros; zero where it is not among them.

        Raises:
            ValueError: another number of measurements.
        """
        y = checked(y, 2 * len(self.chosen), "{} measurements, two for each pattern,")
        positive, negative = y[..., ::2, :], y[..., 1::2, :]
        dark = negative[..., self.flat, :].sum(-2)
        return torch.cat([positive, negative[..., self.pairs, :]], -2), dark

    def _differences(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Positive less negative measurements, and that of the pattern of ones (or zero)."""
        count = len(self.chosen)
        positive, negative = self.measured(y)[..., :count, :], y[..., count:, :]
        difference = positive.index_add(-2, self.pairs, negative, alpha=-1)
        ones = positive[..., self.flat, :].sum(-2, keepdim=True)
        return difference, ones

    def _placed(self, x: Tensor) -> Tensor:
        """Coefficients of the rows kept among all others, which are zero."""
        full = x.new_zeros((*x.shape[:-2], self.pixels, x.shape[-1]))
        return full.index_copy(-2, self.chosen, x)


class SMatrix(Patterns):
    """Hadamard patterns without the first row and column, ones for minus ones and zeros for ones.

        S = (1 - H') / 2,   S S^T = (n + 1)/4 (I + 11^T)

    Each pattern is measured once, none is split. For ``n = 2^k - 1`` pixels, such as 31 x 33.

    Args:
        shape: of the picture.
        order: "natural", "dyadic" or "sequency", or rows of the larger Hadamard matrix but the 0th.
        count: how many patterns are kept, the first ones; None: all.

    Raises:
        ValueError: sizes, orders or counts that are none.

    References:
        | Harwit, Sloane, Hadamard transform optics (1979), section 3.2

    Example:
        >>> SMatrix((3,))(torch.eye(3)).int().tolist()
        [[1, 0, 1], [0, 1, 1], [1, 1, 0]]
    """

    def __init__(
        self, shape: Sequence[int], order: str | Tensor = "natural", count: int | None = None
    ) -> None:
        larger = math.prod(shape) + 1
        rows = _chosen((larger,), order, None)
        rows = rows[rows != 0]
        rows = rows[: count_of(count, len(rows))]
        super().__init__(shape, len(rows), larger / 4)
        self.register_buffer("chosen", rows)

    def forward(self, x: Tensor) -> Tensor:
        """``S X`` for X (*, n, p)."""
        x = self.seen(x)
        h = walsh_hadamard(torch.nn.functional.pad(x, (0, 0, 1, 0)))
        return (h[..., :1, :] - h[..., self.chosen, :]) / 2

    def adjoint(self, y: Tensor) -> Tensor:
        """``S^T Y`` for Y (*, m, p)."""
        y = self.measured(y)
        full = y.new_zeros((*y.shape[:-2], self.pixels + 1, y.shape[-1]))
        h = walsh_hadamard(full.index_copy(-2, self.chosen, y))
        return (h[..., :1, :] - h)[..., 1:, :] / 2

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        rest = y - y.sum(-2, keepdim=True) / (self.measurements + 1)
        return 4 / (self.pixels + 1) * self.adjoint(rest)

    def resolvent(self, z: Tensor, rho: float | Tensor) -> Tensor:
        # (S^T S + rho)^-1 = (1 - S^T (S S^T + rho)^-1 S) / rho, with S S^T = c (I + 11^T).
        c = (self.pixels + 1) / 4
        seen = self(z)
        inner = (seen - c / (c * (self.measurements + 1) + rho) * seen.sum(-2, keepdim=True)) / (
            c + rho
        )
        return (z - self.adjoint(inner)) / rho


def _chosen(shape: Sequence[int], order: str | Tensor, count: int | None) -> Tensor:
    total = math.prod(shape)
    exponent(total)
    if isinstance(order, str):
        rows = pattern_order(tuple(shape), order)
    else:
        rows = permutation(order, total)
    return rows[: count_of(count, len(rows))]
