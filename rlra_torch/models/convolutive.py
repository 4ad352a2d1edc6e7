"""Sums of convolutions: templates that occur at many places."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..functional.convolution import (
    Grid,
    convolved,
    gram_of_lags,
    pulled_to_kernels,
    pulled_to_maps,
    spectrum,
)
from ..functional.einsum import Layout
from ..functional.tree import Kept
from .base import Factors, Model


class Convolutive(Model):
    """``Y = sum_k A_k * X_k``: kernels, and maps that say where and how much of each there is.

        Y[s, c, t] = sum_k sum_i A[c, i, k] X[s, t - i, k]

    with t and i in one dimension (a trace) or more (an image). Kernels ``A`` are (*, [C], p_1, ...,
    p_d, K), maps ``X`` (*, [S], m_1, ..., m_d, K), the prediction (*, [S], [C], m_1, ..., m_d). A
    kernel per channel with common maps is the convolutive NMF of a spectrogram, frequencies being
    channels; several signals with common kernels are convolutional dictionary learning.

    Kernels meet a least-squares problem of ``p_1 ... p_d K`` unknowns, so every iteration can solve
    for them; maps meet one as long as the data, for iterations that work from gradients.

    Args:
        order: d, how many dimensions are convolved.
        channels: whether kernels and data have a dimension of channels.
        signals: whether maps and data have a dimension of signals.
        cyclic: whether what leaves at the end comes in at the beginning, else it is lost.
        centred: whether predictions have their means taken out, as data with an unknown constant
            in each signal and channel must have too.

    Raises:
        ValueError: an order below 1.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), equation 1.2
        | Smaragdis, Non-negative matrix factor deconvolution (2004)
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 21

    Example:
        >>> model = Convolutive(cyclic=False)
        >>> model((torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0], [1.0]])))
        tensor([1., 2., 1.])
    """

    def __init__(
        self,
        order: int = 1,
        channels: bool = False,
        signals: bool = False,
        cyclic: bool = True,
        centred: bool = False,
    ) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"a convolution runs over at least one dimension, got order={order}")
        self.order, self.channels, self.signals, self.cyclic = order, channels, signals, cyclic
        self.centred = centred
        self.ndim = order + channels + signals
        self.factor_ndims = (order + 1 + channels, order + 1 + signals)

    def forward(self, factors: Factors) -> Tensor:
        kernels, maps, grid = self._full(factors)
        found = self._centre(convolved(kernels, maps, grid))
        found = found if self.channels else found.squeeze(-self.order - 1)
        return found if self.signals else found.squeeze(-self.ndim - 1)

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        kernels, maps, grid = self._full(factors)
        residual = self._centre(self._of_data(residual))
        if n == 0:
            found = pulled_to_kernels(residual, maps, grid)
        else:
            found = pulled_to_maps(residual, kernels, grid)
        return found if self._rows(n) else found.squeeze(-self.order - 2)

    def layout(self, n: int) -> Layout:
        return Layout(tuple(range(self.factor_ndims[n])), 0, self._rows(n))

    def rescalable(self, order: tuple[int, ...]) -> bool:
        return True

    def has_gram(self, n: int) -> bool:
        return n == 0 and not self.centred

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        if not self.has_gram(n):
            return super().gram(factors, n, weights, kept)
        _, maps, grid = self._full(factors)
        return gram_of_lags(maps, grid, None if weights is None else self._of_data(weights))

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        # Each entry of the other factor stands once in each row of the map, so squares will do.
        return self._pulled_ones(tuple(x.square() for x in factors), n).clamp_min(0)

    def column_sum(self, factors: Factors, n: int) -> Tensor:
        return super().column_sum(factors, n) if self.centred else self._pulled_ones(factors, n)

    def density(self, factors: Factors, n: int) -> float:
        if n == 0:
            return 1.0
        return math.prod(self._sizes(factors[0])) / math.prod(self._sizes(factors[1]))

    def squared_norm(self, factors: Factors, n: int) -> Tensor | None:
        if n == 0 or not self.cyclic:
            return None
        kernels, _, grid = self._full(factors)
        gains = spectrum(kernels, grid).movedim(-2, -3)  # (*, w, C, K)
        gains = gains[..., int(self.centred) :, :, :]
        small = gains.mH @ gains if gains.shape[-1] <= gains.shape[-2] else gains @ gains.mH
        if small.shape[-1] == 1:
            return small.real.amax((-3, -2, -1))
        return torch.linalg.eigvalsh(small).amax((-2, -1))

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        super().check(factors, shape)
        kernels, maps = factors
        if kernels.shape[-1] != maps.shape[-1]:
            raise ValueError(
                f"there are {kernels.shape[-1]} kernels but {maps.shape[-1]} maps; "
                "their last dimensions are the same"
            )
        short, long = self._sizes(kernels), self._sizes(maps)
        if any(p > m for p, m in zip(short, long, strict=True)):
            raise ValueError(f"kernels of size {short} are longer than maps of size {long}")
        expected = (
            *maps.shape[-self.order - 2 : -self.order - 1][: int(self.signals)],
            *kernels.shape[-self.order - 2 : -self.order - 1][: int(self.channels)],
            *long,
        )
        if shape is not None and tuple(shape[len(shape) - self.ndim :]) != expected:
            raise ValueError(f"the data has shape {tuple(shape)} but the model predicts {expected}")

    def _pulled_ones(self, factors: Factors, n: int) -> Tensor:
        """The adjoint of ones, as a block of one row, because it is the same for all."""
        kernels, maps, grid = self._full(factors)
        if n == 0:
            ones = torch.ones_like(maps[..., 0]).unsqueeze(-self.order - 1)
            found = pulled_to_kernels(ones, maps, grid)
        else:
            ones = maps.new_ones((*kernels.shape[: -self.order - 2], 1, 1, *grid.sizes))
            found = pulled_to_maps(ones, kernels.sum(-self.order - 2, keepdim=True), grid)
        found = found if self._rows(n) else found.squeeze(-self.order - 2)
        return self.layout(n).pack(found)

    def _rows(self, n: int) -> int:
        return int(self.channels if n == 0 else self.signals)

    def _sizes(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape[-self.order - 1 : -1])

    def _full(self, factors: Factors) -> tuple[Tensor, Tensor, Grid]:
        """Kernels with channels, maps with signals, and where they meet."""
        kernels, maps = (
            x if self._rows(n) else x.unsqueeze(-self.order - 2) for n, x in enumerate(factors)
        )
        return (
            kernels,
            maps,
            Grid(
                self._sizes(kernels), self._sizes(maps), self.cyclic, kernels.shape[-self.order - 2]
            ),
        )

    def _centre(self, x: Tensor) -> Tensor:
        """What is shaped like the data, without its means where these are free."""
        return x - x.mean(tuple(range(-self.order, 0)), keepdim=True) if self.centred else x

    def _of_data(self, x: Tensor) -> Tensor:
        """What is shaped like the data, with signals and channels."""
        x = x if self.signals else x.unsqueeze(-self.ndim - 1)
        return x if self.channels else x.unsqueeze(-self.order - 1)
