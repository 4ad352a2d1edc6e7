"""Fluorescence, measured and simulated: the components of CP models and their number."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.datasets import load_kinetic
from rlra_torch.datasets.tensors import Kinetic
from rlra_torch.diagnostics import core_consistency
from rlra_torch.estimators import Factorization, Parafac2Fit, cp, parafac2
from rlra_torch.initialization import random_factors
from rlra_torch.iterations import HALS, Alternating
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import match
from rlra_torch.models import CP, Factors
from rlra_torch.plots import Mode
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, NonNegative
from rlra_torch.solvers import solve


class Fit(NamedTuple):
    """A model, and how well it fits."""

    factors: Factors
    relative_error: float
    kkt: float


@cache
def data() -> Kinetic:
    """The measured data without the samples that its authors call outliers."""
    return load_kinetic(drop_outliers=True, dtype=torch.float64)


def modes() -> tuple[Mode, ...]:
    """How the modes of the measured data are drawn."""
    known = data()
    return (
        Mode("sample", bars=True),
        Mode("emission", "nm", known.emission),
        Mode("excitation", "nm", known.excitation),
        Mode("time", "min", known.time),
    )


def fit(rank: int, seed: int, max_iter: int = 100) -> Fit:
    """Nonnegative CP of the measured data, missing entries left out."""
    known = data()
    return fitted(known.tensor, rank, seed, max_iter, known.observed.double())


def fitted(
    y: Tensor, rank: int, seed: int, max_iter: int = 200, weights: Tensor | None = None
) -> Fit:
    """Nonnegative CP from a random start."""
    problem = Problem(y, CP(y.ndim), Frobenius(), [NonNegative() for _ in y.shape], weights)
    start = problem.scaled(random_factors([(n, rank) for n in y.shape], y, seed))
    found = solve(Alternating(HALS(), inner=5), problem, start, max_iter=max_iter, tol=1e-6)
    return Fit(found.factors, float(problem.relative_error(found.factors)), float(found.kkt))


def evolving(rank: int, seed: int) -> tuple[Parafac2Fit, Factorization, Tensor]:
    """PARAFAC2 and CP, samples as slices; and the time courses of CP in the order of PARAFAC2."""
    known = data()
    y = known.tensor.masked_fill(~known.observed, float("nan")).flatten(1, 2)
    settings = {"seed": seed, "max_iter": 200, "tol": 1e-4}
    fit = parafac2(y, rank, **settings)
    still = cp(y, rank, iteration="hals", regs=(Free(), Free(), Free()), **settings)
    _, spectra, times = still.factors
    # Signs are free.
    order = match(spectra.abs(), fit.A.abs())
    return fit, still, times[:, order]


def simulated(noise: float = 0.01) -> Tensor:
    """Eight mixtures of three substances, emission by excitation, with noise."""
    draw = torch.Generator().manual_seed(0)

    def peaks(size: int, centres: tuple[float, ...], width: float) -> Tensor:
        place = torch.linspace(0, 1, size, dtype=torch.float64)[:, None]
        return (-((place - torch.tensor(centres, dtype=torch.float64)) ** 2) / width**2).exp()

    amounts = torch.rand(8, 3, generator=draw, dtype=torch.float64)
    spectra = peaks(30, (0.3, 0.5, 0.75), 0.2), peaks(20, (0.25, 0.45, 0.6), 0.2)
    clean = CP(3)((amounts, *spectra))
    rough = torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    return clean + noise * clean.amax() * rough


def consistencies(ranks: tuple[int, ...], seeds: int = 3) -> dict[int, list[float]]:
    """The core consistency of nonnegative models of the simulated data, of several starts."""
    y = simulated()
    return {
        rank: [float(core_consistency(y, fitted(y, rank, seed).factors)) for seed in range(seeds)]
        for rank in ranks
    }
