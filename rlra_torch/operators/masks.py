"""Entries that are seen, and by how much."""

from __future__ import annotations

from torch import Tensor

from .base import Operator


class Mask(Operator):
    """``(Phi X)_i = mask_i X_i``: what is not seen is 0, in the prediction and in the data.

    Missing entries are weights of a `Problem`; a mask is for what an instrument does, such as the
    coded aperture of a camera, and stands among other operators.

    Args:
        mask: any real numbers; it broadcasts with leading dimensions of predictions.

    Example:
        >>> import torch
        >>> Mask(torch.tensor([1.0, 0.0]))(torch.tensor([[3.0, 4.0]]))
        tensor([[3., 0.]])
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.input_ndim = self.output_ndim = mask.ndim

    def forward(self, x: Tensor) -> Tensor:
        return self.mask * x

    def adjoint(self, y: Tensor) -> Tensor:
        return self.mask * y

    def squared_norm(self) -> Tensor:
        return self.mask.square().amax()
