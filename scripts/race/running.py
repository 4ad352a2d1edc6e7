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
from race.ours import OURS, Ours
from race.peers import PEERS
from race.tasks import Pair
from race.track import Method, Point, Run, Setting, work


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
        iterations: after each piece.
        seconds: of each round, after each piece.
        judged: objective and KKT residual, first at the start, then after each piece.
        memory: the most MB beyond data and start that a round took.
        failure: why there is no more.
    """

    name: str
    ours: bool
    iterations: list[int] = field(default_factory=list)
    seconds: list[list[float]] = field(default_factory=list)
    judged: list[tuple[float, float]] = field(default_factory=list)
    memory: float = float("nan")
    failure: str = ""

    def curve(self) -> list[Check]:
        """Medians over the rounds."""
        medians = [0.0, *np.median(np.array(self.seconds), axis=0)] if self.seconds else [0.0]
        rows = zip([0, *self.iterations], medians, self.judged, strict=False)
        return [Check(i, float(s), *values) for i, s, values in rows]

    def seconds_to(self, best: float, gap: float) -> list[float]:
        """Of each round, when the objective came within a relative gap; empty where it did not.

        Between two points the logarithm of the gap is taken to fall linearly.
        """
        gaps = np.array([(value - best) / abs(best) for value, _ in self.judged])
        reached = np.flatnonzero(gaps <= gap)
        if not len(reached) or not self.seconds:
            return []
        k = int(reached[0])
        if k == 0:
            return [0.0] * len(self.seconds)
        above, below = np.log(gaps[k - 1]), np.log(max(gaps[k], gap * 1e-3))
        part = (above - np.log(gap)) / (above - below)
        times = np.array([[0.0, *row] for row in self.seconds])
        return (times[:, k - 1] + part * (times[:, k] - times[:, k - 1])).tolist()


def method_named(name: str) -> Method:
    """One of ours, or a peer."""
    return next(method for method in (*OURS, *PEERS) if method.name == name)


def schedule(growth: float = 1.5, most: int = 100_000) -> tuple[int, ...]:
    """Pieces that grow, so that the calls themselves weigh less and less: 1, 1, 1, 2, 3, 4, ..."""
    counts, done = [], 0
    while done < most:
        counts.append(max(1, int(done * (growth - 1))))
        done += counts[-1]
    return tuple(counts)


def race(setting: Setting, names: Sequence[str], rounds: int, seconds: float) -> list[Track]:
    """Let methods take turns; factors are judged in the first round, the others are for the clock.

    Args:
        setting: the problem and the start.
        names: of the methods.
        rounds: how many runs each makes.
        seconds: for each run; later rounds repeat the pieces of the first.
    """
    tracks = [Track(name, isinstance(method_named(name), Ours)) for name in names]
    begin = judge(setting.data, setting.loss, setting.start)
    with ExitStack() as stack:
        pipes = lanes(stack, tracks, setting)
        for number in range(rounds):
            for track, pipe in zip(tracks, pipes, strict=True):
                if number == 0:
                    track.judged.append(begin)
                if not track.failure:
                    _round(track, pipe, setting, number, seconds)
    return tracks


def _round(track: Track, pipe: Connection, setting: Setting, number: int, seconds: float) -> None:
    pieces = tuple(np.diff([0, *track.iterations]).tolist()) if number else schedule()
    limit = float("inf") if number else seconds
    # A piece is half as long as all before it: what takes much longer has gone astray.
    patience = 120 + 20 * seconds
    times: list[float] = []
    for point in points(pipe, Run(pieces, limit, number == 0), patience):
        if isinstance(point, str):
            track.failure = point
            return
        if isinstance(point, float):
            track.memory = np.nanmax([track.memory, point])
            break
        times.append(point.seconds)
        if number == 0:
            track.iterations.append(point.iterations)
            assert point.factors is not None
            track.judged.append(judge(setting.data, setting.loss, point.factors))
    track.seconds.append(times)


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
    """One iteration of one method: seconds of each round, factors after ``count``, memory."""

    name: str
    seconds: list[float] = field(default_factory=list)
    factors: Pair | None = None
    memory: float = float("nan")
    failure: str = ""


def steps(setting: Setting, names: Sequence[str], rounds: int, count: int) -> list[Step]:
    """Seconds an iteration, from runs of 2 and of ``2 + count``: what a call costs cancels."""
    tracks = [Track(name, True) for name in names]
    found = [Step(name) for name in names]
    with ExitStack() as stack:
        pipes = lanes(stack, tracks, setting)
        for number in range(rounds):
            for track, pipe, step in zip(tracks, pipes, found, strict=True):
                step.failure = step.failure or track.failure
                if not step.failure:
                    _step(step, pipe, count, first=number == 0)
    return found


def _step(step: Step, pipe: Connection, count: int, first: bool) -> None:
    spent = []
    for number in (2, 2 + count):
        wanted = first and number > 2
        for point in points(pipe, Run((number,), float("inf"), wanted), 3600):
            if isinstance(point, str):
                step.failure = point
                return
            if isinstance(point, float):
                step.memory = np.nanmax([step.memory, point])
            else:
                spent.append(point.seconds)
                step.factors = point.factors if wanted else step.factors
    step.seconds.append((spent[1] - spent[0]) / count)
