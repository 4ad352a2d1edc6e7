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
from rlra_torch.estimators import Segmentation, segment
from rlra_torch.estimators.segmentation import LOW_RANK_TV, SPARSE, SPARSE_LOW_RANK

LAMBDAS = (0.5, 0.65, 0.7, 0.8, 0.85, 1.0)
LEVEL = 0.2  # of the largest spike of a region: less is none
PENALTIES = {"sparse": SPARSE, "+ low rank": SPARSE_LOW_RANK, "+ total variation": LOW_RANK_TV}


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


def table(lambdas: tuple[float, ...] = LAMBDAS, max_iter: int = 60) -> None:
    """The phantom of the paper's size, for each lambda."""
    phantom = calcium_movie()
    true = int(phantom.spikes.sum())
    print(f"{'':6} {'':8} {'':8} {'cosine':>15} {'spikes':>10} {'label':>7} {'':>5}")
    print(f"lambda  columns regions    mean   least   of {true:>4}    ARI     seconds")
    for lam in lambdas:
        begin = time.perf_counter()
        fit = segment(phantom.movie, phantom.decay, lam=lam, max_iter=max_iter)
        took, found = time.perf_counter() - begin, score(phantom, fit)
        print(
            f"{lam:6.2f} {fit.columns:8} {len(fit.footprints):7} "
            f"{float(found.cosine.mean()):7.3f} {float(found.cosine.min()):7.3f} "
            f"{found.hits:4}/{found.events:<4} {found.rand:7.3f} {took:8.0f}",
            flush=True,
        )


def penalties(shape: tuple[int, int, int] = (100, 40, 40), regions: int = 6) -> tuple:
    """The true footprints of a smaller phantom, and those that each penalty finds, (k, m, n)."""
    phantom, rows = calcium_movie(shape, regions=regions, snr_db=-14), {}
    print(f"{'':20} {'mean cosine':>12} {'least':>7} {'columns':>8} {'ARI':>6}")
    for name, weights in PENALTIES.items():
        # An l1 norm alone costs an entry as much as two norms together do.
        lam = 2.0 if weights is SPARSE else 0.8
        fit = segment(phantom.movie, phantom.decay, lam=lam, weights=weights, columns=50)
        found = score(phantom, fit)
        line = f"{name:20} {float(found.cosine.mean()):12.3f} {float(found.cosine.min()):7.3f}"
        print(f"{line} {fit.columns:8} {found.rand:6.3f}", flush=True)
        pictures = [fit.footprints[k] if k >= 0 else torch.zeros(shape[1:]) for k in found.own]
        rows[name] = torch.stack(pictures)
    return rows, phantom.footprints


def main() -> None:
    experiments = {f.__name__: f for f in (table, penalties)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=experiments)
    experiments[parser.parse_args().name]()


if __name__ == "__main__":
    main()
