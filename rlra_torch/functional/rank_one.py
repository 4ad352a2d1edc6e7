"""Best nonnegative rank-one approximations in closed form."""

import torch
from torch import Tensor

from rlra_torch.functional.randomized import truncated_svd


def rank_one_kl(y: Tensor) -> tuple[Tensor, Tensor]:
    """Best nonnegative rank-one approximation in the Kullback-Leibler divergence.

    argmin over w, h >= 0 of KL(Y, w hᵀ), that is the product of the marginals,
    w = Y 1 / sqrt(1ᵀ Y 1) and h = Yᵀ 1 / sqrt(1ᵀ Y 1), so that w and h have the same sum.
    Zero rows, zero columns and an all-zero y give exact zeros.

    Args:
        y: Nonnegative data, shape (*, m, n).

    Returns:
        w of shape (*, m, 1) and h of shape (*, n, 1).

    References:
        J. E. Cohen, Regularized low-rank approximations (HDR, 2026), section 7.7.1.
        N.-D. Ho and P. Van Dooren, Non-negative matrix factorization with fixed row and column
        sums, Linear Algebra and its Applications 429, 2008.

    Example:
        >>> w, h = rank_one_kl(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
        >>> w @ h.mT
        tensor([[1., 2.],
                [2., 4.]])
    """
    rows = y.sum(-1, keepdim=True)
    columns = y.sum(-2, keepdim=True).mT
    total = rows.sum(-2, keepdim=True)
    scale = torch.where(total > 0, total, 1.0).sqrt()
    return rows / scale, columns / scale


def rank_one_frobenius(y: Tensor) -> tuple[Tensor, Tensor]:
    """Best nonnegative rank-one approximation in the Frobenius norm.

    argmin over w, h >= 0 of 1/2 ||Y - w hᵀ||², that is w = sqrt(s) |u| and h = sqrt(s) |v| with
    (u, s, v) the leading singular triplet: for Y >= 0 the absolute values never fit worse, and
    no rank-one matrix fits better than s u vᵀ. Zero rows, zero columns and an all-zero y give
    exact zeros. When both dimensions exceed a thousand, the triplet comes from `truncated_svd`'s
    subspace iteration. The result is meant as a start, not to be differentiated.

    Args:
        y: Nonnegative data, shape (*, m, n).

    Returns:
        w of shape (*, m, 1) and h of shape (*, n, 1), with equal norms.

    References:
        J. E. Cohen, Regularized low-rank approximations (HDR, 2026), section 7.7.2.
        N. Gillis, Nonnegative Matrix Factorization, SIAM, 2020, chapter 6.

    Example:
        >>> w, h = rank_one_frobenius(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        >>> (w @ h.mT).round(decimals=4)
        tensor([[0., 2.],
                [0., 0.]])
    """
    left, values, right = truncated_svd(y, 1, torch.Generator().manual_seed(0))
    root = values.unsqueeze(-2).sqrt()
    # The singular vectors carry rounding noise where the data has only zeros.
    empty_rows = (y == 0).all(-1, keepdim=True)
    empty_columns = (y == 0).all(-2, keepdim=True).mT
    w = torch.where(empty_rows, 0.0, left.abs() * root)
    h = torch.where(empty_columns, 0.0, right.abs() * root)
    return w, h
