"""Kernels of norm one."""

from __future__ import annotations

from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.proximal import normalize_l2
from .base import Regularizer


class Sphere(Regularizer):
    """``||x_k|| = 1`` over the ``order`` dimensions before the last, and ``x >= 0`` if wanted.

    For the kernels of a `Convolutive` model: those of images have an order of 2, those with
    channels one more. For the columns of a matrix it is `UnitNorm`.

    Args:
        order: how many dimensions each of the ``K`` kernels of a factor (*, ..., K) has.
        nonnegative: whether entries are nonnegative too.

    Raises:
        ValueError: an order below 1.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), section II

    Example:
        >>> import torch
        >>> Sphere(order=2).prox(torch.tensor([[[3.0]], [[4.0]]]), 1.0).flatten()
        tensor([0.6000, 0.8000])
    """

    convex = False

    def __init__(self, order: int = 1, nonnegative: bool = False) -> None:
        super().__init__()
        self.order = whole_number("the order of Sphere", order)
        self.nonnegative, self.couples = nonnegative, tuple(range(-order - 1, -1))

    def forward(self, x: Tensor) -> Tensor:
        """0: a constraint that is met costs nothing."""
        return x.new_zeros(x.shape[:-2])

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The projection; the step does not matter."""
        flat = x.flatten(-self.order - 1, -2)
        return normalize_l2(flat, -2, nonnegative=self.nonnegative).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"order={self.order}, nonnegative={self.nonnegative}"
