"""Several solutions as one: the best of them, or one after the other."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..solvers import History, Solution
from .results import Check, checks


def joined(solutions: list[Solution]) -> tuple[Check, ...]:
    """The histories of several solves as one."""
    found: list[Check] = []
    for solution in solutions:
        count, seconds = (found[-1].iteration, found[-1].seconds) if found else (0, 0.0)
        found += [
            check._replace(iteration=count + check.iteration, seconds=seconds + check.seconds)
            for check in checks(solution.history)
        ]
    return tuple(found)


def best_of(found: Solution) -> Solution:
    """Of several starts, the first dimension, the one of the lowest objective."""
    best = found.objective.argmin(0)

    def kept(x: Tensor) -> Tensor:
        index = best.to(x.device).reshape(1, *best.shape, *(1,) * (x.ndim - 1 - best.ndim))
        return x.gather(0, index.expand(1, *x.shape[1:]))[0]

    history = History()
    for record in found.history:
        new = record._replace(objective=kept(record.objective), kkt=kept(record.kkt))
        history = history.followed(new)
    factors = tuple(kept(x) for x in found.factors)
    return Solution(factors, kept(found.converged), kept(found.n_iter), history)


def lower_of(before: Solution, after: Solution) -> Solution:
    """What came after, where its objective is lower; else what was before."""
    better = (after.objective < before.objective).to(after.converged.device)

    def chosen(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(
            better.reshape(*better.shape, *(1,) * (new.ndim - better.ndim)), new, old
        )

    factors = tuple(chosen(*pair) for pair in zip(after.factors, before.factors, strict=True))
    return replace(after, factors=factors, converged=chosen(after.converged, before.converged))
