"""Removing the scale ambiguity: ``W D, H D^-1`` predict the same data for every diagonal D > 0."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

MatrixFactors: TypeAlias = tuple[Tensor, Tensor]

# Of the mean of the diagonal of H^T H: enough for nearly equal columns, too little to bias others.
RIDGE = 1e-4
# Of the scale at which a column alone would sum to its share.
LEAST = 0.1


def sum_to_one(factors: MatrixFactors) -> MatrixFactors:
    """The scales for which abundances sum to one in every pixel as nearly as they can.

        d = argmin ||H d - 1||^2 + ridge ||d||^2,    H <- H * d,    W <- W / d

    Abundances of a linear mixture sum to one, so that the data alone fix the scale: for the true
    factors up to scale this gives the true ones. It is differentiable. Each d stays above a tenth
    of ``1 / (r mean(h_k))``, so that it is positive for any H.

    Args:
        factors: ``(W, H)``, (*, m, r) and (*, n, r), nonnegative.

    Returns:
        ``(W, H)`` with the same product.

    Example:
        >>> H = torch.tensor([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
        >>> W, H = sum_to_one((torch.ones(4, 2), H * torch.tensor([2.0, 0.5])))
        >>> [round(total, 2) for total in H.sum(1).tolist()]
        [1.0, 1.0, 1.0]
    """
    W, H = factors
    # Systems are solved in the full precision of the factors, whatever autocast makes of products.
    with torch.autocast(H.device.type, enabled=False):
        exact = H.to(torch.promote_types(H.dtype, torch.float32))
        tiny = torch.finfo(exact.dtype).tiny
        gram, rank = exact.mT @ exact, H.shape[-1]
        ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(tiny**0.5)
        system = gram + ridge[..., None, None] * torch.eye(
            rank, dtype=gram.dtype, device=gram.device
        )
        d = torch.linalg.solve(system, exact.sum(-2).unsqueeze(-1)).squeeze(-1)
        share = 1 / (rank * exact.mean(-2)).clamp_min(tiny**0.5)
        d = torch.maximum(d, LEAST * share.detach()).to(H.dtype).unsqueeze(-2)
    return W / d, H * d


def unit_columns(factors: MatrixFactors) -> MatrixFactors:
    """Columns of W of norm one, the scale in H: for factors that do not sum to one.

    Args:
        factors: ``(W, H)``, (*, m, r) and (*, n, r).

    Returns:
        ``(W, H)`` with the same product; columns of W that are zero stay so.

    Example:
        >>> W, H = unit_columns((torch.tensor([[3.0], [4.0]]), torch.ones(2, 1)))
        >>> W.flatten().tolist(), H.flatten().tolist()
        ([0.6000000238418579, 0.800000011920929], [5.0, 5.0])
    """
    W, H = factors
    norms = torch.linalg.vector_norm(W, dim=-2, keepdim=True)
    norms = torch.where(norms > 0, norms, 1)
    return W / norms, H * norms


def unit_sums(factors: MatrixFactors) -> MatrixFactors:
    """Columns of W of sum one, the scale in H: spectra of notes, and how loud they are.

    Args:
        factors: ``(W, H)``, (*, m, r) and (*, n, r), nonnegative.

    Returns:
        ``(W, H)`` with the same product; columns of W that are zero stay so.

    Example:
        >>> W, H = unit_sums((torch.tensor([[3.0], [1.0]]), torch.ones(2, 1)))
        >>> W.flatten().tolist(), H.flatten().tolist()
        ([0.75, 0.25], [4.0, 4.0])
    """
    W, H = factors
    sums = W.sum(-2, keepdim=True)
    sums = torch.where(sums > 0, sums, 1)
    return W / sums, H * sums
