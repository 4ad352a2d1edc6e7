"""The methods of unmixing, one table: what each is called, what it needs, how it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from .. import dictionary, separable
from ..estimators import iteration_named, nmf
from ..estimators.minvol import minvol
from ..estimators.names import ITERATIONS, MATRIX_STARTS, WHOLE_ITERATIONS
from ..estimators.results import Check
from ..losses import Loss
from ..models import NMF
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers.progress import Callback

Watch = Callable[[], Sequence[Callback]]
# Of MU, from which mSOM converges for losses that are not quadratic.
WARM_STEPS = 20
# Pixels among which the convex model chooses: its work grows with their square.
CANDIDATES = 100
# Of methods with atoms, from each start, at most: most get stuck after a few.
ROUNDS = 20
# Pixels from which atoms are chosen; abundances are fitted to all.
ENOUGH = 1000


@dataclass(frozen=True)
class Fit:
    """How one method did.

    Args:
        factors: spectra (bands, r) and abundances (pixels, r) of the scaled image.
        seconds: wall-clock time, checks included.
        objective: the loss at the end.
        relative_error: ``||Y - W H^T|| / ||Y||``.
        history: checks of an iterative method.
        kkt: the optimality residual of an iterative method.
        n_iter: iterations, or rounds.
        converged: whether the residual met its tolerance.
        chosen: (r,) the atom or pixel that each component is, or -1.
    """

    factors: tuple[Tensor, Tensor]
    seconds: float
    objective: float
    relative_error: float
    history: tuple[Check, ...] = ()
    kkt: float | None = None
    n_iter: int | None = None
    converged: bool | None = None
    chosen: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What all methods are given.

    Args:
        y: the pixels that were seen, (bands, pixels), divided by the largest value.
        rank: the number of components.
        loss: what is minimized.
        init: the common start of iterative methods, by name.
        seed: of what is random.
        stops: when iterative methods stop.
        library: spectra to choose from, (bands, atoms), or None.
        regions: pixels of regions (bands, p) with the number of materials there, or None.
    """

    y: Tensor
    rank: int
    loss: Loss
    init: str
    seed: int
    stops: dict[str, Any]
    library: Tensor | None = None
    regions: Sequence[tuple[Tensor, int]] | None = None

    @cached_property
    def problem(self) -> Problem:
        """Nonnegative matrix factorization of the image."""
        return Problem(self.y, NMF(), self.loss, (NonNegative(), NonNegative()))

    @cached_property
    def start(self) -> Any:  # noqa: ANN401
        """Where iterative methods start, all of them."""
        if self.loss.quadratic:
            return self.init
        return self.nmf("mu", self.init, WARM_STEPS).factors

    def nmf(self, name: str, start: Any, most: int, watch: Sequence[Callback] = ()) -> Any:  # noqa: ANN401
        """At most so many iterations from a start."""
        few = {**self.stops, "max_iter": min(self.stops["max_iter"], most)}
        return nmf(
            self.y, self.rank, self.loss, name, init=start, seed=self.seed, callbacks=watch, **few
        )


@dataclass(frozen=True)
class Method:
    """A way to unmix.

    Args:
        label: how tables and figures write it.
        check: raises, before any work, where the task does not suit it.
        run: does it; where it is iterative, watched by the callbacks that it asks for at its start.
        picks: what its components are: "pixels", "library", "regions", or "" for none of them.
    """

    label: str
    check: Callable[[Task], None]
    run: Callable[[Task, Watch], Fit]
    picks: str = ""


def method_named(name: str) -> Method:
    """A method by its short name, in which ``-`` is ``_``.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}: use {', '.join(map(repr, METHODS))}")
    return METHODS[name]


def _iterative(name: str, label: str) -> Method:
    def run(task: Task, watch: Watch) -> Fit:
        start = task.start
        # Thrown away: what the first call of an operator costs belongs to no method's clock.
        task.nmf(name, start, 1)
        found = task.nmf(name, start, task.stops["max_iter"], watch())
        last = found.history[-1]
        return Fit(
            found.factors,
            last.seconds,
            last.objective,
            found.relative_error,
            found.history,
            last.kkt,
            found.n_iter,
            found.converged,
        )

    def check(task: Task) -> None:
        if task.init not in MATRIX_STARTS:
            known = ", ".join(map(repr, MATRIX_STARTS))
            raise ValueError(f"unknown init {task.init!r}: use {known} or the factors")
        iteration_named(name, task.loss).check(task.problem)

    return Method(label, check, run)


def _least_volume(task: Task, watch: Watch) -> Fit:
    """Its objective has a volume too, so that its history is not comparable with the others'."""
    found = minvol(task.y, task.rank, callbacks=watch(), **task.stops)
    factors = (found.factors[0], found.factors[1])
    return Fit(
        factors,
        found.seconds,
        float(task.problem.objective(factors)),
        found.relative_error,
        kkt=found.kkt,
        n_iter=found.n_iter,
        converged=found.converged,
    )


