"""What the rank-one terms of a CP model, and the rows of its factors, say about it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..metrics.spectral import unit_columns


def congruence(factors: Sequence[Tensor]) -> Tensor:
    """The cosines between the rank-one terms of one CP model, (*, R, R).

        prod_n cos(X_n[:, p], X_n[:, q])

    A term that is zero has cosine 0 with all.

    Args:
        factors: (*, n_i, R) each.

    Example:
        >>> congruence((torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, 2.0]]))).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    grams = [unit_columns(x).mT @ unit_columns(x) for x in factors]
    return torch.stack(torch.broadcast_tensors(*grams)).prod(0).clamp(-1, 1)


def degeneracy(factors: Sequence[Tensor]) -> Tensor:
    """The least cosine between two rank-one terms, (*,): near -1 they cancel each other.

    Two terms that grow without end with opposite signs, a two-factor degeneracy, mean that the
    tensor has no best approximation of this rank; nonnegative factors rule it out. Below -0.85 a
    model is not to be interpreted. A single term has 1.

    Args:
        factors: (*, n_i, R) each.

    References:
        | Krijnen, Dijkstra, Stegeman, On the non-existence of optimal solutions and the occurrence
        | of degeneracy in the CANDECOMP/PARAFAC model (2008)

    Example:
        >>> a = torch.tensor([[1.0, -1.0], [0.0, 0.1]])
        >>> degeneracy((a, a, a)).round(decimals=2)
        tensor(-0.9900)
    """
    cosines = congruence(factors)
    same = torch.eye(cosines.shape[-1], dtype=torch.bool, device=cosines.device)
    return torch.where(same, 1, cosines).amin((-2, -1))


def leverage(x: Tensor) -> Tensor:
    """How much each row of a factor decides the fit alone, ``diag(X (X^T X)^+ X^T)``.

    Between 0 and 1, with a sum equal to the rank of X; a sample far above the others is one that a
    component stands for alone, an outlier perhaps.

    Args:
        x: (*, n, R).

    Returns:
        (*, n).

    Example:
        >>> leverage(torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 1.0]])).round(decimals=2)
        tensor([1.0000, 0.5000, 0.5000])
    """
    unit = unit_columns(x)
    return (unit * torch.linalg.pinv(unit).mT).sum(-1).clamp(0, 1)
