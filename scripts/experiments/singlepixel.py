"""A single-pixel camera: a photograph band by band, and joint unmixing from few photons.

    PYTHONPATH=. python scripts/experiments/singlepixel.py photograph
    PYTHONPATH=. python scripts/experiments/singlepixel.py unmixing --seeds 5

The photographs are those of scikit-learn. The scenes of `unmixing` are those of Cohen, Regularized
low-rank approximations (HDR, 2026), section 22.3: two disjoint spectra, one nearly pure pixel each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from rlra_torch.applications.reconstruction import reconstruct
from rlra_torch.applications.singlepixel import SinglePixel, unmix_measurements
from rlra_torch.datasets import photon_counts
from rlra_torch.functional.divergences import kullback_leibler
from rlra_torch.metrics import match, spectral_angle
from rlra_torch.operators import SplitHadamard

F64 = torch.float64
PHOTOGRAPHS = ("flower", "china")
METHODS = ("pinv", "nnls", "kl", "anscombe", "tv", "kl+tv")
TV = 0.03


class Scene(NamedTuple):
    """What a camera measured, and what was there.

    Args:
        camera: the patterns.
        y: (m, bands) counts over the gain.
        u: (n, r).
        v: (bands, r).
    """

    camera: SplitHadamard
    y: Tensor
    u: Tensor
    v: Tensor


def photograph(name: str, size: int = 64) -> Tensor:
    """The middle of a photograph as (size, size, 3) means of squares, in [0, 1]."""
    whole = torch.tensor(load_sample_image(f"{name}.jpg"), dtype=F64) / 255
    square = min(whole.shape[:2]) // size * size
    left = (whole.shape[1] - square) // 2
    cut = whole[:square, left : left + square].movedim(-1, 0)
    return torch.nn.functional.avg_pool2d(cut, square // size).movedim(0, -1)


def two_spectra(size: int, alpha: float, seed: int, bands: int = 10) -> Scene:
    """Two disjoint spectra, abundances of sum one, Poisson counts at gain alpha."""
    draw = torch.Generator().manual_seed(seed)
    v = torch.zeros(bands, 2, dtype=F64)
    v[: bands // 2, 0], v[bands // 2 :, 1] = 1 / (bands // 2), 1 / (bands - bands // 2)
    u = torch.rand(size * size, 2, dtype=F64, generator=draw)
    u = u / u.sum(1, keepdim=True)
    u[:2] = torch.tensor([[0.99, 0.01], [0.01, 0.99]])
    camera = SplitHadamard((size, size))
    return Scene(camera, photon_counts(camera(u @ v.mT), alpha, seed=draw) / alpha, u, v)


def angle(found: Tensor, truth: Tensor) -> float:
    """Mean spectral angle in degrees, components matched."""
    return float(spectral_angle(found[:, match(found, truth)], truth).mean())


def error(x: Tensor, truth: Tensor) -> float:
    return float((x - truth).norm() / truth.norm())


def grey(
    name: str,
    patterns: int | None,
    alpha: float = 100.0,
    seed: int = 0,
    methods: Sequence[str] = METHODS,
) -> dict[str, tuple[float, ...]]:
    """Relative error, KL in counts of the positive part, and seconds, on a photograph in grey."""
    x = photograph(name).mean(-1).reshape(-1, 1)
    camera = SplitHadamard((64, 64), "cake_cutting", patterns)
    y = photon_counts(camera(x), alpha, seed=seed) / alpha
    found = {}
    for method in methods:
        begin = time.perf_counter()
        z = reconstruct(y, camera, method, gain=alpha, tv=TV)
        seconds = time.perf_counter() - begin
        kl = alpha * float(kullback_leibler(camera(z.clamp_min(0)), y).sum())
        found[method] = error(z, x), kl, seconds
    return found


def two_colours(alpha: float = 100.0, seed: int = 0) -> tuple[Tensor, SinglePixel]:
    """The flower through a camera of three colours, unmixed in two."""
    x = photograph("flower")
    camera = SplitHadamard(tuple(x.shape[:2]), "sequency")
    y = photon_counts(camera(x.reshape(-1, 3)), alpha, seed=seed) / alpha
    return x, unmix_measurements(y, camera, 2)


def show_photographs(alpha: float, seed: int) -> None:
    print(f"64 x 64 photographs, {alpha:g} counts per unit: relative error, KL, seconds")
    for name in PHOTOGRAPHS:
        for patterns in (None, 2048):
            print(f"{name}, {'all patterns' if patterns is None else 'half of the patterns'}")
            for method, (off, kl, seconds) in grey(name, patterns, alpha, seed).items():
                print(f"  {method:10}{off:9.4f}{kl:14.4f}{seconds:8.2f}", flush=True)


def show_unmixing(size: int, alphas: Sequence[float], seeds: int, rounds: int) -> None:
    print(f"two spectra, {size} x {size}, {rounds} rounds, {seeds} seeds: mean angle in degrees")
    head = ("alpha", "pure pixels", "joint", "worst ratio", "error of X", "monotone", "seconds")
    print(f"{head[0]:>7}" + "".join(f"{word:>12}" for word in head[1:]))
    for alpha in alphas:
        rows, falls, begin = [], [], time.perf_counter()
        for seed in range(seeds):
            scene = two_spectra(size, alpha, seed)
            found = unmix_measurements(scene.y, scene.camera, 2, max_iter=rounds, tol=0.0)
            cube = found.cube.reshape(-1, len(scene.v))
            off = error(cube, scene.u @ scene.v.mT)
            rows.append((angle(found.start, scene.v), angle(found.spectra, scene.v), off))
            falls += [float(check.objective) for check in found.history], [float("inf")]
        before, after, off = torch.tensor(rows).unbind(1)
        monotone = all(b <= a * (1 + 1e-12) for h in falls for a, b in zip(h, h[1:], strict=False))
        cells = f"{before.mean():12.2f}{after.mean():12.2f}{(after / before).max():12.2f}"
        seconds = (time.perf_counter() - begin) / seeds
        yes = "yes" if monotone else "no"
        print(f"{alpha:7g}{cells}{off.mean():12.3f}{yes:>12}{seconds:12.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("photograph", "unmixing"))
    parser.add_argument("--size", type=int, default=32, help="of the scenes (default: 32)")
    parser.add_argument("--alphas", type=float, nargs="+", default=[10.0, 100.0, 1000.0, 10000.0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--alpha", type=float, default=100.0, help="of photographs (default: 100)")
    asked = parser.parse_args()
    if asked.part == "photograph":
        show_photographs(asked.alpha, 0)
    else:
        show_unmixing(asked.size, asked.alphas, asked.seeds, asked.rounds)


if __name__ == "__main__":
    main()
