"""Separable factorization by convex optimization: which pixels do all the others need?"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.pixels import select_columns
from ..functional.randomized import as_generator
from ..initialization.spa import successive_projection
from .h2nmf import h2nmf
from .result import pixels, result
from .self_dictionary import SelfDictionary
from .self_expression import SelfExpression, self_expression

TILT = 0.05  # how far the entries of p are from 1 at most


class ConvexSeparable(NamedTuple):
    """A `Separable`, and the solution of the convex model behind it.

    Args:
        indices, spectra, abundances, residual: as in `Separable`.
        importance: the diagonal of X, how much each pixel is needed, from 0 to 1, (*, n).
        penalty: mu, (*,).
        gap: the objective is at most this much above its least, over the objective, (*,).
        converged: whether that met the tolerance, (*,).
        n_iter: iterations.
    """

    indices: Tensor
    spectra: Tensor
    abundances: Tensor
    residual: Tensor
    importance: Tensor
    penalty: Tensor
    gap: Tensor
    converged: Tensor
    n_iter: int

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """``(W, H)`` to start a factorization from, as of a `Separable`."""
        return self.spectra, self.abundances.nan_to_num(0.0)


def fgnsr(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    select: Literal["rows", "diagonal"] = "rows",
    candidates: int | None = None,
    penalty: float | None = None,
    normalize: str | None = None,
    mask: Tensor | None = None,
    max_iter: int = 1000,
    tol: float = 0.03,
    seed: int | torch.Generator = 0,
) -> ConvexSeparable:
    """Fast gradient for nonnegative sparse regression with self-dictionary (FGNSR).

        min_X ||M - M X||_F^2 / 2 + mu sum_i p_i x_ii,   0 <= x_ij <= x_ii w_j / w_i,  x_ii <= 1

    with ``w_j = ||m_j||_1`` and p at random near 1, so that one of several equal pixels wins. It is
    convex and sees all pixels at once, so that it stays right at noise where greedy algorithms
    fail. Of a falling sequence of penalties mu the first is taken at which the trace of X is at
    least 0.7 r. Only rows of X that are not 0 are stored; that the others are 0 in a solution is
    checked, and the gap bounds the error of it all.

    Batched over leading dimensions; with candidates one problem after another.

    Args:
        M: pixels as columns, (*, m, n).
        r: how many to pick.
        select: "rows" picks by SPA on the rows of X, which tells pixels that stand for the same
            spectrum; "diagonal" takes the largest entries of the diagonal.
        candidates: pick among the pixels that stand for so many clusters of `h2nmf`, each of which
            counts as often as it has pixels; None: among all, with work of order m n^2 now and
            then, for some 10^4 pixels at most.
        penalty: mu; None to find it.
        normalize, mask: as in `spa`.
        max_iter: the largest number of iterations.
        tol: on the gap of the objective.
        seed: of p.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Gillis, Luce, A fast gradient method for nonnegative sparse regression with
        | self-dictionary (2018)

    Example:
        >>> M = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
        >>> fgnsr(M, 2).indices.sort().values
        tensor([0, 1])
    """
    _check(select, penalty, max_iter, tol)
    known = pixels("fgnsr", M, r, normalize, mask)
    allowed = known.allowed
    # A pixel of zeros explains nothing and costs nothing: it might as well not be there.
    data = torch.where(allowed.unsqueeze(-2), known.data, 0)
    chosen, often = _candidates(data, candidates, allowed)
    data = select_columns(data, chosen) * often.unsqueeze(-2)
    draw = torch.rand(data.shape[-1], generator=as_generator(seed), dtype=data.dtype)
    tilt = (1 + TILT * (2 * draw - 1)).to(data.device).expand_as(often)
    problem = SelfDictionary(data, data.abs().sum(-2), tilt)
    found = self_expression(problem, r, penalty, max_iter, tol)
    picked = _picked(found, often, r, select)
    indices = torch.where(picked < 0, -1, chosen.gather(-1, picked.clamp_min(0)))
    importance = data.new_zeros(allowed.shape).scatter(-1, chosen.gather(-1, found.rows), found.own)
    met = found.gap <= tol
    plain = result(M, indices, known)
    return ConvexSeparable(*plain, importance, found.penalty, found.gap, met, found.n_iter)


def _check(select: str, penalty: float | None, max_iter: int, tol: float) -> None:
    if select not in ("rows", "diagonal"):
        raise ValueError(f"select is 'rows' or 'diagonal', got {select!r}")
    whole_number("max_iter", max_iter)
    if real_number("tol", tol) <= 0:
        raise ValueError(f"tol must be positive, got {tol}")
    if penalty is not None and real_number("the penalty", penalty) <= 0:
        raise ValueError(f"the penalty must be positive, got {penalty}")


def _candidates(data: Tensor, count: int | None, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Which pixels may be picked, (*, k), and the square root of how many each stands for."""
    if count is None:
        everyone = torch.arange(data.shape[-1], device=data.device).expand(allowed.shape)
        return everyone, data.new_ones(allowed.shape)
    found = h2nmf(data, whole_number("candidates", count), mask=~allowed)
    sizes = torch.zeros_like(found.indices).to(data.dtype)
    sizes = sizes.scatter_add(-1, found.labels.clamp_min(0), (found.labels >= 0).to(data.dtype))
    return found.indices.clamp_min(0), torch.where(found.indices < 0, 0, sizes.sqrt())


def _picked(found: SelfExpression, often: Tensor, r: int, select: str) -> Tensor:
    """The r rows of X that stand for all, by their numbers, -1 where there are fewer."""
    if select == "diagonal":
        own = torch.nn.functional.pad(found.own, (0, max(0, r - found.own.shape[-1])))
        best = own.topk(r, -1)
        order = torch.where(best.values > 0, best.indices, -1)
    else:
        # Back to the unit of single pixels, each column as often as it counts.
        order = successive_projection((found.x * often.gather(-1, found.rows)[..., None]).mT, r)
    rows = found.rows.gather(-1, order.clamp(0, found.rows.shape[-1] - 1))
    return torch.where(order < 0, -1, rows)
