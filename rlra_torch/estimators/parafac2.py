"""PARAFAC2 in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..data import Dense
from ..functional.arguments import whole_number
from ..functional.parafac2 import nearest_orbit, orthonormal_factors
from ..initialization import random_factors
from ..iterations import (
    ADMM,
    HALS,
    Alternating,
    DirectFitting,
    Imputed,
    Iteration,
    ProjectedLeastSquares,
)
from ..losses import Frobenius
from ..models import Factors, Parafac2
from ..problem import Problem
from ..regularizers import Free, NonNegative, Parafac2Set, Regularizer, Sum, TemporalSmoothness
from ..solvers import Solution, solve
from ..solvers.solve import Callback
from .factorize import iteration_name
from .inputs import Array, check_regs, check_seed, check_values, kind_of, like
from .parafac2_fit import Parafac2Fit, of_start, squared_norms
from .slices import Slices


def parafac2(
    slices: Sequence[Array] | Array,
    rank: int,
    iteration: Iteration | None = None,
    *,
    evolving: Literal["columns", "rows"] = "columns",
    init: Any = "random",  # noqa: ANN401
    starts: int = 1,
    regs: Sequence[Regularizer] | None = None,
    weights: Any = None,  # noqa: ANN401
    max_iter: int = 2000,
    tol: float = 1e-6,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> Parafac2Fit:
    """PARAFAC2, ``X_k = A D_k B_k^T`` with the same ``B_k^T B_k`` for all k, of ragged slices.

    ``min sum_k ||X_k - A D_k B_k^T||^2 / 2 + reg(A) + reg(D) + reg(B)``. Without a regularizer on B
    it is fitted directly, after a lossless compression of slices that are longer than wide; with
    one by AO-ADMM, and B meets its regularizer exactly and the common cross product up to the gap
    that the result tells. Missing entries are imputed at each step where the fit is direct, and
    weigh nothing in AO-ADMM.

    Args:
        slices: K matrices I x J_k as a list, or a tensor (K, I, J); NaN marks missing entries.
        rank: the number of components, at most the smallest J_k.
        iteration: None: `DirectFitting` or ``Alternating(ADMM(), 5)``, see above.
        evolving: "rows" for slices J_k x I, as TensorLy and matcouply have them.
        init: "random", "svd", a `Parafac2Fit`, a Parafac2Tensor of TensorLy, or (A, D, B) with A
            (I, r), D (K, r) and B a list of (J_k, r).
        starts: how many random starts are solved at once; the best is returned.
        regs: regularizers of A, D and B, `Parafac2Set` being added to that of B; None: none. B is
            seen as (K, J, r), with zeros below shorter slices.
        weights: in [0, 1] or booleans like the slices; 0 or False marks a missing entry.
        max_iter, tol, check_every, callbacks: as in `nmf`.
        seed: of the random starts.

    Returns:
        a `Parafac2Fit`. Where nothing but signs is asked of the factors, the columns of A and of
        all B_k have unit norm and D has the scale.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Kiers, ten Berge, Bro, PARAFAC2 - Part I. A direct fitting algorithm for the PARAFAC2
        | model (1999)
        | Roald, Schenker, Calhoun, Adali, Bro, Cohen, Acar, An AO-ADMM approach to constraining
        | PARAFAC2 on all modes (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.3

    Example:
        >>> a = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
        >>> fit = parafac2([a @ a.T, 2 * a @ a[:4].T], rank=2)
        >>> fit.relative_error < 1e-3
        True
    """
    rank, seed = whole_number("the rank", rank), check_seed(seed)
    whole_number("the number of starts", starts)
    read = Slices.of(slices, weights, evolving)
    data, several = read.data, _regularizers(regs, read)
    check_values(data, Frobenius())
    if rank > min(read.lengths):
        raise ValueError(
            f"the rank is {rank} but a slice evolves over {min(read.lengths)} entries only; take a "
            "rank of at most that, or leave it out"
        )
    begin = _start(init, read, data, rank, starts, seed)
    data, begin, basis = _compressed(data, begin, several)
    batch = () if begin[0].ndim == 2 else (len(begin[0]),)
    step = _iteration(iteration, several, data).to(data.device)
    problem = Problem(_expanded(data, batch), Parafac2(), Frobenius(), several)
    step.check(problem)
    if isinstance(init, str):
        begin = _fitted(problem, begin)
    solution = solve(
        step,
        problem,
        begin,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    name = iteration_name(getattr(step, "iteration", step))
    return _described(solution, read, several, basis, name)


def _regularizers(regs: Sequence[Regularizer] | None, slices: Slices) -> list[Regularizer]:
    given = [Free(), Free(), Free()] if regs is None else check_regs(regs)
    if len(given) != 3:
        raise ValueError(f"PARAFAC2 has the factors A, D and B but got {len(given)} regularizers")
    a, d, b = (reg.to(slices.y.device) for reg in given)
    terms = [term for term in b.terms if type(term) is not Free]
    if len(set(slices.lengths)) > 1:
        for term in terms:
            _check_ragged(term, slices)
    if not any(isinstance(term, Parafac2Set) for term in terms):
        terms.append(Parafac2Set())
    found = [a, d, terms[0] if len(terms) == 1 else Sum(*terms)]
    costs = [any(term.degree for term in reg.terms) for reg in found]
    scales = [reg.degree is not None for reg in found]
    if any(costs) and any(free and not cost for free, cost in zip(scales, costs, strict=True)):
        raise ValueError(
            "a penalty on some of A, D and B has no minimum, as the scale moves to the others; "
            "penalize all three, or fix the scale of the others with UnitNorm"
        )
    return found


def _check_ragged(term: Regularizer, slices: Slices) -> None:
    zeros = slices.y.new_zeros(len(slices.lengths), slices.y.shape[1], 1)
    moving = isinstance(term, TemporalSmoothness)
    if moving or (not isinstance(term, Parafac2Set) and bool((term.prox(zeros, 1.0) != 0).any())):
        raise ValueError(
            f"{type(term).__name__} on B needs slices of one length, got {min(slices.lengths)} to "
            f"{max(slices.lengths)}"
        )


def _iteration(given: Iteration | None, regs: list[Regularizer], data: Dense) -> Iteration:
    if given is not None:
        if not isinstance(given, Iteration):
            raise TypeError(
                f"the iteration must be one such as DirectFitting(), got {kind_of(given)}"
            )
        return given
    if not isinstance(regs[2], Parafac2Set):
        return Alternating(ADMM(), 5)
    free = [type(reg) is Free for reg in (*regs[:2], Free())]
    steps = [ProjectedLeastSquares() if one else HALS() for one in free]
    direct = DirectFitting(steps, [1 if one else 3 for one in free])
    return direct if data.weights is None else Imputed(direct)


def _start(
    init: Any,  # noqa: ANN401
    slices: Slices,
    data: Dense,
    rank: int,
    starts: int,
    seed: int,
) -> Factors:
    (rows, length, count), batch = data.shape, () if starts == 1 else (starts,)
    inside = slices.inside.to(data.dtype)
    if isinstance(init, str) and init == "random":
        shapes = [(*batch, rows, rank), (*batch, count, rank), (*batch, count, length, rank)]
        a, d, b = random_factors(shapes, data.y, seed)
        return a, d, b * inside
    if starts > 1:
        raise ValueError("several starts are random ones; leave init='random', or set starts=1")
    if isinstance(init, str) and init == "svd":
        side = data.y.mT.flatten(1)
        a = torch.linalg.svd(side, full_matrices=False)[0][:, :rank]
        if a.shape[1] < rank:
            raise ValueError(f"init='svd' needs a rank of at most {a.shape[1]}, got {rank}")
        d, eye = data.y.new_ones(count, rank), torch.eye(length, rank).to(data.y)
        return a.contiguous(), d, eye.expand(count, -1, -1).contiguous()
    if isinstance(init, str):
        raise ValueError(f"init is 'random', 'svd' or factors, got {init!r}")
    return _given(init, slices, rank)


def _fitted(problem: Problem, start: Factors) -> Factors:
    """A start that is feasible and scaled to the data; B from the data unless it has a sign."""
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


def _compressed(
    data: Dense, start: Factors, regs: list[Regularizer]
) -> tuple[Dense, Factors, Tensor | None]:
    """Slices in the coordinates of their own columns where these are fewer than the entries."""
    rows, length, rank = data.shape[0], data.shape[1], start[0].shape[-1]
    width = max(rows, rank)
    if not isinstance(regs[2], Parafac2Set) or data.weights is not None or length <= width:
        return data, start, None
    basis, root = torch.linalg.qr(data.y.movedim(-1, 0).mT)
    if rows < rank:
        return data, start, None
    b = nearest_orbit(basis.mT @ start[2]).x
    return Dense(root.permute(2, 0, 1).contiguous().mT), (*start[:2], b), basis


def _expanded(data: Dense, batch: tuple[int, ...]) -> Dense:
    weights = None if data.weights is None else data.weights.expand(*batch, *data.shape)
    return Dense(data.y.expand(*batch, *data.shape), weights)


def _described(
    solution: Solution,
    slices: Slices,
    regs: list[Regularizer],
    basis: Tensor | None,
    name: str,
) -> Parafac2Fit:
    objectives = solution.objective.reshape(-1)
    several = solution.objective.ndim > 0
    best = int(torch.where(objectives.isfinite(), objectives, torch.inf).argmin())
    factors = tuple(x[best] if several else x for x in solution.factors)
    a, d, b = factors
    b = b if basis is None else basis @ b
    if all(reg.degree == 0 and not any(term.degree for term in reg.terms) for reg in regs):
        a, d, b = _normalized(a, d, b, signs=all(type(reg) is Free for reg in regs[:2]))
    orbit, data = nearest_orbit(b, passes=10), slices.data
    residual = squared_norms(data.y - Parafac2()((a, d, b)), data.weights)
    energy = squared_norms(data.y, data.weights).clamp_min(torch.finfo(b.dtype).tiny)
    gap = (b - orbit.x).norm() / b.norm().clamp_min(torch.finfo(b.dtype).tiny)
    return Parafac2Fit(
        A=slices.back(a),
        D=slices.back(d),
        B=slices.cut(b),
        P=slices.cut(orbit.p),
        delta=slices.back(orbit.delta),
        slice_errors=slices.back((residual / energy).sqrt()),
        gap=float(gap),
        relative_error=float((residual.sum() / energy.sum()).sqrt()),
        history=of_start(solution.history, best if several else None),
        converged=bool(solution.converged.reshape(-1)[best]),
        n_iter=int(solution.n_iter.reshape(-1)[best]),
        objectives=tuple(objectives.tolist()),
        description={"rank": str(a.shape[-1]), "iteration": name},
    )


def _normalized(a: Tensor, d: Tensor, b: Tensor, signs: bool) -> Factors:
    """Unit columns of A and of the ``B_k`` in the mean over k, the scale in D, mostly positive."""
    size_a = a.norm(dim=-2)
    size_b = b.square().sum(-2).mean(-2).sqrt()
    sign = torch.where(d.sum(-2) < 0, -1.0, 1.0).to(d) if signs else torch.ones_like(size_a)
    unit_a, unit_b = torch.where(size_a > 0, size_a, 1), torch.where(size_b > 0, size_b, 1)
    return sign * a / unit_a, sign * d * unit_a * unit_b, b / unit_b
