"""Separable factorization by convex optimization, and spectra that no pixel shows.

    python scripts/experiments/convex.py                     all tables (some minutes)
    python scripts/experiments/convex.py middle --trials 4
    python scripts/experiments/convex.py purity
    python scripts/experiments/convex.py pines               needs TensorLy, for the image
    python scripts/experiments/convex.py large

Middle points: ten spectra in 50 bands that sum to one, and the middle of each pair, moved away from
the mean by delta times its distance. Purity: mixtures of four uniform spectra in 50 bands, their
abundances from a Dirichlet distribution of concentration 1/2, none above the purity; noise of 0.1
percent.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.datasets import load_image, mixture
from rlra_torch.estimators import minvol
from rlra_torch.metrics import match, mrsa
from rlra_torch.separable import fgnsr, h2nmf, snpa, spa, xray

RANK = 10
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)
PURITIES = (1.0, 0.9, 0.8, 0.7, 0.6)


def _diagonal(M: Tensor, r: int) -> Tensor:
    return fgnsr(M, r, select="diagonal").indices


METHODS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "SPA": lambda M, r: spa(M, r).indices,
    "SNPA": lambda M, r: snpa(M, r).indices,
    "XRAY": lambda M, r: xray(M, r).indices,
    "FGNSR": lambda M, r: fgnsr(M, r).indices,
    "diagonal": _diagonal,
}


def middle_points(seed: int, level: float) -> Tensor:
    """One data set; its first ten pixels are pure."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.rand(50, RANK, generator=draw, dtype=torch.float64)
    W = W / W.sum(0)
    pairs = itertools.combinations(range(RANK), 2)
    middle = torch.stack([(W[:, i] + W[:, j]) / 2 for i, j in pairs], 1)
    return torch.cat([W, middle + level * (middle - W.mean(1, keepdim=True))], 1)


@cache
def recovery(trials: int = 4) -> dict[str, list[float]]:
    """Mean fraction of the pure pixels that each method picks, at each level."""
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for level in LEVELS:
        several = torch.stack([middle_points(seed, level) for seed in range(trials)])
        for name, method in METHODS.items():
            found[name].append(float((method(several, RANK) < RANK).double().mean()))
    return found


class Impure(NamedTuple):
    """Pixels and the spectra they are mixed of."""

    Y: Tensor
    W: Tensor


def impure(purity: float, seed: int, pixels: int = 500) -> Impure:
    """One data set without an abundance above its purity."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.rand(50, 4, generator=draw, dtype=torch.float64)
    H = torch.eye(4, dtype=torch.float64) if purity == 1 else torch.zeros(0, 4, dtype=torch.float64)
    while len(H) < pixels:
        gammas = torch.randn(pixels, 4, generator=draw, dtype=torch.float64).square()
        drawn = gammas / gammas.sum(1, keepdim=True)
        H = torch.cat([H, drawn[drawn.amax(1) <= purity]])
    clean = W @ H[:pixels].mT
    noise = torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    return Impure(clean + 1e-3 * clean.norm() / noise.norm() * noise, W)


@cache
def angles(trials: int = 4) -> dict[str, list[float]]:
    """Mean-removed spectral angle of the spectra that each method finds, at each purity."""
    methods: dict[str, Callable[[Tensor], Tensor]] = {
        "SPA": lambda Y: spa(Y, 4).spectra,
        "minimum volume": lambda Y: minvol(Y, 4, max_iter=100).factors[0],
        "with weight 1": lambda Y: minvol(Y, 4, 1.0, max_iter=100).factors[0],
    }
    data = [[impure(purity, seed) for seed in range(trials)] for purity in PURITIES]

    def score(found: Tensor, W: Tensor) -> float:
        return float(mrsa(found[:, match(found, W)], W).mean())

    return {
        name: [sum(score(method(d.Y), d.W) for d in several) / trials for several in data]
        for name, method in methods.items()
    }


def _table(head: tuple[float, ...], rows: dict[str, list[float]]) -> None:
    print(f"{'':>14}" + "".join(f"{x:8.1f}" for x in head))
    for name, values in rows.items():
        print(f"{name:>14}" + "".join(f"{value:8.2f}" for value in values), flush=True)


def middle(trials: int) -> None:
    """Recovery of pure pixels among middle points, by their noise."""
    _table(LEVELS, recovery(trials))


def purity(trials: int) -> None:
    """Mean-removed spectral angle (0 to 100), by the purity of the purest pixels."""
    _table(PURITIES, angles(trials))


def pines(trials: int) -> None:
    """H2NMF of Indian Pines, five clusters."""
    image = load_image("indian_pines", dtype=torch.float64)
    begin = time.perf_counter()
    found = h2nmf(image.matrix / image.matrix.amax(), 5)
    print(f"pixels {found.indices.tolist()}, of clusters {found.labels.bincount().tolist()}")
    print(f"relative error {found.residual:.4f}, {time.perf_counter() - begin:.1f} s")


def large(trials: int) -> None:
    """FGNSR on 2000 pixels of 10 materials in 50 bands, 40 dB."""
    known = mixture(50, 2000, RANK, snr_db=40.0)
    for candidates in (None, 100):
        begin = time.perf_counter()
        found = fgnsr(known.Y, RANK, candidates=candidates)
        seconds, materials = time.perf_counter() - begin, known.H[found.indices].argmax(1).unique()
        print(
            f"candidates {candidates}: {seconds:.1f} s, {found.n_iter} iterations, gap "
            f"{float(found.gap):.2f}, {len(materials)} materials, error {found.residual:.4f}"
        )


TABLES = {f.__name__: f for f in (middle, purity, pines, large)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="which; none: all")
    parser.add_argument("--trials", type=int, default=4)
    options = parser.parse_args()
    for name in options.names or TABLES:
        print(f"\n{name}: {(TABLES[name].__doc__ or '').strip()}")
        TABLES[name](options.trials)


if __name__ == "__main__":
    main()
