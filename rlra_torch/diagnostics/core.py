"""Whether a CP model has the right rank: what a free core would be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..functional.scaling import balance
from ..models import CP, Tucker


def core_consistency(y: Tensor, factors: Sequence[Tensor], weights: Tensor | None = None) -> Tensor:
    """Core consistency (CORCONDIA) of a CP model of any order, in percent.

        100 (1 - ||G - I||^2 / R),      G = argmin_G ||y - G x_1 X_1 ... x_d X_d||^2

    with I the superdiagonal core of ones. It is 100 where no component wants to mix with another,
    and low, also negative, for too many components: take the largest rank before it falls. The
    columns are given equal norms in all modes first, so that it does not depend on how a component
    shares its scale.

    Args:
        y: (*, n_1, ..., n_d) the data, of any value where weights are 0.
        factors: (*, n_i, R) each.
        weights: nonnegative, like ``y`` (0: missing), or None.

    Returns:
        (*,), at most 100.

    Raises:
        ValueError: shapes that do not fit.

    References:
        | Bro, Kiers, A new efficient method for determining the number of components in PARAFAC
        | models (2003)
        | Papalexakis, Faloutsos, Fast efficient and scalable core consistency diagnostic for the
        | PARAFAC decomposition for big sparse tensors (2015)

    Example:
        >>> a = torch.eye(3, dtype=torch.float64)
        >>> y = torch.einsum("ir,jr,kr->ijk", a, a, a)
        >>> core_consistency(y, (a, a, a)).item()
        100.0
    """
    model, order = CP(len(factors)), len(factors)
    model.check(tuple(factors), y.shape)
    lead = y.ndim - order
    squares = [{2.0: x.square().sum(-2)} for x in factors]
    scales = balance(squares)
    even = [x * t[..., None, :] for x, t in zip(factors, scales, strict=True)]
    core = _core(y, even, lead) if weights is None else _weighted_core(y, even, lead, weights)
    rank = factors[0].shape[-1]
    ideal = torch.zeros((rank,) * order, dtype=y.dtype, device=y.device)
    ideal[(torch.arange(rank, device=y.device),) * order] = 1
    return 100 - 100 * (core - ideal).square().flatten(lead).sum(-1) / rank


def _core(y: Tensor, factors: Sequence[Tensor], lead: int) -> Tensor:
    """Each mode by its pseudoinverse: that of a Kronecker product is the product of those."""
    for n, x in enumerate(factors):
        last = y.movedim(lead + n, -1)
        flat = last.flatten(lead, -2) @ torch.linalg.pinv(x).mT
        y = flat.reshape(*last.shape[:-1], x.shape[-1]).movedim(-1, lead + n)
    return y


def _weighted_core(y: Tensor, factors: Sequence[Tensor], lead: int, weights: Tensor) -> Tensor:
    """By the normal equations of the core in a Tucker model, singular where data do not tell."""
    order, rank = len(factors), factors[0].shape[-1]
    model, size = Tucker(order), rank**order
    start = (*factors, y.new_zeros(*y.shape[:lead], *(rank,) * order))
    known = torch.where(weights > 0, weights * y, 0)
    gram = model.gram(start, order, weights.to(y.dtype)).reshape(*y.shape[:lead], size, size)
    cross = model.adjoint(start, order, known).reshape(*y.shape[:lead], size, 1)
    return (torch.linalg.pinv(gram, hermitian=True) @ cross).reshape(start[-1].shape)
