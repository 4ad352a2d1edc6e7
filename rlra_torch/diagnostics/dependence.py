"""How independent the columns of a matrix are: k-rank, spark, coherence."""

from __future__ import annotations

import math
from itertools import combinations, islice
from typing import NamedTuple

import torch
from torch import Tensor

from ..metrics.spectral import unit_columns

SUBSETS = 100000  # of columns, at most, that are tried of one size
PURSUIT = 64  # columns, at most, of which another is made to find dependent sets


class KRank(NamedTuple):
    """What is known of a k-rank; both are equal where it was found.

    Args:
        lower: any so many columns are independent.
        upper: some one more are not.
    """

    lower: int
    upper: int


class Spark(NamedTuple):
    """What is known of a spark; both are equal where it was found.

    Args:
        lower: any fewer columns are independent.
        upper: so many are dependent; infinite where all columns are independent.
    """

    lower: float
    upper: float


def k_rank(x: Tensor, tol: float | None = None, limit: int | None = None) -> KRank:
    """The largest k such that any k columns are independent.

    By trying subsets of columns while there are few of them; then by bounds: from below, any k
    columns are independent if ``babel(k - 1) < 1``; from above, the rank, and the smallest
    dependent set that orthogonal matching pursuit finds when it makes a column of the others.

    Args:
        x: (n, R).
        tol: columns of norm 1 whose smallest singular value is below it are dependent; None: the
            square root of the rounding unit.
        limit: larger values need not be told apart: no subset of more columns is tried.

    Raises:
        ValueError: not a matrix.

    References:
        | Kruskal, Three-way arrays: rank and uniqueness of trilinear decompositions (1977)
        | Tropp, Greed is good: algorithmic results for sparse approximation (2004)

    Example:
        >>> k_rank(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
        KRank(lower=1, upper=1)
    """
    unit = unit_columns(_matrix("the k-rank", x))
    bound = torch.finfo(x.dtype).eps ** 0.5 if tol is None else tol
    if not bool(x.any(0).all()):
        return KRank(0, 0)
    small = torch.linalg.qr(unit, mode="r").R if len(unit) > unit.shape[-1] else unit
    upper, count = int((torch.linalg.svdvals(small) > bound).sum()), unit.shape[-1]
    if upper == count:
        return KRank(count, count)
    for size in range(2, upper + 1):
        if math.comb(count, size) > SUBSETS or (limit is not None and size > limit):
            spread = int((babel(unit)[: upper - 1] < 1).sum()) + 1
            lower = max(size - 1, spread)
            return KRank(lower, max(lower, min(upper, _pursued(small, bound))))
        if not _independent(small, size, bound):
            return KRank(size - 1, size - 1)
    return KRank(upper, upper)


def spark(D: Tensor, tol: float | None = None, limit: int | None = None) -> Spark:
    """The smallest number of dependent columns, infinite where all are independent.

    ``spark(D) = min {||x||_0 : D x = 0, x != 0}``, the k-rank plus one: exact where subsets of
    columns can be tried, between two bounds elsewhere (see `k_rank`).

    Args:
        D: (m, d).
        tol: as in `k_rank`.
        limit: as in `k_rank`: larger values need not be told apart.

    Raises:
        ValueError: not a matrix.

    References:
        | Donoho, Elad, Optimally sparse representation in general dictionaries (2003)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.1

    Example:
        >>> spark(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
        Spark(lower=3, upper=3)
        >>> spark(torch.eye(2))
        Spark(lower=inf, upper=inf)
    """
    lower, upper = k_rank(D, tol, limit)
    count = D.shape[-1]
    return Spark(*(math.inf if k == count else k + 1 for k in (lower, upper)))


def mutual_coherence(D: Tensor) -> Tensor:
    """The largest cosine between two columns, ``max_{i != j} |d_i^T d_j| / ||d_i|| ||d_j||``.

    Args:
        D: (*, m, d); columns that are zero have cosine 0, and one column has coherence 0.

    Returns:
        (*,), between 0 and 1.

    References:
        | Donoho, Elad, Optimally sparse representation in general dictionaries (2003)

    Example:
        >>> mutual_coherence(torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]]))
        tensor(0.8000)
    """
    cosines = _cosines(D)
    return cosines.amax((-2, -1)) if cosines.shape[-1] else cosines.sum((-2, -1))


def babel(D: Tensor) -> Tensor:
    """The Babel function, ``max_i max_{|S| = p, i not in S} sum_{j in S} |cos(d_i, d_j)|``.

    It grows from the mutual coherence at p = 1, at most p times as large; any ``p + 1`` columns are
    independent, and orthogonal matching pursuit finds any ``p + 1`` of them by their sum, where
    ``babel(p) + babel(p + 1) < 1``; for independence alone ``babel(p) < 1`` is enough.

    Args:
        D: (*, m, d).

    Returns:
        (*, d - 1), for p = 1 to d - 1.

    References:
        | Tropp, Greed is good: algorithmic results for sparse approximation (2004), section II

    Example:
        >>> babel(torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]]))
        tensor([0.8000, 1.4000])
    """
    ordered = _cosines(D).sort(dim=-1, descending=True).values
    return ordered[..., :-1].cumsum(-1).amax(-2)


def _matrix(what: str, x: Tensor) -> Tensor:
    if x.ndim != 2:
        raise ValueError(f"{what} is that of one matrix (n, R), got shape {tuple(x.shape)}")
    return x


def _cosines(D: Tensor) -> Tensor:
    """|cos| of all pairs of columns, 0 of a column with itself."""
    unit = unit_columns(D)
    eye = torch.eye(D.shape[-1], dtype=torch.bool, device=D.device)
    return (unit.mT @ unit).abs().masked_fill(eye, 0)


def _independent(x: Tensor, size: int, tol: float) -> bool:
    """Whether any so many columns are."""
    subsets = combinations(range(x.shape[-1]), size)
    while chunk := list(islice(subsets, 2048)):
        picked = x[:, torch.tensor(chunk, device=x.device)].movedim(1, 0)
        if bool((torch.linalg.svdvals(picked)[..., -1] <= tol).any()):
            return False
    return True


def _pursued(unit: Tensor, tol: float) -> int:
    """The fewest columns of which another one is made, by orthogonal matching pursuit from each.

    One residual for each column; a basis of what it was made of so far grows beside it.
    """
    rows, count = unit.shape
    residual, basis = unit.clone(), unit.new_zeros(count, rows, 0)
    used = torch.eye(count, dtype=torch.bool, device=unit.device)
    for size in range(1, min(PURSUIT, rows, count - 1) + 1):
        scores = (residual.mT @ unit).abs().masked_fill(used, -1)
        best = scores.argmax(-1, keepdim=True)
        used = used.scatter(-1, best, True)
        new = unit.mT[best[:, 0]].unsqueeze(-1)
        for _ in range(2):  # twice is enough for orthogonality in spite of rounding
            new = new - basis @ (basis.mT @ new)
        new = new / torch.linalg.vector_norm(new, dim=-2, keepdim=True).clamp_min(tol)
        basis = torch.cat((basis, new), -1)
        whole = unit.mT.unsqueeze(-1)
        residual = (whole - basis @ (basis.mT @ whole))[..., 0].mT
        if bool((torch.linalg.vector_norm(residual, dim=0) <= tol).any()):
            return size
    return count
