"""Our iterations, under the names that the tables use."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from race.tasks import Data, Pair
from rlra_torch import iterations
from rlra_torch.iterations import Iteration
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative

LOSSES = {"frobenius": Frobenius, "kl": KullbackLeibler}


@dataclass(frozen=True)
class Ours:
    """One of our iterations.

    Args:
        name: as in the tables.
        losses: where it is worth racing.
        make: the iteration, from the module `rlra_torch.iterations`.
        missing: whether it races on data with missing entries.
        warm: iterations of MU that it needs before, where the loss is not quadratic.
    """

    name: str
    losses: tuple[str, ...]
    make: Callable[[ModuleType], Iteration]
    missing: bool = True
    warm: int = 0

    def why_not(self, data: Data, device: str) -> str | None:
        """The reason not to race, if there is one."""
        if not _exists(self.make):
            return "not in this version"
        if data.observed is not None and not self.missing:
            return "no missing entries"
        return None

    def native(self, data: Data, loss: str, device: str) -> object:
        """The data as a user would hold them; not timed."""
        y = _tensor(data).to(device)
        weights = None if data.observed is None else torch.from_numpy(data.observed).to(y.device)
        return y, None if weights is None else weights.to(y.dtype), LOSSES[loss]()

    def begin(self, native: object, factors: Pair) -> Racer:
        """Set up; timed."""
        y, weights, loss = native  # type: ignore[misc]
        problem = Problem(y, NMF(), loss, (NonNegative(), NonNegative()), weights)
        if self.warm and not loss.quadratic:
            first = Racer(iterations.Alternating(iterations.MU()), problem, factors)
            first.advance(self.warm)
            factors = first.factors()
        return Racer(self.make(iterations), problem, factors)


class Racer:
    """A solve that goes on where it stopped."""

    def __init__(self, iteration: Iteration, problem: Problem, factors: Pair) -> None:
        device = problem.y.device
        self.problem, self.iteration = problem, iteration.to(device)
        self.iteration.check(self.problem)
        begin = tuple(torch.from_numpy(x).to(device) for x in factors)
        self.state = self.iteration.init(begin, self.problem)

    @torch.no_grad()
    def advance(self, count: int) -> None:
        for _ in range(count):
            self.state = self.iteration(self.state, self.problem)

    def factors(self) -> Pair:
        w, h = (x.detach().cpu().numpy() for x in self.state.factors)
        return w, h


def _tensor(data: Data) -> Tensor:
    if isinstance(data.y, np.ndarray):
        return torch.from_numpy(data.y)
    parts = (data.y.indptr, data.y.indices, data.y.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), size=data.y.shape)


def _exists(make: Callable[[ModuleType], Iteration]) -> bool:
    try:
        make(iterations)
    except AttributeError:
        return False
    return True


BOTH = ("frobenius", "kl")

OURS = (
    Ours("mu", BOTH, lambda it: it.Alternating(it.MU())),
    Ours("mu, extrapolated", BOTH, lambda it: it.Extrapolated(it.Alternating(it.MU()))),
    Ours("mu, 3 inner", ("kl",), lambda it: it.Alternating(it.MU(), 3)),
    Ours("amu", BOTH, lambda it: it.Alternating(it.AcceleratedMU())),
    Ours("joint", ("kl",), lambda it: it.JointMM()),
    Ours("ccd", ("kl",), lambda it: it.Alternating(it.CoordinateNewton())),
    Ours("sn", ("kl",), lambda it: it.Alternating(it.ScalarNewton())),
    Ours(
        "sn, extrapolated", ("kl",), lambda it: it.Extrapolated(it.Alternating(it.ScalarNewton()))
    ),
    Ours("burg", ("kl",), lambda it: it.Alternating(it.BurgMirrorDescent())),
    Ours("msom", BOTH, lambda it: it.Alternating(it.MSOM(), it.Counted()), warm=20),
    Ours("hals", ("frobenius",), lambda it: it.Alternating(it.HALS(), it.Counted())),
    Ours(
        "hals, extrapolated",
        ("frobenius",),
        lambda it: it.Extrapolated(
            it.Alternating(it.HALS(), 20), gamma=1.01, gamma_limit=1.005
        ),
    ),
    Ours("fista", ("frobenius",), lambda it: it.Alternating(it.FISTA(), it.Counted())),
)  # fmt: skip
