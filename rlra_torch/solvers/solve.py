"""The one loop: apply an iteration until nothing improves."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..iterations import BlockIteration, Iteration, State, iterates, require_iteration
from ..models import Factors
from ..problem import Problem
from ..validation import check_signs
from .history import History, Record, Traced
from .memory import check_memory
from .progress import Callback, Progress
from .running import Running, running
from .watching import watched


@dataclass(frozen=True)
class Solution(Traced):
    """What a solve found.

    Args:
        factors: the factors.
        converged: (*,) whether each problem met the tolerance.
        n_iter: (*,) iterations of each problem.
        history: the checks, the first at the start.
    """

    factors: Factors
    converged: Tensor
    n_iter: Tensor
    history: History


@torch.no_grad()
def solve(
    iteration: Iteration,
    problem: Problem,
    start: Factors | Progress,
    *,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    callbacks: Sequence[Callback] = (),
) -> Solution:
    """Apply an iteration until the optimality residual is small; nothing else.

    Each problem of a batch stops on its own and is frozen from then on; those that are left when
    half of them are done go on as a smaller batch. The host waits for the device at checks only.

    Args:
        iteration: the step.
        problem: what is solved.
        start: the factors to start from, or a `Progress` to go on from.
        max_iter: the largest number of iterations, those before a resume included.
        tol: on the residual of `Iteration.measure`; 0 runs all iterations.
        check_every: iterations between checks.
        callbacks: called with the `Progress` at each check; one that returns True stops the solve.

    Returns:
        a `Solution`.

    Raises:
        TypeError, ValueError: parts that do not fit together, before any work.
        MemoryError: it would need more memory than there is, likewise.

    Example:
        >>> from rlra_torch.iterations import HALS, Alternating
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> y = torch.ones(4, 3, dtype=torch.float64)
        >>> problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
        >>> start = (torch.ones(4, 1, dtype=y.dtype), 2 * torch.ones(3, 1, dtype=y.dtype))
        >>> solution = solve(Alternating(HALS()), problem, start)
        >>> bool(solution.converged), float(solution.objective)
        (True, 0.0)
    """
    _check_settings(max_iter, tol, check_every, callbacks)
    start, callbacks = watched(start, callbacks, max_iter)
    factors, begin = _check_parts(iteration, problem, start), time.perf_counter()
    problem = problem.for_solve()
    if isinstance(start, Progress):
        progress = start
        begin -= progress.history[-1].seconds
    else:
        progress = _first(iteration, problem, factors, tol, begin)
    stop, part = _announce(progress, callbacks), None
    while not stop and progress.history[-1].iteration < max_iter and not bool(progress.done.all()):
        count = min(check_every, max_iter - progress.history[-1].iteration)
        part = running(iteration, problem, progress.state.factors, progress.done, part)
        if part is None:
            frozen = bool(progress.done.any())
            state = deque(_run(iteration, problem, progress, count, frozen), maxlen=1).pop()
            following = _measured(iteration, progress, problem, state, count, tol, begin)
        else:
            following = _advanced(iteration, part, progress, count, tol, begin)
        lost = ~following.history[-1].objective.isfinite() & ~progress.done.cpu()
        if bool(lost.any()):
            several = f" of {int(lost.sum())} of {lost.numel()} problems" if lost.ndim else ""
            warnings.warn(
                f"the objective{several} is not finite after {following.history[-1].iteration} "
                "iterations; the factors of the check before are returned: scale the start, or "
                "begin with MU",
                RuntimeWarning,
                stacklevel=3,
            )
            if bool(lost.all()):
                break
            following = _without(progress, following, lost)
        progress = following
        stop = _announce(progress, callbacks)
    met = (progress.history[-1].kkt <= tol).to(progress.done.device)
    return Solution(progress.state.factors, progress.done & met, progress.n_iter, progress.history)


def _run(
    iteration: Iteration, problem: Problem, progress: Progress, count: int, frozen: bool = True
) -> Iterator[State]:
    """``count`` states, with the problems that are done, if there are any, held where they are."""
    state = progress.state
    if not frozen:
        yield from iterates(repeat(iteration, count), problem, state)
        return
    for _ in range(count):
        _, new = iterates((iteration,), problem, state)
        state = _frozen(progress.done, state, new)
        yield state


def _advanced(
    iteration: Iteration, part: Running, progress: Progress, count: int, tol: float, begin: float
) -> Progress:
    """As `_run` and `_measured`, on those problems alone that are not done."""
    before, last = part.gather(progress.state), progress.history[-1]
    after = deque(iterates(repeat(iteration, count), part.problem, before), maxlen=1).pop()
    values = iteration.measure(after, part.problem)
    met = progress.done.index_put(part.where, (values[1] <= tol) & (tol > 0))
    where = tuple(index.cpu() for index in part.where)
    objective, kkt = (
        old.index_put(where, new.cpu())
        for old, new in zip((last.objective, last.kkt), values, strict=True)
    )
    state = part.scatter(progress.state, before, after)
    n_iter = torch.where(progress.done, progress.n_iter, progress.n_iter + count)
    record = Record(last.iteration + count, time.perf_counter() - begin, objective, kkt)
    return Progress(state, met, n_iter, progress.history.followed(record))


def _without(before: Progress, after: Progress, lost: Tensor) -> Progress:
    """The progress with the problems that are lost frozen where they were."""
    old, new, here = before.history[-1], after.history[-1], lost.to(after.done.device)
    record = new._replace(
        objective=torch.where(lost, old.objective, new.objective),
        kkt=torch.where(lost, old.kkt, new.kkt),
    )
    return Progress(
        _frozen(here, before.state, after.state),
        after.done | here,
        torch.where(here, before.n_iter, after.n_iter),
        after.history.replaced(record),
    )


def _first(
    iteration: Iteration, problem: Problem, factors: Factors, tol: float, begin: float
) -> Progress:
    shape, device = problem.batch_shape, problem.data.device
    nobody = torch.zeros(shape, dtype=torch.bool, device=device)
    none = torch.zeros(shape, dtype=torch.long, device=device)
    empty = Progress(iteration.init(factors, problem), nobody, none, History())
    return _measured(iteration, empty, problem, empty.state, 0, tol, begin)


def _measured(
    iteration: Iteration,
    before: Progress,
    problem: Problem,
    state: State,
    count: int,
    tol: float,
    begin: float,
) -> Progress:
    objective, kkt = (_whole(x) for x in iteration.measure(state, problem))
    n_iter = torch.where(before.done, before.n_iter, before.n_iter + count)
    done = before.done | ((kkt <= tol) & (tol > 0))
    objective, kkt = objective.cpu(), kkt.cpu()
    done_before = before.history[-1].iteration if before.history else 0
    record = Record(count + done_before, time.perf_counter() - begin, objective, kkt)
    return Progress(state, done, n_iter, before.history.followed(record))


def _whole(x: Any) -> Tensor:  # noqa: ANN401
    """A number that several processes have, as a plain tensor."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def _frozen(done: Tensor, old: Any, new: Any) -> Any:  # noqa: ANN401
    """The new state, but the old one for the problems that are done."""
    if new is old:
        return new
    if isinstance(new, Tensor):
        own = new.ndim - done.ndim
        return torch.where(done.reshape((*done.shape, *(1,) * own)), old, new)
    parts = [_frozen(done, a, b) for a, b in zip(old, new, strict=True)]
    return State(*parts) if isinstance(new, State) else tuple(parts)


