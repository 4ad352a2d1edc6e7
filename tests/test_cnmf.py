"""Convolutive NMF: descent, windows of one frame, borders, recovery, and its unrolled networks."""

import numpy as np
import pytest
import torch
from conformance import close
from experiments.convolutive import LOSSES, correlations, counted, planted, steepest

from rlra_torch import cnmf, convolutive_regression, factorize, nmf
from rlra_torch.initialization import loudest_windows, spa_indices
from rlra_torch.iterations import MU, Alternating, Gain
from rlra_torch.losses import KullbackLeibler
from rlra_torch.models import NMF, Convolutive
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import solve
from rlra_torch.unrolled import (
    ComponentGain,
    ConvolutionalGain,
    RowGain,
    TemplateStart,
    learned,
    unrolled_regression,
)

MODEL = Convolutive(channels=True, cyclic=False)


@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("beta", LOSSES)
def test_no_step_raises_the_objective(beta, l1):
    assert steepest(8, LOSSES[beta], l1) < 1e-12


@pytest.mark.slow
def test_no_step_raises_the_divergence_of_500_problems():
    assert steepest(500, LOSSES[1.0], sweeps=4) < 1e-12


def test_by_fourier_no_step_raises_the_objective(generator):
    """One channel and many lags, where products are not taken."""
    draw = {"generator": generator, "dtype": torch.float64}
    start = torch.rand(1, 40, 2, **draw), torch.rand(60, 2, **draw)
    assert not MODEL._full(start)[2].direct
    problem = Problem(
        0.1 + torch.rand(1, 60, **draw), MODEL, KullbackLeibler(), (NonNegative(), NonNegative())
    )
    history = solve(Alternating(MU()), problem, start, max_iter=40, check_every=1, tol=0).history
    values = torch.stack([check.objective for check in history])
    assert (values.diff() <= 1e-12 * values[:-1]).all()


@pytest.mark.parametrize("loss", ["kl", "is", "frobenius", 1.5])
def test_a_window_of_one_frame_is_nmf(loss, generator):
    draw = {"generator": generator, "dtype": torch.float64}
    y = torch.rand(6, 9, **draw) + 0.1
    w, h = torch.rand(6, 2, **draw), torch.rand(9, 2, **draw)
    plain = nmf(y, 2, loss, "mu", init=(w, h), max_iter=30, tol=0)
    found = cnmf(y, 2, 1, loss, Alternating(MU()), init=(w[:, None], h), max_iter=30, tol=0)
    steps = nmf(y, 2, loss, Alternating(MU()), init=(w, h), max_iter=30, tol=0)
    close(found.templates[:, 0], steps.factors[0], 1e-9)
    close(found.activations, steps.factors[1], 1e-9)
    close(torch.tensor(found.kkt), torch.tensor(steps.kkt), 1e-6)
    assert plain.objective <= steps.history[0].objective


@pytest.mark.parametrize("window", [3, 40])
def test_sums_of_the_model_are_those_of_its_adjoint(window, generator):
    """At both ends of the data too, by products and by Fourier transforms."""
    draw = {"generator": generator, "dtype": torch.float64}
    for model, shapes in (
        (MODEL, ((2, 4, window, 3), (2, 50, 3))),
        (Convolutive(signals=True), ((2, window, 3), (2, 5, 50, 3))),
        (Convolutive(signals=True, channels=True), ((2, 4, window, 3), (2, 5, 50, 3))),
    ):
        factors = tuple(torch.rand(shape, **draw) for shape in shapes)
        ones = torch.ones_like(model(factors))
        for n in (0, 1):
            expected = model.layout(n).pack(model.adjoint(factors, n, ones))
            close(model.column_sum(factors, n).expand_as(expected), expected, 1e-10)


def test_what_would_sound_after_the_end_is_not_fitted():
    """A template whose sound is cut off by the end gets its full activation."""
    template = torch.tensor([[[1.0], [1.0], [1.0]], [[2.0], [1.0], [0.0]]], dtype=torch.float64)
    activations = torch.zeros(12, 1, dtype=torch.float64)
    activations[[3, 10, 11]] = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    y = MODEL((template, activations))
    fit = convolutive_regression(y, template, max_iter=3000, tol=1e-10)
    close(fit.activations, activations, 0, atol=1e-3)


@pytest.mark.parametrize(("seed", "counts"), [(4, torch.inf), (20, torch.inf), (1, 300.0)])
def test_planted_sounds_are_found_up_to_shift_and_scale(seed, counts):
    truth = planted(seed)
    fit = cnmf(counted(truth.y, counts, seed), rank=3, window=6, max_iter=100, tol=1e-6)
    assert correlations(fit.templates, truth.templates).min() > 0.99


@pytest.mark.parametrize("counts", [torch.inf, 300.0])
def test_the_start_is_near_sounds_among_others(counts):
    """Where a sound begins within the piece of a quieter one, that piece is not taken for it."""
    for seed in (5, 12, 20, *range(100, 110)):
        truth = planted(seed)
        found = loudest_windows(counted(truth.y, counts, seed), 3, 6)
        assert correlations(found, truth.templates).min() > 0.9


def test_the_start_finds_sounds_that_are_alone_once():
    truth = planted(1, rate=0.0)
    found = loudest_windows(truth.y, 3, 6)
    assert correlations(found, truth.templates).min() > 1 - 1e-12
    several = torch.stack([truth.y, 2 * truth.y.flip(0)])
    batch = loudest_windows(several, 3, 6)
    close(batch[0], found)
    close(batch[1], 2 * found.flip(0))


