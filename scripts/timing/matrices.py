"""NMF: seconds to a target, one iteration beside its products, the number of inner iterations."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from rlra_torch.datasets import load_image
from rlra_torch.initialization import random_factors
from rlra_torch.iterations import HALS, Alternating, Counted, Extrapolated, Iteration
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF, Factors
from rlra_torch.plots import OKABE_ITO, save
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from timing.paired import Row, Run, fastest, ours, paired, table
from timing.peers import peers


def pines(rounds: int, device: str, out: Path) -> str:
    """Seconds to a relative error of 0.0315 on Indian Pines (200 x 21025), rank 6, float32."""
    y = load_image("indian_pines").scaled().matrix.contiguous().to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = problem.scaled(random_factors([(200, 6), (21025, 6)], y, seed=0))
    methods = {
        "HALS": ours(problem, Alternating(HALS(), Counted())),
        "HALS, 20 inner, extrapolated": ours(
            problem, Extrapolated(Alternating(HALS(), 20), gamma=1.01, gamma_limit=1.005)
        ),
        "HALS, 40 inner": ours(problem, Alternating(HALS(), 40)),
    }
    foreign = peers(y) if device == "cpu" else {}
    counts = {
        name: iterations_to(run, y, start, 0.0315, 400) for name, run in (methods | foreign).items()
    }
    reached = {name: run for name, run in (methods | foreign).items() if counts[name]}
    timed = {
        name: (lambda run=run, count=counts[name]: run(start, count or 0))
        for name, run in reached.items()
    }
    seconds = paired(timed, rounds)
    rows = [Row(name, counts[name], seconds.get(name, [])) for name in methods | foreign]
    text = table(pines.__doc__ or "", rows)
    best = min((row for row in rows if row.name in methods and row.seconds), key=fastest)
    rival = min(
        (row for row in rows if row.name in foreign and row.seconds), key=fastest, default=None
    )
    if rival is not None:
        ratios = [b / a for a, b in zip(best.seconds, rival.seconds, strict=True)]
        text += (
            f"\n{rival.name} takes {fastest(rival) / fastest(best):.1f} times the seconds of "
            f"{best.name} (ratio of minima; median of the paired ratios "
            f"{statistics.median(ratios):.1f}).\n"
        )
    return text


def products(rounds: int, device: str, out: Path) -> str:
    """One HALS outer iteration on Indian Pines, rank 6, beside its two data products alone."""
    y = load_image("indian_pines").scaled().matrix.contiguous().to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = problem.scaled(random_factors([(200, 6), (21025, 6)], y, seed=0))
    iteration = Alternating(HALS())
    with torch.no_grad():
        state = iteration(iteration.init(start, problem), problem)
    w, h = state.factors

    def bare() -> None:
        for _ in range(20):
            h.mT @ y.mT
            w.mT @ y

    step = ours(problem, iteration)
    seconds = paired({"two products": bare, "HALS": lambda: step((w, h), 20)}, rounds)
    rows = [Row(name, 20, values) for name, values in seconds.items()]
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    return table(products.__doc__ or "", rows) + (
        f"\nratio of minima {fastest(rows[1]) / fastest(rows[0]):.2f}, "
        f"median of the paired ratios {statistics.median(ratios):.2f}\n"
    )


def inner(rounds: int, device: str, out: Path) -> str:
    """The effect of 1 to 100 inner HALS iterations (2000 x 50, rank 3)."""
    state = np.random.RandomState(0)
    truth = [state.rand(size, 3) for size in (2000, 50)]
    start = tuple(torch.from_numpy(state.rand(size, 3)).to(device) for size in (2000, 50))
    y = torch.from_numpy(truth[0] @ truth[1].T).to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()), free=(1, 0))
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    rows = []
    for color, count in zip(OKABE_ITO, (1, 2, 3, 5, 10, 20, 100), strict=False):
        iteration = Alternating(HALS(), count)
        curve = [errors_of(iteration, problem, start) for _ in range(rounds)]
        best = [min(times) for times in zip(*(seconds for seconds, _ in curve), strict=True)]
        for panel, x in zip(panels, (range(1, 101), best), strict=True):
            panel.semilogy(x, curve[0][1], color=color, label=str(count))
        rows.append(Row(f"{count} inner", 100, [c[0][-1] for c in curve], f"{curve[0][1][-1]:.1e}"))
    panels[0].set(xlabel="outer iterations", ylabel="relative error")
    panels[1].set(xlabel="seconds", xscale="log")
    panels[1].legend(title="inner iterations", ncols=2)
    for panel in panels:
        panel.grid(alpha=0.3)
    figure.suptitle("HALS on a noiseless 2000 x 50 matrix of rank 3")
    save(figure, out / "inner.png")
    return table(inner.__doc__ or "", rows, "error after 100")


@torch.no_grad()
def errors_of(
    iteration: Iteration, problem: Problem, start: Factors
) -> tuple[list[float], list[float]]:
    state, spent, seconds, errors = iteration.init(start, problem), 0.0, [], []
    for _ in range(100):
        begin = time.perf_counter()
        state = iteration(state, problem)
        spent += time.perf_counter() - begin
        seconds.append(spent)
        errors.append(float(problem.relative_error(state.factors)))
    return seconds, errors


def error(y: torch.Tensor, factors: Factors) -> float:
    """Relative error in float64, through the grams."""
    w, h = (x.double() for x in factors)
    y = y.double()
    cross, energy = float((y @ h * w).sum()), float(y.square().sum())
    square = energy - 2 * cross + float(((w.T @ w) * (h.T @ h)).sum())
    return (max(square, 0.0) / energy) ** 0.5


def iterations_to(
    run: Run, y: torch.Tensor, start: Factors, target: float, most: int
) -> int | None:
    """A count that reaches the target, in steps of 5 (each goes on from the last); not timed."""
    factors = start
    for count in range(5, most + 1, 5):
        factors = tuple(x.contiguous() for x in run(factors, 5))
        if error(y, factors) <= target:
            # What has momentum loses it when it is cut into pieces: look on from there.
            while count > 5 and error(y, run(start, count - 5)) <= target:
                count -= 5
            return count
    return None
