"""A penalty that becomes smaller as the iterations go on, in each problem of a batch by itself."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..models import Factors
from ..models.base import replaced
from ..problem import Problem
from ..regularizers import ElasticNet, Scaled
from .base import Iteration, State, require_iteration


class Path(NamedTuple):
    """What `Homotopy` remembers.

    Args:
        inner: the memory of the iteration inside.
        scale: (*,) what the penalty is multiplied by now, at least 1.
        steps: (*,) made at this scale.
        unit: (*,) the largest weight of the penalty.
    """

    inner: tuple
    scale: Tensor
    steps: Tensor
    unit: Tensor


class Homotopy(Iteration):
    """Follows the solutions from a penalty under which a factor is zero down to the one asked for.

        lambda_s+1 = max(ratio lambda_s, lambda)   once the gradient met is <= precision lambda_s

    Each problem of a batch goes on to its next stage when it is ready, or after `longest` steps,
    with no look from the host. The first stage is a step below the least penalty at which the
    factor is zero. The state measures itself on the problem that was asked for. What iterations
    meet they tell in a method `met`, as `InertialDescent` does; with others all stages are
    `longest`.

    Args:
        iteration: the step.
        factor: the one whose l1 penalty changes.
        ratio: of one stage to the last, in (0, 1).
        precision: of a stage, relative to its penalty.
        longest: most steps of a stage.

    Raises:
        TypeError: not an iteration.
        ValueError: parameters out of range.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), algorithm 2
        | Xiao, Zhang, A proximal-gradient homotopy method for the sparse least-squares problem
        | (2013)

    Example:
        >>> from rlra_torch.iterations import HALS, Alternating
        >>> Homotopy(Alternating(HALS()), ratio=0.9).ratio
        0.9
    """

    def __init__(
        self,
        iteration: Iteration,
        factor: int = 1,
        ratio: float = 0.8,
        precision: float = 0.1,
        longest: int = 50,
    ) -> None:
        super().__init__()
        require_iteration("Homotopy", iteration)
        if not 0 < real_number("the ratio of Homotopy", ratio) < 1:
            raise ValueError(f"the ratio of Homotopy must be in (0, 1), got {ratio}")
        if not real_number("the precision of Homotopy", precision) > 0:
            raise ValueError(f"the precision of Homotopy must be positive, got {precision}")
        self.iteration, self.factor, self.ratio = iteration, factor, ratio
        self.precision = precision
        self.longest = whole_number("the longest stage of Homotopy", longest)

    def init(self, factors: Factors, problem: Problem) -> State:
        inner = self.iteration.init(factors, problem)
        largest, unit = _largest(problem, factors, self.factor)
        scale = (self.ratio * largest).clamp_min(1)
        return State(inner.factors, tuple(Path(inner.memory, scale, torch.zeros_like(scale), unit)))

    def forward(self, state: State, problem: Problem) -> State:
        old, regs = Path(*state.memory), list(problem.regs)
        regs[self.factor] = Scaled(regs[self.factor], old.scale)
        after = self.iteration(State(state.factors, old.inner), problem.regularized(regs))
        steps = old.steps + 1
        due = steps >= self.longest
        met = getattr(self.iteration, "met", None)
        if met is not None:
            due = due | (met(after) <= self.precision * old.scale * old.unit)
        scale = torch.where(due, (self.ratio * old.scale).clamp_min(1), old.scale)
        kept = Path(after.memory, scale, torch.where(due, 0, steps), old.unit)
        return State(after.factors, tuple(kept))

    def check(self, problem: Problem) -> None:
        self.iteration.check(problem)
        reg = problem.regs[self.factor]
        if not isinstance(reg, ElasticNet) or reg.l1 is None:
            raise TypeError(
                f"Homotopy needs an l1 penalty on factor {self.factor}, got {type(reg).__name__}"
            )


def _largest(problem: Problem, factors: Factors, n: int) -> tuple[Tensor, Tensor]:
    """The least multiple of the penalty at which factor ``n`` is zero, and its weight, (*,)."""
    reg, lead = problem.regs[n], len(problem.batch_shape)
    assert isinstance(reg, ElasticNet) and reg.l1 is not None
    none = torch.zeros_like(factors[n])
    block = problem.block(n, replaced(factors, n, none))
    layout = problem.model.layout(n)
    downhill = layout.unpack(-block.gradient(layout.pack(none)), none)
    downhill = downhill.clamp_min(0) if reg.lower == 0 else downhill.abs()
    weight = reg.l1.to(none.dtype).expand_as(none)
    ratio = torch.where(weight > 0, downhill / torch.where(weight > 0, weight, 1), 0)
    return ratio.flatten(lead).amax(-1), weight.flatten(lead).amax(-1)
