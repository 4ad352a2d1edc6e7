"""Steps along great circles of the unit sphere."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def great_circle(x: Tensor, before: Tensor, momentum: Tensor | float, own: int) -> Tensor:
    """Beyond ``x`` on the great circle from ``before``, by ``momentum`` times their angle.

        z = (sin((1 + b) t) x - sin(b t) x_before) / sin(t),   cos(t) = <x, x_before>

    Args:
        x: (*, ...) of unit norm over its last ``own`` dimensions.
        before: likewise.
        momentum: b, nonnegative, broadcasting with (*, 1, ..., 1).
        own: how many dimensions a point has.

    Example:
        >>> x, before = torch.tensor([0.6, 0.8]), torch.tensor([1.0, 0.0])
        >>> great_circle(x, before, 1.0, 1).round(decimals=4)
        tensor([-0.2800,  0.9600])
    """
    cosine = inner(x, before, own)
    across = x - cosine * before
    square = inner(across, across, own)
    near = square < 1e-8
    sine = torch.where(near, 1, square).sqrt()
    angle = torch.atan2(sine, cosine)
    exact = (((1 + momentum) * angle).sin() * x - (momentum * angle).sin() * before) / sine
    straight = x + momentum * (x - before)
    return normalized(torch.where(near, straight, exact), own)


class Circle(NamedTuple):
    """A quadratic on a great circle ``x(t) = cos(t) z + sin(t) d``, five numbers (*, 1, ..., 1).

    f(t) = (zz cos^2 + 2 zd cos sin + dd sin^2) / 2 + z cos + d sin
    """

    zz: Tensor
    zd: Tensor
    dd: Tensor
    z: Tensor
    d: Tensor

    def value(self, t: Tensor) -> Tensor:
        """f(t)."""
        c, s = t.cos(), t.sin()
        bent = 0.5 * (self.zz * c * c + self.dd * s * s) + self.zd * c * s
        return bent + self.z * c + self.d * s

    def slopes(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f'(t) and f''(t)."""
        c, s = t.cos(), t.sin()
        c2, s2 = (2 * t).cos(), (2 * t).sin()
        first = 0.5 * (self.dd - self.zz) * s2 + self.zd * c2 - self.z * s + self.d * c
        second = (self.dd - self.zz) * c2 - 2 * self.zd * s2 - self.z * c - self.d * s
        return first, second

    def minimum(self, points: int = 64, steps: int = 4) -> Tensor:
        """The angle of the least value ahead, in [0, pi]: the best of a grid, then Newton's method.

        Example:
            >>> zero, one = torch.zeros(()), torch.ones(())
            >>> Circle(zero, zero, zero, -one, -one).minimum() / math.pi
            tensor(0.2500)
        """
        grid = torch.arange(points, dtype=self.z.dtype, device=self.z.device) * (math.pi / points)
        wide = Circle(*(x[..., None] for x in self))
        t = grid[wide.value(grid).argmin(-1)]
        for _ in range(steps):
            first, second = self.slopes(t)
            bent = second > 0
            step = torch.where(bent, first / torch.where(bent, second, 1), 0)
            t = t - step.clamp(-math.pi / points, math.pi / points)
        return t


def inner(x: Tensor, y: Tensor, own: int) -> Tensor:
    """``<x, y>`` over the last ``own`` dimensions, which stay with size one.

    Example:
        >>> inner(torch.ones(2, 3), torch.ones(2, 3), 1)
        tensor([[3.],
                [3.]])
    """
    return (x * y).sum(tuple(range(-own, 0)), keepdim=True)


def normalized(x: Tensor, own: int) -> Tensor:
    """``x / ||x||``; zero stays zero.

    Example:
        >>> normalized(torch.tensor([3.0, 4.0]), 1)
        tensor([0.6000, 0.8000])
    """
    square = inner(x, x, own)
    return x / torch.where(square > 0, square, 1).sqrt()
