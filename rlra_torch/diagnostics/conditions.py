"""When codes, dictionaries and pure pixels are the only ones: conditions, with a verdict each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linprog, nnls
from torch import Tensor

from ..metrics.spectral import unit_columns
from .dependence import mutual_coherence, spark


class Verdict(NamedTuple):
    """What a condition says.

    Args:
        unique: True: shown to be; False: shown not to be; None: open.
        words: why, in a sentence.
    """

    unique: bool | None
    words: str


class Separability(NamedTuple):
    """Pure pixels.

    Args:
        pixels: (r,) the index of the purest pixel of each component.
        purity: (r,) the share of the component there, 1 where it is pure.
        unique: as in `Verdict`.
        words: as in `Verdict`.
    """

    pixels: Tensor
    purity: Tensor
    unique: bool | None
    words: str


def nnls_unique(W: Tensor, y: Tensor | None = None) -> Verdict:
    """Whether ``min_{x >= 0} ||W x - y||`` has one solution.

    Without y, the night sky theorem: if any m of the columns are independent, it has for each y
    outside the cone of W, and at most m - 1 entries of it are positive. With y, exactly: no other
    ``x + z >= 0`` has ``W z = 0`` and z nonzero where ``W^T (y - W x) = 0`` only.

    Args:
        W: (m, n).
        y: (m,) or None.

    Raises:
        ValueError: shapes that do not fit.

    References:
        | Byrne (1981), in Cohen, Regularized low-rank approximations (HDR, 2026), theorem 2

    Example:
        >>> W = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> print(nnls_unique(W).words)
        Any 2 columns are independent: whatever y outside their cone, the solution is unique and has
        at most 1 positive entries.
        >>> nnls_unique(W, torch.tensor([1.0, 1.0])).unique  # x = (1, 1, 0) or (0, 0, 1)
        False
    """
    if W.ndim != 2 or (y is not None and y.shape != W.shape[:1]):
        given = "" if y is None else f" and y of shape {tuple(y.shape)}"
        raise ValueError(f"W is (m, n) and y (m,), got W of shape {tuple(W.shape)}{given}")
    if y is not None:
        return _one_solution(*(x.detach().cpu().double().numpy() for x in (W, y)))
    rows, count = W.shape
    found = spark(W)
    if found.lower > min(rows, count):
        if count < rows:
            return Verdict(True, "The columns are independent: the solution is unique for any y.")
        return Verdict(
            True,
            f"Any {rows} columns are independent: whatever y outside their cone, the solution is "
            f"unique and has at most {rows - 1} positive entries.",
        )
    if found.lower < found.upper:
        return Verdict(None, f"The spark is between {found.lower} and {found.upper}: it is open.")
    return Verdict(
        None,
        f"Some {found.upper:g} columns are dependent, so that it depends on y; pass y for an "
        "answer.",
    )


def sparse_codes_unique(D: Tensor, k: int) -> Verdict:
    """Whether k-sparse codes are determined by ``y = D x``: if and only if ``spark(D) > 2 k``.

    Mixed sparse codes, ``Y = D X B^T`` with B of full column rank and k-sparse columns of X, are
    under the same condition.

    Args:
        D: (m, d).
        k: the most nonzeros of a code.

    Raises:
        ValueError: not a matrix, or k below 1.

    References:
        | Donoho, Elad, Optimally sparse representation in general dictionaries (2003), theorem 1
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2

    Example:
        >>> sparse_codes_unique(torch.eye(4), 2).unique
        True
        >>> print(sparse_codes_unique(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), 2).words)
        Some 3 atoms are dependent: some 2-sparse codes have another with the same product.
    """
    _positive("k", k)
    found, mu = spark(D, limit=2 * k), float(mutual_coherence(D))
    if found.lower > 2 * k:
        easy = (
            f" The coherence {mu:.3f} is so low that pursuit and l1 find it."
            if k < (1 + 1 / max(mu, 1e-12)) / 2
            else ""
        )
        return Verdict(True, f"Any {2 * k} atoms are independent: the code is unique.{easy}")
    if found.upper <= 2 * k:
        return Verdict(
            False,
            f"Some {found.upper:g} atoms are dependent: some {k}-sparse codes have another with "
            "the same product.",
        )
    return Verdict(
        None,
        f"The spark is between {found.lower:g} and {found.upper:g}, and above {2 * k} is needed.",
    )


def atoms_unique(D: Tensor, rank: int, indices: Tensor | None = None) -> Verdict:
    """Whether ``Y = D[:, K] B^T`` of rank r determines which r atoms of the dictionary explain it.

    For any r atoms it does if ``spark(D) > r + 1``. With ``spark(D) = r + 1`` it does not: an atom
    may lie in the span of r others, and can then stand for one of them. For given atoms it does if
    and only if no other atom lies in their span (where B may have any sign).

    The same condition makes the matching order-d CP model unique, if the products of the other
    factors are independent.

    Args:
        D: (m, d).
        rank: r, the number of atoms.
        indices: (r,) the atoms that were found; None: any.

    Raises:
        ValueError: not a matrix, a rank below 1, or indices that are not r atoms of D.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 14

    Example:
        >>> D = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
        >>> atoms_unique(D, 1).unique, atoms_unique(D, 2).unique
        (True, False)
        >>> print(atoms_unique(D, 2, torch.tensor([0, 3])).words)
        No other atom lies in the span of these 2: they are the only ones that explain the data.
    """
    _positive("rank", rank)
    if indices is not None:
        return _these_atoms(D, rank, indices)
    found = spark(D, limit=rank + 1)
    if found.lower > rank + 1:
        return Verdict(True, f"Any {rank + 1} atoms are independent: any {rank} are determined.")
    if found.upper <= rank + 1:
        return Verdict(
            False,
            f"Some {found.upper:g} atoms are dependent: data made of some of them have another "
            f"explanation by {rank} atoms; ask for the atoms that were found.",
        )
    return Verdict(
        None,
        f"The spark is between {found.lower:g} and {found.upper:g}, and above {rank + 1} is "
        "needed; ask for the atoms that were found.",
    )


def separable(H: Tensor, tol: float = 1e-6) -> Separability:
    """Whether each component has a pixel of its own: rows of H that are multiples of unit vectors.

    Then ``Y = W H^T`` with W of full column rank has these pixels as the vertices of its cone, and
    separable factorization finds them; the purity is ``h_pk / sum_j h_pj``.

    Args:
        H: (n, r), nonnegative.
        tol: by how much a purity of 1 may be missed.

    Raises:
        ValueError: not a matrix, or negative values.

    References:
        | Donoho, Stodden, When does non-negative matrix factorization give a correct
        | decomposition into parts? (2003)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.1.3

    Example:
        >>> found = separable(torch.tensor([[0.0, 2.0], [0.5, 0.5], [1.0, 0.0]]))
        >>> found.pixels.tolist(), found.unique
        ([2, 0], True)
        >>> print(separable(torch.tensor([[0.0, 2.0], [0.5, 0.5], [3.0, 1.0]])).words)
        Component 1 has no pure pixel: the purest one holds 75.0 % of it.
    """
    shares = _shares(H)
    purity, pixels = shares.max(0)
    missing = [k for k in range(H.shape[1]) if not float(purity[k]) >= 1 - tol]
    if not missing:
        words = "Each component has a pure pixel: with independent spectra it is unique."
        return Separability(pixels, purity, True, words)
    worst = min(missing, key=lambda k: float(purity[k]))
    many = f"{len(missing)} components have" if len(missing) > 1 else f"Component {worst + 1} has"
    words = f"{many} no pure pixel: the purest one holds {100 * float(purity[worst]):.1f} % of it."
    if len(missing) > 1:
        words = words.replace("of it", f"of component {worst + 1}")
    return Separability(pixels, purity, None, words)


def _shares(H: Tensor) -> Tensor:
    """Rows divided by their sums; rows of zeros stay so."""
    if H.ndim != 2 or not len(H):
        raise ValueError(f"abundances are one matrix (n, r), not empty, got {tuple(H.shape)}")
    if not bool((H >= 0).all()):
        raise ValueError("abundances must be nonnegative and not NaN; clip or leave out those rows")
    total = H.sum(1, keepdim=True)
    return H / torch.where(total > 0, total, 1)


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value}")


def _these_atoms(D: Tensor, rank: int, indices: Tensor) -> Verdict:
    chosen = sorted(set(indices.reshape(-1).tolist()))
    if len(chosen) != rank or not 0 <= chosen[0] <= chosen[-1] < D.shape[-1]:
        raise ValueError(
            f"the indices are {rank} different atoms from 0 to {D.shape[-1] - 1}, got "
            f"{indices.reshape(-1).tolist()}"
        )
    tol = torch.finfo(D.dtype).eps ** 0.5
    unit = unit_columns(D)
    picked = unit[:, chosen]
    if float(torch.linalg.svdvals(picked)[-1]) <= tol or rank > len(D):
        return Verdict(False, f"These {rank} atoms are dependent: their weights are not unique.")
    others = [j for j in range(D.shape[-1]) if j not in set(chosen) and bool(D[:, j].any())]
    basis = torch.linalg.qr(picked).Q
    rest = unit[:, others]
    distance = torch.linalg.vector_norm(rest - basis @ (basis.mT @ rest), dim=0)
    inside = [others[i] for i in (distance <= tol).nonzero().flatten().tolist()]
    if not inside:
        return Verdict(
            True,
            f"No other atom lies in the span of these {rank}: they are the only ones that explain "
            "the data.",
        )
    several = f"Atom {inside[0]} lies" if len(inside) == 1 else f"{len(inside)} other atoms lie"
    return Verdict(
        False,
        f"{several} in the span of these {rank} and can stand for one of them, unless signs "
        "forbid it.",
    )


def _one_solution(W: np.ndarray, y: np.ndarray) -> Verdict:
    """Solve, then look for a direction in which the solution can move."""
    norms = np.linalg.norm(W, axis=0)
    unit = W / np.where(norms > 0, norms, 1)
    size = max(float(np.linalg.norm(y)), np.finfo(float).tiny)
    x, _ = nnls(unit, y / size)
    slope, tol = unit.T @ (y / size - unit @ x), 1e-9
    free, tight = np.flatnonzero(x > tol), np.flatnonzero((x <= tol) & (slope >= -tol))
    if np.linalg.matrix_rank(unit[:, free]) < len(free):
        return Verdict(False, "Columns of positive weight are dependent: the solution can move.")
    if len(tight):
        bounds = [(None, None)] * len(free) + [(0, 1)] * len(tight)
        cost = np.concatenate([np.zeros(len(free)), -np.ones(len(tight))])
        moved = linprog(cost, A_eq=unit[:, [*free, *tight]], b_eq=np.zeros(len(W)), bounds=bounds)
        if moved.status == 0 and -moved.fun > 1e-6:
            return Verdict(False, "Another column can take over weight: the solution can move.")
    return Verdict(
        True, f"The solution is unique; {len(free)} of its {len(x)} entries are positive."
    )
