"""Synthetic data with its truth: spectral mixtures and nonnegative low-rank tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Mixture(NamedTuple):
    """A linear mixture of spectra, Y = W Hᵀ + noise.

    Attributes:
        Y: Observed spectra, (bands, pixels).
        W: Endmembers, (bands, rank).
        H: Abundances, (pixels, rank); its rows are on the simplex.
        pure: Indices of the pixels that hold one endmember only; the first ``rank`` of them hold
            endmembers 0, 1, ..., rank - 1 in this order.
    """

    Y: Tensor
    W: Tensor
    H: Tensor
    pure: Tensor


class LowRank(NamedTuple):
    """A tensor of known rank and the factors it was made from.

    Attributes:
        tensor: The product of the factors, of the given shape.
        factors: One (size, rank) factor for each mode.
    """

    tensor: Tensor
    factors: tuple[Tensor, ...]


def mixture(
    m: int,
    n: int,
    rank: int,
    snr_db: float | None = None,
    purity: float = 0.05,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Mixture:
    """Linear mixtures of smooth positive spectra, the forward model of spectral unmixing.

    Y = W Hᵀ + N: a column of W is a sum of Gaussian bands on a small continuum, scaled to maximum
    one; a row of H is uniform on the simplex (a flat Dirichlet draw), or a vertex of it where the
    pixel is pure; N is white and Gaussian, scaled so that 20 log10(‖W Hᵀ‖ / ‖N‖) = ``snr_db``
    exactly. Noise can make entries of Y negative.

    Args:
        m: Number of bands.
        n: Number of pixels.
        rank: Number of endmembers.
        snr_db: Signal-to-noise ratio in decibels; None means no noise.
        purity: Fraction of the pixels that are pure; if not 0, each endmember has at least one.
        seed: Integer, or a generator that lives on ``device``.
        dtype: Floating-point type of the result.
        device: Where the draw is made; by default the device of the generator, else the CPU.

    Raises:
        ValueError: A size is not positive, ``purity`` is outside [0, 1], ``snr_db`` is not a
            number, or there are fewer pixels than endmembers to be seen pure.

    Example:
        >>> scene = mixture(m=50, n=200, rank=3, snr_db=30.0)
        >>> [tuple(part.shape) for part in scene]
        [(50, 200), (50, 3), (200, 3), (10,)]
        >>> bool(torch.allclose(scene.H.sum(1), torch.ones(200)))
        True
    """
    _check_sizes({"m": m, "n": n, "rank": rank})
    if not 0 <= purity <= 1:
        raise ValueError(f"purity is {purity}, but a fraction of the pixels lies in [0, 1]")
    if purity > 0 and n < rank:
        raise ValueError(f"{n} pixels cannot show {rank} endmembers pure; use purity=0 or more n")
    if snr_db is not None and math.isnan(snr_db):
        raise ValueError("snr_db is not a number; give decibels, or None for no noise")
    draw = _generator(seed, device)
    W = _spectra(m, rank, draw, dtype)
    H = torch.empty(n, rank, dtype=dtype, device=draw.device).exponential_(generator=draw)
    H = H / H.sum(dim=1, keepdim=True)
    count = max(rank, round(purity * n)) if purity > 0 else 0
    pure = torch.randperm(n, generator=draw, device=draw.device)[:count]
    endmember = torch.arange(count, device=draw.device) % rank
    H[pure] = torch.eye(rank, dtype=dtype, device=draw.device)[endmember]
    Y = W @ H.mT
    if snr_db is not None:
        noise = torch.randn(m, n, generator=draw, dtype=dtype, device=draw.device)
        Y = Y + noise * (Y.norm() / noise.norm() * 10 ** (-snr_db / 20))
    return Mixture(Y, W, H, pure)


def low_rank_nonnegative(
    shape: Sequence[int],
    rank: int,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> LowRank:
    """A nonnegative tensor of known rank, T[i, j, ...] = Σ_r A[i, r] B[j, r] ···, A, B ~ U[0, 1).

    Args:
        shape: The sizes of two modes (then T = A Bᵀ) or more.
        rank: Number of terms.
        seed: Integer, or a generator that lives on ``device``.
        dtype: Floating-point type of the result.
        device: Where the draw is made; by default the device of the generator, else the CPU.

    Raises:
        ValueError: There are fewer than two modes, or a size or the rank is not positive.

    Example:
        >>> truth = low_rank_nonnegative((4, 5, 6), rank=2)
        >>> tuple(truth.tensor.shape), [tuple(factor.shape) for factor in truth.factors]
        ((4, 5, 6), [(4, 2), (5, 2), (6, 2)])
    """
    if len(shape) < 2:
        raise ValueError(f"shape is {tuple(shape)}, but a product of factors has two modes or more")
    _check_sizes({"rank": rank} | {f"shape[{i}]": size for i, size in enumerate(shape)})
    draw = _generator(seed, device)
    factors = tuple(
        torch.rand(size, rank, generator=draw, dtype=dtype, device=draw.device) for size in shape
    )
    tensor = factors[0]
    for factor in factors[1:-1]:
        tensor = tensor.unsqueeze(-2) * factor
    return LowRank(tensor @ factors[-1].mT, factors)


def _spectra(m: int, rank: int, draw: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Sums of six Gaussian bands on a continuum, (m, rank), each with maximum one."""
    bands = 6
    uniform = torch.rand(4, bands, rank, generator=draw, dtype=dtype, device=draw.device)
    centres, spread, heights = uniform[0], uniform[1], uniform[2]
    widths = 0.02 + 0.08 * spread
    axis = torch.linspace(0, 1, m, dtype=dtype, device=draw.device)[:, None, None]
    peaks = heights * torch.exp(-0.5 * ((axis - centres) / widths) ** 2)
    spectra = peaks.sum(dim=1) + 0.05 + 0.1 * uniform[3, 0]
    return spectra / spectra.amax(dim=0)


def _generator(seed: int | torch.Generator, device: torch.device | str | None) -> torch.Generator:
    """The generator that an integer stands for, or the given one, checked against the device."""
    if isinstance(seed, torch.Generator):
        if device is not None and torch.device(device).type != seed.device.type:
            raise ValueError(f"the generator lives on {seed.device}, the data go to {device}")
        return seed
    return torch.Generator(device="cpu" if device is None else device).manual_seed(seed)


def _check_sizes(sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}, but a size is at least 1")
