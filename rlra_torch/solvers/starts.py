"""Several starts: a few iterations of all, then the best goes on alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..iterations import Iteration, State
from ..models import Factors
from ..problem import Problem
from .history import History
from .progress import Progress
from .running import separable
from .solve import solve


def best_start(
    iteration: Iteration,
    problem: Problem,
    starts: Sequence[Factors],
    *,
    iterations: int,
    tol: float = 0.0,
) -> tuple[Progress, tuple[float, ...]]:
    """The start that is lowest after some iterations, where it stands then.

    All take their steps as one batch where the data and the iteration allow, else one by one.

    Args:
        iteration: the step.
        problem: what is solved, without leading dimensions.
        starts: factors to start from.
        iterations: how many are taken.
        tol: as in `solve`.

    Returns:
        the progress of the best, to go on from, and the objective of each.

    Example:
        >>> from rlra_torch.iterations import HALS, Alternating
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> problem = Problem(torch.eye(2), NMF(), Frobenius(), (NonNegative(), NonNegative()))
        >>> starts = [(torch.eye(2) + x, torch.eye(2) + x) for x in (9.0, 0.0)]
        >>> best_start(Alternating(HALS()), problem, starts, iterations=1)[1][1]
        0.0
    """
    many = problem.repeated(len(starts))
    stacked = tuple(map(torch.stack, zip(*starts, strict=True)))
    if many is None or not separable(iteration, many, stacked):
        found = [_progress(iteration, problem, start, iterations, tol) for start in starts]
        values = [float(progress.history[-1].objective) for progress in found]
        return found[_lowest(values)], tuple(values)
    progress = _progress(iteration, many, stacked, iterations, tol)
    values = progress.history[-1].objective.tolist()
    return _of(progress, _lowest(values)), tuple(values)


def _progress(
    iteration: Iteration, problem: Problem, start: Factors, iterations: int, tol: float
) -> Progress:
    kept: list[Progress] = [None] * 1  # pyright: ignore[reportAssignmentType]

    def keep(progress: Progress) -> None:
        kept[0] = progress

    solve(iteration, problem, start, max_iter=iterations, tol=tol, callbacks=(keep,))
    return kept[0]


def _lowest(values: Sequence[float]) -> int:
    finite = [x if x == x else float("inf") for x in values]
    return finite.index(min(finite))


def _of(progress: Progress, best: int) -> Progress:
    """One problem of a batch."""
    records = (r._replace(objective=r.objective[best], kkt=r.kkt[best]) for r in progress.history)
    state = State(*(_picked(part, best) for part in progress.state))
    return Progress(state, progress.done[best], progress.n_iter[best], History(records))


def _picked(tree: Any, best: int) -> Any:  # noqa: ANN401
    if isinstance(tree, Tensor):
        return tree[best]
    return tuple(_picked(part, best) for part in tree)
