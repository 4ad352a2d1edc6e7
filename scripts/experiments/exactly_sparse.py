"""What few nonzeros a row bring: abundances of an image, and sources that NMF alone cannot find."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import torch
from scipy.optimize import nnls as scipy_nnls
from torch import Tensor

from rlra_torch import nmf
from rlra_torch.datasets import load_image
from rlra_torch.estimators import SparsePath, sparse_nnls_path
from rlra_torch.iterations import HALS, Alternating, SparseNNLS
from rlra_torch.metrics.factors import match
from rlra_torch.metrics.spectral import spectral_angle
from rlra_torch.regularizers import KSparse, NonNegative
from rlra_torch.separable import snpa, sparse_separable

ENDMEMBERS = (13225, 19579, 17966, 259, 2516)
"""Pixels of Indian Pines that SPA and SNPA pick."""


# ---- Indian Pines -------------------------------------------------------------------------------


def pines() -> tuple[Tensor, Tensor]:
    """Five spectra (200, 5) and all pixels (200, 21025) of Indian Pines, the largest value 1."""
    y = load_image("indian_pines", dtype=torch.float64).scaled().matrix.contiguous()
    return y[:, list(ENDMEMBERS)], y


def pines_path() -> tuple[SparsePath, dict[str, float]]:
    """The best abundances with 0 to 5 nonzeros, and relative errors, with budgets too."""
    spectra, y = pines()
    path, size = sparse_nnls_path(spectra, y), float(torch.linalg.vector_norm(y))
    errors = {
        f"at most {k} in each pixel": float(torch.linalg.vector_norm(path.residuals[k])) / size
        for k in range(1, 6)
    }
    for k in (1.5, 2, 3):
        fit = path.within(int(k * y.shape[1]))
        name = f"at most {k:g} on average"
        errors[name] = float(torch.linalg.vector_norm(fit.residuals)) / size
    return path, errors


def brute_force(spectra: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """The residuals of columns by SciPy, on every support."""
    supports = [list(s) for s in combinations(range(spectra.shape[1]), k)]
    return np.array([min(scipy_nnls(spectra[:, s], b)[1] for s in supports) for b in y.T])


# ---- sparse NMF ---------------------------------------------------------------------------------


def planted(seed: int, r: int, k: int, noise: float = 0.01) -> tuple[Tensor, Tensor]:
    """Dense spectra (20, r) and 300 mixtures of k of them, with noise."""
    draw = torch.Generator().manual_seed(seed)
    w = torch.rand(20, r, generator=draw, dtype=torch.float64)
    kept = torch.rand(300, r, generator=draw).argsort(-1) < k
    h = torch.where(kept, 0.05 + torch.rand(300, r, generator=draw, dtype=torch.float64), 0)
    y = w @ h.mT
    noisy = y + noise * y.square().mean().sqrt() * torch.randn(y.shape, generator=draw).double()
    return w, noisy


def angle(found: Tensor, truth: Tensor) -> float:
    """The mean angle between matched spectra in degrees."""
    return float(spectral_angle(found[:, match(found, truth)], truth).mean())


def recovered(seed: int, r: int, k: int, starts: int = 5) -> tuple[float, float]:
    """Angles of plain NMF, and of the best of several sparse ones."""
    w, y = planted(seed, r, k)
    plain = nmf(y, r, max_iter=300, tol=1e-7)
    steps = Alternating([HALS(), SparseNNLS()], inner=(10, 1))
    regs = (NonNegative(), KSparse(k, nonnegative=True, dim=-1))
    several = y.expand(starts, -1, -1).clone()
    fit = nmf(
        several, r, iteration=steps, init="random", regs=regs, max_iter=60, tol=1e-7, seed=seed
    )
    best = int(np.argmin(fit.objective))
    return angle(plain.factors[0], w), angle(fit.factors[0][best], w)


# ---- more sources than vertices -----------------------------------------------------------------


def hidden(seed: int, outer: int, inner: int, k: int = 2) -> tuple[Tensor, set[int]]:
    """Mixtures of k of some sources on the simplex, ``inner`` of which lie within the hull.

    Returns:
        the data (outer, 50 + sources), and which of its columns are sources.
    """
    draw = torch.Generator().manual_seed(seed)
    vertices = torch.rand(outer, outer, generator=draw, dtype=torch.float64)
    vertices = vertices / vertices.sum(0)
    weights = 0.3 + torch.rand(outer, inner, generator=draw, dtype=torch.float64)
    w = torch.cat((vertices, vertices @ (weights / weights.sum(0))), -1)
    kept = torch.rand(50, outer + inner, generator=draw).argsort(-1) < k
    h = 0.05 + torch.rand(50, outer + inner, generator=draw, dtype=torch.float64)
    h = torch.where(kept, h, 0)
    data = torch.cat((w, w @ (h / h.sum(-1, keepdim=True)).mT), -1)
    order = torch.randperm(data.shape[1], generator=draw)
    return data[:, order], set(order.argsort()[: outer + inner].tolist())


def found(seed: int, outer: int, inner: int) -> tuple[float, float]:
    """The shares of the sources that SNPA and the sparse variant pick."""
    data, truth = hidden(seed, outer, inner)
    picks = (snpa(data, len(truth)), sparse_separable(data, len(truth), k=2))
    shares = [len(set(pick.indices.tolist()) & truth) / len(truth) for pick in picks]
    return shares[0], shares[1]


def main() -> None:
    begin = time.perf_counter()
    _, errors = pines_path()
    print(f"Indian Pines, five spectra ({time.perf_counter() - begin:.1f} s with reading)")
    for name, error in errors.items():
        print(f"  {name:26} relative error {error:.4f}")
    print("mean angle of spectra in degrees, medians of five problems: plain NMF, sparse NMF")
    for r, k in ((4, 2), (5, 2), (6, 2), (4, 3), (6, 3)):
        angles = torch.tensor([recovered(seed, r, k) for seed in range(5)]).median(0).values
        print(f"  rank {r}, {k} a pixel: {angles[0]:6.2f} {angles[1]:6.2f}")
    print("share of the sources among the pixels picked, 20 problems: SNPA, sparse variant")
    for outer, inner in ((3, 2), (3, 3), (4, 3)):
        shares = torch.tensor([found(seed, outer, inner) for seed in range(20)]).mean(0)
        print(f"  {outer} vertices, {inner} within: {shares[0]:.2f} {shares[1]:.2f}")


if __name__ == "__main__":
    main()
