"""Nonnegative regression of data on itself: the convex model of separable factorization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.pixels import select_columns
from ..functional.row_projection import project_rows

ENTRIES = {"cpu": 2**19}  # of a block of rows: what stays in the caches of a processor
DEVICE_ENTRIES = 2**26


class Motion(NamedTuple):
    """Where an accelerated descent on some rows of X stands; the others are 0.

    Args:
        rows: (*, k) int64, which ones, none twice.
        x: (*, k, n), feasible.
        v: (*, k, n), the extrapolated point.
        t: (*,), how long the momentum has grown.
    """

    rows: Tensor
    x: Tensor
    v: Tensor
    t: Tensor

    def joined(self, rows: Tensor) -> Motion:
        """With further rows, (*, j), which are 0 so far."""
        zeros = self.x.new_zeros(*rows.shape, self.x.shape[-1])
        x, v = (torch.cat((old, zeros), -2) for old in (self.x, self.v))
        return Motion(torch.cat((self.rows, rows), -1), x, v, self.t)

    @property
    def own(self) -> Tensor:
        """The entries of X on its diagonal, (*, k)."""
        return self.x.gather(-1, self.rows[..., None])[..., 0]


@dataclass(frozen=True)
class SelfDictionary:
    """``min_X ||M - M X||_F^2 / 2 + mu sum_i p_i x_ii`` with ``0 <= w_i x_ij <= w_j x_ii <= w_j``.

    A column that others are made of keeps a row of X; the bounds hold where those columns are the
    vertices of all. Few rows are not 0, and of a row that is 0 its gradient tells whether it may
    stay so: the descent works on some rows only, and lets others join.

    Args:
        data: M, (*, m, n).
        weights: w, (*, n), the sums of the magnitudes of the columns.
        tilt: p, (*, n), positive: unequal entries let one of several equal columns win.

    References:
        Gillis and Luce, A fast gradient method for nonnegative sparse regression with
        self-dictionary, IEEE TIP 27, 2018.
    """

    data: Tensor
    weights: Tensor
    tilt: Tensor

    def start(self, rows: Tensor) -> Motion:
        """X = 0, at rest, with some rows to begin with, (*, k)."""
        x = self.data.new_zeros(*rows.shape, self.data.shape[-1])
        return Motion(rows, x, x.clone(), self.data.new_ones(rows.shape[:-1]))

    def step(self, at: Motion, penalty: Tensor, lipschitz: Tensor) -> Motion:
        """One accelerated projected gradient step, in the memory of the last one.

            X+ = P(V - (M^T (M V - M) + mu diag p) / L),   V+ = X+ + (t - 1) / t+ (X+ - X)

        The momentum starts anew where ``<V - X+, X+ - X> > 0``.

        Args:
            at: where it stands; used up.
            penalty: mu, (*,).
            lipschitz: L, (*,), of the `lipschitz` of the rows that move.
        """
        atoms = select_columns(self.data, at.rows)
        residual, turned = atoms @ at.v - self.data, torch.zeros_like(at.t)
        for block in self._blocks(at.rows.shape[-1]):
            rows, v, x = at.rows[..., block], at.v[..., block, :], at.x[..., block, :]
            gradient = self._penalized(atoms[..., block].mT @ residual, penalty, rows)
            new = self._project(v - gradient / lipschitz[..., None, None], rows)
            turned += ((v - new) * (new - x)).sum((-2, -1))
            v.copy_(new)
        t = torch.where(turned > 0, 1, at.t)
        later = (1 + (1 + 4 * t.square()).sqrt()) / 2
        momentum = ((t - 1) / later)[..., None, None]
        # X+ lies where V was; V+ = X+ - beta (X - X+) takes the place of X.
        ahead = at.x.sub_(at.v).mul_(-momentum).add_(at.v)
        return Motion(at.rows, at.v, ahead, later)

    def lipschitz(self, at: Motion) -> Tensor:
        """The largest eigenvalue of ``M^T M`` on the rows that move, (*,): a few of very many."""
        norm = torch.linalg.matrix_norm(select_columns(self.data, at.rows), 2)
        return norm.square().clamp_min(torch.finfo(norm.dtype).tiny)

    def certificate(self, at: Motion, penalty: Tensor) -> tuple[Tensor, Tensor]:
        """The objective, and how far it is at most above its least on the rows that move, (*,).

        The objective is convex, so that it lies above its tangent: ``f(X) - f* <= <G, X> - min_S
        <G, S>`` with G its gradient at X. The minimum over the set has a closed form: a row is 0,
        or its own entry is 1 and the others are at their bound where G is negative.
        """
        atoms = select_columns(self.data, at.rows)
        residual, gap = atoms @ at.x - self.data, torch.zeros_like(penalty)
        for block in self._blocks(at.rows.shape[-1]):
            rows, x = at.rows[..., block], at.x[..., block, :]
            gradient = self._penalized(atoms[..., block].mT @ residual, penalty, rows)
            gap += (gradient * x).sum((-2, -1)) + self._gains(gradient, rows).sum(-1)
        trace = (self.tilt.gather(-1, at.rows) * at.own).sum(-1)
        return residual.square().sum((-2, -1)) / 2 + penalty * trace, gap

    def gains(self, residual: Tensor, penalty: Tensor) -> Tensor:
        """What each row adds to that distance if it is 0, (*, n); 0 where it may stay so.

        Args:
            residual: ``M X - M``, (*, m, n).
            penalty: mu, (*,).
        """
        gains, everyone = [], torch.arange(self.data.shape[-1], device=self.data.device)
        for block in self._blocks(self.data.shape[-1]):
            rows = everyone[block].expand(*penalty.shape, -1)
            gradient = self._penalized(self.data[..., block].mT @ residual, penalty, rows)
            gains.append(self._gains(gradient, rows))
        return torch.cat(gains, -1)

    def outside(self, at: Motion, penalty: Tensor) -> Tensor:
        """The `gains` of the rows that do not move, 0 for the others."""
        residual = select_columns(self.data, at.rows) @ at.x - self.data
        return self.gains(residual, penalty).scatter(-1, at.rows, 0)

    def _penalized(self, gradient: Tensor, penalty: Tensor, rows: Tensor) -> Tensor:
        own = penalty[..., None] * self.tilt.gather(-1, rows)
        return gradient.scatter_add_(-1, rows[..., None], own[..., None])

    def _gains(self, gradient: Tensor, rows: Tensor) -> Tensor:
        """``-min_s <g, s>`` over what is allowed for each row, (*, rows)."""
        w = self.weights.gather(-1, rows)
        own = gradient.gather(-1, rows[..., None])[..., 0]
        others = (gradient.clamp_max(0) @ self.weights[..., None])[..., 0]
        others = torch.where(w > 0, others / torch.where(w > 0, w, 1), 0) - own.clamp_max(0)
        return -(own + others).clamp_max(0)

    def _project(self, z: Tensor, rows: Tensor) -> Tensor:
        """Most rows become 0, which their sum tells: the others only are sorted."""
        w = self.weights.gather(-1, rows)
        own = z.gather(-1, rows[..., None])[..., 0]
        mass = (z.clamp_min(0) @ self.weights[..., None])[..., 0]
        lives = mass + w * own.clamp_max(0) > 0
        found = torch.zeros_like(z)
        weights = self.weights.unsqueeze(-2).expand_as(z)
        found[lives] = project_rows(z[lives], rows[lives], weights[lives])
        return found

    def _blocks(self, count: int) -> Iterator[slice]:
        n, lead = self.data.shape[-1], self.data.shape[:-2].numel()
        size = max(1, ENTRIES.get(self.data.device.type, DEVICE_ENTRIES) // max(1, n * lead))
        return (slice(first, min(first + size, count)) for first in range(0, count, size))
