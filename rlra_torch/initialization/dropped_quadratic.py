"""Kernels from a piece of the data, improved by one step on a simpler objective."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..functional.circulant import restored, to_kernels, to_maps, transformed
from ..functional.proximal import soft_threshold
from ..functional.randomized import as_generator
from ..functional.spheres import normalized


def dropped_quadratic(
    windows: Tensor, y: Tensor, order: int = 1, threshold: float = 0.3, nonnegative: bool = False
) -> Tensor:
    """The negative gradient of the dropped-quadratic objective at the padded window, on the sphere.

        phi(a) = ||y||^2 / 2 - ||soft_l(corr(a, y))||^2 / 2,   a_0 = -grad phi(a) / ||grad phi(a)||

    ``||a * x||^2`` replaced by ``||x||^2`` gives the map in closed form. The window is padded with
    ``p_0 - 1`` zeros on each side, so that all shifts of a kernel of its length fit.

    Args:
        windows: (*, K, C, p_1, ..., p_d), pieces of the data, see `windows_of`.
        y: (*, S, C, m_1, ..., m_d), without means where these are free.
        order: d.
        threshold: l as a fraction of the largest correlation.
        nonnegative: whether the maps are.

    Returns:
        (*, K, C, 3 p_1 - 2, ..., 3 p_d - 2), of unit norm.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), section II-B
        | Kuo, Zhang, Lau, Wright, Geometry and symmetry in short-and-sparse deconvolution (2020)

    Example:
        >>> y = torch.tensor([0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0])[None, None]
        >>> dropped_quadratic(torch.tensor([[[3.0, 4.0]]]), y, threshold=0.9).round(decimals=4)
        tensor([[[0.0000, 0.6000, 0.8000, 0.0000]]])
    """
    sizes = tuple(y.shape[-order:])
    pad = [side for size in reversed(windows.shape[-order:]) for side in (size - 1, size - 1)]
    a = torch.nn.functional.pad(normalized(windows, order + 1), pad)
    data = transformed(y, sizes)
    # Each kernel by itself: as if the others were not there.
    maps = restored(to_maps(data, transformed(a, sizes)), sizes)
    own = (-order - 2, *range(-order, 0))
    far = maps.clamp_min(0) if nonnegative else maps.abs()
    level = threshold * far.amax(own, keepdim=True)
    maps = soft_threshold(maps, level)
    maps = maps.clamp_min(0) if nonnegative else maps
    pulled = to_kernels(data, transformed(maps, sizes))
    return normalized(restored(pulled, sizes, tuple(a.shape[-order:])), order + 1)


def windows_of(y: Tensor, size: tuple[int, ...], count: int, seed: int | torch.Generator) -> Tensor:
    """Pieces of the data at random places, each as likely as the energy that it holds.

    Args:
        y: (*, S, C, m_1, ..., m_d); pieces go on at the beginning where they leave at the end.
        size: p_1, ..., p_d.
        count: K, how many of each problem.
        seed: an integer, or a generator, which advances; it draws where it lives.

    Returns:
        (*, K, C, p_1, ..., p_d).

    Example:
        >>> y = torch.tensor([0.0, 0.0, 0.0, 2.0])[None, None]
        >>> bool(windows_of(y, (2,), 3, seed=0).amax() == 2)
        True
    """
    order, generator = len(size), as_generator(seed)
    sizes, lead = tuple(y.shape[-order:]), y.ndim - order - 2
    box = transformed(y.new_ones(size), sizes)
    energy = restored(transformed(y.square().sum(-order - 1), sizes) * box.conj(), sizes)
    share = energy.clamp_min(0).flatten(lead).double().cumsum(-1)
    draw = torch.rand(
        (*y.shape[:lead], count), generator=generator, device=generator.device, dtype=torch.float64
    )
    place = torch.searchsorted(share, draw.to(y.device) * share[..., -1:])
    place = place.clamp_max(share.shape[-1] - 1)
    where = torch.zeros((), dtype=torch.long, device=y.device)
    for n, (p, m) in enumerate(zip(size, sizes, strict=True)):
        rest = math.prod(sizes[n + 1 :])
        start = (place // rest) % m
        axis = torch.arange(p, device=y.device).reshape(p, *(1,) * (order - 1 - n))
        where = where + rest * ((start[(..., *(None,) * order)] + axis) % m)
    signal = (place // math.prod(sizes))[(..., *(None,) * order)]
    where = (where + signal * math.prod(sizes)).flatten(lead)
    flat = y.movedim(lead, -order - 1).flatten(-order - 1)  # (*, C, S m_1 ... m_d)
    found = flat.gather(-1, where[..., None, :].expand(*flat.shape[:-1], -1))
    return found.unflatten(-1, (count, *size)).movedim(-order - 1, -order - 2)
