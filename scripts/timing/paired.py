"""Methods that take turns, and the tables of their seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rlra_torch.iterations import Iteration
from rlra_torch.models import Factors
from rlra_torch.problem import Problem

Run = Callable[[Factors, int], Factors]
"""Start and iterations to factors: what is timed."""


@dataclass
class Row:
    """One line of a table."""

    name: str
    iterations: int | None
    seconds: list[float]
    note: str = ""


def ours(problem: Problem, iteration: Iteration) -> Run:
    @torch.no_grad()
    def run(start: Factors, count: int) -> Factors:
        state = iteration.init(start, problem)
        for _ in range(count):
            state = iteration(state, problem)
        if problem.y.is_cuda:
            torch.cuda.synchronize()
        return state.factors

    return run


def paired(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def fastest(row: Row) -> float:
    return min(row.seconds)


def table(title: str, rows: list[Row], note: str = "") -> str:
    lines = [f"### {title}", "", f"| method | iterations | min s | median s | {note} |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        if row.seconds:
            timing = f"{min(row.seconds):.3f} | {statistics.median(row.seconds):.3f}"
            lines.append(f"| {row.name} | {row.iterations} | {timing} | {row.note} |")
        else:
            lines.append(f"| {row.name} | not within 400 | | | |")
    return "\n".join(lines) + "\n"
