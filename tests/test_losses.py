"""Losses: the laws of all, the closed-form majorizer steps, and the edges."""

import math
from itertools import product

import pytest
import torch
from conformance import check_loss, close
from torch.autograd import gradcheck, gradgradcheck
from zoo import LOSSES, uniform

from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler

BETAS = (-0.5, 0.0, 0.5, 1.0, 1.3, 1.5, 2.0, 2.5, 3.0)
NAMED = {0.0: ItakuraSaito, 1.0: KullbackLeibler, 2.0: Frobenius}
PENALTIES = list(product((False, True), (False, True)))
every_beta = pytest.mark.parametrize("beta", BETAS)


def loss_of(beta):
    return NAMED.get(beta, lambda: BetaDivergence(beta))()


@pytest.mark.parametrize("name", LOSSES)
def test_conformance(name, generator):
    check_loss(LOSSES[name], generator)


# --- The majorizer ------------------------------------------------------------------------------


def majorizer(beta, t, x, positive, negative, l1, l2):
    """Jensen for the convex part of the loss, the tangent for its concave part, at ``z = x t``."""
    if beta < 1:
        up, down = positive * t, negative * t ** (beta - 1) / (1 - beta)
    elif beta == 1:
        up, down = positive * t, -negative * t.log()
    elif beta <= 2:
        up, down = positive * t**beta / beta, -negative * t ** (beta - 1) / (beta - 1)
    else:
        up, down = positive * t**beta / beta, -negative * t
    z = x * t
    linear = 0 if l1 is None else l1 * z
    return x * (up + down) + linear + (0 if l2 is None else l2 * z.square() / 2)


def golden_section(function, low, high, steps=120):
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(steps):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        left = function(a) < function(b)
        low, high = torch.where(left, low, a), torch.where(left, b, high)
    return (low + high) / 2


def log_uniform(generator, *shape, decades):
    return 10 ** uniform(generator, *shape, low=-decades, high=decades)


def arguments(generator, size, l1, l2, decades=2.0):
    x, positive, negative, first, second = log_uniform(generator, 5, size, decades=decades)
    return x, positive, negative, first if l1 else None, second if l2 else None


@every_beta
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_majorized_minimizes_the_majorizer(beta, l1, l2, generator):
    given = arguments(generator, 500, l1, l2)
    x = given[0]
    z = loss_of(beta).majorized(*given)
    bound = torch.full_like(x, 60.0)
    oracle = golden_section(lambda u: majorizer(beta, u.exp(), *given), -bound, bound).exp()

    zero = z == 0
    assert not zero.any() or (beta >= 2 and l1)
    # A minimum at zero is where the slope there is nonnegative; golden section only comes near.
    assert (oracle[zero] < 1e-20).all()
    t = (z / x)[~zero]
    kept = tuple(None if g is None else g[~zero] for g in given)
    ours, theirs = majorizer(beta, t, *kept), majorizer(beta, oracle[~zero], *kept)
    assert (ours <= theirs + 1e-12 * (theirs.abs() + kept[0] * (kept[1] + kept[2]))).all()
    assert ((t / oracle[~zero]).log().abs() < 1e-5).all()


@every_beta
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_majorized_is_stationary_over_many_decades(beta, l1, l2, generator):
    given = arguments(generator, 500, l1, l2, decades=8.0)
    z = loss_of(beta).majorized(*given)
    kept = tuple(None if g is None else g[z > 0] for g in given)
    t = (z[z > 0] / kept[0]).requires_grad_()
    (slope,) = torch.autograd.grad(majorizer(beta, t, *kept).sum(), t)
    none = torch.zeros_like(t)
    size = torch.stack([
        *(torch.autograd.grad(majorizer(beta, t, kept[0], *part).sum(), t)[0].abs()
          for part in ((kept[1], none, None, None), (none, kept[2], None, None)))
    ]).sum(0)  # fmt: skip
    assert (slope.abs() <= 1e-9 * size).all()


@every_beta
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_majorized_passes_gradcheck(beta, l1, l2, generator):
    loss = loss_of(beta)
    x, positive, negative, first, second = uniform(generator, 5, 2, low=0.5, high=1.5)
    penalties = tuple(g for g, there in ((0.3 * first, l1), (second, l2)) if there)

    def step(x, positive, negative, *penalties):
        rest = iter(penalties)
        return loss.majorized(
            x, positive, negative, next(rest) if l1 else None, next(rest) if l2 else None
        )

    given = tuple(g.clone().requires_grad_() for g in (x, positive, negative, *penalties))
    assert gradcheck(step, given)
    assert gradgradcheck(step, given)


@every_beta
@pytest.mark.parametrize(("l1", "l2"), PENALTIES)
def test_majorized_at_the_edges(beta, l1, l2):
    """Zeros in x, in N or everywhere: the minimizer is 0, and derivatives stay finite."""
    x, positive, negative = torch.tensor(
        [[0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 1.0]], dtype=torch.float64
    ).requires_grad_()
    weight = torch.tensor(0.1, dtype=torch.float64)
    given = (x, positive, negative, weight if l1 else None, weight if l2 else None)
    z = loss_of(beta).majorized(*given)
    assert (z[:3] == 0).all() or (z[:3].abs() < 1e-100).all()
    assert z[3] > 0
    for gradient in torch.autograd.grad(z.sum(), (x, positive, negative)):
        assert gradient.isfinite().all()


# --- What is specific --------------------------------------------------------------------------


@pytest.mark.parametrize("beta", NAMED)
def test_named_losses_are_their_beta(beta, generator):
    named, general = NAMED[beta](), BetaDivergence(beta)
    y, p, x, positive, negative = uniform(generator, 5, 30, low=0.1, high=2)
    close(named(p, y), general(p, y), 1e-12)
    close(named.curvature(p, y), general.curvature(p, y))
    for ours, theirs in zip(named.split(p, y), general.split(p, y), strict=True):
        close(ours, theirs)
    tops, bottoms = named.scale(p, y), general.scale(p, y)
    close(tops[0].sum() / tops[1].sum(), bottoms[0].sum() / bottoms[1].sum())
    for l1, l2 in PENALTIES:
        net = (positive if l1 else None, negative if l2 else None)
        ours = named.majorized(x, positive, negative, *net)
        close(ours, general.majorized(x, positive, negative, *net), 1e-10)


def test_beta_divergence_is_continuous_in_beta(generator):
    y, p = uniform(generator, 2, 30, low=0.5, high=2)
    for beta, named in NAMED.items():
        close(BetaDivergence(beta + 1e-6)(p, y), named()(p, y), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zeros_are_exact(dtype):
    zero, one = torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)
    kl = KullbackLeibler()
    assert kl(zero, zero) == 0 and kl(one, zero) == 1 and kl(zero, one).isfinite()
    assert Frobenius()(zero, zero) == 0
    for beta in (0.5, 1.3, 1.5, 2.5, 3.0):
        assert abs(BetaDivergence(beta)(zero, zero)) <= 1e-6
        assert BetaDivergence(beta)(zero, one) > 0 and BetaDivergence(beta)(one, zero) > 0
    assert ItakuraSaito()(one, zero) == torch.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_beta
def test_gradients_are_finite_where_the_prediction_is_zero(beta, dtype):
    y = torch.tensor([0.0, 1.0, 1e3] if beta > 0 else [1.0, 1e3], dtype=dtype)
    p = torch.zeros_like(y).requires_grad_()
    loss = loss_of(beta)
    value = loss(p, y)
    assert value.isfinite().all()
    (gradient,) = torch.autograd.grad(value.sum(), p)
    assert gradient.isfinite().all()
    parts = (*loss.split(p.detach(), y), loss.curvature(p.detach(), y))
    assert all(part.isfinite().all() for part in parts)


def test_kullback_leibler_is_exact_near_its_minimum():
    """``y delta^2 / 2`` to eight digits where the textbook formula has lost all of them."""
    y = torch.tensor([1e6, 1.0, 1e-6], dtype=torch.float64)
    delta = 1e-7
    value = KullbackLeibler()(y * (1 + delta), y)
    close(value / y, torch.full_like(y, delta**2 / 2), 1e-6)
    assert (KullbackLeibler()(y * (1 + 3e-16), y) >= 0).all()


@pytest.mark.parametrize("beta", [math.nan, math.inf, "2", True, None])
def test_beta_must_be_a_number(beta):
    with pytest.raises(ValueError, match="finite real number"):
        BetaDivergence(beta)


@every_beta
def test_domain(beta):
    loss, y = loss_of(beta), torch.tensor([1.0, 0.0, -1.0])
    if beta == 2:
        assert loss.domain(y) is None
        return
    assert loss.domain(y) == "1 of 3 entries are negative"
    assert (loss.domain(y[:2]) is None) == (beta > 0)
