"""Gauges of the columns of a factor: value, proximal map, and polar (the dual norm)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number
from ..functional.proximal import group_shrink, soft_threshold
from ..functional.total_variation import Lattice, denoise
from .base import Regularizer, Split, hyperparameter


class Polar(NamedTuple):
    """``sup <g, v>`` over ``gauge(v) <= 1`` for each column g, enclosed.

    Args:
        lower: (*, r) what `maximizer` attains.
        upper: (*, r) an upper bound; equal to ``lower`` where there is a closed form.
        maximizer: (*, n, r) of gauge 1, or 0 where no column has a positive product with g.
    """

    lower: Tensor
    upper: Tensor
    maximizer: Tensor


class Gauge(Regularizer):
    """``weight (l1 ||v||_1 + tv TV(v) + l2 ||v||_2)`` of each column v, and ``v >= 0`` if wanted.

    With ``l2 > 0`` whole columns go to zero, so that in a `ProjectiveNorm` the number of columns is
    found too. The proximal map composes: that of the total variation and the l1 norm, in this
    order, then that of the l2 norm. With total variation it takes `steps` steps of a loop, which
    goes on where the call before has stopped for iterations that keep its memory, such as
    `ProjectedGradient`.

    Args:
        l1, tv, l2: nonnegative; l1 or l2 must be positive for a gauge that sees constants.
        lattice: the grid that the entries of a column lie on, for ``tv``.
        nonnegative: whether entries are.
        weight: of it all; a float or a tensor that broadcasts with ``(*, 1, r)``.
        steps: of the loop of total variation.

    Raises:
        ValueError: weights that are negative or all zero, total variation without a lattice.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), theorem 3
        | Bach, Convex relaxations of structured matrix factorizations (2013)

    Example:
        >>> gauge = Gauge(l1=1.0, l2=1.0)
        >>> gauge(torch.tensor([[3.0], [4.0]])), gauge.prox(torch.tensor([[4.0], [5.0]]), 1.0)
        (tensor(12.), tensor([[2.4000],
                [3.2000]]))
    """

    degree = 1.0
    couples = (-2,)
    weight: Tensor

    def __init__(
        self,
        l1: float = 0.0,
        tv: float = 0.0,
        l2: float = 1.0,
        lattice: Lattice | None = None,
        nonnegative: bool = False,
        weight: float | Tensor = 1.0,
        steps: int = 20,
    ) -> None:
        super().__init__()
        for name, value in (("l1", l1), ("tv", tv), ("l2", l2)):
            if not real_number(f"{name} of a gauge", value) >= 0:
                raise ValueError(f"{name} of a gauge must be nonnegative, got {value}")
        if l1 == 0 and l2 == 0:
            raise ValueError("a gauge needs a positive l1 or l2; total variation is 0 on constants")
        if tv > 0 and lattice is None:
            raise ValueError(
                "total variation needs the lattice that the entries of a column lie on"
            )
        hyperparameter(self, "weight", weight)
        self.l1, self.tv, self.l2, self.lattice = float(l1), float(tv), float(l2), lattice
        self.nonnegative, self.steps = nonnegative, steps

    @property
    def even(self) -> bool:
        return not self.nonnegative

    def times(self, weight: float | Tensor) -> Gauge:
        """The same gauge, weighed more."""
        return Gauge(
            self.l1,
            self.tv,
            self.l2,
            self.lattice,
            self.nonnegative,
            self.weight * weight,
            self.steps,
        )

    def columns(self, x: Tensor) -> Tensor:
        """The gauge of each column without the weight, (*, 1, r)."""
        value = self.l1 * x.abs().sum(-2, keepdim=True)
        if self.l2:
            square = x.square().sum(-2, keepdim=True)
            positive = square > 0
            norm = torch.where(positive, square, 1).sqrt()
            value = value + self.l2 * torch.where(positive, norm, 0)
        if self.tv:
            value = value + self.tv * self._lattice.total(self._grids(x))[..., None, :]
        return value

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight * self.columns(x)).sum((-2, -1))

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        return self.warm_prox(x, step, self.warm(x))[0]

    def onto(self, x: Tensor) -> Tensor:
        return x.clamp_min(0) if self.nonnegative else x

    def warm(self, x: Tensor) -> tuple:
        """The dual jumps of total variation."""
        return self._lattice.still(self._grids(x)) if self.tv else ()

    def warm_prox(self, x: Tensor, step: Tensor | float, memory: tuple) -> tuple[Tensor, tuple]:
        width = (self.weight * step).to(x.dtype)
        x, memory = self._without_l2(x, width, memory, self.steps)
        return group_shrink(x, self.l2 * width, -2) if self.l2 else x, memory

    def split(self, x: Tensor) -> Split:
        """``||z|| <= ||z||^2 / (2 ||x||) + ||x|| / 2``, and the l1 norm as it is."""
        if self.tv:
            return super().split(x)
        norm = x.square().sum(-2, keepdim=True).sqrt()
        tiny = torch.finfo(x.dtype).tiny ** 0.5
        l1 = (self.weight * self.l1).to(x.dtype)
        return Split(l1, (self.weight * self.l2).to(x.dtype) / norm.clamp_min(tiny))

    def polar(self, g: Tensor, steps: int = 40, inner: int = 50) -> Polar:
        """The polar without the weight: ``<g, v> <= polar(g) gauge(v)`` for all v.

        In closed form, by sorting, without total variation. With it, by bisection: if the proximal
        point of ``t`` times the gauge without l2 is longer than ``l2 t``, the polar is larger than
        t. Both bounds hold however exact the loop inside: the lower one is attained by a column,
        the upper one is ``max(polar of l1 and l2 of g - D^T q, max |q| / tv)``, right for any q.

        Args:
            g: (*, n, r).
            steps: of the bisection.
            inner: of the loop inside, each.
        """
        if not self.tv:
            value = self._polar_without_tv(g)
            v, _ = self._without_l2(g, value[..., None, :], (), 0)
            v = torch.where(v.any(-2, keepdim=True), v, self._largest(g))
            return Polar(value, value, v / self._scale(v))
        short, long = torch.zeros_like(g[..., 0, :]), self._polar_without_tv(g)
        lower, upper, best = short, long, torch.zeros_like(g)
        dual = self.warm(g)
        for _ in range(steps):
            t = (short + long) / 2
            v, dual = self._without_l2(g, t[..., None, :], dual, inner)
            longer = torch.linalg.vector_norm(v, dim=-2) > self.l2 * t
            short, long = torch.where(longer, t, short), torch.where(longer, long, t)
            v = v / self._scale(v)
            value = (g * v).sum(-2)
            best = torch.where((value > lower)[..., None, :], v, best)
            lower, upper = lower.maximum(value), upper.minimum(self._bound(g, dual))
        return Polar(lower, upper, best)

    def extra_repr(self) -> str:
        return f"l1={self.l1:g}, tv={self.tv:g}, l2={self.l2:g}, nonnegative={self.nonnegative}"

    def _without_l2(
        self, x: Tensor, width: Tensor, memory: tuple, steps: int
    ) -> tuple[Tensor, tuple]:
        """The proximal point of ``width`` times the gauge without its l2 norm."""
        if not self.tv:
            if self.nonnegative:
                return (x - self.l1 * width).clamp_min(0), ()
            return soft_threshold(x, self.l1 * width), ()
        width = width.expand(*x.shape[:-2], 1, x.shape[-1]).squeeze(-2)
        found = denoise(
            self._grids(x),
            self.tv * width,
            self.l1 * width,
            self._lattice,
            memory,
            self.nonnegative,
            steps,
        )
        return self._columns(found.x), found.dual

    def _polar_without_tv(self, g: Tensor) -> Tensor:
        """The root of ``||S_{l1 t}(g)|| = l2 t`` for each column, (*, r).

        With the k largest entries above the threshold it is that of a quadratic; the first k at
        which the next entry is below ``l1 t`` is the one.
        """
        b = (g.clamp_min(0) if self.nonnegative else g.abs()).sort(-2, descending=True).values
        first, second = self.l1 * b.cumsum(-2), b.square().cumsum(-2)
        k = torch.arange(1, b.shape[-2] + 1, dtype=b.dtype, device=b.device)[:, None]
        root = (first.square() - (k * self.l1**2 - self.l2**2) * second).clamp_min(0).sqrt()
        t = second / (first + root).clamp_min(torch.finfo(b.dtype).tiny)
        following = torch.cat([b[..., 1:, :], torch.zeros_like(b[..., :1, :])], -2)
        right = (following <= self.l1 * t).to(torch.uint8).argmax(-2, keepdim=True)
        return t.gather(-2, right).squeeze(-2)

    def _bound(self, g: Tensor, dual: tuple) -> Tensor:
        """An upper bound of the polar from any dual jumps, (*, r)."""
        rest = self._polar_without_tv(g - self._columns(self._lattice.adjoint(dual)))
        lead = rest.ndim
        return torch.stack([rest, *(q.abs().flatten(lead).amax(-1) / self.tv for q in dual)]).amax(
            0
        )

    def _largest(self, g: Tensor) -> Tensor:
        """The sign of the largest entry of each column at its place, else 0."""
        size = g.clamp_min(0) if self.nonnegative else g.abs()
        place = size.argmax(-2, keepdim=True)
        return torch.zeros_like(g).scatter(-2, place, size.gather(-2, place).sign()) * g.sign()

    def _scale(self, v: Tensor) -> Tensor:
        return self.columns(v).clamp_min(torch.finfo(v.dtype).tiny)

    @property
    def _lattice(self) -> Lattice:
        assert self.lattice is not None
        return self.lattice

    def _grids(self, x: Tensor) -> Tensor:
        return x.mT.unflatten(-1, self._lattice.shape)

    def _columns(self, x: Tensor) -> Tensor:
        return x.flatten(-len(self._lattice.shape)).mT
