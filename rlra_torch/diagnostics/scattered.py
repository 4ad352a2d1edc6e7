"""When a nonnegative factorization is the only one: scattered rows and patterns of zeros."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from .conditions import Verdict, _shares, separable

LARGEST = 8  # components: the hull of rows has up to n^((r - 1) / 2) facets


class Scattered(NamedTuple):
    """How far the rows of a factor are scattered.

    Args:
        margin: of the facets of the hull of the rows that are none of the simplex, the distance of
            the nearest from the centre over the radius of the ball inscribed in the simplex: above
            1 is scattered; NaN where it was not computed.
        unique: whether the condition holds; None: open. Alone it makes no factorization unique,
            see `nmf_unique` and `minimum_volume_unique`.
        words: why, in a sentence.
    """

    margin: float
    unique: bool | None
    words: str


def sufficiently_scattered(H: Tensor, tol: float = 1e-6) -> Scattered:
    """Whether the cone of the rows of H holds the cone inscribed in the orthant, and a bit more.

    With rows divided by their sums: their hull holds the ball inscribed in the simplex, and its
    facets that touch the ball are facets of the simplex. Exact for up to 8 components, by these
    facets; for more, pure rows are sufficient and ``r - 1`` zeros in each column necessary.

    Args:
        H: (n, r), nonnegative.
        tol: relative, on zeros and on the radius.

    Raises:
        ValueError: not a matrix, or negative values.

    References:
        | Huang, Sidiropoulos, Swami, Non-negative matrix factorization revisited: uniqueness and
        | algorithm for symmetric decomposition (2014)
        | Gillis, Nonnegative matrix factorization (2020), section 4.2.3
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.1.2

    Example:
        >>> H = torch.tensor([[0.0, 1, 3], [0, 3, 1], [1, 0, 3], [3, 0, 1], [1, 3, 0], [3, 1, 0]])
        >>> found = sufficiently_scattered(H)
        >>> found.unique, round(found.margin, 3)
        (True, 1.25)
        >>> sufficiently_scattered(H + 0.1).unique
        False
    """
    shares = _shares(H)
    rank = shares.shape[1]
    if separable(H, tol).unique:
        return Scattered(math.nan, True, "Each component has a row of its own: scattered.")
    few = [k for k in range(rank) if int((shares[:, k] <= tol).sum()) < rank - 1]
    if few:
        needs = f"Column {few[0] + 1} has fewer than {rank - 1} zeros"
        return Scattered(math.nan, False, f"{needs}, which scattered rows have in each column.")
    if rank > LARGEST:
        words = f"It is open: the hull of rows is computed for at most {LARGEST} components."
        return Scattered(math.nan, None, words)
    return _by_facets(shares.detach().cpu().double().numpy(), tol)


def nmf_unique(W: Tensor, H: Tensor, tol: float = 1e-6) -> Verdict:
    """Whether ``W H^T`` has no other nonnegative factorization of its rank, up to order and scale.

    It has none if the rows of W and those of H are sufficiently scattered. It has some if the zeros
    of a column of W, or of H, are among those of another: then
    ``w_i - e w_j`` and ``h_j + e h_i`` do as well.

    Args:
        W: (m, r), nonnegative.
        H: (n, r), nonnegative.
        tol: relative to the largest entry of a column, what counts as zero.

    Raises:
        ValueError: shapes that do not fit, or negative values.

    References:
        | Huang, Sidiropoulos, Swami, Non-negative matrix factorization revisited: uniqueness and
        | algorithm for symmetric decomposition (2014)
        | Gillis, Nonnegative matrix factorization (2020), section 4.2

    Example:
        >>> nmf_unique(torch.eye(3), torch.eye(3)).unique
        True
        >>> print(nmf_unique(torch.eye(2), torch.tensor([[1.0, 1.0], [0.0, 1.0]])).words)
        The zeros of column 2 of H are among those of column 1, so that a share of component 1 can
        be moved: it is not unique.
    """
    if W.shape[-1] != H.shape[-1]:
        raise ValueError(f"W and H need one rank, got shapes {tuple(W.shape)}, {tuple(H.shape)}")
    if not all(_independent(x) for x in (W, H)):
        return Verdict(None, "A factor does not have full column rank: these conditions are open.")
    for name, x in (("W", W), ("H", H)):
        pair = _nested(_shares(x.mT).mT, tol)
        if pair is not None:
            low, high = (k + 1 for k in pair)
            return Verdict(
                False,
                f"The zeros of column {high} of {name} are among those of column {low}, so that a "
                f"share of component {low} can be moved: it is not unique.",
            )
    if all(sufficiently_scattered(x, tol).unique for x in (W, H)):
        return Verdict(True, "The rows of both factors are scattered: it is unique.")
    words = "No column of a factor has the zeros of another, but not both factors are scattered"
    return Verdict(None, f"{words}: it is open; for rank 3, see feasible_set.")


def minimum_volume_unique(W: Tensor, H: Tensor, tol: float = 1e-6) -> Verdict:
    """Whether of all ``Y = W H^T`` with rows of H of sum one the one of least volume is unique.

    It is if W has full column rank and the rows of H are sufficiently scattered; W may have any
    sign and no pixel needs to be pure.

    Args:
        W: (m, r).
        H: (n, r), nonnegative, rows of sum one.
        tol: as in `sufficiently_scattered`.

    Raises:
        ValueError: shapes that do not fit, negative values, or rows of other sums.

    References:
        | Fu, Ma, Huang, Sidiropoulos, Blind separation of quasi-stationary sources: exploiting
        | convex geometry in covariance domain (2015)
        | Gillis, Nonnegative matrix factorization (2020), section 4.3.3

    Example:
        >>> minimum_volume_unique(torch.eye(3), torch.eye(3)).unique
        True
    """
    if W.shape[-1] != H.shape[-1]:
        raise ValueError(f"W and H need one rank, got shapes {tuple(W.shape)}, {tuple(H.shape)}")
    sums = H.sum(-1)
    if not bool(((sums - 1).abs() <= 1e-3).all()):
        raise ValueError(
            f"rows of H have sums from {float(sums.min()):.3g} to {float(sums.max()):.3g}, but the "
            "condition is for sums of one; divide the columns of Y, and these rows, by their sums"
        )
    if not _independent(W):
        return Verdict(None, "W does not have full column rank: the condition does not apply.")
    found = sufficiently_scattered(H, tol)
    if found.unique:
        return Verdict(True, f"{found.words[:-1]}, and the spectra are independent: it is unique.")
    return Verdict(None, f"The condition is not met. {found.words}")


def _by_facets(shares: np.ndarray, tol: float) -> Scattered:
    """By the distance of each facet of the hull of the rows from the centre of the simplex."""
    rank = shares.shape[1]
    radius = 1 / math.sqrt(rank * (rank - 1))
    # An orthonormal basis of the plane of vectors of sum zero.
    axes = np.linalg.svd(np.eye(rank) - 1 / rank)[0][:, : rank - 1]
    points = (shares[shares.any(axis=1)] - 1 / rank) @ axes
    try:
        hull = ConvexHull(points)
    except QhullError:
        return Scattered(0.0, False, "The rows lie in a plane: not scattered.")
    normals, distances = hull.equations[:, :-1], -hull.equations[:, -1]
    # The outward normal of a facet of the simplex, x_k = 0, is the projection of -e_k.
    walls = -axes / np.linalg.norm(axes, axis=1, keepdims=True)
    wall = (normals @ walls.T).max(axis=1) > 1 - tol
    wall &= np.abs(distances - radius) <= tol * radius
    margin = float((distances[~wall] / radius).min(initial=math.inf))
    if margin > 1 + tol:
        return Scattered(margin, True, "The hull of the rows holds the ball inscribed: scattered.")
    where = "touches" if margin > 1 - tol else "cuts"
    words = f"A facet of the hull of the rows {where} the ball inscribed, at {margin:.3f} radii"
    return Scattered(margin, False, f"{words}: not scattered.")


def _independent(x: Tensor) -> bool:
    return int(torch.linalg.matrix_rank(x)) == x.shape[-1]


def _nested(shares: Tensor, tol: float) -> tuple[int, int] | None:
    """(low, high): all nonzeros of column ``low`` are nonzeros of ``high``; None if there are none.

    Where the larger support holds the smaller one, a share of the small can be taken off the large.
    """
    used = shares > tol * shares.amax(0, keepdim=True)
    for low in range(shares.shape[1]):
        for high in range(shares.shape[1]):
            if low != high and bool((used[:, high] | ~used[:, low]).all()):
                return low, high
    return None