def _announce(progress: Progress, callbacks: Sequence[Callback]) -> bool:
    return any([callback(progress) is True for callback in callbacks])


def _check_parts(iteration: Iteration, problem: Problem, start: Factors | Progress) -> Factors:
    """The factors of the start, once iteration, problem and start fit together."""
    require_iteration("solve", iteration)
    if not isinstance(problem, Problem):
        raise TypeError(f"solve takes a Problem, got {type(problem).__name__}")
    if not isinstance(start, (tuple, list, Progress)):
        raise TypeError(f"solve starts from factors or a Progress, got {type(start).__name__}")
    factors = start.state.factors if isinstance(start, Progress) else tuple(start)
    problem.validate(factors)
    if problem.couplings and not iteration.couples:
        raise TypeError(
            f"{type(iteration).__name__} does not keep couplings between factors; use CoupledADMM"
        )
    iteration.check(problem)
    for part in iteration.modules():
        if isinstance(part, BlockIteration) and part.nonnegative:
            check_signs(type(part).__name__, factors, "or use HALS, MSOM or FISTA")
    if isinstance(start, Progress):
        fresh = iteration.init(factors, problem).memory
        if _outline(fresh) != _outline(start.state.memory):
            raise ValueError("the progress is of another iteration; resume with the same one")
    check_memory(iteration, problem, factors)
    return factors


def _outline(memory: Any) -> Any:  # noqa: ANN401
    """The nesting and the shapes of a memory."""
    if isinstance(memory, Tensor):
        return tuple(memory.shape), memory.dtype
    return [_outline(part) for part in memory]


def _check_settings(
    max_iter: int, tol: float, check_every: int, callbacks: Sequence[Callback]
) -> None:
    whole_number("max_iter", max_iter)
    whole_number("check_every", check_every)
    if real_number("tol", tol) < 0:
        raise ValueError(f"tol must be nonnegative, got {tol!r}")
    several = isinstance(callbacks, (list, tuple))
    for callback in callbacks if several else (None,):
        if not callable(callback):
            wrong = type(callback if several else callbacks).__name__
            raise TypeError(f"callbacks must be a list of functions, got {wrong}")
