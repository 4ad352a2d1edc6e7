"""Many fits of one matrix, in as few solves as the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data import Dense, Sparse
from ..functional.memory import available_bytes
from ..initialization import random_factors
from ..iterations import Iteration
from ..losses import Loss
from ..models import NMF, Factors
from ..problem import Problem
from ..regularizers import Regularizer, Support
from ..solvers.memory import batch_bytes, size, without_values
from .folds import Positions

# Of one batch on a CPU: what stays in its caches, where larger batches are slower than small ones.
CACHED = 2**20
# Of what is free: the rest is for what operators take within themselves.
SHARE = 0.8


class Job(NamedTuple):
    """One fit.

    Args:
        rank: its number of components.
        replicate: the number of its random start, which is the same for all folds.
        fold: which fold it does not see; None: it sees all.
    """

    rank: int
    replicate: int
    fold: int | None


@dataclass(frozen=True)
class Study:
    """What all fits have in common.

    Args:
        data: m x n, finite.
        folds: the entries that are held out, in turn.
        loss: the loss.
        regs: a regularizer for each factor, whatever the rank.
        seed: of the starts.
    """

    data: Dense | Sparse
    folds: tuple[Positions, ...]
    loss: Loss
    regs: tuple[Regularizer, ...]
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[0], self.data.shape[1]

    @cached_property
    def total(self) -> float:
        """The number of observed entries, or the sum of their weights."""
        _, weight = self.data.means(NMF())
        return float(weight) * self.shape[0] * self.shape[1]

    @cached_property
    def masks(self) -> Tensor:
        """(folds, m, n) of bool, True where held out, for dense data."""
        return torch.stack([fold.mask(self.shape) for fold in self.folds]).to(self.data.device)

    def problem(self, jobs: Sequence[Job]) -> tuple[Problem, Factors]:
        """The jobs as one batch, and where it starts.

        Factors of smaller ranks get columns of zeros, which stay.

        Args:
            jobs: either all with folds or all without; of sparse data all of one fold.
        """
        largest = max(job.rank for job in jobs)
        start = [self._start(job, largest) for job in jobs]
        factors = torch.stack([w for w, _ in start]), torch.stack([h for _, h in start])
        regs = self.regularizers([job.rank for job in jobs])
        problem = Problem(self._without([job.fold for job in jobs]), NMF(), self.loss, regs)
        step = torch.finfo(self.data.dtype).tiny
        return problem, tuple(
            reg.terms[0].prox(x, step) for reg, x in zip(regs, factors, strict=True)
        )

    def held_out_loss(self, w: Tensor, h: Tensor, fold: int) -> float:
        """The mean loss of the entries of a fold, or their weighted mean."""
        rows, cols = (index.to(self.data.device) for index in self.folds[fold])
        total = weight = 0.0
        for i, j in zip(rows.split(CACHED), cols.split(CACHED), strict=True):
            y, weights = self.data.at(i, j)
            losses = self.loss((w[i] * h[j]).sum(-1), y).double()
            total += float((weights * losses).sum())
            weight += float(weights.sum())
        return total / weight

    def without_values(self) -> Study:
        """The same sizes on the device of tensors without values, to plan dense fits with."""
        assert isinstance(self.data, Dense)
        y, weights = (None if x is None else x.to("meta") for x in (self.data.y, self.data.weights))
        assert y is not None
        regs = tuple(without_values(reg) for reg in self.regs)
        blank = replace(self, data=self.data.like(y, weights), regs=regs)
        masks = torch.empty((len(self.folds), *self.shape), dtype=torch.bool, device="meta")
        blank.__dict__["masks"] = masks
        return blank

    def regularizers(self, ranks: Sequence[int]) -> tuple[Regularizer, ...]:
        """Those of a batch of problems of these ranks."""
        if len(set(ranks)) == 1:
            return self.regs
        count = torch.tensor(ranks, device=self.data.device)[:, None, None]
        columns = torch.arange(max(ranks), device=self.data.device) < count
        return tuple(Support(columns, reg) for reg in self.regs)

    def _start(self, job: Job, columns: int) -> Factors:
        entropy = np.random.SeedSequence((self.seed, job.rank, job.replicate))
        seed = int(entropy.generate_state(1, np.uint64)[0]) >> 1
        shapes = [(extent, job.rank) for extent in self.shape]
        like = torch.empty(0, dtype=self.data.dtype, device=self.data.device)
        more = (0, columns - job.rank)
        return tuple(torch.nn.functional.pad(x, more) for x in random_factors(shapes, like, seed))

    def _without(self, folds: Sequence[int | None]) -> Dense | Sparse:
        """The data of each job: what is held out is missing."""
        if isinstance(self.data, Sparse):
            return self._sparse_without(folds[0]).expand(len(folds))
        y, weights = self.data.y, self.data.weights
        batch = (len(folds), *self.shape)
        held = [fold for fold in folds if fold is not None]
        if not held:
            return self.data.like(
                y.expand(batch), None if weights is None else weights.expand(batch)
            )
        masks = self.masks[torch.tensor(held, device=self.data.device)]
        base = torch.ones_like(y, dtype=self.data.dtype) if weights is None else weights
        return Dense(y.expand(batch), torch.where(masks, 0, base))

    def _sparse_without(self, fold: int | None) -> Sparse:
        assert isinstance(self.data, Sparse)
        if fold is None:
            return self.data
        # All fits of one fold follow each other, and the last one is enough to remember.
        kept = self.__dict__.get("_last")
        if kept is None or kept[0] != fold:
            kept = fold, self.data.without(*(x.to(self.data.device) for x in self.folds[fold]))
            self.__dict__["_last"] = kept
        return kept[1]


def capacity(study: Study, iteration: Iteration, rank: int) -> int:
    """How many problems of one rank fit into one batch.

    Raises:
        MemoryError: not even one does.
    """
    data, device = study.data, study.data.device
    entries = data.count(NMF()) + (len(study.folds[0].rows) if isinstance(data, Sparse) else 0)
    most = max(1, CACHED // entries) if device.type == "cpu" else 2**20
    free, width = available_bytes(device), torch.finfo(data.dtype).bits // 8
    # What is small beside the memory needs no plan, which takes a few seconds.
    if free is None or 64 * most * entries * width < free:
        return most
    if isinstance(data, Sparse):
        factors = rank * sum(study.shape)
        return min(most, max(1, int(SHARE * free / (12 * width * (entries + factors)))))
    blank = study.without_values()
    one, two = (
        batch_bytes(iteration, lambda jobs=jobs: blank.problem(jobs))
        for jobs in ([Job(rank, 0, 0)], [Job(rank, 0, 0)] * 2)
    )
    if one is None or two is None:
        return most
    if one > SHARE * free:
        raise MemoryError(
            f"a fit of rank {rank} needs {size(one / SHARE)} beyond the data but {size(free)} are "
            f"free on {device}; take a smaller rank or part of the data"
        )
    return min(most, 1 + int((SHARE * free - one) / max(1, two - one)))


def grouped(
    ranks: Sequence[int], fits: int, room: Callable[[int], int], mixed: bool
) -> Iterator[tuple[list[int], int]]:
    """Ranks that share their batches, and how many problems one batch takes.

    Args:
        ranks: increasing.
        fits: how many for each rank.
        room: the problems of a rank that fit into one batch.
        mixed: whether several ranks may be in one batch; no padding ever more than doubles a rank.
    """
    group: list[int] = []
    for rank in ranks:
        together = mixed and group and rank <= 2 * group[0]
        if group and not (together and fits * (len(group) + 1) <= room(rank)):
            yield group, room(group[-1])
            group = []
        group.append(rank)
    if group:
        yield group, room(group[-1])
