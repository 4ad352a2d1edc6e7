"""Decompositions of tensors through their compression to a small core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..functional.arguments import whole_number
from ..functional.tucker import check_ranks, hosvd, multiplied
from ..initialization import random_factors
from ..iterations import Alternating, ProcoALS
from ..losses import Frobenius
from ..models import CP
from ..problem import Problem
from ..regularizers import NonNegative, NonNegativeThrough
from ..solvers import Record, Solution, solve
from ..solvers.progress import Callback
from .factorize import described
from .inputs import Array, check_seed, given_factors, to_tensor
from .results import Factorization


class Compressed(NamedTuple):
    """A tensor in orthonormal bases of its modes, ``T ~ core x_1 U_1 ... x_d U_d``.

    Args:
        core: (r_1, ..., r_d).
        bases: U_i, (n_i, r_i).
    """

    core: Any
    bases: tuple[Any, ...]

    def compress(self, factors: Sequence[Any]) -> tuple[Any, ...]:
        """Factors of the tensor as factors of the core, ``U_i^T X_i``."""
        return tuple(u.T @ x for u, x in zip(self.bases, factors, strict=True))

    def decompress(self, factors: Sequence[Any]) -> tuple[Any, ...]:
        """Factors of the core as factors of the tensor, ``U_i X_i``."""
        return tuple(u @ x for u, x in zip(self.bases, factors, strict=True))


def compress(T: Array, ranks: Sequence[int], sequential: bool = True) -> Compressed:  # noqa: N803
    """Truncated HOSVD, to decompose a small core in the place of a large tensor (CANDELINC).

    Distances from tensors in the bases are those between cores, up to what the bases do not hold:
    unconstrained factors are found as well in the core as in the tensor.

    Args:
        T: a tensor of order 2 or more, (n_1, ..., n_d), NumPy or torch, without missing entries.
        ranks: (r_1, ..., r_d), at most n_i each.
        sequential: find each basis in what the ones before it have left.

    Returns:
        the core and the bases, of the kind that came in.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Carroll, Pruzansky, Kruskal, CANDELINC (1980)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.3.1

    Example:
        >>> small = compress(torch.ones(4, 5, 6), (1, 1, 1))
        >>> round(float(small.core.abs()), 3), [tuple(u.shape) for u in small.bases]
        (10.954, [(4, 1), (5, 1), (6, 1)])
    """
    y, back = to_tensor(T, "T")
    check_ranks(ranks, y.shape)
    if len(ranks) != y.ndim:
        raise ValueError(f"compress needs one rank for each of the {y.ndim} modes, got {ranks}")
    if not bool(y.isfinite().all()):
        raise ValueError("compress needs all entries; fill in what is missing, or use cp")
    bases, core = hosvd(y, [whole_number("a rank", rank) for rank in ranks], sequential)
    return Compressed(back(core), tuple(back(u) for u in bases))


def decompress(core: Array, bases: Sequence[Array]) -> Array:
    """The tensor ``core x_1 U_1 ... x_d U_d``.

    Args:
        core: (r_1, ..., r_d).
        bases: U_i, (n_i, r_i).

    Example:
        >>> decompress(torch.ones(1, 1), [torch.ones(2, 1), torch.ones(3, 1)]).shape
        torch.Size([2, 3])
    """
    y, back = to_tensor(core, "core")
    return back(multiplied(y, [to_tensor(u, "a basis")[0] for u in bases]))


def proco_als(
    T: Array,  # noqa: N803
    rank: int,
    ranks: Sequence[int] | None = None,
    *,
    iteration: Alternating | None = None,
    init: Sequence[Array] | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> Factorization:
    """Nonnegative canonical polyadic decomposition of a compressed tensor.

    The tensor is compressed, its core is decomposed with the constraint that factors are
    nonnegative when decompressed, and decompressed factors are clipped: they are truly nonnegative.
    The last line of the history, the relative error and the KKT residual are those of the clipped
    factors on the whole tensor; the other lines are those of the core.

    Args:
        T: a tensor of order 3 or more, (n_1, ..., n_d), as in `cp`, without missing entries.
        rank: the number of components.
        ranks: of the compression; None: the rank, or the size of the mode where that is less.
        iteration: what works on the core; None: `ProcoALS`. ``Alternating(ProALS())`` projects
            exactly, ``Alternating(FISTA(), 10)`` solves each block.
        init: one nonnegative factor per mode of the tensor; None: random.
        max_iter, tol, check_every, seed, callbacks: as in `nmf`, for the core.

    Returns:
        a `Factorization` with one factor (n_i, r) per mode.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Farias, Comon, Fast decomposition of large nonnegative tensors (2015)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 14.3.2

    Example:
        >>> a = torch.rand(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> fit = proco_als(torch.einsum("ir,jr,kr->ijk", a, a, a), 2)
        >>> fit.relative_error < 1e-4, all(bool((x >= 0).all()) for x in fit.factors)
        (True, True)
    """
    y, back = to_tensor(T, "T")
    rank, seed = whole_number("the rank", rank), check_seed(seed)
    small = compress(y, [min(rank, size) for size in y.shape] if ranks is None else ranks)
    step = Alternating(ProcoALS()) if iteration is None else iteration
    whole = Problem(y, CP(y.ndim), Frobenius(), [NonNegative() for _ in y.shape])
    start = (
        given_factors(init, y, rank)
        if init is not None
        else random_factors([(size, rank) for size in y.shape], y, seed)
    )
    core = Problem(
        small.core, CP(y.ndim), Frobenius(), [NonNegativeThrough(u) for u in small.bases]
    )
    found = solve(
        step,
        core,
        core.scaled(small.compress(start)),
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    factors = tuple(x.clamp_min(0) for x in small.decompress(found.factors))
    return described(whole, step, _measured(whole, found, whole.scaled(factors)), back)


@torch.no_grad()
def _measured(problem: Problem, found: Solution, factors: tuple[torch.Tensor, ...]) -> Solution:
    """The solution with its last check that of the whole problem."""
    objective, kkt = (x.cpu() for x in problem.measure(factors))
    last = Record(found.history[-1].iteration, found.history[-1].seconds, objective, kkt)
    return Solution(factors, found.converged, found.n_iter, found.history.replaced(last))
