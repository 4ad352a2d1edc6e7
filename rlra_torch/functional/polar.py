"""The orthogonal polar factor of small matrices, without decompositions."""

from __future__ import annotations

import torch
from torch import Tensor

SCALED, PLAIN = 6, 3
"""Steps that bring any condition number that a dtype has near 1, and steps that finish."""


def polar(x: Tensor) -> Tensor:
    """The orthogonal matrix nearest to each square matrix, ``U V^T`` where ``X = U S V^T``.

    Newton's iteration ``X <- (g X + X^-T / g) / 2`` with ``g^2 = ||X^-1|| / ||X||`` at first and
    ``g = 1`` at the end. It takes inverses and no decomposition, so that nothing waits for the
    device, and its derivative is that of the polar factor, where the one of a decomposition is
    infinite for equal singular values.

    Args:
        x: (*, r, r). Where it is singular the factor is not unique, and one of them is returned.

    Returns:
        (*, r, r), orthogonal to rounding.

    References:
        | Higham, Computing the polar decomposition, with applications (1986)

    Example:
        >>> polar(torch.tensor([[0.0, -3.0], [2.0, 0.0]])).round(decimals=6) + 0.0
        tensor([[ 0., -1.],
                [ 1.,  0.]])
    """
    finfo = torch.finfo(x.dtype)
    count = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    # What is singular gets an inverse, as directions that it lost meet in this matrix; what is
    # not singular feels no more than rounding.
    x = x / x.abs().amax((-2, -1), keepdim=True).clamp_min(finfo.tiny)
    x = x + finfo.eps * torch.outer(count, count).cos()
    for _ in range(SCALED):
        inverse, _ = torch.linalg.inv_ex(x)
        scale = 0.5 * (_norm(inverse) / _norm(x)).sqrt()
        x = scale * x + inverse.mT / (4 * scale)
    for _ in range(PLAIN):
        inverse, _ = torch.linalg.inv_ex(x)
        x = 0.5 * (x + inverse.mT)
    return x


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)
