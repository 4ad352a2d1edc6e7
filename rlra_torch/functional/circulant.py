"""Cyclic convolutions by their spectra: what alternating descent needs, at one transform each.

Kernels are (*, K, C, p_1, ..., p_d), maps (*, S, K, m_1, ..., m_d), data (*, S, C, m_1, ..., m_d).
A spectrum has one last dimension, of all frequencies, in the place of the last d.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor


def transformed(x: Tensor, sizes: tuple[int, ...], centred: bool = False) -> Tensor:
    """The spectrum of what is padded with zeros to these sizes, (*, w).

    Args:
        x: (*, n_1, ..., n_d), no longer than the sizes.
        sizes: m_1, ..., m_d.
        centred: whether the mean is taken out.

    Example:
        >>> transformed(torch.tensor([1.0, 2.0]), (2,)).real
        tensor([ 3., -1.])
    """
    order = len(sizes)
    f = torch.fft.rfftn(x, s=sizes, dim=tuple(range(-order, 0)))
    f = f.flatten(-order) if order > 1 else f
    if centred:
        f[..., 0].zero_()
    return f


def restored(f: Tensor, sizes: tuple[int, ...], kept: tuple[int, ...] | None = None) -> Tensor:
    """The inverse of `transformed`, of which the first entries of each dimension are kept.

    Example:
        >>> restored(transformed(torch.tensor([1.0, 2.0]), (3,)), (3,), (2,)).round(decimals=4)
        tensor([1., 2.])
    """
    order = len(sizes)
    if order > 1:
        f = f.unflatten(-1, (*sizes[:-1], sizes[-1] // 2 + 1))
    x = torch.fft.irfftn(f, s=sizes, dim=tuple(range(-order, 0)))
    for dim, count in zip(range(-order, 0), kept or (), strict=kept is not None):
        x = x.narrow(dim, 0, count)
    return x


def predicted(kernels: Tensor, maps: Tensor) -> Tensor:
    """The spectrum (*, S, C, w) of the sum over all kernels.

    Example:
        >>> predicted(torch.full((2, 1, 3), 2.0), torch.ones(4, 2, 3)).shape
        torch.Size([4, 1, 3])
    """
    return _summed(kernels[..., None, :, :, :] * maps[..., None, :], -3)


def to_maps(residual: Tensor, kernels: Tensor) -> Tensor:
    """The adjoint of `predicted` in the maps, (*, S, K, w).

    Example:
        >>> to_maps(torch.ones(4, 1, 3), torch.full((2, 1, 3), 2.0)).shape
        torch.Size([4, 2, 3])
    """
    return _summed(kernels[..., None, :, :, :].conj() * residual[..., None, :, :], -2)


def to_kernels(residual: Tensor, maps: Tensor) -> Tensor:
    """The adjoint of `predicted` in the kernels, (*, K, C, w).

    Example:
        >>> to_kernels(torch.ones(4, 1, 3), torch.full((4, 2, 3), 2.0)).shape
        torch.Size([2, 1, 3])
    """
    return _summed(maps[..., None, :].conj() * residual[..., None, :, :], -4)


def squared_norm(kernels: Tensor) -> Tensor:
    """The largest eigenvalue of the normal operator of the maps, (*,), from spectra of kernels.

    Example:
        >>> squared_norm(torch.tensor([[[1.0, 2.0]], [[0.0, 1.0j]]]))
        tensor(5.)
    """
    count, channels = kernels.shape[-3:-1]
    if min(channels, count) == 1:
        # Not as pairs of real numbers: sums over a last dimension of two are slow.
        power = torch.addcmul(kernels.real.square(), kernels.imag, kernels.imag)
        return _summed(_summed(power, -3), -2).amax(-1)
    gains = kernels.movedim(-1, -3)
    small = gains.mH @ gains if channels <= count else gains @ gains.mH
    return torch.linalg.eigvalsh(small).amax((-2, -1))


class Correlations(NamedTuple):
    """The normal operator of the kernels: ``(T a)_k = sum_l r_kl * a_l``, lag by lag.

    Args:
        spectra: of the correlations ``r_kl`` at differences of two lags, (*, K, K, w).
        sizes: of the transforms.
        lags: p_1, ..., p_d.
    """

    spectra: Tensor
    sizes: tuple[int, ...]
    lags: tuple[int, ...]

    @classmethod
    def of(cls, maps: Tensor, sizes: tuple[int, ...], lags: tuple[int, ...]) -> Correlations:
        """From the spectra of the maps; no larger than the lags need.

        Example:
            >>> maps = transformed(torch.tensor([[[1.0, 0.0, 2.0, 0.0]]]), (4,))
            >>> Correlations.of(maps, (4,), (2,)).times(torch.tensor([[[1.0, 0.0]]]), 0)
            tensor([[[5., 0.]]])
        """
        pairs = _summed(maps[..., :, None, :].conj() * maps[..., None, :, :], -4)
        small = tuple(int(next_fast_len(2 * p - 1, real=True)) for p in lags)  # pyright: ignore
        if math.prod(small) >= math.prod(sizes) or any(
            2 * p - 1 > m for p, m in zip(lags, sizes, strict=True)
        ):
            return cls(pairs, sizes, lags)
        found = restored(pairs, sizes)
        for dim, (p, q) in enumerate(zip(lags, small, strict=True), -len(lags)):
            ends = (q - 2 * p + 1, *found.shape[dim + 1 :]) if dim < -1 else (q - 2 * p + 1,)
            gap = found.new_zeros((*found.shape[:dim], *ends))
            found = torch.cat((found.narrow(dim, 0, p), gap, found.narrow(dim, 1 - p, p - 1)), dim)
        return cls(transformed(found, small), small, lags)

    def times(self, kernel: Tensor, k: int) -> Tensor:
        """What one kernel adds to ``T a``, (*, K, C, p_1, ..., p_d).

        Args:
            kernel: (*, 1, C, p_1, ..., p_d).
            k: which one it is.
        """
        f = transformed(kernel, self.sizes)
        return restored(self.spectra[..., k, None, :] * f, self.sizes, self.lags)


def _summed(x: Tensor, dim: int) -> Tensor:
    return x.squeeze(dim) if x.shape[dim] == 1 else x.sum(dim)
