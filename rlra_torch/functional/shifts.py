"""Where kernels stand: windows of most energy, and moves that leave the sum of convolutions alone.

Kernels are factors (*, p_1, ..., p_d, K) of norm one and maps (*, m_1, ..., m_d, K).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .spheres import inner


def windowed(
    kernels: Tensor, maps: Tensor, size: tuple[int, ...], signals: bool = False
) -> tuple[Tensor, Tensor]:
    """Each kernel cut to the window that holds most of its energy, its map moved the other way.

    Cyclic convolutions stay the same where a window holds all of the energy.

    Args:
        kernels: (*, p_1, ..., p_d, K).
        maps: (*, [S], m_1, ..., m_d, K).
        size: of the windows, at most that of the kernels.
        signals: whether maps have a dimension of signals.

    Returns:
        kernels (*, size, K) of norm one, and maps.

    Example:
        >>> kernels, maps = torch.tensor([0.0, 0.6, 0.8])[:, None], torch.tensor([1.0, 0, 0, 0])
        >>> a, x = windowed(kernels, maps[:, None], (2,))
        >>> a.flatten(), x.flatten()
        (tensor([0.6000, 0.8000]), tensor([0., 1., 0., 0.]))
    """
    order = len(size)
    energy = kernels.square()
    for dim, width in zip(range(-order - 1, -1), size, strict=True):
        energy = _sums(energy, dim, width)
    counts, place = energy.shape[-order - 1 : -1], energy.flatten(-order - 1, -2).argmax(-2)
    for dim, width in reversed(list(zip(range(-order - 1, -1), size, strict=True))):
        count = counts[dim + order + 1]
        start, place = place % count, place // count
        kernels = _gathered(kernels, start, dim, width)
        shift = -start[..., None, :] if signals else -start
        maps = _gathered(maps, shift, dim, maps.shape[dim])
    norm = inner(kernels.movedim(-1, 0), kernels.movedim(-1, 0), order).movedim(0, -1).sqrt()
    scale = torch.where(norm > 0, norm, 1)
    wide = scale.unsqueeze(-order - 2) if signals else scale
    return kernels / scale, maps * wide


def _sums(x: Tensor, dim: int, width: int) -> Tensor:
    """Sums over all windows along a dimension."""
    return x.unfold(dim, width, 1).sum(-1)


def _gathered(x: Tensor, start: Tensor, dim: int, width: int) -> Tensor:
    """``width`` entries of each column along a dimension, cyclically from ``start`` (*, K)."""
    size = x.shape[dim]
    steps = torch.arange(width, device=x.device)
    place = (start[..., None, :] + steps[:, None]) % size  # (*, width, K)
    lead, behind = place.ndim - 2, -dim - 2
    before = x.ndim + dim - lead
    view = place.reshape(*place.shape[:-2], *(1,) * before, width, *(1,) * behind, place.shape[-1])
    shape = list(x.shape)
    shape[dim] = width
    return x.gather(dim, view.expand(shape))


def merged(kernels: Tensor, maps: Tensor, order: int, least: float = 0.95) -> Tensor:
    """The maps once kernels that are shifts of each other share one map, which the first one gets.

    Args:
        kernels: (*, p_1, ..., p_d, K) of norm one.
        maps: (*, [S], m_1, ..., m_d, K).
        order: d.
        least: correlation of kernels that are the same.

    Returns:
        maps, at zero for kernels that are not needed.

    Example:
        >>> kernels = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> merged(kernels, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1)
        tensor([[2., 0.],
                [0., 0.],
                [0., 0.]])
    """
    columns, several = list(maps.unbind(-1)), kernels.unbind(-1)
    signals = maps.ndim - kernels.ndim
    for k in range(len(several)):
        for other in range(k + 1, len(several)):
            value, shift = correlated(several[k], several[other], order)
            moved = columns[other][..., None]
            for n in range(order):
                start = shift[..., n, None]
                start = start[..., None, :] if signals else start
                moved = _gathered(moved, start, -order - 1 + n, moved.shape[-order - 1 + n])
            wide = value.reshape(*value.shape, *(1,) * (order + signals))
            same = wide.abs() >= least
            columns[k] = columns[k] + torch.where(same, wide.sign() * moved[..., 0], 0)
            columns[other] = torch.where(same, 0, columns[other])
    return torch.stack(columns, -1)


def correlated(a: Tensor, b: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """The inner product that is largest in magnitude over all shifts, and how much later b stands.

    Args:
        a: (*, p_1, ..., p_d).
        b: (*, q_1, ..., q_d), broadcasting with it.
        order: d.

    Returns:
        the inner product, (*,), and the shift, (*, d).

    Example:
        >>> correlated(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([-1.0, 0.0]), 1)
        (tensor(-1.), tensor([2]))
    """
    dims = tuple(range(-order, 0))
    sizes = [p + q - 1 for p, q in zip(a.shape[-order:], b.shape[-order:], strict=True)]
    f, g = (torch.fft.rfftn(x, s=sizes, dim=dims) for x in (a, b))
    found = torch.fft.irfftn(f * g.conj(), s=sizes, dim=dims).flatten(-order)
    place = found.abs().argmax(-1, keepdim=True)
    value, shifts = found.gather(-1, place)[..., 0], []
    for n in reversed(range(order)):
        shift, place = place % sizes[n], place // sizes[n]
        shifts.append(torch.where(shift < a.shape[n - order], shift, shift - sizes[n]))
    return value, torch.cat(shifts[::-1], -1)
