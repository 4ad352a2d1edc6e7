"""Iterations of nonnegative matrix factorization against the clock, ours and those of others."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch

from ..estimators import iteration_named
from ..losses import Frobenius, KullbackLeibler, Loss
from ..models import Factors
from ..problem import Problem
from . import peers

OURS = ("hals", "fista", "joint", "sn", "amu", "mu")
"""Those of our iterations that are timed where they suit the loss."""


class Point(NamedTuple):
    """After a piece: iterations and seconds so far, and the objective there."""

    iterations: int
    seconds: float
    objective: float


@dataclass
class Timing:
    """How one method did.

    Args:
        points: one after each piece.
    """

    points: list[Point] = field(default_factory=list)

    @property
    def step(self) -> float:
        """Seconds of an iteration, the median over the pieces."""
        ends = [Point(0, 0.0, 0.0), *self.points]
        return statistics.median(
            (b.seconds - a.seconds) / (b.iterations - a.iterations)
            for a, b in zip(ends, self.points, strict=False)
        )

    def seconds_to(self, objective: float) -> float | None:
        """Seconds until the objective was as low; None if it never was."""
        return next((p.seconds for p in self.points if p.objective <= objective), None)


class Peer(NamedTuple):
    """Another package: what to import, the losses it has, whether sparse data, and what runs it."""

    package: str
    losses: tuple[str, ...]
    sparse: bool
    run: Callable[[Any, str, peers.Pair, int], peers.Pair]


PEERS = {
    "scikit-learn CD": Peer("sklearn", ("frobenius",), True, peers.sklearn_cd),
    "scikit-learn MU": Peer("sklearn", ("frobenius", "kl"), True, peers.sklearn_mu),
    "TensorLy HALS": Peer("tensorly", ("frobenius",), False, peers.tensorly_hals),
}
Runner = Callable[[int], Factors]
"""So many iterations more, and the factors after them."""


@torch.no_grad()
def timed(
    y: Any,  # noqa: ANN401
    problem: Problem,
    start: Factors,
    max_iter: int,
    piece: int,
    seconds: float,
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Methods that take turns piece by piece, so that what else the machine does falls on all.

    Args:
        y: the matrix (m, n) as NumPy or SciPy hold it, for other packages.
        problem: nonnegative factorization of it.
        start: W (m, r) and H (n, r), the same for all.
        max_iter: iterations of each method, at most.
        piece: iterations between two looks at the objective, which are not timed.
        seconds: a method begins no piece after so many of its own.

    Returns:
        what was measured of each method, and why the others were left out.

    Example:
        >>> from rlra_torch.losses import KullbackLeibler
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> y, start = torch.ones(6, 5), (torch.ones(6, 2), torch.ones(5, 2))
        >>> problem = Problem(y, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
        >>> found, absent = timed(y.numpy(), problem, start, 4, 2, 1.0)
        >>> len(found["mu"].points), absent["hals"]
        (2, 'not for this loss')
    """
    problem = problem.for_solve()
    device = start[0].device
    begin, absent = _methods(y, problem, device)
    for made in begin.values():
        # What the first call of an operator costs belongs to no method's clock.
        made(start)(1)
    runners = {name: made(start) for name, made in begin.items()}
    found = {name: Timing() for name in runners}
    for done in range(0, max_iter, piece):
        for name, timing in found.items():
            spent = timing.points[-1].seconds if timing.points else 0.0
            if spent < seconds or not timing.points:
                count = min(piece, max_iter - done)
                began = _now(device)
                factors = runners[name](count)
                spent += _now(device) - began
                objective = float(problem.objective(factors))
                timing.points.append(Point(done + count, spent, objective))
    return found, absent


def _methods(
    y: Any,  # noqa: ANN401
    problem: Problem,
    device: torch.device,
) -> tuple[dict[str, Callable[[Factors], Runner]], dict[str, str]]:
    begin, absent = {}, {}
    for name in OURS:
        try:
            iteration_named(name, problem.loss).check(problem)
        except (TypeError, ValueError):
            absent[name] = "not for this loss"
        else:
            begin[name] = partial(_ours, name, problem)
    for name, peer in PEERS.items():
        reason = _why_not(peer, y, problem.loss, device)
        if reason:
            absent[name] = reason
        else:
            begin[name] = partial(_theirs, peer.run, y, _name(problem.loss))
    return begin, absent


def _why_not(peer: Peer, y: Any, loss: Loss, device: torch.device) -> str:  # noqa: ANN401
    """The reason to leave it out, or nothing."""
    if find_spec(peer.package) is None:
        return "not installed"
    if _name(loss) not in peer.losses:
        return "not for this loss"
    if not isinstance(y, np.ndarray) and not peer.sparse:
        return "not for sparse data"
    return "" if device.type == "cpu" else "on CPUs only"


def _name(loss: Loss) -> str:
    return {Frobenius: "frobenius", KullbackLeibler: "kl"}.get(type(loss), "")


def _ours(name: str, problem: Problem, start: Factors) -> Runner:
    iteration = iteration_named(name, problem.loss).to(start[0].device)
    state = iteration.init(start, problem)

    def advance(count: int) -> Factors:
        nonlocal state
        for _ in range(count):
            state = iteration(state, problem)
        return state.factors

    return advance


def _theirs(run: Any, y: Any, loss: str, start: Factors) -> Runner:  # noqa: ANN401
    w, h = (x.numpy() for x in start)

    def advance(count: int) -> Factors:
        nonlocal w, h
        w, h = run(y, loss, (w, h), count)
        return torch.from_numpy(w), torch.from_numpy(h)

    return advance


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
