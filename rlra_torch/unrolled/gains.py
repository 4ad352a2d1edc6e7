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
        image: (height, width) where the rows of the factor are the pixels of an image, row by row,
            and convolutions run over it; None: along the rows, as for spectra.

    Raises:
        ValueError: a kernel that is not odd, or an image that is not two whole numbers.

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
        self.image = None if image is None else _sizes(image)
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
        shape = (x.shape[-2],) if self.image is None else self.image
        if math.prod(shape) != x.shape[-2]:
            raise ValueError(
                f"the gain was made for an image of {shape} pixels, but the factor has "
                f"{x.shape[-2]} rows"
            )
        columns = x.mT
        mean = columns.mean(-1, keepdim=True)
        columns = (columns / torch.where(mean > 0, mean, 1)).to(_dtype(self))
        found = self.net(columns.reshape(-1, 1, *shape)).tanh().exp()
        return found.reshape(columns.shape).mT.to(x.dtype)


class RowGain(nn.Module):
    """The gain of each entry of a factor, from its share of its row, the other shares, the sum.

        A_ik = exp(tanh(net(p_ik, max_j p_ij, sum_j p_ij^2, log(t_i / mean(t))))),
        p_ij = x_ij / t_i,   t_i = sum_j x_ij,   ``t_i / mean(t)`` cut to [1/20, 20]

    It lies between 1/e and e, and is 1 at the start. On abundances it learns how mixed pixels are
    and that they sum to one; on spectra, how components differ within a band. The order of the
    components, their number and the scale do not matter.

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
            nn.Linear(4, hidden),
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
        total = x.sum(-1, keepdim=True)
        share = (x / torch.where(total > 0, total, 1)).to(_dtype(self))
        largest = share.amax(-1, keepdim=True).expand_as(share)
        purity = share.square().sum(-1, keepdim=True).expand_as(share)
        mean = total.mean(-2, keepdim=True)
        relative = (total / torch.where(mean > 0, mean, 1)).clamp(0.05, 20).log()
        features = torch.stack(
            (share, largest, purity, relative.to(share.dtype).expand_as(share)), -1
        )
        return self.net(features)[..., 0].tanh().exp().to(x.dtype)


class ComponentGain(nn.Module):
    """A gain of the entries of each component, whatever stands before it in the rank of the block.

    The block of activations (frames, notes) is one row of frames times notes, because a convolution
    ties the frames; the gain sees them as rows of notes, as it would those of a matrix.

    Args:
        gain: from (*, entries, components) to what broadcasts with it.
        components: their number, the last dimension of the factor.

    Example:
        >>> from rlra_torch.iterations import Gain
        >>> gain = ComponentGain(Gain(2), 2)
        >>> gain(torch.rand(1, 1, 30 * 2)).shape
        torch.Size([1, 1, 60])
    """

    def __init__(self, gain: nn.Module, components: int) -> None:
        super().__init__()
        self.gain, self.components = gain, whole_number("the number of components", components)

    def forward(self, x: Tensor) -> Tensor:
        """The gain, like ``x``.

        Args:
            x: (*, rows, entries times components).

        Raises:
            ValueError: another number of components.
        """
        if x.shape[-1] % self.components:
            raise ValueError(
                f"a gain for {self.components} components does not fit a block of rank "
                f"{x.shape[-1]}"
            )
        entries = x.unflatten(-1, (-1, self.components)).flatten(-3, -2)
        return self.gain(entries).expand_as(entries).reshape(x.shape)


def _sizes(image: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(image, (tuple, list)) or len(image) != 2:
        raise ValueError(f"the image of a gain is (height, width), got {image!r}")
    height, width = (whole_number("each side of the image of a gain", size) for size in image)
    return height, width


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
