"""The solves that a short-and-sparse deconvolution is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.circulant import restored, to_maps, transformed
from ..functional.noise import noise_level
from ..functional.shifts import merged, windowed
from ..initialization import dropped_quadratic, windows_of
from ..iterations import Homotopy, InertialDescent
from ..losses import Frobenius
from ..models import Convolutive, Factors
from ..problem import Problem
from ..regularizers import L1, NonNegative, Sphere
from ..solvers import Solution, solve, solve_reweighted
from .deconvolved import Deconvolution
from .inputs import Back
from .results import plain
from .solutions import best_of, joined, lower_of

RESCUES = 3


@dataclass(frozen=True)
class ShortAndSparse:
    """The solves of a deconvolution, one after the other, and what stays the same in all of them.

    Args:
        y: (*, [S], m_1, ..., m_d).
        model: what predicts it.
        size: of the kernels.
        count: how many.
        nonnegative: whether the maps are.
        max_iter, tol: of each solve.
        generator: draws windows.
    """

    y: Tensor
    model: Convolutive
    size: tuple[int, ...]
    count: int
    nonnegative: bool
    max_iter: int
    tol: float
    generator: torch.Generator

    @property
    def order(self) -> int:
        return len(self.size)

    @property
    def centred(self) -> Tensor:
        own = tuple(range(-self.order, 0))
        return self.y - self.y.mean(own, keepdim=True) if self.model.centred else self.y

    def several(self, starts: int, lam: float | None) -> tuple[list[Solution], Tensor]:
        """The best of several solutions, and the weights of the maps, (*,)."""
        y = self.centred
        several = y.expand(starts, *y.shape) if starts > 1 else y
        kernels = self.started(several)
        weight = self.weight(y, kernels[0] if starts > 1 else kernels, lam)
        maps = several.new_zeros((*several.shape, self.count))
        problem = self.problem(several, weight)
        found = self.solved(Homotopy(InertialDescent(), precision=0.5), problem, (kernels, maps))
        if starts > 1:
            found = best_of(found)
        return [found], weight

    def rescued(self, found: list[Solution], weight: Tensor) -> list[Solution]:
        """Solved again with new kernels for those that are shifts of others, or of no use."""
        y = self.centred
        for _ in range(RESCUES if self.count > 1 else 0):
            kernels, maps = found[-1].factors
            maps = merged(kernels, maps, self.order)
            idle = maps.abs().flatten(weight.ndim, -2).amax(-2) == 0
            if not bool(idle.any()):
                break
            fresh = self.started(y - self.model((kernels, maps)))
            gone = idle.reshape(*idle.shape[:-1], *(1,) * self.order, self.count)
            kernels = torch.where(gone, fresh, kernels)
            start = kernels, torch.zeros_like(maps)
            step = Homotopy(InertialDescent(), precision=0.5)
            after = self.solved(step, self.problem(y, weight), start)
            found = [*found, lower_of(found[-1], after)]
        return found

    def polished(self, factors: Factors, weight: Tensor) -> Solution:
        """At the kernels' own size, each in the window that holds most of it."""
        kernels, maps = windowed(factors[0], factors[1], self.size, self.model.signals)
        problem = self.problem(self.centred, weight)
        return self.solved(InertialDescent(), problem, (kernels, maps))

    def reweighted(self, factors: Factors, weight: Tensor, rounds: int) -> list[Solution]:
        """With the penalties of large entries taken away, round by round."""
        problem, step = self.problem(self.centred, weight), InertialDescent()
        level = 0.5 * self.over(weight)
        settings = {"max_iter": self.max_iter, "tol": self.tol, "check_every": 20}
        return solve_reweighted(step, problem, factors, level=level, rounds=rounds, **settings)

    def solved(
        self, step: Homotopy | InertialDescent, problem: Problem, start: Factors
    ) -> Solution:
        settings = {"max_iter": self.max_iter, "tol": self.tol, "check_every": 20}
        return solve(step.to(self.y.device), problem, start, **settings)

    def problem(self, y: Tensor, weight: Tensor) -> Problem:
        reg = (NonNegative if self.nonnegative else L1)(self.over(weight))
        return Problem(y, self.model, Frobenius(), (Sphere(self.order), reg))

    def over(self, weight: Tensor) -> Tensor:
        """A weight for each problem, as it broadcasts with the maps."""
        return weight.reshape(*weight.shape, *(1,) * (self.model.factor_ndims[1]))

    def started(self, y: Tensor) -> Tensor:
        """Kernels (*, 3 p - 2, K) from windows of the data."""
        full = self.full(y)
        windows = windows_of(full, self.size, self.count, self.generator)
        found = dropped_quadratic(windows, full, self.order, nonnegative=self.nonnegative)
        return found.squeeze(-self.order - 1).movedim(-self.order - 1, -1)

    def full(self, y: Tensor) -> Tensor:
        """(*, S, 1, m_1, ..., m_d)."""
        y = y if self.model.signals else y.unsqueeze(-self.order - 1)
        return y.unsqueeze(-self.order - 1)

    def weight(self, y: Tensor, kernels: Tensor, lam: float | None) -> Tensor:
        """lambda of each problem, (*,)."""
        lead, sizes = y.ndim - self.model.ndim, tuple(y.shape[-self.order :])
        if lam is not None:
            return y.new_full(y.shape[:lead], float(lam))
        noise = noise_level(y, self.order)
        noise = noise.square().mean(-1).sqrt() if self.model.signals else noise
        a = transformed(kernels.movedim(-1, -self.order - 1).unsqueeze(-self.order - 1), sizes)
        far = restored(to_maps(transformed(self.full(y), sizes), a), sizes)
        far = (far if self.nonnegative else far.abs()).flatten(lead).amax(-1)
        entries = far.new_tensor(math.prod(y.shape[lead:]) * self.count)
        weight = noise * (2 * entries.log()).sqrt()
        weight = weight.clamp(0.01 * far, 0.1 * far)
        return weight.clamp_min(torch.finfo(y.dtype).tiny ** 0.5)

    def result(self, solutions: list[Solution], weight: Tensor, back: Back) -> Deconvolution:
        """Kernels in the order of the energy of their maps, the largest entry of each positive."""
        last = solutions[-1]
        kernels, maps = _ordered(last.factors, self.order, not self.nonnegative)
        own = tuple(range(-self.order, 0))
        problem = self.problem(self.centred, weight)
        free = Convolutive(self.order, signals=self.model.signals)
        mean = (self.y - free((kernels, maps))).mean(own)
        return Deconvolution(
            back(kernels),
            back(maps),
            back(mean if self.model.centred else torch.zeros_like(mean)),
            lam=plain(weight),
            noise=plain(noise_level(self.y, self.order)),
            history=joined(solutions),
            converged=plain(last.converged),
            n_iter=plain(torch.stack([s.n_iter for s in solutions]).sum(0)),
            relative_error=plain(problem.relative_error((kernels, maps))),
            nonnegative=self.nonnegative,
            shared=self.model.signals,
            bias_free=self.model.centred,
        )


def _ordered(factors: Factors, order: int, signed: bool) -> Factors:
    kernels, maps = factors
    lead = kernels.ndim - order - 1
    rank = maps.square().flatten(lead, -2).sum(-2).argsort(dim=-1, descending=True, stable=True)

    def sorted_(x: Tensor) -> Tensor:
        index = rank.reshape(*rank.shape[:-1], *(1,) * (x.ndim - rank.ndim), rank.shape[-1])
        return x.gather(-1, index.expand(x.shape))

    kernels, maps = sorted_(kernels), sorted_(maps)
    if not signed:
        return kernels, maps
    flat = kernels.flatten(lead, -2)
    sign = flat.gather(-2, flat.abs().argmax(-2, keepdim=True)).sign()[..., 0, :]
    sign = torch.where(sign == 0, 1, sign)
    wide = (
        sign.reshape(*sign.shape[:-1], *(1,) * (x.ndim - sign.ndim), -1) for x in (kernels, maps)
    )
    return tuple(x * s for x, s in zip((kernels, maps), wide, strict=True))  # pyright: ignore
