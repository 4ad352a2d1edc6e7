"""Smooth components: factors that are combinations of B-splines."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.randomized import as_generator
from ..functional.tucker import mode_product
from ..initialization import random_factors
from ..iterations import HALS, Alternating
from ..losses import Frobenius
from ..models import CP, Factors, Multilinear
from ..problem import Problem
from ..regularizers import Free, NonNegative
from ..solvers import History, solve

INNER = 5


@dataclass(frozen=True)
class SmoothFit:
    """A CP model with factors ``U Z`` in given bases U.

    Args:
        factors: (n_i, r) each.
        codes: Z, (p, r), for each mode that has a basis.
        residual: () relative error ``||model - T|| / ||T||``.
        history: checks of the compressed problem, of all starts.
        residuals: (starts,) the relative error that each start came to.
        agreed: how many of the starts came within 0.1 percent of the best one.
    """

    factors: Factors
    codes: dict[int, Tensor]
    residual: Tensor
    history: History
    residuals: Tensor
    agreed: int


def bspline_basis(points: int | Tensor, count: int, degree: int = 3) -> Tensor:
    """B-splines on uniform knots, clamped at the ends, as columns: each row sums to one.

    Args:
        points: where they are evaluated, (n,) increasing, or how many equidistant points.
        count: how many splines, more than the degree.
        degree: of the polynomials: 3 for cubic splines.

    Returns:
        (n, count), in double precision where a number of points is given.

    Raises:
        ValueError: too few splines or points, or points that do not increase.

    References:
        | Timmerman, Kiers, Three-way component analysis with smoothness constraints (2002)

    Example:
        >>> bspline_basis(3, 2, degree=1)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.0000, 1.0000]], dtype=torch.float64)
    """
    from scipy.interpolate import BSpline

    degree = whole_number("the degree", degree, least=0)
    count = whole_number("the number of splines", count, least=degree + 1)
    if not isinstance(points, Tensor):
        many = whole_number("the number of points", points, least=2)
        points = torch.linspace(0, 1, many, dtype=torch.float64)
    if points.ndim != 1 or len(points) < 2 or not bool((points.diff() > 0).all()):
        raise ValueError(f"points must be (n,) and increase, got shape {tuple(points.shape)}")
    x = points.double().cpu()
    inner = torch.linspace(float(x[0]), float(x[-1]), count - degree + 1, dtype=x.dtype)
    knots = torch.cat((inner[:1].expand(degree), inner, inner[-1:].expand(degree)))
    found = BSpline.design_matrix(x.numpy(), knots.numpy(), degree).toarray()
    return torch.from_numpy(found).to(points)


def smooth_cp(
    T: Tensor,  # noqa: N803
    rank: int,
    bases: Mapping[int, Tensor],
    *,
    nonnegative: bool = True,
    starts: int = 5,
    max_iter: int = 500,
    tol: float = 1e-5,
    seed: int | torch.Generator = 0,
) -> SmoothFit:
    """Canonical polyadic decomposition with factors in the span of known bases.

        min over Z, X_2, .., X_d of  1/2 ||T - [[U Z, X_2, .., X_d]]||^2

    With U = QR the tensor is compressed to ``T x_1 Q^T``, which loses nothing of the fit, and U
    becomes R. Where factors are nonnegative so are the coefficients Z: for B-splines, which are
    nonnegative, that is enough.

    Args:
        T: a tensor (n_1, ..., n_d) of order 3 or more, without missing entries.
        rank: the number of components.
        bases: U, (n_i, p), of full column rank, for each smooth mode i, such as `bspline_basis`.
        nonnegative: whether coefficients and all other factors are.
        starts: random starts, of which the best is kept.
        max_iter, tol: of each start.
        seed: of the starts.

    Returns:
        a `SmoothFit`.

    Raises:
        TypeError, ValueError: data and bases that do not fit, before any work.

    References:
        | Timmerman, Kiers, Three-way component analysis with smoothness constraints (2002)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.3

    Example:
        >>> x = torch.linspace(0, 1, 30, dtype=torch.float64)[:, None] ** torch.arange(1.0, 3.0)
        >>> T = torch.einsum("ir,jr,kr->ijk", x[::6], x, x[::5])
        >>> float(smooth_cp(T, 2, {1: bspline_basis(30, 6)}).residual) < 1e-3
        True
    """
    _check(T, bases)
    rank, starts = whole_number("the rank", rank), whole_number("starts", starts)
    core, qr = T, {mode: torch.linalg.qr(basis) for mode, basis in bases.items()}
    for mode, (q, _) in qr.items():
        core = mode_product(core, q.mT, mode - T.ndim)
    sizes = [bases[i].shape[-1] if i in bases else n for i, n in enumerate(T.shape)]
    begun = random_factors([(starts, n, rank) for n in sizes], T, as_generator(seed))
    roots = tuple(r.expand(starts, *r.shape) for _, r in qr.values())
    free = tuple(range(len(qr), len(qr) + T.ndim))
    reg = NonNegative() if nonnegative else Free()
    model = Multilinear(_equation(T.ndim, list(qr)))
    regs = [Free()] * len(qr) + [reg] * T.ndim
    problem = Problem(core.expand(starts, *core.shape), model, Frobenius(), regs, free=free)
    begin = problem.scaled((*roots, *begun))
    found = solve(Alternating(HALS(), INNER), problem, begin, max_iter=max_iter, tol=tol)
    codes = dict(enumerate(found.factors[len(qr) :]))
    factors = tuple(bases[i] @ x if i in bases else x for i, x in codes.items())
    whole = Problem(T.expand(starts, *T.shape), CP(T.ndim), Frobenius(), [Free()] * T.ndim)
    residuals = whole.relative_error(factors)
    best = int(residuals.argmin())
    return SmoothFit(
        tuple(x[best] for x in factors),
        {i: codes[i][best] for i in bases},
        residuals[best],
        found.history,
        residuals,
        int((residuals <= 1.001 * residuals[best]).sum()),
    )


def _equation(order: int, smooth: list[int]) -> str:
    """The contraction with an operand of known numbers for each smooth mode, those first."""
    rows, inside = string.ascii_lowercase[:order], string.ascii_uppercase
    known = [rows[i] + inside[i] for i in smooth]
    sought = [(inside[i] if i in smooth else rows[i]) + "r" for i in range(order)]
    return ",".join([*known, *sought]) + "->" + rows


def _check(T: Tensor, bases: Mapping[int, Tensor]) -> None:  # noqa: N803
    if not isinstance(T, Tensor) or T.ndim < 3:
        raise ValueError("smooth_cp needs a tensor of order 3 or more")
    if not bool(T.isfinite().all()):
        raise ValueError("smooth_cp needs all entries; fill in what is missing")
    if not bases:
        raise ValueError("smooth_cp needs a basis for at least one mode; without any, use cp")
    for mode, basis in bases.items():
        if not 0 <= mode < T.ndim or basis.ndim != 2 or len(basis) != T.shape[mode]:
            raise ValueError(
                f"a basis of shape {tuple(basis.shape)} does not fit mode {mode} of a tensor of "
                f"shape {tuple(T.shape)}"
            )
        if int(torch.linalg.matrix_rank(basis)) < basis.shape[-1]:
            raise ValueError(
                f"the {basis.shape[-1]} columns of the basis of mode {mode} are dependent; take "
                "fewer splines"
            )
