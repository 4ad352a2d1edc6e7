"""What is done to every pixel at once: pure pixels, sparse regressions."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from experiments import exactly_sparse

from rlra_torch.estimators import sparse_nnls
from rlra_torch.initialization import spa_indices
from timing.paired import Row, fastest, paired, table


def spa(rounds: int, device: str, out: Path) -> str:
    """Ten pixels of 1,000,000 (200 bands, float32) by SPA, beside ten passes over the data."""
    draw = torch.Generator().manual_seed(0)
    spectra = torch.rand(200, 10, generator=draw)
    y = torch.empty(200, 1_000_000)
    for part in y.split(50_000, dim=1):
        mixed = torch.rand(part.shape[1], 10, generator=draw) ** 4
        part.copy_(spectra @ (mixed / mixed.sum(1, keepdim=True)).T)
        part.add_(torch.randn(part.shape, generator=draw), alpha=0.005)
    y, direction = y.to(device), torch.rand(200, generator=draw).to(device)

    def passes() -> float:
        for _ in range(10):
            image = direction @ y
        return float(image[0])

    runs = {"ten passes": passes, "SPA": lambda: spa_indices(y, 10).tolist()}
    rows = [Row(name, 10, values) for name, values in paired(runs, rounds).items()]
    ratios = [b / a for a, b in zip(rows[0].seconds, rows[1].seconds, strict=True)]
    return table(spa.__doc__ or "", rows) + (
        f"\nratio of minima {fastest(rows[1]) / fastest(rows[0]):.2f}, "
        f"median of the paired ratios {statistics.median(ratios):.2f}\n"
    )


def sparse_regression(rounds: int, device: str, out: Path) -> str:
    """The best abundances of two spectra of five, all 21025 pixels of Indian Pines (float64)."""
    spectra, y = (x.to(device) for x in exactly_sparse.pines())
    few = slice(None, None, 200)
    sample = y[:, few].cpu().numpy()

    def search(name: str) -> Callable[[], object]:
        def run() -> torch.Tensor:
            found = sparse_nnls(spectra, y, 2, search=name).residuals
            return found.sum().cpu()

        return run

    names = ("enumeration", "branch and bound")
    runs = {name: search(name) for name in names}
    peer = "SciPy on every support, one pixel in 200"
    brute = exactly_sparse.brute_force(spectra.cpu().numpy(), sample, 2)
    runs[peer] = lambda: exactly_sparse.brute_force(spectra.cpu().numpy(), sample, 2)
    seconds = paired(runs, rounds)
    gaps = []
    for name in names:
        found = sparse_nnls(spectra, y[:, few], 2, search=name).residuals.cpu().numpy()
        gaps.append(float(np.abs(found - brute).max()))
    rows = [Row(name, None, values) for name, values in seconds.items()]
    share = y.shape[1] / sample.shape[1]
    ratios = [share * fastest(rows[-1]) / fastest(row) for row in rows[:-1]]
    return table(sparse_regression.__doc__ or "", rows) + (
        f"\nfor all pixels SciPy would take {ratios[0]:.0f} times the seconds of enumeration and "
        f"{ratios[1]:.0f} times those of branch and bound;\nthe residuals differ by at most "
        f"{max(gaps):.1e}\n"
    )
