"""What a single-pixel camera measures: a picture through patterns, one after the other."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..functional.hadamard import exponent, pattern_order, walsh_hadamard
from .base import Operator


class Patterns(Operator):
    """Rows of zeros and ones that weigh the pixels, ``(*, n, bands) -> (*, m, bands)``.

    A new kind writes the transforms, and its pseudo-inverse in closed form.

    Args:
        shape: of the picture, (rows, cols), or (n,); pixels are in row-major order.
        pixels: n.
        measurements: m.
        curvature: what `A^T A` multiplies most pictures of mean zero by.
    """

    input_ndim = 2
    output_ndim = 2
    chosen: Tensor

    def __init__(self, shape: Sequence[int], measurements: int, curvature: float) -> None:
        super().__init__()
        self.curvature = curvature
        self.shape, self.pixels = tuple(shape), math.prod(shape)
        self.measurements = measurements

    @abstractmethod
    def pseudo_inverse(self, y: Tensor) -> Tensor:
        """``A^+ y``, the least-squares picture of least norm, in closed form."""

    @abstractmethod
    def resolvent(self, z: Tensor, rho: float) -> Tensor:
        """``(A^T A + rho I)^-1 z`` for ``rho > 0``, in closed form."""

    def seen(self, x: Tensor) -> Tensor:
        """The picture, checked.

        Raises:
            ValueError: another number of pixels.
        """
        return _checked(x, self.pixels, "a picture of {} pixels in its last but one dimension")

    def measured(self, y: Tensor) -> Tensor:
        """The measurements, checked.

        Raises:
            ValueError: another number of them.
        """
        return _checked(y, self.measurements, "{} measurements in its last but one dimension")

    def extra_repr(self) -> str:
        return f"shape={self.shape}, measurements={self.measurements}"


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

    pairs: Tensor

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

    def resolvent(self, z: Tensor, rho: float) -> Tensor:
        n = self.pixels
        eigenvalues = z.new_full((n, 1), rho)
        eigenvalues[self.chosen] += n / 2
        eigenvalues[0] = rho + n / 2 * (len(self.pairs) + 2 * self.whole)
        return walsh_hadamard(walsh_hadamard(self.seen(z)) / eigenvalues) / n

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
        y = _checked(y, 2 * len(self.chosen), "{} measurements, two for each pattern,")
        positive, negative = y[..., ::2, :], y[..., 1::2, :]
        dark = negative[..., self.chosen == 0, :].sum(-2)
        return torch.cat([positive, negative[..., self.pairs, :]], -2), dark

    def _differences(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Positive less negative measurements, and that of the pattern of ones (or zero)."""
        count = len(self.chosen)
        positive, negative = self.measured(y)[..., :count, :], y[..., count:, :]
        difference = positive.index_add(-2, self.pairs, negative, alpha=-1)
        ones = positive[..., self.chosen == 0, :].sum(-2, keepdim=True)
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
        rows = rows[: _count(count, len(rows))]
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

    def resolvent(self, z: Tensor, rho: float) -> Tensor:
        # (S^T S + rho)^-1 = (1 - S^T (S S^T + rho)^-1 S) / rho, with S S^T = c (I + 11^T).
        c = (self.pixels + 1) / 4
        seen = self(z)
        inner = (seen - c / (c * (self.measurements + 1) + rho) * seen.sum(-2, keepdim=True)) / (
            c + rho
        )
        return (z - self.adjoint(inner)) / rho


class RasterScan(Patterns):
    """One pixel after the other, all or some.

    Args:
        shape: of the picture.
        count: how many pixels are measured, the first ones; None: all.
        order: numbers of the pixels, (k,), each once; None: row by row.

    Raises:
        ValueError: counts or numbers that are none.

    Example:
        >>> RasterScan((2, 2), 3)(torch.arange(4.0)[:, None]).flatten()
        tensor([0., 1., 2.])
    """

    def __init__(
        self, shape: Sequence[int], count: int | None = None, order: Tensor | None = None
    ) -> None:
        total = math.prod(shape)
        order = torch.arange(total) if order is None else _permutation(order, total)
        chosen = order[: _count(count, len(order))]
        super().__init__(shape, len(chosen), 1.0)
        self.register_buffer("chosen", chosen)

    def forward(self, x: Tensor) -> Tensor:
        """The pixels chosen of X (*, n, p)."""
        return self.seen(x)[..., self.chosen, :]

    def adjoint(self, y: Tensor) -> Tensor:
        """Pixels in their places, zero elsewhere."""
        y = self.measured(y)
        full = y.new_zeros((*y.shape[:-2], self.pixels, y.shape[-1]))
        return full.index_copy(-2, self.chosen, y)

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        return self.adjoint(y)

    def resolvent(self, z: Tensor, rho: float) -> Tensor:
        weights = z.new_full((self.pixels, 1), rho)
        weights[self.chosen] += 1
        return self.seen(z) / weights


def _chosen(shape: Sequence[int], order: str | Tensor, count: int | None) -> Tensor:
    total = math.prod(shape)
    exponent(total)
    if isinstance(order, str):
        rows = pattern_order(tuple(shape), order)
    else:
        rows = _permutation(order, total)
    return rows[: _count(count, len(rows))]


def _permutation(order: Tensor, total: int) -> Tensor:
    order = torch.as_tensor(order)
    if order.is_floating_point() or order.ndim != 1 or len(order.unique()) != len(order):
        raise ValueError("an order is a list of whole numbers, each once")
    if len(order) == 0 or int(order.min()) < 0 or int(order.max()) >= total:
        raise ValueError(f"an order has numbers from 0 to {total - 1}, at least one")
    return order.long()


def _count(count: int | None, total: int) -> int:
    if count is None:
        return total
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= total:
        raise ValueError(f"the number of patterns is from 1 to {total}, got {count!r}")
    return count


def _checked(x: Tensor, count: int, wanted: str) -> Tensor:
    if x.ndim < 2 or x.shape[-2] != count:
        raise ValueError(f"this camera needs {wanted.format(count)}, got shape {tuple(x.shape)}")
    return x
