"""Factors whose columns combine k atoms each, by alternating optimization."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..models import CP, NMF, Factors, Model
from ..solvers import solve
from .atomic_columns import checked_setting
from .choice import Choice
from .distances import cosine
from .mixed import mixed_sparse_coding
from .mixture import MixedCodes
from .pursuit import homp
from .result import DictionaryFit
from .search import other_factors
from .starts import Setting, random_everything

SWEEPS = 3


def dlra(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    rank: int,
    k: int,
    *,
    nonnegative: bool = False,
    starts: int = 5,
    max_iter: int = 50,
    tol: float = 1e-4,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """Dictionary-based low-rank approximation with k atoms for each column.

        min over X, H of  1/2 ||Y - D X H^T||^2,   ||x_q||_0 <= k,   X, H >= 0 where wanted

    X is coded by `mixed_sparse_coding` once and by `homp` from there on, in turn with least squares
    for H, so that the residual falls; from several random starts, as one batch.

    Args:
        Y: (*, m, n), leading dimensions for independent problems.
        D: the dictionary (m, d), atoms as columns.
        rank: the number of columns of X.
        k: atoms of each.
        nonnegative: whether codes and H are.
        starts: random starts, of which the best is kept.
        max_iter: rounds, at most.
        tol: rounds end where none of the residuals falls by this share.
        seed: of the starts.

    Returns:
        a `DictionaryFit` with ``factors = (W, H)``, W = D X.

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2

    Example:
        >>> D, H = torch.eye(4), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.5], [2.0, 0.3]])
        >>> W = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 1.0]])
        >>> dlra(W @ H.T, D, 2, 2, nonnegative=True).support.shape
        torch.Size([2, 2])
    """
    given = (Y, NMF(), 0, D, rank, k, nonnegative, seed)
    return _alternated(_coding_setting(*given), k, starts, max_iter, tol)


def dlra_cp(
    T: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    rank: int,
    k: int,
    mode: int = 0,
    *,
    nonnegative: bool = False,
    starts: int = 5,
    max_iter: int = 50,
    tol: float = 1e-4,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """Canonical polyadic decomposition with one factor ``D X``, k atoms for each column.

    Args:
        T: a tensor (n_1, ..., n_d) of order 3 or more.
        D: the dictionary, (n_mode, d).
        rank, k: as in `dlra`.
        mode: of the factor that is coded, counted from 0.
        nonnegative, starts, max_iter, tol, seed: as in `dlra`.

    Returns:
        a `DictionaryFit` with one factor (n_i, r) per mode.

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)

    Example:
        >>> x = torch.tensor([[1.0, 0.2], [0.3, 2.0], [1.0, 1.0]])
        >>> W = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 1.0]])
        >>> T = torch.einsum("ir,jr,kr->ijk", x, W, x)
        >>> [tuple(factor.shape) for factor in dlra_cp(T, torch.eye(4), 2, 2, mode=1).factors]
        [(3, 2), (4, 2), (3, 2)]
    """
    order = getattr(T, "ndim", 0)
    if order < 3 or not 0 <= whole_number("the mode", mode, least=0) < order:
        raise ValueError(
            f"dlra_cp needs a tensor of order 3 or more and one of its modes, got order {order} "
            f"and mode {mode}"
        )
    given = (T, CP(order), mode, D, rank, k, nonnegative, seed)
    return _alternated(_coding_setting(*given), k, starts, max_iter, tol)


def _coding_setting(
    y: Tensor,
    model: Model,
    mode: int,
    d: Tensor,
    rank: int,
    k: int,
    nonnegative: bool,
    seed: int | torch.Generator,
) -> Setting:
    rank = whole_number("the rank", rank)
    choice = Choice.of([d], None, cosine, False, rank)
    if whole_number("k, the atoms of each column,", k) > d.shape[-1]:
        raise ValueError(f"{k} atoms need as many; the dictionary has {d.shape[-1]}")
    return checked_setting(y, model, mode, choice, rank, nonnegative, seed, None)


@torch.no_grad()
def _alternated(setting: Setting, k: int, starts: int, max_iter: int, tol: float) -> DictionaryFit:
    """Codes and the other factors in turn, from all starts at once; the best one of the end."""
    count, mode, y = whole_number("starts", starts), setting.mode, setting.problem.y
    assert isinstance(y, Tensor)
    problem = replace(setting.problem, y=y.expand(count, *y.shape))
    setting = replace(setting, problem=problem)
    others, factors, atoms = (
        other_factors(setting),
        random_everything(setting),
        setting.choice.atoms,
    )
    frozen, history, found = replace(problem, free=others.order), [], None
    for _ in range(max_iter):
        found = _coded(setting, factors, k, found)
        factors = (*factors[:mode], atoms @ found.codes, *factors[mode + 1 :])
        factors = solve(others, frozen, factors, max_iter=SWEEPS, tol=1e-12).factors
        history.append(problem.relative_error(factors))
        if len(history) > 1 and bool((history[-1] >= (1 - tol) * history[-2]).all()):
            break
    assert found is not None
    return _best(factors, found, torch.stack(history))


def _coded(setting: Setting, factors: Factors, k: int, before: MixedCodes | None) -> MixedCodes:
    """New codes for the other factors as they are."""
    others = [x for n, x in enumerate(factors) if n != setting.mode]
    b = reduce(lambda x, z: (x[..., :, None, :] * z[..., None, :, :]).flatten(-3, -2), others)
    given, settings = (setting.data, setting.choice.atoms, b, k), setting.nonnegative
    if before is None:
        return mixed_sparse_coding(*given, nonnegative=settings)
    return homp(*given, start=before.codes, nonnegative=settings, max_iter=5)


def _best(factors: Factors, found: MixedCodes, history: Tensor) -> DictionaryFit:
    residuals = history[-1]
    where = residuals.argmin(0)

    def best(x: Tensor, dim: int = 0) -> Tensor:
        own = x.ndim - dim - 1 - where.ndim
        index = where.reshape(*(1,) * (dim + 1), *where.shape, *(1,) * own)
        return torch.take_along_dim(x, index, dim).squeeze(dim)

    support = best(found.support)
    used = found.support.flatten(-2).sort(-1).values
    same = (used == support.flatten(-2).sort(-1).values).all(-1)
    return DictionaryFit(
        tuple(best(x) for x in factors),
        support,
        best(found.codes),
        residuals.amin(0),
        best(history, 1),
        residuals,
        same.sum(0),
    )
