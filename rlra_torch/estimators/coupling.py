"""Coupled factorizations in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..data import Data, Terms
from ..functional.arguments import whole_number
from ..iterations import (
    HALS,
    MU,
    Alternating,
    Counted,
    CoupledADMM,
    Extrapolated,
    Iteration,
    ProjectedLeastSquares,
)
from ..iterations.base import BlockIteration
from ..losses import Loss, Several
from ..models import Factors
from ..problem import Problem
from ..regularizers import Coupling, Free, NonNegative, Regularizer
from ..solvers import Solution, best_start, solve
from ..solvers.progress import Callback
from .coupled_starts import CoupledStart, coupled_start
from .inputs import Array, Back, check_seed, check_values, kind_of, observations, to_tensor
from .modes import Modes
from .names import iteration_named, loss_named
from .results import Factorization, checks, plain

Named = str | float | Loss

SCREENED = 10
"""Iterations that several starts take before the best goes on alone."""


@dataclass(frozen=True)
class CoupledFactorization(Factorization):
    """The factors of several data sets, by the letters of their modes.

    Args:
        relative_errors: ``||model - Y|| / ||Y||`` of each data set.
        shares: (data sets, components) the norm of each component in each data set, which tells
            what is shared and what is private; 0 where a data set does not have it.
        gaps: how far each coupling is from being met, relative to the factors.

    Example:
        >>> import numpy as np
        >>> from rlra_torch import coupled
        >>> fit = coupled([(np.ones((4, 3, 2)), "ijk"), (np.ones((4, 5)), "il")], rank=1)
        >>> fit["i"].shape, fit.shares.shape
        ((4, 1), (2, 1))
    """

    relative_errors: Any = ()
    shares: Any = ()
    gaps: Any = ()
    measured: ClassVar[tuple[str, ...]] = (
        *Factorization.measured,
        "relative_errors",
        "shares",
        "gaps",
    )

    @property
    def by_mode(self) -> dict[str, Any]:
        """The factor of each letter."""
        return dict(zip(self.description["letters"], self.factors, strict=True))

    def __getitem__(self, letter: str) -> Any:  # noqa: ANN401
        """The factor of a letter."""
        if letter not in self.description["letters"]:
            raise KeyError(f"no mode {letter!r}: there are {', '.join(self.by_mode)}")
        return self.by_mode[letter]

    def summary(self) -> str:
        """`Factorization.summary`, and the error of each data set."""
        lines = super().summary().splitlines()
        names = self.description["modes"].split(",")
        found = (f"{name} {e:.5f}" for name, e in zip(names, self.relative_errors, strict=True))
        lines.insert(3, f"  each data set   {', '.join(found)}")
        if len(self.gaps):
            lines.insert(4, f"  coupling gaps   {', '.join(f'{gap:.1e}' for gap in self.gaps)}")
        return "\n".join(lines)


def coupled(
    data: Sequence[tuple[Array | Data, str]],
    rank: int | Sequence[int],
    loss: Named | Sequence[Named] = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    components: Sequence[Sequence[int] | None] | None = None,
    regs: Regularizer | Mapping[str, Regularizer] | None = None,
    couplings: Sequence[Coupling] = (),
    weights: Sequence[float] | None = None,
    masks: Sequence[Array | None] | None = None,
    init: CoupledStart = None,
    starts: int = 12,
    max_iter: int = 1000,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> CoupledFactorization:
    """Factorize several matrices and tensors that share modes, each as a CP model (or NMF).

        min sum_i w_i loss_i([[X_a, X_b, ...]], Y_i) + sum reg(X_a),   a, b, ... the letters of Y_i

    Args:
        data: pairs of an array and the letters of its modes, as in einsum: the same letter is the
            same factor. ``[(X, "ijk"), (Y, "il")]`` is the coupled matrix and tensor factorization.
            Arrays as in `nmf`; NaN marks a missing entry.
        rank: the number of components; or one for each data set where only couplings relate them.
        loss: "frobenius", "kl", "is", a real beta or a `Loss`, for all data sets or for each.
        iteration: a name as in `nmf`, or an `Iteration`. None: extrapolated HALS, or least
            squares where all factors are `Free`; MU for factors with another loss; `CoupledADMM`
            where there are couplings.
        components: for each data set which of the components it has, by number; None: all.
        regs: one regularizer for all factors, or by letter, others nonnegative. None: nonnegative.
            Unit norms for all letters of a data set but one and `Group` there find out which
            components it has.
        couplings: linear relations of factors, by letter, such as ``RowsFrom({"i": A, "t": B})``.
        weights: of the losses, one for each data set: ``1 / s^2`` for noise of standard deviation
            s, ``1 / ||Y||^2`` to give all the same say. None: 1.
        masks: weights of the entries of each data set, or None; 0 or False marks a missing one.
        init: "random", "svd", or the factors to start from, by letter. None: "svd" for factors of
            any sign, else "random". Named starts are scaled to the data.
        starts: how many are tried, the others random: 10 iterations of all, then the best goes on.
        max_iter, tol, check_every, seed, callbacks: as in `nmf`.

    Returns:
        a `CoupledFactorization`, whose factor of mode "i" is ``fit["i"]``.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Acar, Kolda, Dunlavy, All-at-once optimization for coupled matrix and tensor
        | factorizations (2011)
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 18.1 and 18.2

    Example:
        >>> a = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
        >>> fit = coupled([(torch.einsum("ir,jr,kr->ijk", a, a, a), "ijk"), (a @ a.T, "il")], 2)
        >>> bool((fit.relative_errors < 1e-2).all())
        True
    """
    arrays, names, back = _arrays(data)
    modes = Modes.of(names, rank, components)
    losses = _each(loss, "losses", len(names))
    every = [loss_named(one) for one in losses]
    problem = _problem(arrays, modes, every, regs, couplings, weights, masks)
    step = _iteration(iteration, problem, every)
    step.check(problem)
    seed = check_seed(seed)
    several = 1 if isinstance(init, Mapping) else whole_number("starts", starts)
    begins = [
        _begin(problem, modes, seed + k, init if k == 0 else "random") for k in range(several)
    ]
    first = begins[0]
    if several > 1:
        count = min(max_iter, SCREENED)
        first, _ = best_start(step, problem, begins, iterations=count, tol=tol)
    solution = solve(
        step,
        problem,
        first,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
    )
    return _described(problem, step, solution, modes, back)


def _arrays(data: Any) -> tuple[list[Any], list[str], Back]:  # noqa: ANN401
    """The data sets as tensors or `Data`, the letters of each, and the way back of the first."""
    if not isinstance(data, (list, tuple)) or not data:
        raise TypeError(f'data is a list of pairs such as (Y, "ij"), got {kind_of(data)}')
    arrays, names, backs = [], [], []
    for i, pair in enumerate(data):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[1], str):
            raise TypeError(f'data set {i} must be a pair such as (Y, "ij"), got {kind_of(pair)}')
        y, letters = pair
        if not isinstance(y, Data):
            y, back = to_tensor(y, f"data set {i}", compact=len(letters) == 2)
            backs.append(back)
        if len(y.shape) != len(letters):
            raise ValueError(
                f"data set {i} has shape {tuple(y.shape)} but {len(letters)} letters: {letters!r}"
            )
        arrays.append(y)
        names.append(letters)
    return arrays, names, backs[0] if backs else lambda x: x


def _problem(
    arrays: list[Any],
    modes: Modes,
    losses: list[Loss],
    regs: Regularizer | Mapping[str, Regularizer] | None,
    couplings: Sequence[Coupling],
    weights: Sequence[float] | None,
    masks: Sequence[Array | None] | None,
) -> Problem:
    several = []
    masks = [None] * len(arrays) if masks is None else masks
    if not isinstance(masks, (list, tuple)) or len(masks) != len(arrays):
        raise ValueError(f"masks is a list of one for each of {len(arrays)} data sets, or None")
    for y, mask, loss, letters in zip(arrays, masks, losses, modes.names, strict=True):
        own = y if isinstance(y, Data) else observations(y, mask, sparse=len(letters) == 2)
        check_values(own, loss)
        several.append(own)
    data = Terms(tuple(several))
    chosen = _regularizers(regs, modes)
    for coupling in couplings:
        if not isinstance(coupling, Coupling) or set(coupling.factors) - set(modes.letters):
            raise ValueError(
                f"couplings relate the modes {modes.letters} by letter, such as Same('i', 't'), "
                f"got {coupling!r}"
            )
    alike = weights is None and len({repr(loss) for loss in losses}) == 1
    return Problem(
        data,
        modes.model(),
        losses[0] if alike else Several(losses, weights),
        [reg.to(data.device) for reg in chosen] + [NonNegative()] * modes.selections,
        free=tuple(range(len(modes.letters))),
        couplings=tuple(
            one.renamed({letter: n for n, letter in enumerate(modes.letters)}) for one in couplings
        ),
    )


def _regularizers(regs: Any, modes: Modes) -> list[Regularizer]:  # noqa: ANN401
    """One for each letter."""
    if isinstance(regs, Regularizer):
        return [regs] * len(modes.letters)
    regs = {} if regs is None else regs
    if not isinstance(regs, Mapping) or not all(isinstance(x, Regularizer) for x in regs.values()):
        raise TypeError(f"regs is a regularizer or one by letter, got {regs!r}")
    unknown = set(regs) - set(modes.letters)
    if unknown:
        raise ValueError(f"regs name {sorted(unknown)} but the modes are {modes.letters}")
    return [regs.get(letter, NonNegative()) for letter in modes.letters]


def _iteration(iteration: Any, problem: Problem, losses: list[Loss]) -> Iteration:  # noqa: ANN401
    device = problem.data.device
    if iteration is not None:
        return iteration_named(iteration, losses[0]).to(device)
    if problem.couplings or any(len(problem.regs[n].terms) > 1 for n in problem.order):
        return CoupledADMM().to(device)
    quadratic = [problem.loss_of(n).quadratic for n in range(len(problem.regs))]
    free = all(type(problem.regs[n]) is Free for n in problem.order)
    exact = ProjectedLeastSquares if free else HALS
    step = Alternating([exact() if own else MU() for own in quadratic], Counted())
    return (Extrapolated(step) if all(quadratic) else step).to(device)


def _begin(problem: Problem, modes: Modes, seed: int, init: CoupledStart) -> Factors:
    start = modes.with_selections(coupled_start(problem, modes, seed, init), problem.data)
    return start if isinstance(init, Mapping) else problem.scaled(start)


def _each(value: Any, name: str, count: int) -> list[Any]:  # noqa: ANN401
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"there are {len(value)} {name} for {count} data sets; give one for each")
    return list(value)


def _described(
    problem: Problem, step: Iteration, solution: Solution, modes: Modes, back: Back
) -> CoupledFactorization:
    wide = tuple(x.double() for x in solution.factors)
    letters = len(modes.letters)
    gaps = problem.gaps(solution.factors)
    losses = problem.loss.losses if isinstance(problem.loss, Several) else [problem.loss]
    description = {
        "model": ", ".join(modes.names),
        "modes": ",".join(modes.names),
        "letters": modes.letters,
        "rank": "/".join(dict.fromkeys(str(len(own)) for own in modes.components)),
        "loss": "/".join(dict.fromkeys(type(loss).__name__ for loss in losses)),
        "iteration": type(step).__name__,
    }
    return CoupledFactorization(
        tuple(back(x) for x in solution.factors[:letters]),
        checks(solution.history),
        plain(solution.converged),
        plain(solution.n_iter),
        plain(problem.relative_error(wide)),
        description,
        plain(torch.stack(problem.relative_errors(wide))),
        plain(modes.shares(wide)),
        np.array([plain(gap) for gap in gaps]),
    )
