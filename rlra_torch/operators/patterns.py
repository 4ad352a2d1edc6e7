"""What a single-pixel camera measures: a picture through patterns, one after the other."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

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
    def resolvent(self, z: Tensor, rho: float | Tensor) -> Tensor:
        """``(A^T A + rho I)^-1 z`` for ``rho > 0``, one or one a column, in closed form."""

    def seen(self, x: Tensor) -> Tensor:
        """The picture, checked.

        Raises:
            ValueError: another number of pixels.
        """
        return checked(x, self.pixels, "a picture of {} pixels in its last but one dimension")

    def measured(self, y: Tensor) -> Tensor:
        """The measurements, checked.

        Raises:
            ValueError: another number of them.
        """
        return checked(y, self.measurements, "{} measurements in its last but one dimension")

    def extra_repr(self) -> str:
        return f"shape={self.shape}, measurements={self.measurements}"


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
        order = torch.arange(total) if order is None else permutation(order, total)
        chosen = order[: count_of(count, len(order))]
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

    def resolvent(self, z: Tensor, rho: float | Tensor) -> Tensor:
        weights = z.new_zeros(self.pixels, 1)
        weights[self.chosen] = 1
        return self.seen(z) / (weights + rho)


def permutation(order: Tensor, total: int) -> Tensor:
    order = torch.as_tensor(order)
    if order.is_floating_point() or order.ndim != 1 or len(order.unique()) != len(order):
        raise ValueError("an order is a list of whole numbers, each once")
    if len(order) == 0 or int(order.min()) < 0 or int(order.max()) >= total:
        raise ValueError(f"an order has numbers from 0 to {total - 1}, at least one")
    return order.long()


def count_of(count: int | None, total: int) -> int:
    if count is None:
        return total
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= total:
        raise ValueError(f"the number of patterns is from 1 to {total}, got {count!r}")
    return count


def checked(x: Tensor, count: int, wanted: str) -> Tensor:
    if x.ndim < 2 or x.shape[-2] != count:
        raise ValueError(f"this camera needs {wanted.format(count)}, got shape {tuple(x.shape)}")
    return x
