"""Total variation on grids of any dimension: jumps between neighbours, and the proximal map."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from .proximal import soft_threshold

Jumps = tuple[Tensor, ...]


class Lattice(NamedTuple):
    """Which entries of a grid are neighbours.

    Args:
        shape: of the grid.
        offsets: from an entry to its neighbours, one of each pair of opposite ones.
        weights: of the jumps along each.

    Example:
        >>> Lattice.of((3, 4), diagonal=0.5).offsets
        ((0, 1), (1, 0), (1, 1), (1, -1))
    """

    shape: tuple[int, ...]
    offsets: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], diagonal: float = 0.0) -> Lattice:
        """Neighbours along the axes, of weight 1, and on the diagonals of planes."""
        steps = [step for step in product((0, 1, -1), repeat=len(shape)) if 1 <= _size(step) <= 2]
        halves = [step for step in steps if next(s for s in step if s) > 0]
        kept = [step for step in halves if diagonal or _size(step) == 1]
        kept.sort(key=_size)
        weights = tuple(1.0 if _size(step) == 1 else float(diagonal) for step in kept)
        return cls(tuple(shape), tuple(kept), weights)

    @property
    def squared_norm(self) -> float:
        """A bound of the squared norm of `jumps`."""
        return 4.0 * sum(weight**2 for weight in self.weights)

    def jumps(self, x: Tensor) -> Jumps:
        """``w (x_j - x_i)`` for all neighbours, a tensor for each offset.

        Args:
            x: (*, *shape).
        """
        return tuple(
            weight * (x[there] - x[here]) for here, there, weight in zip(*self._ends, strict=True)
        )

    def adjoint(self, jumps: Jumps) -> Tensor:
        """The adjoint of `jumps`, (*, *shape)."""
        lead = jumps[0].shape[: jumps[0].ndim - len(self.shape)]
        x = jumps[0].new_zeros(*lead, *self.shape)
        for here, there, weight, jump in zip(*self._ends, jumps, strict=True):
            x[there] += weight * jump
            x[here] -= weight * jump
        return x

    def total(self, x: Tensor) -> Tensor:
        """The sum of all absolute jumps, (*,)."""
        own = tuple(range(-len(self.shape), 0))
        return torch.stack([jump.abs().sum(own) for jump in self.jumps(x)]).sum(0)

    def still(self, x: Tensor) -> Jumps:
        """No jumps, for a grid like ``x``."""
        return tuple(torch.zeros_like(jump) for jump in self.jumps(x.detach()))

    @property
    def _ends(self) -> tuple[list, list, tuple[float, ...]]:
        here = [(..., *map(_from, offset)) for offset in self.offsets]
        there = [(..., *(_from(-step) for step in offset)) for offset in self.offsets]
        return here, there, self.weights


def _size(step: tuple[int, ...]) -> int:
    return sum(map(abs, step))


def _from(step: int) -> slice:
    """Where a neighbour ``step`` further along exists."""
    return slice(0, -step) if step > 0 else slice(-step, None)


class Denoised(NamedTuple):
    """A proximal point, and what tells how close it is.

    Args:
        x: (*, *shape) the point.
        dual: of the jumps, to go on from.
        gap: (*,) of the objectives; ``||x - x*||^2 <= 2 gap``.
    """

    x: Tensor
    dual: Jumps
    gap: Tensor


def denoise(
    y: Tensor,
    tv: Tensor,
    l1: Tensor,
    lattice: Lattice,
    dual: Jumps,
    nonnegative: bool = False,
    steps: int = 100,
) -> Denoised:
    """``argmin_x ||x - y||^2 / 2 + tv sum |jumps| + l1 |x|_1`` (and ``x >= 0``), a batch at once.

        min over |q| <= tv of  ||S(y - D^T q)||^2 / 2,   x = S(y - D^T q)

    with S the soft threshold (or its nonnegative part), by accelerated projected gradient in q,
    restarted where the momentum leads uphill, each problem of the batch on its own.

    Args:
        y: (*, *shape).
        tv, l1: (*,) nonnegative.
        lattice: who are neighbours.
        dual: where q begins, such as that of a similar problem.
        nonnegative: whether x is.
        steps: how many.

    References:
        | Beck, Teboulle, Fast gradient-based algorithms for constrained total variation image
        | denoising and deblurring problems (2009), section 4
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 4

    Example:
        >>> y, one = torch.tensor([0.0, 0.0, 4.0, 4.0]), torch.tensor(1.0)
        >>> lattice = Lattice.of((4,))
        >>> denoise(y, one, 0 * one, lattice, lattice.still(y)).x.round(decimals=3)
        tensor([0.5000, 0.5000, 3.5000, 3.5000])
    """
    own = len(lattice.shape)
    wide = (..., *(None,) * own)
    limit, threshold, step = tv[wide], l1[wide], 1 / lattice.squared_norm

    def primal(q: Jumps) -> Tensor:
        x = y - lattice.adjoint(q)
        return (x - threshold).clamp_min(0) if nonnegative else soft_threshold(x, threshold)

    q = tuple(part.clamp(-limit, limit) for part in dual)
    r, t = q, torch.ones_like(limit)
    for _ in range(steps):
        slope = lattice.jumps(primal(r))
        new = tuple(
            (at + step * jump).clamp(-limit, limit) for at, jump in zip(r, slope, strict=True)
        )
        uphill = [
            ((at - now) * (now - old)).flatten(y.ndim - own).sum(-1)
            for at, now, old in zip(r, new, q, strict=True)
        ]
        t = torch.where(torch.stack(uphill).sum(0)[wide] > 0, 1.0, t)
        later = (1 + (1 + 4 * t.square()).sqrt()) / 2
        r = tuple(now + (t - 1) / later * (now - old) for now, old in zip(new, q, strict=True))
        q, t = new, later
    x = primal(q)
    each = tuple(range(-own, 0))
    value = l1 * x.abs().sum(each) + tv * lattice.total(x)
    return Denoised(x, q, (value + (x * (x - y)).sum(each)).clamp_min(0))
