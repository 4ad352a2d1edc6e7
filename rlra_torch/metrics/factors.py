"""Comparing factors that are known up to the order of their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlra_torch.metrics.spectral import angle_between, unit_columns


def match(W: Tensor, W_true: Tensor) -> Tensor:
    """The columns of W that stand for those of the truth, one for each.

    The permutation p that minimizes Σ_k angle(W[:, p_k], W_true[:, k]), as an assignment problem.

    Args:
        W: Estimated columns, (*, m, r).
        W_true: True columns, (*, m, s) with s <= r.

    Returns:
        Indices p, (*, s): without leading dimensions, ``W[:, p]`` is in the order of the truth.

    Raises:
        ValueError: The shapes do not fit, there are fewer columns than true ones, or a value is
            not finite.

    Example:
        >>> W_true = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> match(2 * W_true[:, [2, 0, 1]], W_true).tolist()
        [1, 2, 0]
    """
    _check_columns(W, W_true)
    # One true column at a time: all pairs at once would take s times the memory of W.
    rows = [angle_between(W.detach(), a.unsqueeze(-1)) for a in W_true.detach().unbind(-1)]
    return assignment(torch.stack(rows, dim=-2))


def match_abundances(H: Tensor, H_true: Tensor) -> Tensor:
    """As ``match``, by abundances: their scales count, as those of fractions of a pixel do.

    The permutation p that minimizes Σ_k ‖H[:, p_k] - H_true[:, k]‖².

    Args:
        H: Estimated abundances, (*, n, r).
        H_true: True abundances, (*, n, s) with s <= r.

    Returns:
        Indices p, (*, s).

    Raises:
        ValueError: As in ``match``.

    Example:
        >>> H_true = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        >>> match_abundances(H_true[:, [1, 0]], H_true).tolist()
        [1, 0]
    """
    _check_columns(H, H_true)
    columns = H_true.detach().unbind(-1)
    rows = [(H.detach() - h.unsqueeze(-1)).square().sum(-2) for h in columns]
    return assignment(torch.stack(rows, dim=-2))


def factor_match(
    factors: Sequence[Tensor], true_factors: Sequence[Tensor], weighted: bool = False
) -> Tensor:
    """Factor match score, the mean congruence of the rank-one terms of two CP models.

    FMS = max over permutations p of 1/R Σ_k Π_n cos(A_n[:, p_k], A*_n[:, k]). The product over the
    modes is the cosine between two rank-one tensors, so that scales do not matter, neither do
    pairs of flipped signs; it is 1 for the same model. Terms that are zero have congruence 1 with
    each other and 0 with all others.

    Args:
        factors: Estimated factors, (*, d_n, R) each.
        true_factors: True factors, same shapes.
        weighted: Whether the sizes of the terms count: each congruence is then multiplied by
            1 - |s - s*| / max(s, s*), with s the norm of a term.

    Returns:
        The score, (*,), at most 1; differentiable, the permutation held fixed.

    Raises:
        ValueError: There are no factors, the shapes differ, or a value is not finite.

    References:
        A scalable optimization approach for fitting canonical tensor decompositions
        (Acar, Dunlavy and Kolda, 2011).

    Example:
        >>> A, B = torch.eye(3)[:, :2], torch.eye(4)[:, :2]
        >>> factor_match((2 * A[:, [1, 0]], B[:, [1, 0]]), (A, B)).item()
        1.0
        >>> factor_match((A[:, [1, 0]], B), (A, B)).item()
        0.0
    """
    shapes = [tuple(factor.shape) for factor in factors]
    true_shapes = [tuple(factor.shape) for factor in true_factors]
    if not shapes or shapes != true_shapes or len({s[:-2] + s[-1:] for s in shapes}) > 1:
        raise ValueError(
            f"two models are compared with factors of one list of shapes (*, d_n, R), not {shapes} "
            f"and {true_shapes}"
        )
    # congruence[k, j]: true term k with estimated term j.
    congruence = _cosines(factors[0], true_factors[0])
    zero, true_zero = _zero_columns(factors[0]), _zero_columns(true_factors[0])
    for factor, true_factor in zip(factors[1:], true_factors[1:], strict=True):
        congruence = congruence * _cosines(factor, true_factor)
        zero = zero | _zero_columns(factor)
        true_zero = true_zero | _zero_columns(true_factor)
    if weighted:
        congruence = congruence * _same_size(_sizes(true_factors), _sizes(factors))
    congruence = torch.where(true_zero[..., :, None] & zero[..., None, :], 1, congruence)
    order = assignment(-congruence.detach())
    return congruence.gather(-1, order.unsqueeze(-1)).squeeze(-1).mean(-1)


def _check_columns(W: Tensor, W_true: Tensor) -> None:
    if W.ndim < 2 or W.ndim != W_true.ndim or W.shape[:-1] != W_true.shape[:-1]:
        raise ValueError(
            f"columns are compared between (*, m, r) and (*, m, s), not {tuple(W.shape)} and "
            f"{tuple(W_true.shape)}"
        )
    if W.shape[-1] < W_true.shape[-1]:
        raise ValueError(
            f"{W.shape[-1]} columns cannot stand for {W_true.shape[-1]} true ones; "
            "estimate at least as many, or exchange the two arguments"
        )


def _sizes(factors: Sequence[Tensor]) -> Tensor:
    """The norm of each rank-one term, (*, R)."""
    return torch.stack([torch.linalg.vector_norm(x, dim=-2) for x in factors]).prod(0)


def _same_size(true_sizes: Tensor, sizes: Tensor) -> Tensor:
    """The smaller over the larger size of true term k and estimated term j, at [k, j]."""
    pairs = torch.broadcast_tensors(true_sizes[..., :, None], sizes[..., None, :])
    larger = torch.maximum(*pairs)
    return torch.minimum(*pairs) / torch.where(larger > 0, larger, 1)


def _cosines(A: Tensor, A_true: Tensor) -> Tensor:
    """cos(A_true[:, k], A[:, j]) at [k, j]; a zero column has cosine 0 with all."""
    u, v = unit_columns(A), unit_columns(A_true)
    # In this form equal columns have cosine 1 exactly.
    rows = [1 - (u - a.unsqueeze(-1)).square().sum(dim=-2) / 2 for a in v.unbind(-1)]
    cosine = torch.stack(rows, dim=-2)
    some_zero = _zero_columns(A_true)[..., :, None] | _zero_columns(A)[..., None, :]
    return torch.where(some_zero, 0, cosine)


def _zero_columns(A: Tensor) -> Tensor:
    return ~A.any(dim=-2)


def assignment(cost: Tensor) -> Tensor:
    """The column j assigned to each row k at the least total cost, for (*, s, r) costs."""
    from scipy.optimize import linear_sum_assignment

    if not cost.isfinite().all():
        raise ValueError("columns with NaN or infinite values cannot be matched; replace them")
    tables = cost.reshape(-1, *cost.shape[-2:]).double().cpu().numpy()
    orders = [linear_sum_assignment(table)[1] for table in tables]
    order = np.array(orders, dtype=np.int64).reshape(cost.shape[:-1])
    return torch.from_numpy(order).to(cost.device)
