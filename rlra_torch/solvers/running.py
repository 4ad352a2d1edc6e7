"""The problems of a batch that still run, as a smaller batch of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..functional.batch import picked
from ..functional.copies import shallow
from ..functional.modules import exchanged, tensors
from ..iterations import Iteration, State
from ..models import Factors
from ..problem import Problem
from ..regularizers import Regularizer
from ..regularizers.joint import each


@dataclass(frozen=True)
class Running:
    """Some problems of a batch.

    Args:
        where: their indices along each leading dimension, (k,) each.
        problem: those alone, with one leading dimension of size k.

    Example:
        >>> some = Running((torch.tensor([2, 0]),), None)
        >>> some.gather(torch.tensor([5.0, 6.0, 7.0]))
        tensor([7., 5.])
    """

    where: tuple[Tensor, ...]
    problem: Problem

    def gather(self, tree: Any) -> Any:  # noqa: ANN401
        """These problems' part of a tensor (*, ...), or of a (nested) tuple of tensors."""
        if isinstance(tree, Tensor):
            return picked(tree, self.where)
        parts = [self.gather(part) for part in tree]
        return State(*parts) if isinstance(tree, State) else tuple(parts)

    def scatter(self, old: Any, before: Any, after: Any) -> Any:  # noqa: ANN401
        """What was gathered from ``old`` as ``before``, put back where it has changed."""
        if after is before:
            return old
        if isinstance(after, Tensor):
            return old.index_put(self.where, after)
        parts = [self.scatter(*parts) for parts in zip(old, before, after, strict=True)]
        return State(*parts) if isinstance(old, State) else tuple(parts)


def running(
    iteration: Iteration, problem: Problem, factors: Factors, done: Tensor, before: Running | None
) -> Running | None:
    """The problems that are not done, or None where taking them out of the batch does not pay.

    It does once they are at most half of the batch: then the copy of their data and the memory of
    a step on them are together not more than that of a step on all. This synchronises.

    Args:
        iteration: what is applied to them.
        problem: the whole batch.
        factors: where it stands.
        done: (*,) which ones are done.
        before: what was running until now; it is kept where it is still the same.
    """
    count = done.numel() - int(done.sum())
    if done.ndim == 0 or 2 * count > done.numel() or not separable(iteration, problem, factors):
        return None
    where = (~done).nonzero(as_tuple=True)
    if before is not None and all(map(torch.equal, before.where, where)):
        return before
    part, own = shallow(problem), problem.model.factor_ndims
    data = problem.data.picked(where)
    if data is None:
        return None

    def change(reg: Regularizer, n: int) -> Regularizer:
        return _regularizer(reg, done.shape, own[n], where)

    regs = each(problem.regs, change)
    for name, value in (
        ("y", getattr(data, "y", data)),
        ("weights", None),
        ("data", data),
        ("regs", regs),
    ):
        object.__setattr__(part, name, value)
    return Running(where, part)


def _regularizer(
    reg: Regularizer, batch: torch.Size, own: int, where: tuple[Tensor, ...]
) -> Regularizer:
    def change(x: Tensor) -> Tensor:
        return x if x.ndim <= own else picked(x.expand(*batch, *x.shape[x.ndim - own :]), where)

    return exchanged(reg, change)


def separable(iteration: Iteration, problem: Problem, factors: Factors) -> bool:
    """Whether each problem has factors of its own, and no module a tensor that could differ."""
    if any(getattr(part, "whole", False) for part in iteration.modules()):
        return False
    parts = [*tensors(iteration), *tensors(problem.model), *tensors(problem.loss)]
    lead = len(problem.batch_shape)
    own = zip(factors, problem.model.factor_ndims, strict=True)
    return all(x.ndim <= 2 for x in parts) and all(x.ndim == lead + ndim for x, ndim in own)
