"""Sums of convolutions and their adjoints: by one matrix product or by Fourier transforms.

Kernels A are (*, C, p_1, ..., p_d, K), maps X (*, S, m_1, ..., m_d, K), and what they predict

    Y[s, c, t] = sum_k sum_i A[c, i, k] X[s, t - i, k]

is (*, S, C, m_1, ..., m_d).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

# Up to as many lags sums are exact where terms are zero, and no slower than transforms. A product
# has as many terms as lags times channels; a transform costs the same for all lags, but is taken of
# all kernels in all channels, at the length of the maps: it pays once lags outnumber channels.
DIRECT = 32


class Grid(NamedTuple):
    """Where a convolution runs.

    Args:
        lags: p_1, ..., p_d, the sizes of the kernels.
        sizes: m_1, ..., m_d, those of the maps.
        cyclic: whether what leaves at the end comes in at the beginning, else it is lost.
        channels: C, how many the kernels have.
    """

    lags: tuple[int, ...]
    sizes: tuple[int, ...]
    cyclic: bool
    channels: int = 1

    @property
    def direct(self) -> bool:
        """Whether the lags are few."""
        return math.prod(self.lags) <= max(DIRECT, self.channels)

    @property
    def padded(self) -> tuple[int, ...]:
        """The sizes of the Fourier transforms."""
        if self.cyclic:
            return self.sizes
        sums = (m + p - 1 for m, p in zip(self.sizes, self.lags, strict=True))
        return tuple(int(next_fast_len(size, real=True)) for size in sums)  # pyright: ignore


def convolved(kernels: Tensor, maps: Tensor, grid: Grid) -> Tensor:
    """The prediction (*, S, C, m_1, ..., m_d).

    Example:
        >>> grid = Grid((2,), (3,), cyclic=False)
        >>> kernel, spikes = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0, 1.0])
        >>> convolved(kernel[None, :, None], spikes[None, :, None], grid)
        tensor([[[1., 2., 1.]]])
    """
    if grid.direct:
        found = _matrix(kernels, grid)[..., None, :, :] @ lagged(maps, grid).mT
        return found.unflatten(-1, grid.sizes)
    f, g = spectrum(kernels, grid), spectrum(maps, grid)
    found = torch.einsum("...cwk,...swk->...scw", f, g)
    return from_spectrum(found[..., None], grid, grid.sizes)[..., 0]


def pulled_to_kernels(residual: Tensor, maps: Tensor, grid: Grid) -> Tensor:
    """The adjoint of `convolved` in the kernels, of a residual like the prediction.

    Example:
        >>> grid = Grid((2,), (3,), cyclic=False)
        >>> maps = torch.tensor([1.0, 0.0, 1.0])[None, :, None]
        >>> pulled_to_kernels(torch.tensor([[[1.0, 2.0, 3.0]]]), maps, grid)
        tensor([[[4.],
                 [2.]]])
    """
    if grid.direct:
        found = (residual.flatten(-len(grid.sizes)) @ lagged(maps, grid)).sum(-3)
        return found.unflatten(-1, (*grid.lags, maps.shape[-1]))
    f, g = spectrum(residual[..., None], grid)[..., 0], spectrum(maps, grid)
    return from_spectrum(torch.einsum("...scw,...swk->...cwk", f, g.conj()), grid, grid.lags)


def pulled_to_maps(residual: Tensor, kernels: Tensor, grid: Grid) -> Tensor:
    """The adjoint of `convolved` in the maps, of a residual like the prediction.

    Example:
        >>> grid = Grid((2,), (3,), cyclic=False)
        >>> kernels = torch.tensor([1.0, 2.0])[None, :, None]
        >>> pulled_to_maps(torch.tensor([[[1.0, 2.0, 3.0]]]), kernels, grid).flatten()
        tensor([5., 8., 3.])
    """
    if grid.direct:
        found = residual.flatten(-len(grid.sizes)).mT @ _matrix(kernels, grid)[..., None, :, :]
        return _folded(found, grid)
    f, g = spectrum(residual[..., None], grid)[..., 0], spectrum(kernels, grid)
    return from_spectrum(torch.einsum("...scw,...cwk->...swk", f, g.conj()), grid, grid.sizes)


def lagged(maps: Tensor, grid: Grid) -> Tensor:
    """Every entry before each entry, ``Z[t, (i, k)] = X[t - i, k]``.

    Returns:
        (*, m_1 ... m_d, p_1 ... p_d K).

    Example:
        >>> lagged(torch.tensor([[1.0], [2.0], [3.0]]), Grid((2,), (3,), cyclic=True))
        tensor([[1., 3.],
                [2., 1.],
                [3., 2.]])
    """
    x, order = maps, len(grid.lags)
    for dim, lags in enumerate(grid.lags, maps.ndim - 1 - order):
        x = torch.stack([_moved(x, i, dim, grid.cyclic) for i in range(lags)], -2)
    return x.flatten(-order - 1).flatten(-order - 1, -2)


def gram_of_lags(maps: Tensor, grid: Grid, weights: Tensor | None = None) -> Tensor:
    """``sum_s Z_s^T diag(weights[s, c]) Z_s`` of the lagged maps: what the kernels are solved with.

    Args:
        maps: (*, S, m_1, ..., m_d, K).
        grid: where.
        weights: (*, S, C, m_1, ..., m_d), or None.

    Returns:
        (*, P, P) with ``P = p_1 ... p_d K``, or (*, C, P, P) with weights.

    Example:
        >>> maps = torch.tensor([1.0, 0.0, 1.0])[None, :, None]
        >>> gram_of_lags(maps, Grid((2,), (3,), cyclic=False))
        tensor([[2., 0.],
                [0., 1.]])
    """
    if weights is None and grid.cyclic and not grid.direct:
        return _correlations(maps, grid)
    rows = lagged(maps, grid)
    if weights is None:
        return (rows.mT @ rows).sum(-3)
    flat = weights.flatten(-len(grid.sizes))
    return torch.einsum("...sti,...sct,...stj->...cij", rows, flat, rows)


def spectrum(x: Tensor, grid: Grid) -> Tensor:
    """The real Fourier transform over the dimensions before the last, as one: (*, w, K).

    Example:
        >>> spectrum(torch.tensor([[1.0], [2.0]]), Grid((1,), (2,), cyclic=True)).real
        tensor([[ 3.],
                [-1.]])
    """
    dims = tuple(range(-1 - len(grid.sizes), -1))
    return torch.fft.rfftn(x, s=grid.padded, dim=dims).flatten(dims[0], -2)


def from_spectrum(f: Tensor, grid: Grid, kept: tuple[int, ...]) -> Tensor:
    """The inverse of `spectrum`, of which the first entries of each dimension are kept.

    Example:
        >>> x, grid = torch.arange(6.0).reshape(3, 2), Grid((2,), (3,), cyclic=False)
        >>> torch.allclose(from_spectrum(spectrum(x, grid), grid, (3,)), x, atol=1e-6)
        True
    """
    sizes = grid.padded
    dims = tuple(range(-1 - len(sizes), -1))
    x = torch.fft.irfftn(f.unflatten(-2, (*sizes[:-1], sizes[-1] // 2 + 1)), s=sizes, dim=dims)
    for dim, count in zip(dims, kept, strict=True):
        x = x.narrow(dim, 0, count)
    return x


def _folded(z: Tensor, grid: Grid) -> Tensor:
    """The adjoint of `lagged`: ``X[t, k] = sum_i Z[t + i, (i, k)]``, one dimension at a time."""
    order, lead = len(grid.lags), z.ndim - 2
    x = z.unflatten(-1, (*grid.lags, -1)).unflatten(lead, grid.sizes)
    for dim in range(lead, lead + order):
        # The lags of this dimension come first of those that are left.
        parts = x.unbind(lead + order)
        x = parts[0]
        for i, part in enumerate(parts[1:], 1):
            x = x + _moved(part, -i, dim, grid.cyclic)
    return x


def _moved(x: Tensor, count: int, dim: int, cyclic: bool) -> Tensor:
    """Everything later by ``count`` entries, or earlier where that is negative."""
    if cyclic:
        return x.roll(count, dim)
    return pad(x, (0, 0) * (x.ndim - 1 - dim) + (count, -count))


def _matrix(kernels: Tensor, grid: Grid) -> Tensor:
    """Kernels as (*, C, P)."""
    return kernels.flatten(-1 - len(grid.lags))


def _correlations(maps: Tensor, grid: Grid) -> Tensor:
    """The gram of cyclic lags: the correlations of the maps at all differences of two lags."""
    f = spectrum(maps, grid)
    pairs = torch.einsum("...swk,...swl->...wkl", f.conj(), f)
    found = from_spectrum(pairs.flatten(-2), grid, grid.sizes)
    found = found.flatten(-1 - len(grid.sizes), -2).unflatten(-1, pairs.shape[-2:])
    axes = torch.meshgrid(*(torch.arange(p, device=f.device) for p in grid.lags), indexing="ij")
    place = torch.zeros((), dtype=torch.long, device=f.device)
    for axis, size in zip(axes, grid.sizes, strict=True):
        lag = axis.flatten()
        place = place * size + (lag[:, None] - lag) % size
    return found[..., place, :, :].movedim(-2, -3).flatten(-4, -3).flatten(-2, -1)
