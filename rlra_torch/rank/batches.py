"""Many fits of one matrix, in as few solves as the memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

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
        y: (m, n) the data, finite.
        weights: (m, n), or None.
        folds: the entries that are held out, in turn.
        loss: the loss.
        regs: a regularizer for each factor, whatever the rank.
        seed: of the starts.
    """

    y: Tensor
    weights: Tensor | None
    folds: tuple[Positions, ...]
    loss: Loss
    regs: tuple[Regularizer, ...]
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y.shape[0], self.y.shape[1]

    @cached_property
    def masks(self) -> Tensor:
        """(folds, m, n) of bool, True where held out."""
        masks = torch.stack([fold.mask(self.shape) for fold in self.folds])
        return masks.to(self.y.device)

    def problem(self, jobs: Sequence[Job]) -> tuple[Problem, Factors]:
        """The jobs as one batch, either all with folds or all without, and where it starts.

        Factors of smaller ranks get columns of zeros, which stay.
        """
        largest = max(job.rank for job in jobs)
        start = [self._start(job, largest) for job in jobs]
        factors = torch.stack([w for w, _ in start]), torch.stack([h for _, h in start])
        problem = Problem(
            self.y.expand(len(jobs), *self.y.shape),
            NMF(),
            self.loss,
            self._regularizers([job.rank for job in jobs]),
            self._weights([job.fold for job in jobs]),
        )
        step = torch.finfo(self.y.dtype).tiny
        pairs = zip(problem.regs, factors, strict=True)
        return problem, tuple(reg.prox(x, step) for reg, x in pairs)

    def held_out_loss(self, w: Tensor, h: Tensor, fold: int) -> float:
        """The mean loss of the entries of a fold, or their weighted mean."""
        rows, cols = (index.to(self.y.device) for index in self.folds[fold])
        total = weight = 0.0
        for i, j in zip(rows.split(CACHED), cols.split(CACHED), strict=True):
            losses = self.loss((w[i] * h[j]).sum(-1), self.y[i, j]).double()
            weights = torch.ones_like(losses) if self.weights is None else self.weights[i, j]
            total += float((weights * losses).sum())
            weight += float(weights.sum())
        return total / weight

    def without_values(self) -> Study:
        """The same sizes on the device of tensors without values, to plan with."""
        blank = replace(
            self,
            y=self.y.to("meta"),
            weights=None if self.weights is None else self.weights.to("meta"),
            regs=tuple(without_values(reg) for reg in self.regs),
        )
        masks = torch.empty((len(self.folds), *self.y.shape), dtype=torch.bool, device="meta")
        blank.__dict__["masks"] = masks
        return blank

    def _start(self, job: Job, columns: int) -> Factors:
        entropy = np.random.SeedSequence((self.seed, job.rank, job.replicate))
        seed = int(entropy.generate_state(1, np.uint64)[0]) >> 1
        shapes = [(extent, job.rank) for extent in self.y.shape]
        more = (0, columns - job.rank)
        start = random_factors(shapes, self.y, seed)
        return tuple(torch.nn.functional.pad(x, more) for x in start)

    def _weights(self, folds: Sequence[int | None]) -> Tensor | None:
        held = [fold for fold in folds if fold is not None]
        if not held:
            return None if self.weights is None else self.weights.expand(len(folds), *self.y.shape)
        masks = self.masks[torch.tensor(held, device=self.y.device)]
        base = torch.ones_like(self.y) if self.weights is None else self.weights
        return torch.where(masks, 0, base)

    def _regularizers(self, ranks: Sequence[int]) -> tuple[Regularizer, ...]:
        if len(set(ranks)) == 1:
            return self.regs
        count = torch.tensor(ranks, device=self.y.device)[:, None, None]
        columns = torch.arange(max(ranks), device=self.y.device) < count
        return tuple(Support(columns, reg) for reg in self.regs)


def capacity(study: Study, iteration: Iteration, rank: int) -> int:
    """How many problems of one rank fit into one batch.

    Raises:
        MemoryError: not even one does.
    """
    entries, device = study.y.numel(), study.y.device
    most = max(1, CACHED // entries) if device.type == "cpu" else 2**20
    free = available_bytes(device)
    # What is small beside the memory needs no plan, which takes a few seconds.
    if free is None or 64 * most * entries * study.y.element_size() < free:
        return most
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
