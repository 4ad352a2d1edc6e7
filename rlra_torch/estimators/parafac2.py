"""PARAFAC2 in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..data import Dense
from ..functional.arguments import whole_number
from ..functional.parafac2 import nearest_orbit
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
from ..regularizers import Free, Parafac2Set, Regularizer, Sum, TemporalSmoothness
from ..solvers import Solution, solve
from ..solvers.progress import Callback
from .factorize import iteration_name
from .inputs import Array, check_regs, check_seed, check_values, kind_of
from .parafac2_fit import Parafac2Fit, Screening, joined, squared_norms
from .parafac2_start import compressed, fitted, repeated, screened, start_of
from .results import checks
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
    weigh nothing in AO-ADMM. Where a whole column of a slice is missing, its row of B_k is 0 unless
    a regularizer of B says more.

    Args:
        slices: K matrices I x J_k as a list, or a tensor (K, I, J); NaN marks missing entries.
        rank: the number of components, at most the smallest J_k.
        iteration: None: `DirectFitting` or ``Alternating(ADMM(), 5)``, see above.
        evolving: "rows" for slices J_k x I, as TensorLy and matcouply have them.
        init: "random", "svd", a `Parafac2Fit`, a Parafac2Tensor of TensorLy, or (A, D, B) with A
            (I, r), D (K, r) and B a list of (J_k, r).
        starts: how many random starts take the first steps at once; the best then goes on alone.
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
    begin = start_of(init, read, rank, starts, seed)
    data, begin, basis = compressed(data, begin, several)
    step = _iteration(iteration, several, data).to(data.device)
    problem = Problem(data, Parafac2(), Frobenius(), several)
    step.check(problem)
    many = repeated(problem, starts)
    if isinstance(init, str):
        begin = fitted(many, begin)
    first = None
    if starts > 1:
        begin, first = screened(step, many, begin, max_iter, tol)
    solution = solve(
        step,
        problem,
        begin,
        max_iter=max_iter if first is None else max(max_iter - first.iterations, 1),
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    name = iteration_name(getattr(step, "iteration", step))
    return _described(solution, first, read, several, basis, name)


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


def _described(
    solution: Solution,
    first: Screening | None,
    slices: Slices,
    regs: list[Regularizer],
    basis: Tensor | None,
    name: str,
) -> Parafac2Fit:
    a, d, b = solution.factors
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
        history=joined(first, checks(solution.history)),
        converged=bool(solution.converged),
        n_iter=int(solution.n_iter) + (0 if first is None else first.iterations),
        objectives=_objectives(solution, first),
        description={"rank": str(a.shape[-1]), "iteration": name},
    )


def _objectives(solution: Solution, first: Screening | None) -> tuple[float, ...]:
    """That of each start; only the best one has gone on to the end."""
    end = float(solution.objective)
    if first is None:
        return (end,)
    return tuple(end if n == first.best else x for n, x in enumerate(first.objectives))


def _normalized(a: Tensor, d: Tensor, b: Tensor, signs: bool) -> Factors:
    """Unit columns of A and of the ``B_k`` in the mean over k, the scale in D, mostly positive."""
    size_a = a.norm(dim=-2)
    size_b = b.square().sum(-2).mean(-2).sqrt()
    sign = torch.where(d.sum(-2) < 0, -1.0, 1.0).to(d) if signs else torch.ones_like(size_a)
    unit_a, unit_b = torch.where(size_a > 0, size_a, 1), torch.where(size_b > 0, size_b, 1)
    return sign * a / unit_a, sign * d * unit_a * unit_b, b / unit_b
