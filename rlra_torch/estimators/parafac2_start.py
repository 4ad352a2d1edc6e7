"""Where a PARAFAC2 fit starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..data import Dense
from ..functional.parafac2 import nearest_orbit, orthonormal_factors
from ..initialization import random_factors
from ..iterations import Iteration
from ..models import Factors
from ..problem import Problem
from ..regularizers import NonNegative, Parafac2Set, Regularizer
from ..solvers import solve
from .inputs import kind_of, like
from .parafac2_fit import Parafac2Fit, Screening, of_start
from .slices import Slices

SCREENED = 20
"""Iterations that several starts take before the best goes on alone."""


def start_of(init: Any, slices: Slices, rank: int, starts: int, seed: int) -> Factors:  # noqa: ANN401
    """A, D and B to start from, with a leading dimension for several starts.

    Args:
        init, rank, starts, seed: as in `parafac2`.
        slices: the data.

    Raises:
        TypeError, ValueError: a start that does not fit.
    """
    y = slices.data.y
    (rows, length, count), batch = y.shape, () if starts == 1 else (starts,)
    if isinstance(init, str) and init == "random":
        shapes = [(*batch, rows, rank), (*batch, count, rank), (*batch, count, length, rank)]
        a, d, b = random_factors(shapes, y, seed)
        return a, d, b * slices.inside.to(y.dtype)
    if starts > 1:
        raise ValueError("several starts are random ones; leave init='random', or set starts=1")
    if isinstance(init, str) and init == "svd":
        side = y.mT.flatten(1)
        a = torch.linalg.svd(side, full_matrices=False)[0][:, :rank]
        if a.shape[1] < rank:
            raise ValueError(f"init='svd' needs a rank of at most {a.shape[1]}, got {rank}")
        d, eye = y.new_ones(count, rank), torch.eye(length, rank).to(y)
        return a.contiguous(), d, eye.expand(count, -1, -1).contiguous()
    if isinstance(init, str):
        raise ValueError(f"init is 'random', 'svd' or factors, got {init!r}")
    return _given(init, slices, rank)


def _given(init: Any, slices: Slices, rank: int) -> Factors:  # noqa: ANN401
    """Factors from a fit, from TensorLy, or as they are."""
    if isinstance(init, Parafac2Fit):
        a, d, b = init.A, init.D, init.B
    elif hasattr(init, "projections"):
        d, common, a = init.factors
        d, b = d * init.weights, [p @ common for p in init.projections]
    elif isinstance(init, (list, tuple)) and len(init) == 3:
        a, d, b = init
    else:
        raise TypeError(f"init is 'random', 'svd' or (A, D, B), got {kind_of(init)}")
    y = slices.y
    a, d = like(a, "A of the start", y).clone(), like(d, "D of the start", y).clone()
    listed = [like(x, f"B of slice {k}", y) for k, x in enumerate(b)]
    wanted = [tuple((n, rank)) for n in slices.lengths]
    shapes = [tuple(a.shape), tuple(d.shape), *(tuple(x.shape) for x in listed)]
    if shapes != [(y.shape[0], rank), (y.shape[2], rank), *wanted]:
        raise ValueError(
            f"the start must have A {(y.shape[0], rank)}, D {(y.shape[2], rank)} and a B of "
            f"J_k x {rank} for each slice, got {shapes}"
        )
    longest = y.shape[1]
    padded = [torch.nn.functional.pad(x, (0, 0, 0, longest - len(x))) for x in listed]
    return a, d, torch.stack(padded)


def fitted(problem: Problem, start: Factors) -> Factors:
    """A start that is feasible and scaled to the data; B from the data unless it has a sign.

    Args:
        problem: with as many leading dimensions as the start.
        start: A, D and B.
    """
    a, d, b = start
    if not isinstance(problem.regs[2].terms[0], NonNegative):
        data = problem.data
        assert isinstance(data, Dense)
        y = data.y if data.weights is None else data.weights * data.y
        # The rows that come first are those of the shortest slice too.
        delta = b[..., 0, : b.shape[-1], :]
        p = orthonormal_factors(problem.model.adjoint(start, 2, y), delta)
        b = p @ delta.unsqueeze(-3)
    tiny = torch.finfo(b.dtype).tiny
    found = [reg.terms[0].prox(x, tiny) for reg, x in zip(problem.regs, (a, d, b), strict=True)]
    return problem.scaled(tuple(found))


def screened(
    step: Iteration, problem: Problem, starts: Factors, max_iter: int, tol: float
) -> tuple[Factors, Screening]:
    """The best of several starts after some iterations of all at once.

    Args:
        step: the iteration.
        problem: with a leading dimension for the starts.
        starts: A, D and B, likewise.
        max_iter, tol: as in `solve`; at most half of the iterations are taken here.
    """
    count = max(min(SCREENED, max_iter // 2), 1)
    found = solve(step, problem, starts, max_iter=count, tol=tol)
    values = torch.where(found.objective.isfinite(), found.objective, torch.inf)
    best = int(values.argmin())
    history = of_start(found.history, best)
    first = Screening(best, int(found.n_iter.max()), tuple(found.objective.tolist()), history)
    return tuple(x[best] for x in found.factors), first


def repeated(problem: Problem, count: int) -> Problem:
    """The same problem for several starts; its data is held once."""
    data = problem.data
    if count == 1 or not isinstance(data, Dense):
        return problem
    weights = None if data.weights is None else data.weights.expand(count, *data.shape)
    return replace(problem, y=Dense(data.y.expand(count, *data.shape), weights), weights=None)


def compressed(
    data: Dense, start: Factors, regs: list[Regularizer]
) -> tuple[Dense, Factors, Tensor | None]:
    """Slices in the coordinates of their own columns, where these are fewer than the entries.

    Lossless where nothing but their common cross product is asked of the ``B_k``.

    Args:
        data: (I, J, K).
        start: A, D and B.
        regs: of A, D and B.

    Returns:
        data (I, I, K), the start for it, and the orthonormal basis (K, J, I) that takes B back; or
        all as it was, and None.
    """
    rows, length, rank = data.shape[0], data.shape[1], start[0].shape[-1]
    width = max(rows, rank)
    if not isinstance(regs[2], Parafac2Set) or data.weights is not None or length <= width:
        return data, start, None
    basis, root = torch.linalg.qr(data.y.movedim(-1, 0).mT)
    if rows < rank:
        return data, start, None
    b = nearest_orbit(basis.mT @ start[2]).x
    return Dense(root.permute(2, 0, 1).contiguous().mT), (*start[:2], b), basis
