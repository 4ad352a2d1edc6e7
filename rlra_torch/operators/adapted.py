"""Operators of other packages on pictures, as operators on pixels by bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Operator


class Adapted(Operator):
    """A foreign linear map of pictures, applied to each band on its own.

    It may offer ``A(x)`` and ``A_adjoint(y)`` on (batch, 1, rows, cols), or ``measure(x)`` and
    ``adjoint(y)`` on (batch, rows, cols); measurements may have any shape behind the batch.

    Args:
        camera: the foreign operator.
        shape: (rows, cols) of the picture.
        dtype: of its measurements.
        device: where it is.

    Raises:
        TypeError: it offers neither pair.

    Example:
        >>> class Halves:
        ...     def measure(self, x):
        ...         return x.flatten(-2) / 2
        ...     def adjoint(self, y):
        ...         return y / 2
        >>> Adapted(Halves(), (2, 2))(torch.ones(4, 1)).flatten()
        tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """

    input_ndim = 2
    output_ndim = 2

    def __init__(
        self,
        camera: Any,  # noqa: ANN401
        shape: Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.camera, self.shape, self.pixels = camera, tuple(shape), math.prod(shape)
        self._there, self._back, channel = _pair(camera)
        self._picture = (1, *self.shape) if channel else self.shape
        probe = self._there(torch.zeros(1, *self._picture, dtype=dtype, device=device))
        self._measured = tuple(probe.shape[1:])
        self.measurements = math.prod(self._measured)

    def forward(self, x: Tensor) -> Tensor:
        """``A X`` for X (*, n, p)."""
        return _through(self._there, x, self._picture)

    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T Y`` for Y (*, m, p)."""
        return _through(self._back, y, self._measured)


def _pair(camera: Any) -> tuple[Any, Any, bool]:  # noqa: ANN401
    pairs = (("measure", "adjoint", False), ("A", "A_adjoint", True))
    for there, back, channel in pairs:
        found = getattr(camera, there, None), getattr(camera, back, None)
        if callable(found[0]) and callable(found[1]):
            return found[0], found[1], channel
    raise TypeError(
        f"{type(camera).__name__} has neither measure and adjoint nor A and A_adjoint; "
        "give an operator with one of these pairs"
    )


def _through(f: Callable[[Tensor], Tensor], x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if x.shape[-2] != math.prod(shape):
        raise ValueError(
            f"this camera needs {math.prod(shape)} entries in the last but one dimension, "
            f"got shape {tuple(x.shape)}"
        )
    bands = x.mT
    return f(bands.reshape(-1, *shape)).reshape(*bands.shape[:-1], -1).mT
