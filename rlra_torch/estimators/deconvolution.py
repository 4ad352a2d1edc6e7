"""Short-and-sparse deconvolution in one call: what repeats, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
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
from .inputs import Array, Back, check_seed, to_tensor
from .results import plain
from .solutions import best_of, joined, lower_of

RESCUES = 3


def deconvolve(
    y: Array,
    kernel_size: int | Sequence[int],
    n_kernels: int = 1,
    *,
    lam: float | None = None,
    nonnegative: bool = False,
    bias: bool = True,
    shared: bool = False,
    reweights: int = 0,
    starts: int = 1,
    max_iter: int = 1000,
    tol: float = 1e-4,
    seed: int = 0,
) -> Deconvolution:
    """Find short kernels and sparse maps whose convolutions add up to the data.

        min  ||y - b - sum_k a_k * x_k||^2 / 2 + lambda sum_k ||x_k||_1   with ||a_k|| = 1

    Convolutions are cyclic. Kernels are sought at almost three times their length, where no shift
    of the truth is a trap, from a piece of the data improved by one step on the dropped-quadratic
    objective, while lambda comes down from the least one at which all maps are zero. Then they are
    cut to the window of most energy and solved for once more at their own length.

    Args:
        y: (*, m) traces, (*, m_1, m_2) images or higher, after the length of `kernel_size`; leading
            dimensions are independent problems, solved at once.
        kernel_size: the length of the kernels, or their size along each dimension.
        n_kernels: how many there are; those that are shifts of others or of no use start anew, a
            few times.
        lam: weight of the maps' absolute values, in the unit of the data; None: the largest
            correlation of the noise with a kernel, ``sigma sqrt(2 log m)``, held between 1 and 10
            percent of that of the data with its first kernel.
        nonnegative: whether the maps are.
        bias: whether a constant is free in each signal.
        shared: whether the last dimension before those of a signal counts signals that share
            kernels.
        reweights: rounds in which large entries of the maps are spared the penalty: each takes away
            some of its bias, and of what is small.
        starts: pieces of the data to start from; the lowest objective is kept.
        max_iter: the largest number of iterations of each solve.
        tol: on the scale-free optimality residual of the last solve.
        seed: of the pieces.

    Returns:
        a `Deconvolution`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019)

    Example:
        >>> import numpy as np
        >>> spikes = np.zeros(60)
        >>> spikes[[5, 20, 33, 50]] = 1.0, 2.0, 1.0, 3.0
        >>> y = np.convolve(spikes, [0.36, 0.48, 0.8])[:60]
        >>> fit = deconvolve(y, 3, lam=0.01, bias=False, nonnegative=True)
        >>> fit.maps.ravel().round(1)[[5, 20, 33, 50]], fit.converged
        (array([1., 2., 1., 3.]), True)
    """
    size = _size(kernel_size)
    data, back = to_tensor(y, "y")
    _check(data, size, shared, lam)
    counts = {"n_kernels": n_kernels, "starts": starts, "max_iter": max_iter}
    for name, count in counts.items():
        whole_number(name, count)
    whole_number("reweights", reweights, least=0)
    generator = torch.Generator().manual_seed(check_seed(seed))
    model = Convolutive(len(size), signals=shared, centred=bias)
    task = _Task(data, model, size, n_kernels, nonnegative, max_iter, tol, generator)
    with torch.no_grad():
        found, weight = task.several(starts, lam)
        found = task.rescued(found, weight)
        solutions = [*found, task.polished(found[-1].factors, weight)]
        if reweights:
            solutions += task.reweighted(solutions[-1].factors, weight, reweights)
        return task.result(solutions, weight, back)


@dataclass(frozen=True)
class _Task:
    """What stays the same from the first solve to the last.

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


def _size(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    several = kernel_size if isinstance(kernel_size, (list, tuple)) else (kernel_size,)
    if not several:
        raise ValueError("kernel_size is a length, or a size along each dimension; got none")
    return tuple(whole_number("kernel_size", size) for size in several)


def _check(y: Tensor, size: tuple[int, ...], shared: bool, lam: float | None) -> None:
    order, shape = len(size), tuple(y.shape)
    if y.ndim < order + shared:
        raise ValueError(
            f"y has shape {shape} but kernels of size {size} need {order + shared} dimensions"
        )
    long = tuple(3 * p - 2 for p in size)
    if any(p > m for p, m in zip(long, shape[-order:], strict=True)):
        raise ValueError(
            f"y has shape {shape} but kernels of size {size} are sought at size {long}; "
            "give longer data or a smaller kernel_size"
        )
    bad = int((~y.isfinite()).sum())
    if bad:
        raise ValueError(
            f"y has {bad} NaN or infinite entries of {y.numel()}; fill them in or cut them out"
        )
    if lam is not None and not real_number("lam", lam) > 0:
        raise ValueError(f"lam must be positive, got {lam}; leave it out to have it estimated")