def test_the_start_begins_before_sounds_that_rise():
    """The loudest frame is the third of five."""
    y = torch.zeros(1, 60, dtype=torch.float64)
    for place in (10, 30, 45):
        y[0, place : place + 5] = torch.tensor([1.0, 2.0, 4.0, 3.0, 2.0])
    close(loudest_windows(y, 1, 5).flatten(), torch.tensor([1.0, 2.0, 4.0, 3.0, 2.0]).double())


def test_a_start_of_one_frame_is_successive_projection(generator):
    y = torch.rand(8, 20, generator=generator, dtype=torch.float64)
    y = y / y.sum(0)
    assert torch.equal(loudest_windows(y, 4, 1)[:, 0], y[:, spa_indices(y, 4)])


def test_a_start_of_silence_and_of_few_sounds_is_finite():
    assert not loudest_windows(torch.zeros(3, 9), 2, 4).any()
    fit = cnmf(torch.ones(3, 9), rank=4, window=9, max_iter=20)
    assert torch.isfinite(fit.templates).all() and fit.relative_error < 0.2


def test_batches_are_independent_problems():
    several = torch.stack([planted(seed, frames=60).y for seed in (0, 1)])
    both = cnmf(several, 3, 6, "kl", "mu", max_iter=15, tol=0)
    for n, y in enumerate(several):
        alone = cnmf(y, 3, 6, "kl", "mu", max_iter=15, tol=0)
        close(both.templates[n], alone.templates, 1e-7)


def test_regression_starts_warm():
    truth = planted(0, frames=100)
    y = truth.y + 0.05
    fit = convolutive_regression(y, truth.templates, tol=1e-6, max_iter=2000)
    warm = convolutive_regression(
        y, truth.templates, start=fit.activations, tol=1e-6, check_every=1
    )
    assert fit.converged and warm.n_iter <= 1
    assert torch.equal(fit.templates, truth.templates)
    numpy = convolutive_regression(y.numpy(), truth.templates.numpy(), max_iter=5)
    assert isinstance(numpy.activations, np.ndarray)


def test_a_penalty_adds_to_the_sum_of_a_template():
    """One sound of one frame: ``X = sum V / (sum A + l1)``."""
    y = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]], dtype=torch.float64)
    template = torch.tensor([[[1.5]], [[0.5]]], dtype=torch.float64)
    fit = convolutive_regression(y, template, l1=3.0, tol=1e-9)
    close(fit.activations, y.sum(0)[:, None] / 5, 1e-6)


def test_a_factor_of_one_row_keeps_its_momentum():
    truth = planted(2, frames=100)
    slow, fast = (
        convolutive_regression(truth.y + 0.05, truth.templates, "kl", name, max_iter=60, tol=0)
        for name in ("mu", "amu")
    )
    assert fast.kkt < 0.5 * slow.kkt


def test_factorize_holds_known_factors():
    y = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    w = torch.rand(4, 2, generator=torch.Generator().manual_seed(1))
    fit = factorize(y, NMF(), "kl", "mu", start=(w, torch.ones(5, 2)), free=(1,), max_iter=5)
    assert torch.equal(fit.factors[0], w) and not torch.equal(fit.factors[1], torch.ones(5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: cnmf(y, 2, 30), "window of 30 frames"),
        (lambda y: cnmf(y, 0, 3), "rank"),
        (lambda y: cnmf(y[0], 1, 1), "frequencies and frames"),
        (lambda y: cnmf(-y, 2, 3), "negative"),
        (lambda y: cnmf(y, 2, 3, init="best"), "unknown init"),
        (lambda y: cnmf(y, 200, 3, max_iter=1), "rank 200"),
        (lambda y: convolutive_regression(y, torch.ones(3, 2)), "templates have shape"),
        (lambda y: convolutive_regression(y, torch.ones(3, 2, 1)), "templates have shape"),
        (lambda y: convolutive_regression(y, -torch.ones(4, 2, 1)), "negative"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(4, 10))


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("gain", [Gain, lambda _: RowGain(4), lambda _: ConvolutionalGain(4)])
def test_an_untrained_network_is_a_solve(window, gain, generator):
    draw = {"generator": generator, "dtype": torch.float64}
    templates = torch.rand((5, window, 2) if window else (5, 2), **draw) + 0.1
    y = torch.rand(2, 5, 12, **draw) + 0.1
    net = unrolled_regression(learned(TemplateStart(templates), "templates"), 6, gain).double()
    found = net(y)
    expected = solve(Alternating(MU()), net.problem(y), net.init(y), max_iter=6, tol=0).factors
    close(found[1], expected[1])
    found[1].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("gain", [Gain, lambda _: RowGain(8)])
def test_training_finds_activations_that_plain_updates_miss(gain):
    """Of another instrument: the templates known are not those that sound."""
    torch.manual_seed(0)
    data, held = (planted(0, frames=80)._replace(), planted(0, frames=90))
    bent = data.templates.roll(1, 0) + 0.5 * data.templates + 0.02
    net = unrolled_regression(learned(TemplateStart(bent), "templates"), 8, gain).double()

    def error(sounds):
        found = net(sounds.y)[1]
        return (found - sounds.activations).square().sum() / sounds.activations.square().sum()

    with torch.no_grad():
        before = error(held)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        loss = error(data)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert error(held) < 0.7 * before


def test_a_gain_for_components_checks_their_number():
    with pytest.raises(ValueError, match="3 components"):
        ComponentGain(Gain(3), 3)(torch.ones(1, 4))
