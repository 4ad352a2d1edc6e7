"""Alternating optimization over atoms, from several starts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..iterations import HALS, ActiveSet, Alternating, BlockIteration, ProjectedLeastSquares
from ..models import Factors
from ..regularizers import NearAtoms
from ..solvers import Progress, Record, solve
from .choice import Choice
from .result import DictionaryFit
from .selecting import Selecting
from .starts import Setting, Start, perturbed

INNER = 20


@dataclass(frozen=True)
class Ends:
    """Where several starts came to.

    Args:
        factors: (starts, *, n_i, r) each.
        indices: (starts, *, r) their atoms.
        residuals: (starts, *) their relative errors.
        history: (checks, starts, *) on the way.
    """

    factors: Factors
    indices: Tensor
    residuals: Tensor
    history: Tensor

    def best(self, x: Tensor) -> Tensor:
        """What the best start of each problem has, of (starts, *, ...)."""
        where = self.residuals.argmin(0)
        where = where.reshape(1, *where.shape, *(1,) * (x.ndim - 1 - where.ndim))
        return torch.take_along_dim(x, where, 0)[0]

    def joined(self, other: Ends) -> Ends:
        """Both, the shorter histories held at their ends."""
        length = max(len(self.history), len(other.history))
        histories = [
            torch.cat((h, h[-1:].expand(length - len(h), *h.shape[1:])))
            for h in (self.history, other.history)
        ]
        return Ends(
            tuple(torch.cat(pair) for pair in zip(self.factors, other.factors, strict=True)),
            torch.cat((self.indices, other.indices)),
            torch.cat((self.residuals, other.residuals)),
            torch.cat(histories, 1),
        )


Descend = Callable[[Setting, Factors], tuple[Factors, Tensor, Sequence[Record]]]
"""From factors to better ones, the atoms nearest to them, and the checks on the way."""


def rounds(max_iter: int, tol: float) -> Descend:
    """Rounds of MC-ALS.

    Args:
        max_iter: at most.
        tol: on the optimality residual.
    """

    def descend(setting: Setting, factors: Factors) -> tuple[Factors, Tensor, Sequence[Record]]:
        inner, times = _fit(setting)
        fit = Selecting(setting.choice, inner, setting.within, times)
        step = Alternating(
            [fit if n == setting.mode else inner for n in range(len(factors))], times
        )
        best = Rounds(setting.mode)
        found = solve(
            step,
            setting.problem,
            factors,
            max_iter=max_iter,
            tol=tol,
            check_every=1,
            callbacks=[best],
        )
        return best.factors, best.indices, found.history

    return descend


def flexible(weights: Sequence[float], max_iter: int, tol: float) -> Descend:
    """Rounds in which columns are free but pay for their distance to the nearest atom.

    Args:
        weights: of half the squared distance, relative to the mean energy of the other columns.
        max_iter: rounds for each weight, at most.
        tol: on the optimality residual.
    """

    def descend(setting: Setting, factors: Factors) -> tuple[Factors, Tensor, Sequence[Record]]:
        problem, mode, records = setting.problem, setting.mode, []
        gram = problem.model.gram(factors, mode)
        unit = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        for weight in weights:
            near = NearAtoms(setting.choice.atoms, weight * unit, nonnegative=setting.nonnegative)
            regs = [near if n == mode else reg for n, reg in enumerate(problem.regs)]
            found = solve(
                Alternating(HALS(), 2),
                replace(problem, regs=regs),
                factors,
                max_iter=max_iter,
                tol=tol,
                check_every=5,
            )
            factors = found.factors
            records += list(found.history)[bool(records) :]
        indices = setting.choice(factors[mode])
        atoms = setting.choice.take(indices)
        return (*factors[:mode], atoms, *factors[mode + 1 :]), indices, records

    return descend


class Rounds:
    """Keeps the best round of each start: rounds may raise the objective, and run in circles.

    A callback of `solve` that stops it once no start has gained for some rounds.

    Args:
        mode: of the factor with atoms.
        patience: how many rounds.
    """

    factors: Factors
    indices: Tensor
    least: Tensor

    def __init__(self, mode: int, patience: int = 5) -> None:
        self.mode, self.patience, self.idle = mode, patience, 0

    def __call__(self, progress: Progress) -> bool:
        factors, objective = progress.state.factors, progress.history[-1].objective
        indices = progress.state.memory[self.mode][1]
        if len(progress.history) == 1:
            self.factors, self.indices = factors, indices
            self.least = torch.full_like(objective, torch.inf)
        elif bool((objective < (1 - 1e-6) * self.least).any()):
            self.idle = 0
        else:
            self.idle += 1
        better = (objective < self.least).to(indices.device)
        self.least = self.least.minimum(objective)
        self.indices = torch.where(better[..., None], indices, self.indices)
        pairs = zip(factors, self.factors, strict=True)
        self.factors = tuple(torch.where(better[..., None, None], x, old) for x, old in pairs)
        return self.idle >= self.patience


@torch.no_grad()
def search(
    setting: Setting, starts: Sequence[Start], descend: Descend, perturbations: int
) -> DictionaryFit:
    """Descend from all starts as one batch, then from perturbations of the best.

    Args:
        setting: one problem, or several.
        starts: at least one.
        descend: from each.
        perturbations: how often the atoms of the best are perturbed, in as many starts each time;
            it ends where that gains nothing, or where nothing is left to gain.

    Raises:
        ValueError: no start.
    """
    if not starts:
        raise ValueError("give at least one start, such as several(10)")
    ends = _ends(setting, starts, descend)
    exact = 100 * torch.finfo(setting.choice.atoms.dtype).eps
    half = max(1, setting.rank // 2)
    for _ in range(perturbations):
        atoms, before = ends.best(ends.indices), ends.residuals.amin(0)
        if bool((before <= exact).all()):
            break
        tries = [perturbed(atoms, 1 + i % half) for i in range(len(starts))]
        ends = ends.joined(_ends(setting, tries, descend))
        if not bool((ends.residuals.amin(0) < before).any()):
            break
    return _described(setting.choice, ends)


def _ends(setting: Setting, starts: Sequence[Start], descend: Descend) -> Ends:
    """Descend from all starts, then fit the factors that have no atoms once more."""
    y = setting.problem.y
    assert isinstance(y, Tensor)
    problem = replace(setting.problem, y=y.expand(len(starts), *y.shape))
    begun = zip(*(start(setting) for start in starts), strict=True)
    factors, indices, records = descend(
        replace(setting, problem=problem), tuple(torch.stack(parts) for parts in begun)
    )
    others = _others(setting)
    last = solve(others, replace(problem, free=others.order), factors, tol=1e-8, max_iter=50)
    energy = y.double().square().flatten(len(setting.problem.batch_shape)).sum(-1).cpu()
    values = [record.objective for record in (*records, last.history[-1])]
    squares = torch.stack([value.double().clamp_min(0) for value in values])
    history = (2 * squares / torch.where(energy > 0, energy, 1)).sqrt()
    return Ends(last.factors, indices, problem.relative_error(last.factors), history)


def _fit(setting: Setting) -> tuple[BlockIteration, int]:
    """What fits one factor, and how often."""
    if not setting.nonnegative:
        return ProjectedLeastSquares(), 1
    if setting.iteration is None:
        return ActiveSet(), setting.rank
    return setting.iteration, INNER


def _others(setting: Setting) -> Alternating:
    """Sweeps over the factors that have no atoms."""
    count = len(setting.problem.model.factor_ndims)
    return Alternating(*_fit(setting), order=[n for n in range(count) if n != setting.mode])


def _described(choice: Choice, ends: Ends) -> DictionaryFit:
    indices = ends.best(ends.indices)
    same = (ends.indices.sort(-1).values == indices.sort(-1).values).all(-1)
    return DictionaryFit(
        tuple(ends.best(x) for x in ends.factors),
        indices[..., None],
        choice.codes(indices),
        ends.residuals.amin(0),
        ends.best(ends.history.movedim(0, -1).to(indices.device)).movedim(-1, 0),
        ends.residuals,
        same.sum(0),
    )
