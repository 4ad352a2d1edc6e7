"""The phantom of a calcium movie: regions, spikes and labels over a range of lambda.

python scripts/experiments/segmentation.py table
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from rlra_torch.datasets import CalciumMovie, calcium_movie
from rlra_torch.diagnostics import certificate
from rlra_torch.estimators import Segmentation, segment
from rlra_torch.estimators.growth import alive
from rlra_torch.estimators.segmentation import (
    LOW_RANK_TV,
    SPARSE,
    SPARSE_LOW_RANK,
    movie_problem,
    spikes_start,
)
from rlra_torch.iterations import Alternating, Nesterov, ProjectedGradient
from rlra_torch.solvers import solve

LAMBDAS = (0.65, 0.75, 0.85)
SEEDS = (0, 1, 2)
LEVEL = 0.2  # of the largest spike of a region: less is none
# Each with the lambda of the largest mean cosine among some; an l1 norm alone asks for more.
PENALTIES = {
    "sparse": (SPARSE, 2.5),
    "+ low rank": (SPARSE_LOW_RANK, 1.75),
    "+ total variation": (LOW_RANK_TV, 0.75),
}


class Score(NamedTuple):
    """How much of a phantom was found.

    Args:
        cosine: (regions,) of each true footprint with the most similar one found.
        own: (regions,) which one that is, -1 where none is.
        hits: true spikes found within one frame.
        events: spikes found in all.
        rand: adjusted Rand index of the label maps.
    """

    cosine: Tensor
    own: Tensor
    hits: int
    events: int
    rand: float


def score(phantom: CalciumMovie, fit: Segmentation) -> Score:
    """Against the truth; what is found twice or in vain lowers the Rand index."""
    unit = torch.nn.functional.normalize(phantom.footprints.flatten(1), dim=1)
    found = fit.footprints.flatten(1)
    events = fit.events(LEVEL)
    rand = float(adjusted_rand_score(phantom.labels.flatten(), fit.labels.flatten()))
    if not len(found):
        none = torch.full((len(unit),), -1)
        return Score(torch.zeros(len(unit)), none, 0, 0, rand)
    cosine, own = (unit @ found.T).max(1)
    hits = 0
    for k, train in zip(own.tolist(), phantom.spikes, strict=True):
        hits += sum(
            bool((abs(events[k] - t) <= 1).any()) for t in train.nonzero().flatten().numpy()
        )
    return Score(cosine, own, hits, sum(map(len, events)), rand)


def table(
    lambdas: tuple[float, ...] = LAMBDAS, seeds: tuple[int, ...] = SEEDS, max_iter: int = 60
) -> None:
    """Phantoms of the paper's size, for each lambda."""
    print(f"{'':11} {'':8} {'':8} {'cosine':>15} {'true':>5} {'':5} {'label':>7}")
    print("seed lambda  columns regions    mean   least spikes found     ARI seconds")
    for seed in seeds:
        phantom = calcium_movie(seed=seed)
        for lam in lambdas:
            begin = time.perf_counter()
            fit = segment(phantom.movie, phantom.decay, lam=lam, max_iter=max_iter)
            took, found = time.perf_counter() - begin, score(phantom, fit)
            print(
                f"{seed:4} {lam:6.2f} {fit.columns:8} {len(fit.footprints):7} "
                f"{float(found.cosine.mean()):7.3f} {float(found.cosine.min()):7.3f} "
                f"{found.hits:6} {found.events:5} {found.rand:7.3f} {took:7.0f}",
                flush=True,
            )


def interval(lambdas: tuple[float, ...] = LAMBDAS, max_iter: int = 200) -> None:
    """What is proved on a small phantom, as total variation makes large ones slow to prove."""
    phantom = calcium_movie((60, 28, 28), regions=3, spikes=4, snr_db=-10, dtype=torch.float64)
    print("lambda  columns  KKT residual  polar, at least  at most  gap / objective")
    for lam in lambdas:
        problem, _ = movie_problem(
            phantom.movie, phantom.decay, lam * phantom.noise, LOW_RANK_TV, 0
        )
        step = Alternating(Nesterov(ProjectedGradient()), order=(1, 0))
        found = solve(step, problem, spikes_start(phantom.movie, 30), max_iter=max_iter, tol=1e-5)
        factors = alive(found.factors)
        proved = certificate(problem, factors)
        print(
            f"{lam:6.2f} {factors[0].shape[-1]:8} {float(found.kkt):13.1e} "
            f"{float(proved.polar_lower):16.3f} {float(proved.polar_upper):8.3f} "
            f"{float(proved.gap_upper / found.objective):16.4f}",
            flush=True,
        )


def penalties(shown: int = 6) -> tuple[dict[str, Tensor], Tensor]:
    """Some true footprints of the phantom, and those that each penalty finds, (k, rows, cols)."""
    phantom, rows = calcium_movie(), {}
    print(f"{'':20} lambda {'mean cosine':>12} {'least':>7} {'columns':>8} {'ARI':>6}")
    for name, (weights, lam) in PENALTIES.items():
        fit = segment(phantom.movie, phantom.decay, lam=lam, weights=weights)
        found = score(phantom, fit)
        line = f"{name:20} {lam:6.2f} {float(found.cosine.mean()):12.3f}"
        print(
            f"{line} {float(found.cosine.min()):7.3f} {fit.columns:8} {found.rand:6.3f}", flush=True
        )
        none = torch.zeros_like(phantom.footprints[0])
        own = found.own[:shown].tolist()
        rows[name] = torch.stack([fit.footprints[k] if k >= 0 else none for k in own])
    return rows, phantom.footprints[:shown]


def main() -> None:
    experiments = {f.__name__: f for f in (table, interval, penalties)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=experiments)
    experiments[parser.parse_args().name]()


if __name__ == "__main__":
    main()
