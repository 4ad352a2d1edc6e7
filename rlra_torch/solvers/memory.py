"""The memory that a solve takes, known before it begins."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..data import Dense
from ..functional.copies import shallow
from ..functional.memory import available_bytes, peak_bytes
from ..functional.modules import AnyModule, exchanged
from ..iterations import Iteration
from ..models import Factors
from ..problem import Problem
from ..regularizers.joint import each

# No step takes so many times its data, and what is small needs no plan, which takes a few seconds.
LARGEST_STEP, SMALL = 32, 2**26


def solve_bytes(iteration: Iteration, problem: Problem, factors: Factors) -> int | None:
    """The most bytes that a solve takes beyond its data and its start.

    One step and one check are run on tensors that have a size and no values, so that every model,
    loss, regularizer and iteration is counted as it is. What single operators take within
    themselves is added as a tenth.

    Args:
        iteration: the step.
        problem: what is solved.
        factors: the start.

    Returns:
        the bytes, or None where an iteration reads values or works on tensors of its own kind.

    Example:
        >>> from rlra_torch.iterations import MU, Alternating
        >>> from rlra_torch.losses import KullbackLeibler
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> y = torch.ones(500, 400)
        >>> problem = Problem(y, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
        >>> start = (torch.ones(500, 3), torch.ones(400, 3))
        >>> (solve_bytes(Alternating(MU()), problem, start) or 0) > 2 * 4 * y.numel()
        True
    """
    data = problem.data
    if not isinstance(data, Dense) or type(data.y) is not Tensor:
        return None
    blank, start = _blank(problem, data), tuple(_like(x) for x in factors)
    peak = batch_bytes(iteration, lambda: (blank, start))
    # When half of the problems are done the data of the others are copied.
    parts = [x for x in (data.y, data.weights) if x is not None]
    copied = sum(_copied_bytes(x, len(problem.batch_shape)) for x in parts)
    return None if peak is None else int(max(peak, (peak + 1.1 * copied) / 2))


def batch_bytes(iteration: Iteration, build: Callable[[], tuple[Problem, Factors]]) -> int | None:
    """The most bytes that making a problem and solving it take.

    Args:
        iteration: the step.
        build: makes a problem and its start on the meta device.

    Returns:
        as `solve_bytes`.
    """
    step = without_values(iteration)

    @torch.no_grad()
    def once() -> None:
        problem, start = build()
        problem = problem.for_solve()
        after = step(step.init(start, problem), problem)
        step.measure(after, problem)

    try:
        return int(1.1 * peak_bytes(once))
    except (NotImplementedError, RuntimeError):
        return None


def check_memory(iteration: Iteration, problem: Problem, factors: Factors) -> None:
    """Check that a solve fits into what is free, where its data is not small.

    Raises:
        MemoryError: it does not; the sentence says what it needs and what there is.
    """
    data = problem.data
    if not isinstance(data, Dense) or data.y.numel() * data.y.element_size() < SMALL:
        return
    free = available_bytes(data.device)
    if free is None or LARGEST_STEP * data.y.numel() * data.y.element_size() < free:
        return
    needed = solve_bytes(iteration, problem, factors)
    if needed is not None and needed > free:
        count = problem.batch_shape.numel()
        advice = f"solve fewer than {count} problems at once" if count > 1 else "use float32"
        if count == 1 and data.dtype == torch.float32:
            advice = "use a machine with more, or less data"
        raise MemoryError(
            f"this solve needs {size(needed)} beyond its data but {size(free)} are free on "
            f"{data.device}; {advice}"
        )


def size(count: float) -> str:
    """Bytes as people read them.

    Example:
        >>> size(3.2e9), size(4e5)
        ('3.2 GB', '0.4 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _like(x: Tensor) -> Tensor:
    """A tensor of the same shape and strides without values: what is expanded stays so."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")


def _blank(problem: Problem, data: Dense) -> Problem:
    other = shallow(problem)
    weights = None if data.weights is None else _like(data.weights)
    object.__setattr__(other, "data", data.like(_like(data.y), weights))
    object.__setattr__(other, "model", without_values(problem.model))
    object.__setattr__(other, "loss", without_values(problem.loss))
    object.__setattr__(other, "regs", each(problem.regs, lambda reg, n: without_values(reg)))
    return other


def without_values(module: AnyModule) -> AnyModule:
    """A copy of a module on the meta device, where tensors have sizes only."""
    return exchanged(module, _like)


def _copied_bytes(x: Tensor, lead: int) -> int:
    """The bytes of a tensor that differs from problem to problem, 0 where all share one."""
    shared = lead == 0 or not any(x.stride()[:lead])
    return 0 if shared else x.numel() * x.element_size()