def _quadratic(name: str) -> Callable[[Task], None]:
    def check(task: Task) -> None:
        if not task.loss.quadratic:
            raise ValueError(
                f"{name} fits in least squares; leave the loss out, or use an iteration"
            )

    return check


Direct = Callable[[Task], tuple[tuple[Tensor, Tensor], Tensor | None]]


def _direct(label: str, name: str, find: Direct, picks: str) -> Method:
    """A method that is no solve: it gives factors, and what its components are."""

    def run(task: Task, watch: Watch) -> Fit:
        begun = time.perf_counter()
        factors, chosen = find(task)
        objective = float(task.problem.objective(factors))
        seconds = time.perf_counter() - begun
        error = float(task.problem.relative_error(factors))
        return Fit(factors, seconds, objective, error, chosen=chosen)

    def check(task: Task) -> None:
        _quadratic(name)(task)
        if picks == "library" and task.library is None:
            raise ValueError(f"{name} chooses spectra from a library; pass library=")
        if picks == "regions" and task.regions is None:
            raise ValueError(f"{name} chooses spectra from regions of the image; pass regions=")
        if picks == "regions" and task.rank > sum(count for _, count in task.regions or ()):
            total = sum(count for _, count in task.regions or ())
            raise ValueError(f"the regions hold {total} materials, fewer than rank {task.rank}")

    return Method(label, check, run, picks)


class Picked(Protocol):
    """What algorithms give that take pixels as spectra."""

    @property
    def indices(self) -> Tensor: ...

    @property
    def factors(self) -> tuple[Tensor, Tensor]: ...


def _pixels(select: Callable[[Task], Picked]) -> Direct:
    def find(task: Task) -> tuple[tuple[Tensor, Tensor], Tensor]:
        found = select(task)
        return found.factors, found.indices

    return find


def _fgnsr(task: Task) -> Picked:
    """Of all pixels where they are few, else of those that stand for clusters."""
    few = task.y.shape[-1] <= CANDIDATES
    return separable.fgnsr(
        task.y, task.rank, candidates=None if few else CANDIDATES, seed=task.seed
    )


def _mc_als(task: Task) -> tuple[tuple[Tensor, Tensor], Tensor]:
    assert task.library is not None
    found = dictionary.mc_als(_some(task.y), task.library, task.rank, **_rounds(task))
    return _everywhere(task, found.factors[0]), found.indices


def _m2c_als(task: Task) -> tuple[tuple[Tensor, Tensor], Tensor]:
    assert task.regions is not None
    atoms, counts = zip(*task.regions, strict=True)
    found = dictionary.m2c_als(_some(task.y), atoms, counts, task.rank, **_rounds(task))
    return _everywhere(task, found.factors[0]), found.indices


def _rounds(task: Task) -> dict[str, Any]:
    return {"max_iter": min(task.stops["max_iter"], ROUNDS), "seed": task.seed}


def _some(y: Tensor) -> Tensor:
    """Pixels in even steps, on which atoms are chosen: many starts on all take too long."""
    return y[:, :: -(-y.shape[-1] // ENOUGH)].contiguous()


def _everywhere(task: Task, spectra: Tensor) -> tuple[Tensor, Tensor]:
    return spectra, separable.nonnegative(task.y, spectra)


_LABELS = {
    "active_set": "active set",
    "admm": "ADMM",
    "als": "ALS",
    "amu": "accelerated MU",
    "burg": "Burg",
    "ccd": "CCD",
    "fista": "FISTA",
    "hals": "HALS",
    "joint": "joint MM",
    "msom": "mSOM",
    "mu": "MU",
    "newton": "Newton",
    "pg": "PG",
    "pro_als": "pro-ALS",
    "sn": "scalar Newton",
}
_PIXELS: dict[str, tuple[str, Callable[[Task], Picked]]] = {
    "spa": ("SPA", lambda task: separable.spa(task.y, task.rank)),
    "snpa": ("SNPA", lambda task: separable.snpa(task.y, task.rank)),
    "h2nmf": ("H2NMF", lambda task: separable.h2nmf(task.y, task.rank)),
    "fgnsr": ("FGNSR", _fgnsr),
    "vca": ("VCA", lambda task: separable.vca(task.y, task.rank, seed=task.seed)),
    "xray": ("XRAY", lambda task: separable.xray(task.y, task.rank)),
}
_ATOMS: dict[str, tuple[str, Direct, str]] = {
    "mc_als": ("MC-ALS", _mc_als, "library"),
    "m2c_als": ("M2C-ALS", _m2c_als, "regions"),
}
METHODS: dict[str, Method] = {
    **{
        name: _iterative(name, _LABELS.get(name, name))
        for name in sorted({*ITERATIONS, *WHOLE_ITERATIONS} - {"hooi"})
    },
    "minvol": Method("minimum volume", _quadratic("minvol"), _least_volume),
    **{name: _direct(label, name, _pixels(f), "pixels") for name, (label, f) in _PIXELS.items()},
    **{name: _direct(label, name, f, picks) for name, (label, f, picks) in _ATOMS.items()},
}
