"""Who runs when, and what was measured."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from race.judge import judge
from race.ours import Ours
from race.tasks import Pair
from race.track import Point, Run, Setting, method_named, work


class Check(NamedTuple):
    """One point of a curve."""

    iteration: int
    seconds: float
    objective: float
    kkt: float


@dataclass
class Track:
    """What was measured of one method.

    Args:
        name: of the method.
        ours: whether it is one of ours.
        runs: of each round, the start and what was measured after each piece.
        memory: the most MB beyond data and start that a run took.
        failure: why there is no more.
    """

    name: str
    ours: bool
    runs: list[list[Check]] = field(default_factory=list)
    memory: float = float("nan")
    failure: str = ""

    def seconds_to(self, bests: Sequence[float], gap: float) -> list[float]:
        """Of each round, when the objective came within a relative gap; infinite if it did not."""
        pairs = zip(self.runs, bests, strict=True)
        return [seconds_to(run, best, gap) for run, best in pairs]

    def curve(self, bests: Sequence[float]) -> list[Check]:
        """Medians over the rounds, with the relative gap for the objective."""
        pieces = min(len(run) for run in self.runs)
        rows = np.array(
            [[tuple(check) for check in run[:pieces]] for run in self.runs], dtype=float
        )
        best = np.array(bests)[:, None]
        rows[..., 2] = (rows[..., 2] - best) / np.abs(best)
        medians = np.median(rows, axis=0)
        return [Check(int(i), float(s), float(gap), float(kkt)) for i, s, gap, kkt in medians]


def seconds_to(run: Sequence[Check], best: float, gap: float) -> float:
    """When the objective came within a relative gap of the best; infinite where it did not.

    Between two points the logarithm of the gap is taken to fall linearly.
    """
    gaps = np.array([(check.objective - best) / abs(best) for check in run])
    reached = np.flatnonzero(gaps <= gap)
    if not len(reached):
        return float("inf")
    k = int(reached[0])
    if k == 0:
        return 0.0
    above, below = np.log(gaps[k - 1]), np.log(max(gaps[k], gap * 1e-3))
    part = (above - np.log(gap)) / (above - below)
    return float(run[k - 1].seconds + part * (run[k].seconds - run[k - 1].seconds))


def schedule(growth: float = 1.5, most: int = 100_000) -> tuple[int, ...]:
    """Pieces that grow, so that the calls themselves weigh less and less: 1, 1, 1, 1, 2, 3, ..."""
    counts, done = [], 0
    while done < most:
        counts.append(max(1, int(done * (growth - 1))))
        done += counts[-1]
    return tuple(counts)


def race(
    setting: Setting, names: Sequence[str], starts: Sequence[Pair], seconds: float
) -> list[Track]:
    """Let methods take turns, a round for each start; all factors are judged outside of the clock.

    Args:
        setting: the problem.
        names: of the methods.
        starts: the factors that all begin with, for each round.
        seconds: for each run.
    """
    tracks = [Track(name, isinstance(method_named(name), Ours)) for name in names]
    with ExitStack() as stack:
        pipes = lanes(stack, tracks, setting)
        for start in starts:
            begin = Check(0, 0.0, *judge(setting.data, setting.loss, start))
            for track, pipe in zip(tracks, pipes, strict=True):
                if not track.failure:
                    _round(track, pipe, setting, Run(start, schedule(), seconds), begin)
    return tracks


def _round(track: Track, pipe: Connection, setting: Setting, run: Run, begin: Check) -> None:
    checks = [begin]
    # A piece is half as long as all before it: what takes much longer has gone astray.
    for point in points(pipe, run, 120 + 20 * run.seconds):
        if isinstance(point, str):
            track.failure, track.runs = point, []
            return
        if isinstance(point, float):
            track.memory = float(np.nanmax([track.memory, point]))
        else:
            values = judge(setting.data, setting.loss, point.factors)
            checks.append(Check(point.iterations, point.seconds, *values))
    track.runs.append(checks)


def lanes(stack: ExitStack, tracks: Sequence[Track], setting: Setting) -> list[Connection]:
    """The process of each method, once all are ready; where one is not, its failure is noted."""
    pipes = [stack.enter_context(lane(track, setting)) for track in tracks]
    for track, pipe in zip(tracks, pipes, strict=True):
        answer = _answer(pipe, 600)
        track.failure = "" if answer == "ready" else str(answer)
    return pipes


@contextmanager
def lane(track: Track, setting: Setting) -> Iterator[Connection]:
    """A process that ends with the block."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=work, args=(other, track.name, setting), daemon=True)
    process.start()
    other.close()
    try:
        yield pipe
    finally:
        # Gently where it listens, so that what it holds of the system is given back.
        with contextlib.suppress(OSError):
            pipe.send(None)
        process.join(0.1 if track.failure else 20)
        process.kill()
        process.join()


def points(pipe: Connection, run: Run, patience: float) -> Iterator[Point | float | str]:
    """The points of a run, then its memory; a string instead tells what went wrong."""
    pipe.send(run)
    while True:
        answer = _answer(pipe, patience)
        yield answer
        if not isinstance(answer, Point):
            return
        pipe.send("go on")


def _answer(pipe: Connection, patience: float) -> Point | float | str:
    try:
        if not pipe.poll(patience):
            return f"no answer within {patience:.0f} s"
        return pipe.recv()
    except (EOFError, OSError):
        return "its process ended (out of memory?)"


@dataclass
class Step:
    """One iteration of one method: seconds of each round, factors of the first, memory in MB."""

    name: str
    seconds: list[float] = field(default_factory=list)
    factors: Pair | None = None
    memory: float = float("nan")
    failure: str = ""


def steps(
    setting: Setting, names: Sequence[str], start: Pair, rounds: int, count: int
) -> list[Step]:
    """Seconds an iteration, from runs of 2 and of ``2 + count``: what a call costs cancels."""
    tracks = [Track(name, isinstance(method_named(name), Ours)) for name in names]
    found = [Step(name) for name in names]
    with ExitStack() as stack:
        pipes = lanes(stack, tracks, setting)
        for _ in range(rounds):
            for track, pipe, step in zip(tracks, pipes, found, strict=True):
                step.failure = step.failure or track.failure
                if not step.failure:
                    _step(step, pipe, start, count)
    return found


def _step(step: Step, pipe: Connection, start: Pair, count: int) -> None:
    spent = []
    for number in (2, 2 + count):
        for point in points(pipe, Run(start, (number,), float("inf")), 3600):
            if isinstance(point, str):
                step.failure = point
                return
            if isinstance(point, float):
                step.memory = float(np.nanmax([step.memory, point]))
            else:
                spent.append(point.seconds)
                step.factors = point.factors
    step.seconds.append((spent[1] - spent[0]) / count)
