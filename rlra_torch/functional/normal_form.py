"""Components in one scale, one sign and one order."""

from __future__ import annotations

import torch
from torch import Tensor

from .tucker import signed


def normal_form(factors: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """``sum_q w_q x1_q o ... o xd_q`` with unit columns and weights that do not increase.

    In each column but those of the last factor the first entry of largest magnitude is positive;
    the last factor has the sign that is left, and the weights are nonnegative. Components that are
    zero come last, with zero columns.

    Args:
        factors: one for each mode, (*, n_i, r).

    Returns:
        the weights (*, r), and the factors.

    Example:
        >>> x = torch.tensor([[0.0, -3.0], [1.0, 0.0]]), torch.tensor([[2.0, 4.0]])
        >>> weights, (a, b) = normal_form(x)
        >>> weights, a, b
        (tensor([12.,  2.]), tensor([[1., 0.],
                [0., 1.]]), tensor([[-1.,  1.]]))
    """
    norms = [torch.linalg.vector_norm(x, dim=-2) for x in factors]
    weights = torch.stack(norms).prod(0)
    order = torch.sort(weights, dim=-1, descending=True, stable=True).indices
    unit = [
        torch.where(weights[..., None, :] > 0, x / norm[..., None, :].clamp_min(_tiny(x)), 0)
        for x, norm in zip(factors, norms, strict=True)
    ]
    positive = [signed(x) for x in unit[:-1]]
    turned = torch.ones_like(weights)
    for x, y in zip(unit, positive, strict=False):
        turned = torch.where((x * y).sum(-2) < 0, -turned, turned)
    last = unit[-1] * turned[..., None, :]
    found = (x.gather(-1, order[..., None, :].expand_as(x)) for x in (*positive, last))
    return weights.gather(-1, order), tuple(x + 0 for x in found)


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny
