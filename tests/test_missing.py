"""A fifth of the entries missing at random: factors are found nearly as well as with all of them.

With N observed entries and k free parameters the mean squared error of a least-squares fit, over
all entries and against the truth, is about sigma^2 k / N, whatever the entries that were seen. With
80% of them it is 1 / 0.8 times as large, so that the error grows by sqrt(1.25) = 1.12. Losses with
noise as they expect it (counts for Kullback-Leibler, speckle for Itakura-Saito) are weighted least
squares near the solution and behave alike. What is above comes from few data: parameters that few
entries tell about.
"""

import pytest
import torch

from rlra_torch import nmf

RANK, SHAPE = 5, (60, 50)
CASES = [
    *(("frobenius", name) for name in ("hals", "mu", "msom", "fista", "active_set")),
    *(("kl", name) for name in ("mu", "msom", "newton")),
    *((1.5, name) for name in ("mu", "msom")),
    ("is", "mu"),
]


def drawn(loss, seed):
    """Sparse positive factors, noise as the loss expects it, and which entries are seen."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(shape, generator=draw, dtype=torch.float64)

    w, h = (0.02 + uniform(n, RANK) * (uniform(n, RANK) < 0.6) for n in SHAPE)
    clean = w @ h.mT
    if loss == "frobenius":
        noise = torch.randn(SHAPE, generator=draw, dtype=torch.float64)
        y = (clean + 0.05 * clean.mean() * noise).clamp_min(0)
    elif loss == "kl":
        y = torch.poisson(50 * clean, generator=draw) / 50
    else:  # the mean of fifty exponential draws
        y = clean * -uniform(50, *SHAPE).log().mean(0)
    return y, clean, uniform(*SHAPE) > 0.2


@pytest.mark.parametrize(("loss", "iteration"), CASES)
def test_a_fifth_is_missing(loss, iteration):
    y, clean, seen = drawn(loss, seed=1)
    assert 0.18 < 1 - seen.double().mean() < 0.22
    settings = {"max_iter": 500 if iteration == "mu" else 200, "tol": 1e-5}
    errors = []
    for weights in (None, seen):
        w, h = nmf(y, RANK, loss, iteration, weights=weights, **settings).factors
        errors.append(float((w @ h.mT - clean).norm() / clean.norm()))
    full, missing = errors
    noise = float((y - clean).norm() / clean.norm())
    assert full < noise and missing < 1.5 * full
    # NaN says the same as a mask.
    holes = torch.where(seen, y, torch.nan)
    w, h = nmf(holes, RANK, loss, iteration, **settings).factors
    assert float((w @ h.mT - clean).norm() / clean.norm()) == missing


@pytest.mark.slow
def test_the_ratio_is_what_counting_says():
    """Averaged over draws, for least squares solved to the end."""
    ratios = []
    for seed in range(20):
        y, clean, seen = drawn("frobenius", seed)
        found = [nmf(y, RANK, weights=w, max_iter=300).factors for w in (None, seen)]
        full, missing = (float((w @ h.mT - clean).norm()) for w, h in found)
        ratios.append(missing / full)
    assert sum(ratios) / len(ratios) == pytest.approx(1.25**0.5, abs=0.06)
