"""Convolutive NMF: descent on random problems, recovery of planted sounds, cost by window.

python scripts/experiments/convolutive.py recovery
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from rlra_torch.estimators import cnmf
from rlra_torch.functional import convolution
from rlra_torch.iterations import MU, Alternating
from rlra_torch.losses import BetaDivergence, KullbackLeibler, Loss
from rlra_torch.models import Convolutive
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative

RECOVERED = 0.99
LOSSES = {beta: BetaDivergence(beta) for beta in (-0.5, 0.0, 0.5, 1.5, 2.0, 2.5)}
LOSSES[1.0] = KullbackLeibler()


class Sounds(NamedTuple):
    """Sounds that last, (frequencies, window, rank), their beginnings (frames, rank), their sum."""

    templates: Tensor
    activations: Tensor
    y: Tensor


def planted(
    seed: int, frames: int = 200, rank: int = 3, window: int = 6, rate: float = 0.03
) -> Sounds:
    """Decaying sounds of few frequencies that overlap, but for one time at which each is alone."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw, dtype=torch.float64)

    frequencies = 10 * rank
    spectra = uniform(frequencies, 1, rank) * (uniform(frequencies, 1, rank) < 0.3)
    lags = torch.arange(window, dtype=torch.float64)[:, None]
    templates = spectra * (-lags * (0.1 + uniform(frequencies, 1, rank))).exp()
    activations = (0.5 + uniform(frames, rank)) * (uniform(frames, rank) < rate)
    for k in range(rank):
        place = window + 2 * window * k
        activations[place - window : place + window] = 0
        activations[place, k] = 1
    model = Convolutive(channels=True, cyclic=False)
    return Sounds(templates, activations, model((templates, activations)))


def correlations(found: Tensor, true: Tensor) -> Tensor:
    """Of each true template (frequencies, window, rank) with its match, over all shifts in time."""
    a, b = (x.movedim(-1, 0) for x in (found, true))
    a, b = (x / x.flatten(1).norm(dim=1)[:, None, None] for x in (a, b))
    best = torch.nn.functional.conv1d(b, a, padding=a.shape[-1] - 1).amax(-1)
    rows, columns = linear_sum_assignment(-best.numpy())
    return best[rows, columns]


def steepest(trials: int, loss: Loss, l1: float = 0.0, sweeps: int = 8) -> float:
    """The largest relative rise of the objective in a step of MU, over random small problems."""
    worst = -torch.inf
    for seed in range(trials):
        draw = torch.Generator().manual_seed(seed)
        f, t, p, k = (int(torch.randint(1, most, (), generator=draw)) for most in (7, 13, 5, 4))
        p = min(p, t)
        shapes = ((f, t), (f, p, k), (t, k))
        y, *start = (torch.rand(s, generator=draw, dtype=torch.float64) + 1e-3 for s in shapes)
        regs = (NonNegative(l1), NonNegative(l1))
        problem = Problem(y, Convolutive(channels=True, cyclic=False), loss, regs)
        step = Alternating(MU())
        state = step.init(tuple(start), problem)
        before = problem.objective(state.factors)
        for _ in range(sweeps):
            for n in (0, 1):
                state, _ = step.update(state, problem, n)
                after = problem.objective(state.factors)
                worst = max(worst, float((after - before) / before.abs().clamp_min(1e-9)))
                before = after
    return worst


def descent(trials: int = 500) -> None:
    """No step of MU raises any of the divergences, with a penalty or without."""
    print(f"{'beta':>6} {'penalty':>8} {'problems':>9} {'largest relative rise':>22}")
    for beta, loss in sorted(LOSSES.items()):
        for l1 in (0.0, 0.1):
            print(f"{beta:6.1f} {l1:8.1f} {trials:9d} {steepest(trials, loss, l1):22.1e}")


def counted(y: Tensor, counts: float, seed: int) -> Tensor:
    """Each entry as the mean of Poisson counts, so many for a unit; infinity: as it is."""
    draw = torch.Generator().manual_seed(seed)
    return torch.poisson(counts * y, generator=draw) / counts if counts < torch.inf else y


def recovery(trials: int = 30, first: int = 1000) -> None:
    """How often planted sounds are found, from the separable start and from random ones."""
    print(f"{'rate':>6} {'counts':>7} {'start':>10} {'recovered':>10} {'least correlation':>18}")
    settings = ((0.01, torch.inf), (0.03, torch.inf), (0.05, torch.inf), (0.03, 300.0))
    for (rate, counts), init in product(settings, ("separable", "random")):
        least = []
        for seed in range(first, first + trials):
            truth = planted(seed, rate=rate)
            y = counted(truth.y, counts, seed)
            fit = cnmf(y, 3, 6, init=init, max_iter=150, tol=1e-6, seed=seed)
            least.append(float(correlations(fit.templates, truth.templates).min()))
        share = f"{sum(value > RECOVERED for value in least)}/{trials}"
        print(f"{rate:6.2f} {counts:7.0f} {init:>10} {share:>10} {min(least):18.4f}", flush=True)


def windows(frames: int = 1000, rank: int = 8) -> None:
    """Milliseconds of a prediction by one product and by Fourier transforms."""
    print(f"{'channels':>9} {'window':>7} {'product':>9} {'Fourier':>9} {'chosen':>9}")
    for channels in (1, 16, 64, 256):
        for window in (8, 32, 64, 128, 256):
            grid = convolution.Grid((window,), (frames,), False, channels)
            chosen = "product" if grid.direct else "Fourier"
            product = grid._replace(channels=window)
            fourier = grid._replace(channels=0)
            factors = torch.rand(channels, window, rank), torch.rand(1, frames, rank)
            times = [_milliseconds(factors, own) for own in (product, fourier)]
            # Few lags always take the product.
            shown = f"{times[1]:9.2f}" if not fourier.direct else f"{'-':>9}"
            print(f"{channels:9d} {window:7d} {times[0]:9.2f} {shown} {chosen:>9}")


def _milliseconds(factors: tuple[Tensor, Tensor], grid: convolution.Grid) -> float:
    best = torch.inf
    for _ in range(5):
        begin = time.perf_counter()
        convolution.convolved(*factors, grid)
        best = min(best, time.perf_counter() - begin)
    return 1e3 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = {"descent": descent, "recovery": recovery, "windows": windows}
    parser.add_argument("experiment", choices=known)
    known[parser.parse_args().experiment]()


if __name__ == "__main__":
    main()
