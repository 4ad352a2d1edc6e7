"""The fits of each rank, group by group, and what they have in common."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data import Sparse
from ..estimators.factorize import iteration_name, warmed
from ..iterations import Iteration
from ..metrics import (
    cluster_labels,
    component_stability,
    consensus_matrix,
    cophenetic_correlation,
    dispersion,
)
from ..models import NMF
from ..problem import Problem
from ..solvers import solve
from .batches import Job, Study, capacity, grouped
from .results import RankFit

# Clustering takes the square of their number.
MOST_SAMPLES = 2000


@dataclass(frozen=True)
class Fitter:
    """Fits ranks, group by group.

    Args:
        study: what all fits have in common.
        step: the iteration.
        name: as it was asked for: some names begin with steps of another one.
        replicates: random starts of each fit.
        samples: what the consensus clusters, "columns" or "rows".
        stopping: the settings of `solve`.
        batch: the largest number of problems in one solve, or None.
    """

    study: Study
    step: Iteration
    name: object
    replicates: int
    samples: str
    stopping: dict[str, Any]
    batch: int | None

    @property
    def description(self) -> dict[str, Any]:
        """What is done, as plain numbers and strings."""
        return {
            "shape": list(self.study.shape),
            "dtype": str(self.study.data.dtype).removeprefix("torch."),
            "loss": repr(self.study.loss),
            "iteration": iteration_name(self.step),
            "regularizers": [repr(reg) for reg in self.study.regs],
            "folds": len(self.study.folds),
            "held_out": [len(fold.rows) for fold in self.study.folds],
            "replicates": self.replicates,
            "samples": self.samples,
            **self.stopping,
            "seed": self.study.seed,
        }

    def fits(self, ranks: Sequence[int]) -> Iterator[RankFit]:
        """One after the other, in the order of the ranks."""

        @cache
        def room(rank: int) -> int:
            fitting = capacity(self.study, self.step, rank)
            return fitting if self.batch is None else min(fitting, self.batch)

        count = self.replicates * len(self.study.folds)
        for group, most in grouped(ranks, count, room, self._mixes()):
            yield from self._group(group, most)

    def _mixes(self) -> bool:
        """Whether several ranks may be in one batch: some iterations know no columns of zeros."""
        study = self.study
        if any(-1 in reg.couples for reg in study.regs):
            return False
        two = Problem(torch.ones(2, 1, 1), NMF(), study.loss, study.regularizers([1, 2]))
        try:
            self.step.check(two)
        except TypeError:
            return False
        return True

    def _group(self, ranks: Sequence[int], most: int) -> Iterator[RankFit]:
        done: dict[Job, Fit] = {}
        starts = list(product(ranks, range(self.replicates)))
        # Sparse data without the entries of a fold has a pattern of its own.
        apart = isinstance(self.study.data, Sparse)
        folds = range(len(self.study.folds))
        parts = [[Job(*start, k) for start in starts] for k in folds]
        for jobs in (
            [Job(*start, None) for start in starts],
            *(parts if apart else [sum(parts, [])]),
        ):
            for first in range(0, len(jobs), most):
                done.update(self._solved(jobs[first : first + most]))
        for rank in ranks:
            own = {job: fit for job, fit in done.items() if job.rank == rank}
            yield _summary(self, rank, own)

    def _solved(self, jobs: Sequence[Job]) -> list[tuple[Job, Fit]]:
        try:
            return self._attempt(jobs)
        except torch.OutOfMemoryError as error:
            if len(jobs) == 1:
                raise MemoryError(
                    f"a fit of rank {jobs[0].rank} does not fit into the memory of "
                    f"{self.study.data.device}; take a smaller rank or part of the data"
                ) from error
        half = len(jobs) // 2
        return self._solved(jobs[:half]) + self._solved(jobs[half:])

    def _attempt(self, jobs: Sequence[Job]) -> list[tuple[Job, Fit]]:
        begin = time.perf_counter()
        problem, start = self.study.problem(jobs)
        start = problem.scaled(warmed(problem, self.name, start))
        solution = solve(self.step, problem, start, **self.stopping)
        seconds = (time.perf_counter() - begin) / len(jobs)
        columns = zip(
            jobs,
            *(x.unbind(0) for x in solution.factors),
            solution.objective.tolist(),
            solution.converged.tolist(),
            solution.n_iter.tolist(),
            strict=True,
        )
        return [(job, self._judged(job, *values, seconds)) for job, *values in columns]

    def _judged(
        self,
        job: Job,
        w: Tensor,
        h: Tensor,
        objective: float,
        *honesty: Any,  # noqa: ANN401
    ) -> Fit:
        w, h = w[:, : job.rank], h[:, : job.rank]
        if job.fold is None:
            return Fit(objective, (w.cpu(), h.cpu()), *honesty)
        return Fit(self.study.held_out_loss(w, h, job.fold), None, *honesty)


@dataclass(frozen=True)
class Fit:
    """What one job gave; the factors of fits to all data only."""

    loss: float
    factors: tuple[Tensor, Tensor] | None
    converged: bool
    n_iter: int
    seconds: float


def _summary(fitter: Fitter, rank: int, done: dict[Job, Fit]) -> RankFit:
    replicates, folds = range(fitter.replicates), range(len(fitter.study.folds))

    def collected(name: str, over: Sequence[int | None]) -> np.ndarray:
        rows = [[getattr(done[Job(rank, i, k)], name) for k in over] for i in replicates]
        return np.array(rows)

    objective = collected("loss", [None])[:, 0]
    # Starts that end at one point differ by rounding, which must not choose between them.
    least = objective.min()
    best = int(np.argmax(objective <= least + 1e-6 * abs(least)))
    order = [best, *(i for i in replicates if i != best)]
    pairs = [done[Job(rank, i, None)].factors for i in order]
    w, h = (torch.stack([pair[n] for pair in pairs if pair is not None]) for n in (0, 1))
    chosen, consensus = _consensus(w, h, fitter.samples, fitter.study.seed)
    stability = _stability(w, h)
    return RankFit(
        rank=rank,
        held_out=collected("loss", folds),
        objective=objective / fitter.study.total,
        W=w[0].numpy(),
        H=h[0].numpy(),
        samples=chosen.numpy(),
        consensus=consensus.numpy(),
        cophenetic=cophenetic_correlation(consensus) if len(w) > 1 else float("nan"),
        dispersion=dispersion(consensus) if len(w) > 1 else float("nan"),
        congruence=stability[0],
        silhouette=stability[1],
        converged=collected("converged", [*folds, None]),
        n_iter=collected("n_iter", [*folds, None]),
        seconds=sum(fit.seconds for fit in done.values()),
    )


def _consensus(w: Tensor, h: Tensor, samples: str, seed: int) -> tuple[Tensor, Tensor]:
    w, h = (w, h) if samples == "columns" else (h, w)
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(h.shape[-2], generator=draw)[:MOST_SAMPLES].sort().values
    return chosen, consensus_matrix(cluster_labels(w, h[:, chosen]))


def _stability(w: Tensor, h: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if len(w) < 2:
        return np.full(w.shape[-1], np.nan), np.full(w.shape[-1], np.nan)
    congruence, silhouette = component_stability((w, h))
    return congruence.numpy(), silhouette.numpy()
