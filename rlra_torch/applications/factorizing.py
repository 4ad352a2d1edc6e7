"""Factorize a matrix in a file, on one process or several, with a folder to go on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data import Data
from ..datasets.matrices import open_matrix
from ..estimators import nmf
from ..estimators.results import Factorization
from ..solvers import Checkpoint, Progress, load_checkpoint
from .processes import Team
from .rows import Source, read
from .runs import Run, fingerprint


@dataclass(frozen=True)
class Files:
    """Where the data lies.

    Args:
        data: the matrix, in a file that `open_matrix` knows.
        weights: its weights, in another one, or None.
        variable: the array in it, for zarr and HDF5.
        dtype: "float32", "float64", or None: that of the data, float32 for integers.
    """

    data: str
    weights: str | None = None
    variable: str | None = None
    dtype: str | None = None

    def open(self, device: torch.device) -> Source:
        """The matrix, of which nothing is read yet."""
        matrix = open_matrix(self.data, self.variable)
        weights = None if self.weights is None else open_matrix(self.weights)
        own = str(np.dtype(matrix.dtype).newbyteorder("="))
        known = own if own in ("float16", "float32", "float64") else "float32"
        return Source(matrix, weights, self.dtype or known, device)

    def settings(self, dtype: str) -> dict[str, Any]:
        """What must not change while a factorization is under way."""
        weights = None if self.weights is None else fingerprint(self.weights)
        return {
            "data fingerprint": fingerprint(self.data),
            "weights fingerprint": weights,
            "variable": self.variable,
            "dtype": dtype,
        }


@dataclass(frozen=True)
class Settings:
    """What is solved; apart from the number of iterations it is fixed for a folder.

    Args:
        rank, loss, iteration, init, tol, check_every, seed: as in `nmf`.
    """

    rank: int
    loss: str | float
    iteration: str | None
    init: str | None
    tol: float
    check_every: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Args:
        how: "new", "resumed" or "finished": then there was nothing left to do.
        report: how good the factors are.
        shape: of the data.
        resumed: the iteration from which it went on.
    """

    how: str
    report: dict[str, Any]
    shape: tuple[int, ...]
    resumed: int = 0


def factorize_file(
    files: Files,
    settings: Settings,
    out: str | Path,
    team: Team,
    *,
    max_iter: int,
    rows: int | None = None,
    seconds: float = 10.0,
    watch: Callable[[int], Sequence[Any]] = lambda iteration: (),
) -> Outcome:
    """Factorize a matrix in a file, or go on with it.

    Args:
        files: where the data lies.
        settings: what is solved.
        out: the folder of this factorization.
        team: the processes, each of which holds its share of the rows.
        max_iter: the largest number of iterations, earlier ones included.
        rows: of a chunk; None: each process holds all of its rows.
        seconds: the least time between two checkpoints.
        watch: gives further callbacks, from the iteration that it starts at.

    Raises:
        TypeError, ValueError: bad input, or a folder that holds something else.
    """
    source = files.open(team.device)
    shape = tuple(source.matrix.shape)
    if (rows or team.size > 1) and settings.init not in (None, "random"):
        raise ValueError(
            f"a start {settings.init!r} reads the data whole, in one process; "
            "use random with chunks of rows or several processes"
        )
    run = Run(Path(out), {})
    if team.leads:
        run = Run(run.folder, {**files.settings(source.dtype), **asdict(settings)})
    how = _agreed(run, team, max_iter)
    if how == "finished":
        return Outcome(how, run.report(), shape)
    progress = load_checkpoint(run.progress, team.device) if how == "resumed" else None
    reached = progress.history[-1].iteration if progress else 0
    checkpoint = Checkpoint(run.progress, seconds=seconds, last=max_iter)
    data = _data(source, rows, team)
    fit = _fit(data, settings, progress, max_iter, (checkpoint, *watch(reached)))
    report = team.told(run.finish(fit) if team.leads else None)
    return Outcome(how, report, shape, reached)


def _agreed(run: Run, team: Team, max_iter: int) -> str:
    """What the first process finds in the folder, and every process does."""
    how, wrong = "", ""
    if team.leads:
        try:
            how = run.begin(max_iter)
        except (OSError, ValueError) as error:
            wrong = str(error)
    how, wrong = team.told((how, wrong))
    if wrong:
        raise ValueError(wrong)
    return how


def _data(source: Source, rows: int | None, team: Team) -> Data:
    if team.mesh is None:
        return read(source, slice(0, source.matrix.shape[0]), rows, team)
    from ..data.shards import Shards, own_rows

    own = own_rows(source.matrix.shape[0], team.rank, team.size)
    return Shards.of(read(source, own, rows, team), team.mesh)


def _fit(
    data: Data,
    settings: Settings,
    progress: Progress | None,
    max_iter: int,
    callbacks: Sequence[Any],
) -> Factorization:
    return nmf(
        data,
        settings.rank,
        settings.loss,
        settings.iteration,
        init=settings.init,
        max_iter=max_iter,
        tol=settings.tol,
        check_every=settings.check_every,
        seed=settings.seed,
        callbacks=callbacks,
        resume=progress,
    )
