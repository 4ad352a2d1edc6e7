"""Greedy mixed sparse coding: Trick-OMP and HOMP, on the pursuit of one column after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.linalg import solve_gram
from .mixture import MixedCodes, Mixture, gathered, least_squares


def pursuit(
    gram: Tensor, cross: Tensor, k: int, nonnegative: bool = False
) -> tuple[Tensor, Tensor]:
    """Orthogonal matching pursuit through the gram of the dictionary, all vectors at once.

    ``min ||v - D x||`` with k nonzeros: the atom closest to the residual joins the support, and all
    codes on it are fitted anew, k times. With nonnegative codes only atoms with a positive product
    with the residual help; the others join with a code of 0.

    Args:
        gram: ``D^T D``, (*, d, d).
        cross: ``D^T v``, a row for each vector, (*, rows, d).
        k: atoms of each.
        nonnegative: whether codes are.

    Returns:
        the atoms (*, rows, k), and their codes, likewise.

    References:
        | Pati, Rezaiifar, Krishnaprasad, Orthogonal matching pursuit (1993)
        | Rubinstein, Zibulevsky, Elad, Efficient implementation of the K-SVD algorithm using batch
        | orthogonal matching pursuit (2008)

    Example:
        >>> pursuit(torch.eye(3), torch.tensor([[1.0, -3.0, 2.0]]), 2)
        (tensor([[1, 2]]), tensor([[-3.,  2.]]))
    """
    norm = gram.diagonal(dim1=-2, dim2=-1).sqrt()[..., None, :]
    gram = gram.unsqueeze(-3)
    taken = (norm == 0).expand(cross.shape)
    support, codes = cross.new_zeros((*cross.shape[:-1], 0), dtype=torch.long), cross[..., :0]
    residual = cross
    for _ in range(k):
        score = (residual if nonnegative else residual.abs()) / norm
        best = torch.where(taken, -torch.inf, score).argmax(-1, keepdim=True)
        taken = taken.scatter(-1, best, True)
        support = torch.cat((support, best), -1)
        own = gathered(gram, support, support)
        codes = least_squares(own, cross.gather(-1, support), nonnegative)
        rows = torch.take_along_dim(gram, support[..., None], -2)
        residual = cross - (codes[..., None, :] @ rows)[..., 0, :]
    return support, codes


def trick_omp(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    nonnegative: bool = False,
) -> MixedCodes:
    """Undo B, then code each column of ``Y B (B^T B)^-1`` by orthogonal matching pursuit.

    Right without noise; the inverse amplifies noise by the condition number of B. The codes on the
    supports that were found are fitted to Y at last, all columns together.

    Args:
        Y: (*, m, n).
        D: the dictionary, (*, m, d), atoms as columns.
        B: (*, n, r), of full column rank.
        k: nonzeros of each column of X.
        nonnegative: whether the codes are.

    Returns:
        `MixedCodes`.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.2

    Example:
        >>> Y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> trick_omp(Y, torch.eye(3), torch.eye(2), 1).support
        tensor([[0],
                [2]])
    """
    mixture = Mixture.of(Y, D, B, k, nonnegative)
    undone = solve_gram(mixture.right, mixture.cross).mT
    x = mixture.refit(pursuit(mixture.left, undone, k, nonnegative)[0])
    return mixture.result(x, [mixture.residual(x)], Y.dtype)


def homp(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    start: Tensor | None = None,
    nonnegative: bool = False,
    max_iter: int = 1000,
) -> MixedCodes:
    """Hierarchical orthogonal matching pursuit: code one column of X with the others held fixed.

    ``V_i = (Y - sum_{j != i} D x_j b_j^T) b_i / ||b_i||^2`` is coded by orthogonal matching
    pursuit; where that fits worse than the atoms of before, these are fitted to ``V_i`` instead, so
    that the residual never rises. It ends when no column takes new atoms and the residual stands.

    Args:
        Y, D, B, k, nonnegative: as in `trick_omp`.
        start: X, (*, d, r), of which the k largest entries of each column count; None: zero.
        max_iter: the largest number of passes over the columns.

    Returns:
        `MixedCodes`; the history has a row for each pass.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)

    Example:
        >>> Y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> homp(Y, torch.eye(3), torch.eye(2), 1).codes
        tensor([[2., 0.],
                [0., 0.],
                [0., 3.]])
    """
    mixture = Mixture.of(Y, D, B, k, nonnegative)
    x = mixture.begin(start)
    value, history = mixture.value(x), [mixture.residual(x)]
    energy = mixture.y.square().sum((-2, -1))
    for _ in range(max_iter):
        x = mixture.debiased(_pass(mixture, x))
        before, value = value, mixture.value(x)
        history.append(mixture.residual(x))
        if bool((before - value <= 1e-12 * energy).all()):
            break
    return mixture.result(x, history, Y.dtype)


def _pass(mixture: Mixture, x: Tensor) -> Tensor:
    """Each column in turn, by new atoms or by those that it has, whichever is better."""
    left, k = mixture.left, mixture.k
    pulled = left @ x
    for i in range(x.shape[-1]):
        own = mixture.right[..., i : i + 1, i : i + 1]
        others = mixture.right[..., :, i : i + 1] * _but(i, x)
        cross = mixture.cross[..., i : i + 1] - pulled @ others
        cross = (cross / torch.where(own > 0, own, 1)).mT
        old = mixture.support(x)[..., i : i + 1, :]
        gram = gathered(left.unsqueeze(-3), old, old)
        kept = least_squares(gram, cross.gather(-1, old), mixture.nonnegative)
        new, codes = pursuit(left, cross, k, mixture.nonnegative)
        # At the least squares of a support the objective is minus half of <c, z>.
        better = (codes * cross.gather(-1, new)).sum(-1) > (kept * cross.gather(-1, old)).sum(-1)
        atoms, values = (
            torch.where(better[..., None], a, b) for a, b in ((new, old), (codes, kept))
        )
        column = torch.zeros_like(cross).scatter(-1, atoms, values).mT
        x = torch.cat((x[..., :i], column, x[..., i + 1 :]), -1)
        pulled = torch.cat((pulled[..., :i], left @ column, pulled[..., i + 1 :]), -1)
    return x


def _but(i: int, x: Tensor) -> Tensor:
    """1 for all columns but one, (r, 1)."""
    columns = torch.arange(x.shape[-1], device=x.device)
    return (columns != i).to(x.dtype)[:, None]
