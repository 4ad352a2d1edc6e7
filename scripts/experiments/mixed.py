"""Mixed sparse coding under noise, and low-rank sparse component analysis at its count.

    python scripts/experiments/mixed.py                 support recovery, 50 runs (minutes)
    python scripts/experiments/mixed.py curves          over noise and conditioning (minutes)
    python scripts/experiments/mixed.py components      at and below the count of samples

Mixed sparse coding, min ||Y - D X B^T|| with 5 nonzeros in each of the 6 columns of X: D 50 x 100
Gaussian with unit columns, B 50 x 6 with singular values from 1 to 1 / condition on a line,
nonzeros uniform in [0, 1]. Noise is Gaussian; the published figures are for uniform noise in
[0, s], whose mean carries three quarters of its energy and disturbs less: both are shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.diagnostics import samples_needed
from rlra_torch.dictionary import (
    MixedCodes,
    block_fista,
    homp,
    iht,
    mixed_fista,
    mixed_sparse_coding,
    trick_omp,
)
from rlra_torch.estimators import sparse_component_analysis
from rlra_torch.metrics import match
from rlra_torch.plots import Panel

SPARSITY = 5
GRID = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
NOISES, CONDITIONS = (0.0, 10.0, 20.0, 30.0, 40.0), (1.0, 10.0, 100.0, 1e3, 1e5)
Method = Callable[[Tensor, Tensor, Tensor, int], MixedCodes]
# Support recovery in percent at 20 dB and condition 200, uniform noise (Cohen, 2022).
PUBLISHED = {"Trick-OMP": 52.9, "IHT": 71.5, "HOMP": 84.9, "Mixed-FISTA": 87.9, "Block-FISTA": 95.3}


class Codings(NamedTuple):
    """Several problems and their solutions.

    Args:
        y, d, b: the data.
        x: the codes.
    """

    y: Tensor
    d: Tensor
    b: Tensor
    x: Tensor


def codings(
    count: int,
    snr: float = 20.0,
    condition: float = 200.0,
    seed: int = 0,
    centered: bool = True,
    uniform: bool = True,
) -> Codings:
    """Problems of the protocol above, as one batch; nonzeros are uniform or Gaussian."""
    m, n, atoms, rank = 50, 50, 100, 6
    draw = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=draw, dtype=torch.float64)
    positive = partial(torch.rand, generator=draw, dtype=torch.float64)
    d = normal(count, m, atoms)
    d = d / d.norm(dim=-2, keepdim=True)
    u, _, v = torch.linalg.svd(normal(count, n, rank), full_matrices=False)
    b = u * torch.linspace(1, 1 / condition, rank, dtype=torch.float64) @ v
    used = positive(count, atoms, rank).argsort(-2).argsort(-2) < SPARSITY
    x = torch.where(used, (positive if uniform else normal)(count, atoms, rank), 0)
    clean = d @ x @ b.mT
    noise = (normal if centered else positive)(count, m, n)
    size = torch.linalg.matrix_norm(clean) / torch.linalg.matrix_norm(noise)
    return Codings(clean + 10 ** (-snr / 20) * size[:, None, None] * noise, d, b, x)


def recovered(found: Tensor, true: Tensor) -> Tensor:
    """How many of the true nonzeros were found, in percent, for each problem."""
    both = ((found != 0) & (true != 0)).sum((-2, -1))
    return 100 * both / (true != 0).sum((-2, -1))


def tuned(method: Callable[..., MixedCodes], draw: Callable[[int, int], Codings]) -> float:
    """The weight as the paper tunes it: the median over three problems of the best on a grid."""
    tried = draw(3, 10_000)
    scores = torch.stack(
        [recovered(method(*tried[:3], SPARSITY, weight=weight).codes, tried.x) for weight in GRID]
    )
    grid, best = torch.tensor(GRID), (scores == scores.amax(0)).double()
    return float(((best * grid[:, None]).sum(0) / best.sum(0)).median())


def methods(draw: Callable[[int, int], Codings], automatic: bool = True) -> dict[str, Method]:
    """All of them; those with a weight as the paper tunes it, and where it is chosen."""
    found: dict[str, Method] = {
        "Trick-OMP": trick_omp,
        "IHT": iht,
        "HOMP": homp,
        "Mixed-FISTA": partial(mixed_fista, weight=tuned(mixed_fista, draw)),
        "Block-FISTA": partial(block_fista, weight=tuned(block_fista, draw)),
    }
    chosen: dict[str, Method] = {
        "Block-FISTA, path": block_fista,
        "path and HOMP": mixed_sparse_coding,
    }
    return found | chosen if automatic else found


def table(count: int = 50, seeds: Iterable[int] = (0,)) -> None:
    """Support recovery at 20 dB and condition 200 beside what was published."""
    print(f"{'':18} {'published':>9} {'their noise':>12} {'centered noise':>15} {'seconds':>8}")
    rows: dict[str, list[float]] = {}
    for centered in (False, True):

        def draw(count: int, seed: int, centered: bool = centered) -> Codings:
            return codings(count, seed=seed, centered=centered)

        for name, method in methods(draw).items():
            scores, begin = [], time.perf_counter()
            for seed in seeds:
                problems = draw(count, seed)
                scores.append(recovered(method(*problems[:3], SPARSITY).codes, problems.x))
            seconds = time.perf_counter() - begin
            rows.setdefault(name, []).extend([float(torch.cat(scores).mean()), seconds])
    for name, (theirs, _, ours, seconds) in rows.items():
        published = f"{PUBLISHED[name]:9.1f}" if name in PUBLISHED else f"{'':9}"
        print(f"{name:18} {published} {theirs:12.1f} {ours:15.1f} {seconds:8.1f}")


def curves(count: int = 10) -> list[Panel]:
    """Support recovery over noise at condition 200, and over the condition at 20 dB."""
    panels = []
    for label, values, log in (
        ("SNR (dB), condition 200", NOISES, False),
        ("condition of B, 20 dB", CONDITIONS, True),
    ):
        found: dict[str, list[float]] = {}
        for value in values:
            setting = {"condition": value} if log else {"snr": value}
            draw = partial(_drawn, **setting)
            problems = draw(count, 0)
            for name, method in methods(draw).items():
                score = recovered(method(*problems[:3], SPARSITY).codes, problems.x)
                found.setdefault(name, []).append(float(score.mean()))
        print(f"{label:24}" + "".join(f"{value:8g}" for value in values))
        for name, scores in found.items():
            print(f"{name:24}" + "".join(f"{score:8.1f}" for score in scores))
        panels.append(Panel(label, values, found, log))
    return panels


def _drawn(count: int, seed: int, **setting: float) -> Codings:
    return codings(count, seed=seed, **setting)


# ---- low-rank sparse component analysis ---------------------------------------------------------


class Components(NamedTuple):
    """A planted factorization ``Y = W H^T``.

    Args:
        y, w, h: H with k nonzeros in each row.
    """

    y: Tensor
    w: Tensor
    h: Tensor


def components(rank: int, k: int, facet: int, seed: int, noise: float = 0.0) -> Components:
    """So many samples on each facet, as evenly as can be, in twice as many bands as components."""
    draw = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=draw, dtype=torch.float64)
    samples = -(-rank * facet // (rank - k))
    held, used = torch.zeros(rank), torch.ones(samples, rank, dtype=torch.bool)
    for row in used:
        missing = (held + 0.5 * torch.rand(rank, generator=draw)).argsort()[: rank - k]
        held[missing] += 1
        row[missing] = False
    w, h = normal(2 * rank, rank), torch.where(used, normal(samples, rank), 0)
    w = w / w.norm(dim=0)
    clean, rough = w @ h.mT, normal(2 * rank, samples)
    return Components(clean + noise * clean.norm() / rough.norm() * rough, w, h)


def worst_cosine(found: Tensor, true: Tensor) -> float:
    """The least cosine between a true column and the one found for it, signs free."""
    rank = true.shape[-1]
    order = match(torch.cat((found, -found), -1), true) % rank
    cosines = (found[:, order] * true).sum(0).abs()
    return float(cosines.min()) if len(set(order.tolist())) == rank else 0.0


def counts(trials: int = 20, starts: int = 20) -> None:
    """How often the planted components are found below, at and above the count of samples."""
    line = "{:>4} {:>2} {:>6} {:>8} {:>6} {:>8} {:>9}"
    print(line.format("rank", "k", "count", "samples", "fits", "planted", "5% noise"))
    for rank, k in ((3, 2), (4, 2), (4, 3), (5, 3), (6, 3)):
        needed = samples_needed(rank, k).facet
        for facet in (needed - 1, needed, 2 * needed):
            fits = planted = near = samples = 0
            for seed in range(trials):
                clean, noisy = (components(rank, k, facet, seed, noise) for noise in (0.0, 0.05))
                fit = sparse_component_analysis(clean.y, rank, k, starts=starts, seed=seed)
                rough = sparse_component_analysis(noisy.y, rank, k, starts=starts, seed=seed)
                fits += bool(fit.residual < 1e-4)
                planted += worst_cosine(fit.W, clean.w) > 1 - 1e-6
                near += worst_cosine(rough.W, noisy.w) > 0.98
                samples = len(clean.h)
            of = f"{facet}/{needed}"
            shares = (f"{100 * x / trials:.0f} %" for x in (fits, planted, near))
            print(line.format(rank, k, of, samples, *shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    runs = {"table": table, "curves": curves, "components": counts}
    parser.add_argument("what", nargs="?", choices=runs, default="table")
    parser.add_argument("--runs", type=int, help="how many problems")
    arguments = parser.parse_args()
    run = runs[arguments.what]
    run() if arguments.runs is None else run(arguments.runs)


if __name__ == "__main__":
    main()
