"""How far columns are from atoms: what picks an atom is the least of these."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..metrics.spectral import unit_columns

Distance = Callable[[Tensor, Tensor], Tensor]
"""From columns (*, m, r) and atoms (m, d) to (*, r, d), smaller for better."""


def correlation(x: Tensor, atoms: Tensor) -> Tensor:
    """``1 - |cos|``: for codes of any sign.

    Args:
        x: columns, (*, m, r).
        atoms: D, (m, d).

    Returns:
        (*, r, d).

    Example:
        >>> import torch
        >>> correlation(torch.tensor([[-2.0], [0.0]]), torch.eye(2))
        tensor([[0., 1.]])
    """
    return 1 - _cosines(x, atoms).abs()


def cosine(x: Tensor, atoms: Tensor) -> Tensor:
    """``1 - cos``: in the order of spectral angles.

    Args:
        x, atoms: as in `correlation`.

    Example:
        >>> import torch
        >>> cosine(torch.tensor([[-2.0], [0.0]]), torch.eye(2))
        tensor([[2., 1.]])
    """
    return 1 - _cosines(x, atoms)


def mean_removed(x: Tensor, atoms: Tensor) -> Tensor:
    """``1 - cos`` of what deviates from the mean: in the order of mean-removed spectral angles.

    Args:
        x, atoms: as in `correlation`.

    Example:
        >>> import torch
        >>> mean_removed(torch.tensor([[3.0], [1.0]]), torch.eye(2)).round(decimals=4)
        tensor([[0., 2.]])
    """
    return cosine(x - x.mean(-2, keepdim=True), atoms - atoms.mean(-2, keepdim=True))


def euclidean(x: Tensor, atoms: Tensor) -> Tensor:
    """``||x - d||^2``: it sees scales, so that only factors in the unit of the atoms fit it.

    Args:
        x, atoms: as in `correlation`.

    Example:
        >>> import torch
        >>> euclidean(torch.tensor([[3.0], [0.0]]), torch.eye(2))
        tensor([[ 4., 10.]])
    """
    squares = x.square().sum(-2)[..., None] + atoms.square().sum(-2)
    return (squares - 2 * (atoms.mT @ x).mT).clamp_min(0)


def _cosines(x: Tensor, atoms: Tensor) -> Tensor:
    """A column or an atom of zeros has cosine 0 with all."""
    return (unit_columns(atoms).mT @ unit_columns(x)).mT.clamp(-1, 1)
