"""Gains that small networks predict from a factor (RALMU)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..functional.arguments import whole_number


class ConvolutionalGain(nn.Module):
    """The gain of each entry of a factor, from the entries around it in the same column.

        A = exp(tanh(net(x / mean(x)))),  between 1/e and e, and 1 at the start

    One network of three convolutions serves all columns, so that it fits any rank, any number of
    rows and any scale, and the order of the components does not matter.

    Args:
        hidden: channels.
        kernel: width of the convolutions, odd.
        image: (rows, cols) where the rows of the factor are the pixels of an image, row by row, and
            convolutions run over it; None: along the rows, as for spectra.

    Raises:
        ValueError: a kernel that is not odd.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.3

    Example:
        >>> ConvolutionalGain()(torch.rand(30, 2)).detach().unique()
        tensor([1.])
    """

    def __init__(
        self, hidden: int = 16, kernel: int = 5, image: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        hidden = whole_number("the channels of a gain", hidden)
        if whole_number("the kernel of a gain", kernel) % 2 == 0:
            raise ValueError(f"the kernel of a gain must be odd, got {kernel}")
        self.image = None if image is None else tuple(image)
        conv = nn.Conv1d if image is None else nn.Conv2d
        self.net = nn.Sequential(
            conv(1, hidden, kernel, padding="same"),
            nn.GELU(),
            conv(hidden, hidden, kernel, padding="same"),
            nn.GELU(),
            conv(hidden, 1, kernel, padding="same"),
        )
        _start_at_zero(self.net[-1])

    def forward(self, x: Tensor) -> Tensor:
        """The gain, like ``x``.

        Args:
            x: (*, rows, rank), nonnegative.

        Raises:
            ValueError: the rows are not the pixels of the image.
        """
        columns = x.mT.to(_dtype(self))
        columns = columns / columns.mean(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        shape = (x.shape[-2],) if self.image is None else self.image
        if math.prod(shape) != x.shape[-2]:
            raise ValueError(
                f"the gain was made for an image of {shape} pixels, but the factor has "
                f"{x.shape[-2]} rows"
            )
        found = self.net(columns.reshape(-1, 1, *shape)).tanh().exp()
        return found.reshape(columns.shape).mT.to(x.dtype)


class RowGain(nn.Module):
    """The gain of each entry of a factor, from its share of its row and from the other shares.

        A_ik = exp(tanh(net(p_ik, max_j p_ij, sum_j p_ij^2))),  p_ij = x_ij / sum_j x_ij

    between 1/e and e, and 1 at the start. It can make abundances sparser or flatter than the data
    alone would; the order of the components, their number and the scale do not matter.

    Args:
        hidden: units of the two layers.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.3

    Example:
        >>> RowGain()(torch.rand(30, 2)).detach().unique()
        tensor([1.])
    """

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        hidden = whole_number("the units of a gain", hidden)
        self.net = nn.Sequential(
            nn.Linear(3, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, 1),
        )
        _start_at_zero(self.net[-1])

    def forward(self, x: Tensor) -> Tensor:
        """The gain, like ``x``.

        Args:
            x: (*, rows, rank), nonnegative.
        """
        total = x.sum(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        share = (x / total).to(_dtype(self))
        largest = share.amax(-1, keepdim=True).expand_as(share)
        purity = share.square().sum(-1, keepdim=True).expand_as(share)
        features = torch.stack((share, largest, purity), -1)
        return self.net(features)[..., 0].tanh().exp().to(x.dtype)


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
