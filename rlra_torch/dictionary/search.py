"""Alternating optimization over atoms, from several starts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..iterations import HALS, Alternating, ProjectedLeastSquares
from ..models import Factors
from ..solvers import Progress, solve
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


@torch.no_grad()
def search(
    setting: Setting, starts: Sequence[Start], perturbations: int, max_iter: int, tol: float
) -> DictionaryFit:
    """MC-ALS from all starts as one batch, then from perturbations of the best.

    Args:
        setting: one problem, or several.
        starts: at least one.
        perturbations: how often the atoms of the best are perturbed, in as many starts each time;
            it ends where that gains nothing.
        max_iter: rounds of one start, at most.
        tol: on the optimality residual.

    Raises:
        ValueError: no start.
    """
    if not starts:
        raise ValueError("give at least one start, such as several(10)")
    ends = _ends(setting, starts, max_iter, tol)
    for _ in range(perturbations):
        atoms, half = ends.best(ends.indices), max(1, setting.rank // 2)
        tries = [perturbed(atoms, 1 + i % half) for i in range(len(starts))]
        before = ends.residuals.amin(0)
        ends = ends.joined(_ends(setting, tries, max_iter, tol))
        if not bool((ends.residuals.amin(0) < before).any()):
            break
    return _described(setting.choice, ends)


def _ends(setting: Setting, starts: Sequence[Start], max_iter: int, tol: float) -> Ends:
    """Solve from all starts, and then for the factors that have no atoms alone."""
    y, seen = setting.problem.y, []
    assert isinstance(y, Tensor)
    problem = replace(setting.problem, y=y.expand(len(starts), *y.shape))
    begun = zip(*(start(setting) for start in starts), strict=True)
    steps, others = _steps(setting)

    def keep(progress: Progress) -> None:
        seen[:] = [progress.state.memory[setting.mode]]

    factors = tuple(torch.stack(parts) for parts in begun)
    settings: dict[str, Any] = {"max_iter": max_iter, "check_every": 1}
    found = solve(steps, problem, factors, tol=tol, callbacks=[keep], **settings)
    frozen = replace(problem, free=others.order)
    last = solve(others, frozen, found.factors, tol=tol / 100, max_iter=50)
    records = [*found.history, last.history[-1]]
    energy = y.double().square().flatten(len(setting.problem.batch_shape)).sum(-1).cpu()
    squares = torch.stack([record.objective.double().clamp_min(0) for record in records])
    history = (2 * squares / torch.where(energy > 0, energy, 1)).sqrt()
    return Ends(last.factors, seen[0][1], problem.relative_error(last.factors), history)


def _steps(setting: Setting) -> tuple[Alternating, Alternating]:
    """Rounds over all factors, and over those that have no atoms."""
    count, inner = len(setting.problem.model.factor_ndims), HALS()
    fit = Selecting(setting.choice, inner, setting.within, INNER)
    if not setting.nonnegative:
        inner = ProjectedLeastSquares()
        fit = Selecting(setting.choice, inner, setting.within, 1)
    each = [fit if n == setting.mode else inner for n in range(count)]
    others = [n for n in range(count) if n != setting.mode]
    return Alternating(each, INNER), Alternating(inner, INNER, order=others)


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
