"""Rows that come a few at a time: what is found, and what the statistics mean."""

import math

import numpy as np
import pytest
import torch
from conformance import close

from rlra_torch.data import Chunks, given
from rlra_torch.iterations import HALS, MSOM, MU, Alternating
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import OnlineNMF, solve

LOSSES = {
    "kl": KullbackLeibler(),
    "frobenius": Frobenius(),
    "is": ItakuraSaito(),
    "beta 1.5": BetaDivergence(1.5),
    "beta 3": BetaDivergence(3.0),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def data(generator, rows=120, columns=20, rank=3):
    w = -torch.rand(rows, rank, generator=generator, dtype=torch.float64).log()
    h = -torch.rand(columns, rank, generator=generator, dtype=torch.float64).log()
    return torch.poisson(5 * w @ h.mT, generator=generator) + 0.1


def online(name, columns=20, rank=3, **settings):
    return OnlineNMF(columns, rank, LOSSES[name], dtype=torch.float64, **settings)


def problem(y, name, free=None):
    return Problem(y, NMF(), LOSSES[name], (NonNegative(), NonNegative()), free=free)


def batch_solution(y, name, **settings):
    first = online(name)
    whole = problem(y, name)
    start = whole.scaled(
        (torch.ones(len(y), 3, dtype=y.dtype) + 0.1 * torch.eye(len(y), 3), first.h)
    )
    step = Alternating(HALS() if name == "frobenius" else MU(), inner=2)
    return solve(step, whole, start, **{"max_iter": 3000, "tol": 1e-7, **settings})


@pytest.mark.parametrize("name", ["kl", "frobenius"])
def test_epochs_come_close_to_the_batch_solution(name, generator):
    """First with a short memory, which gets far, then with a long one, which settles."""
    y = data(generator) - 0.1
    best = float(batch_solution(y, name, tol=1e-4, max_iter=600).objective)
    found = online(name, forgetting=0.5).fit(y.split(20), epochs=10)
    found.forgetting = 1 - 1 / 6
    found.fit(y.split(20), epochs=20)
    w = found.transform(y, tol=1e-4)
    assert float(problem(y, name).objective((w, found.h))) <= 1.01 * best
    assert int(found.seen) == 30 * len(y)


@every_loss
def test_a_stationary_point_stays(name, generator):
    """Of all batches, which are learned one after the other without forgetting."""
    w = torch.rand(30, 3, generator=generator, dtype=torch.float64) + 0.1
    h = torch.rand(20, 3, generator=generator, dtype=torch.float64) + 0.1
    found = online(name, forgetting=1)
    found.h.copy_(h)
    for rows in w.split(10):
        close(found.partial_fit(rows @ h.mT, start=rows), rows, 1e-9)
        close(found.h, h, 1e-9)


@every_loss
def test_without_memory_a_full_batch_is_an_alternating_step(name, generator):
    y = data(generator)
    start = torch.rand(len(y), 3, generator=generator, dtype=y.dtype) + 0.1
    found = online(name, forgetting=0, inner=4)
    before = found.h.clone()
    found.partial_fit(y)  # what it remembers must not matter
    found.h.copy_(before)
    w = found.partial_fit(y, start=start)
    quadratic = name == "frobenius"
    step = Alternating(HALS() if quadratic else MU(), inner=(4, 4 if quadratic else 1))
    state = step.init((start, before), problem(y, name))
    expected = step(state, problem(y, name)).factors
    close(w, expected[0], 1e-12)
    close(found.h, expected[1], 1e-12)


@every_loss
def test_what_is_saved_goes_on_with_the_same_bits(name, generator):
    batches = data(generator).split(30)
    whole = online(name).fit(batches, epochs=2)
    first = online(name).fit(batches)
    second = online(name, seed=5)
    second.load_state_dict(first.state_dict())
    second.fit(batches)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@every_loss
def test_the_bounds_of_a_sum_never_let_it_rise(name, generator):
    """Without forgetting, H minimizes a bound of the loss of all batches at the W of each."""
    first, second = data(generator).split(60)
    found = online(name, forgetting=1)
    w1 = found.partial_fit(first)
    before = found.h.clone()
    w2 = found.partial_fit(second)

    def total(h):
        return sum(
            float(problem(y, name).objective((w, h))) for y, w in ((first, w1), (second, w2))
        )

    assert total(found.h) <= total(before) * (1 + 1e-12)


def test_sources_of_rows(generator):
    """Lists, loaders, pairs with weights, sparse rows, and chunks of a file."""
    y = data(generator)
    one = online("kl").fit(y.split(25))
    set_of_rows = torch.utils.data.TensorDataset(y)
    loader = torch.utils.data.DataLoader(set_of_rows, batch_size=25)
    pairs = [(rows, torch.ones_like(rows)) for rows in y.split(25)]
    sparse = [rows.to_sparse_csr() for rows in y.split(25)]
    for other in (loader, pairs, sparse, Chunks.of(y.numpy(), rows=25)):
        close(online("kl").fit(other).h, one.h, 1e-10)


def test_missing_entries_do_not_matter(generator):
    y = data(generator)
    weights = (torch.rand(y.shape, generator=generator) < 0.8).to(y)
    spoiled = torch.where(weights > 0, y, 1e6)
    pairs = list(zip(y.split(30), weights.split(30), strict=True))
    other = list(zip(spoiled.split(30), weights.split(30), strict=True))
    assert torch.equal(online("kl").fit(pairs).h, online("kl").fit(other).h)
    with pytest.raises(ValueError, match="no weights with Frobenius"):
        online("frobenius").partial_fit(y, weights)


def test_zero_rows_and_columns_and_other_iterations(generator):
    y = data(generator)
    y[3], y[:, 4] = 0, 0
    for name in ("kl", "frobenius"):
        found = online(name, iteration=MSOM()).fit(y.split(40), epochs=3)
        assert bool(found.h.isfinite().all()) and bool((found.h >= 0).all())
        assert float(found.h[4].max()) < 1e-6 * float(found.h.max())
        assert bool(found.transform(y).isfinite().all())
    single = OnlineNMF(20, 3, KullbackLeibler()).fit(y.float().split(40), epochs=2)
    assert single.h.dtype == torch.float32 and bool(single.h.isfinite().all())


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: OnlineNMF(0, 3, Frobenius()), ValueError, "columns"),
        (lambda: OnlineNMF(4, 3, "kl"), TypeError, "beta-divergence"),
        (lambda: OnlineNMF(4, 3, Frobenius(), 1.5), ValueError, r"in \[0, 1\]"),
        (lambda: OnlineNMF(4, 3, Frobenius(), math.nan), ValueError, "finite"),
        (lambda: OnlineNMF(4, 3, Frobenius()).partial_fit(torch.ones(2, 5)), ValueError, "4 col"),
        (lambda: OnlineNMF(4, 3, Frobenius()).partial_fit(np.ones((2, 4))), TypeError, "tensors"),
        (
            lambda: OnlineNMF(4, 3, Frobenius()).partial_fit(torch.ones(2, 4).double()),
            TypeError,
            "convert",
        ),
        (
            lambda: OnlineNMF(4, 3, KullbackLeibler()).partial_fit(-torch.ones(2, 4)),
            ValueError,
            "neg",
        ),
        (lambda: OnlineNMF(4, 3, Frobenius()).fit([], epochs=0), ValueError, "epochs"),
    ],
)
def test_bad_input(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_refused_rows_change_nothing():
    found = OnlineNMF(4, 2, KullbackLeibler())
    before = {key: value.clone() for key, value in found.state_dict().items()}
    with pytest.raises(ValueError):
        found.partial_fit(torch.full((2, 4), math.nan))
    assert all(torch.equal(before[key], value) for key, value in found.state_dict().items())
    found.partial_fit(given(torch.ones(2, 4)))
