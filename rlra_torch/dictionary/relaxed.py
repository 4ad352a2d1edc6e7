"""Mixed sparse coding by proximal gradient: Block-FISTA, Mixed-FISTA and hard thresholding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..functional.arguments import real_number
from ..iterations import FISTA, Alternating
from ..losses import Frobenius
from ..models import Coded
from ..problem import Problem
from ..regularizers import L1, Free, InducedL1, KSparse, NonNegative, Regularizer
from ..solvers import solve
from .mixture import MixedCodes, Mixture

# Steps between two checks; weights of a path, each this many times the one before, and their steps.
INNER, FALL, SMALLEST, STEPS = 50, 0.6, 1e-6, 100


def block_fista(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    weight: float | None = None,
    nonnegative: bool = False,
    max_iter: int = 1000,
) -> MixedCodes:
    """Mixed sparse coding with an l1 penalty on each column, by accelerated proximal gradient.

    ``min ||Y - D X B^T||^2 / 2 + sum_i w_i ||x_i||_1``; the k largest entries of each column make
    the supports, on which the codes are fitted anew. Without a weight the ``w_i`` fall together
    from where all codes are zero, each until its column has several times k nonzeros, and of all
    the supports on the way those with the least residual are kept.

    Args:
        Y: (*, m, n).
        D: the dictionary, (*, m, d), atoms as columns.
        B: (*, n, r), of full column rank.
        k: nonzeros of each column of X.
        weight: ``w_i`` relative to ``max |D^T Y B|_i``, from which on column i is zero; None: a
            path of them.
        nonnegative: whether the codes are.
        max_iter: the largest number of steps for one weight.

    Returns:
        `MixedCodes`; the history has a row for each weight.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.2

    Example:
        >>> Y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> block_fista(Y, torch.eye(3), torch.eye(2), 1).codes
        tensor([[2., 0.],
                [0., 0.],
                [0., 3.]])
    """
    mixture = Mixture.of(Y, D, B, k, nonnegative)
    scale = _largest(mixture)

    def penalty(w: Tensor) -> Regularizer:
        return NonNegative(l1=w) if nonnegative else L1(w)

    return _relaxed(mixture, penalty, scale, weight, max_iter, Y.dtype)


def mixed_fista(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    weight: float | None = None,
    nonnegative: bool = False,
    max_iter: int = 1000,
) -> MixedCodes:
    """Mixed sparse coding with the tightest convex relaxation, by accelerated proximal gradient.

    ``min ||Y - D X B^T||^2 / 2 + w max_i ||x_i||_1``, and supports as in `block_fista`, which
    recovers more of them: only the longest columns are penalized here.

    Args:
        Y, D, B, k, nonnegative, max_iter: as in `block_fista`.
        weight: ``w`` relative to ``sum_i max |D^T Y B|_i``, from which on X is zero; None: a path.

    Returns:
        `MixedCodes`; the history has a row for each weight.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2.2

    Example:
        >>> Y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> mixed_fista(Y, torch.eye(3), torch.eye(2), 1).support
        tensor([[0],
                [2]])
    """
    mixture = Mixture.of(Y, D, B, k, nonnegative)
    scale = _largest(mixture).sum(-1, keepdim=True)

    def penalty(w: Tensor) -> Regularizer:
        return InducedL1(w, nonnegative)

    return _relaxed(mixture, penalty, scale, weight, max_iter, Y.dtype)


def iht(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    start: Tensor | None = None,
    nonnegative: bool = False,
    max_iter: int = 1000,
) -> MixedCodes:
    """Mixed sparse coding by iterative hard thresholding with momentum.

    Args:
        Y, D, B, k, nonnegative: as in `block_fista`.
        start: X, (*, d, r); None: zero.
        max_iter: the largest number of steps.

    Returns:
        `MixedCodes`.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Blumensath, Davies, Iterative thresholding for sparse approximations (2008)
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)

    Example:
        >>> Y = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> iht(Y, torch.eye(3), torch.eye(2), 1).support
        tensor([[0],
                [2]])
    """
    mixture = Mixture.of(Y, D, B, k, nonnegative)
    x = mixture.begin(start).to(Y.dtype)
    found = _Compressed(mixture, Y.dtype).solve(x, KSparse(k, nonnegative), max_iter)
    x = mixture.debiased(found.double())
    return mixture.result(x, [mixture.residual(x)], Y.dtype)


def _relaxed(
    mixture: Mixture,
    penalty: Callable[[Tensor], Regularizer],
    scale: Tensor,
    weight: float | None,
    max_iter: int,
    dtype: torch.dtype,
) -> MixedCodes:
    """Supports from penalized codes, for one weight or along a path of them."""
    problem = _Compressed(mixture, dtype)
    x = mixture.begin(None).to(dtype)
    if weight is not None:
        if not real_number("the weight", weight) > 0:
            raise ValueError(f"the weight must be positive, got {weight}; None chooses it")
        x = problem.solve(x, penalty(weight * scale.to(dtype)), max_iter)
        fit = mixture.debiased(x.double())
        return mixture.result(fit, [mixture.residual(fit)], dtype)
    best, history = mixture.begin(None), []
    value, part = mixture.value(best), torch.ones_like(scale)
    enough = min(5 * mixture.k, *mixture.d.shape[-2:])
    few = torch.ones_like(scale, dtype=torch.bool)
    while bool(few.any()):
        part = torch.where(few, FALL * part, part)
        reg = penalty((part * scale).to(dtype))
        x = problem.solve(x, reg, min(STEPS, max_iter))
        fit = mixture.debiased(x.double())
        better = mixture.value(fit) < value
        best = torch.where(better[..., None, None], fit, best)
        value = mixture.value(best)
        history.append(mixture.residual(best))
        count = (x != 0).sum(-2, keepdim=True)
        count = count if scale.shape[-1] > 1 else count.amin(-1, keepdim=True)
        few = (count < enough) & (part > SMALLEST) & (scale > 0)
    return mixture.result(best, history, dtype)


class _Compressed:
    """The problem with the n columns of Y brought down to r: only the range of B matters."""

    def __init__(self, mixture: Mixture, dtype: torch.dtype) -> None:
        q, root = torch.linalg.qr(mixture.b)
        self.y, self.d, self.b = (x.to(dtype) for x in (mixture.y @ q, mixture.d, root))

    def solve(self, x: Tensor, reg: Regularizer, steps: int) -> Tensor:
        """The codes after so many steps of FISTA, or fewer where they stand still."""
        problem = Problem(self.y, Coded(), Frobenius(), (Free(), reg, Free()), free=(1,))
        iteration, rounds = Alternating(FISTA(), inner=INNER), -(-steps // INNER)
        start = (self.d, x, self.b)
        return solve(iteration, problem, start, max_iter=rounds, tol=1e-6, check_every=1).factors[1]


def _largest(mixture: Mixture) -> Tensor:
    """``max |D^T Y B|`` of each column, (*, 1, r)."""
    cross = mixture.cross.clamp_min(0) if mixture.nonnegative else mixture.cross.abs()
    return cross.amax(-2, keepdim=True)
