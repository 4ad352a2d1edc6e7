"""Minimum-volume factorization: the regularizer, the majorizer, and what they find."""

import pytest
import torch
from conformance import check_regularizer, close
from zoo import RegularizerCase, normal, uniform

from rlra_torch.blocks import QuadraticBlock
from rlra_torch.estimators import minvol
from rlra_torch.iterations import ADMM, FISTA, HALS, Alternating, Majorized
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.metrics import match, mrsa
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import LogDet, NonNegative, Simplex, Sum, SumAtMost
from rlra_torch.separable import spa
from rlra_torch.solvers import solve


def impure(generator, purity, n=300):
    """Mixtures of four spectra, none of which makes up more than its purity."""
    spectra = uniform(generator, 50, 4)
    shares = torch.zeros(0, 4, dtype=torch.float64)
    while len(shares) < n:
        # Gamma variables of shape 1/2 are squares of normal ones: a Dirichlet draw.
        more = normal(generator, n, 4).square()
        more = more / more.sum(1, keepdim=True)
        shares = torch.cat([shares, more[more.amax(1) <= purity]])
    clean = spectra @ shares[:n].mT
    noise = normal(generator, *clean.shape)
    return clean + 1e-3 * noise * clean.norm() / noise.norm(), spectra


def score(found, spectra):
    return float(mrsa(found[:, match(found, spectra)], spectra).mean())


@pytest.mark.parametrize("delta", [0.01, 0.3, 5.0])
def test_the_volume_is_a_regularizer(delta, generator):
    check_regularizer(RegularizerCase(lambda: LogDet(0.7, delta), lambda x: x), generator)


def test_the_majorizer_is_tight_and_above(generator):
    reg, x = LogDet(0.6, 0.2), normal(generator, 5, 7, 3)
    a = reg.majorizer(x)

    def bound(z):
        return (z @ a * z).sum((-2, -1)) / 2

    for scale in (1e-3, 0.1, 3.0):
        z = x + scale * normal(generator, *x.shape)
        assert (reg(z) - reg(x) <= bound(z) - bound(x) + 1e-12).all()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(reg(x).sum(), x)
    close(gradient, x.detach() @ a)


def test_a_solution_of_the_majorized_problem_is_stationary(generator):
    y = uniform(generator, 6, 2) @ uniform(generator, 2, 9)
    regs = [Sum(NonNegative(), LogDet(0.05, 0.1)), SumAtMost()]
    problem = Problem(y, NMF(), Frobenius(), regs)
    start = uniform(generator, 6, 2), uniform(generator, 9, 2) / 2
    step = Alternating((Majorized(HALS()), FISTA()), inner=5)
    found = solve(step, problem, start, max_iter=1500, tol=1e-4)
    assert bool(found.converged)
    # By ADMM, which takes the same terms by their proximal maps.
    other = solve(Alternating(ADMM(), inner=10), problem, found.factors, max_iter=20, tol=0.0)
    assert float(other.objective) == pytest.approx(float(found.objective), rel=1e-3)


@pytest.mark.parametrize("sums", ["at_most_one", "one", "spectra"])
def test_the_objective_never_rises(sums, generator):
    y, _ = impure(generator, 0.8, 60)
    found = minvol(y, 4, sums=sums, max_iter=20, tol=0.0, check_every=1)
    values = torch.tensor([check.objective for check in found.history])
    assert (values.diff() <= 1e-12 * values[0].abs()).all() and values[-1] < values[0]
    w, h = found.factors
    assert (w >= 0).all() and (h >= 0).all()
    total = w.sum(0) if sums == "spectra" else h.sum(1)
    if sums == "at_most_one":
        assert (total <= 1 + 1e-12).all()
    else:
        close(total, torch.ones_like(total))


def test_spectra_that_no_pixel_shows(generator):
    y, spectra = impure(generator, 0.8)
    found = minvol(y, 4, max_iter=100)
    assert score(found.factors[0], spectra) < 1 < 4 < score(spa(y, 4).spectra, spectra)
    # The unit of the data does not matter.
    other = minvol(1e3 * y, 4, max_iter=100)
    close(other.factors[0], 1e3 * found.factors[0], 1e-5)


def test_what_does_not_fit_is_said(generator):
    y = uniform(generator, 5, 6)
    for wrong in ({"sums": "two"}, {"weight": 0.0}, {"delta": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            minvol(y, 2, **wrong)
    with pytest.raises(ValueError, match="NaN"):
        minvol(torch.full((3, 3), torch.nan), 2)
    regs = [Sum(NonNegative(), LogDet(1.0)), NonNegative()]
    step = Alternating((Majorized(HALS()), FISTA()))
    with pytest.raises(TypeError, match="least-squares"):
        step.check(Problem(y, NMF(), KullbackLeibler(), regs))
    regs = [Sum(NonNegative(), Simplex(), LogDet(1.0)), NonNegative()]
    with pytest.raises(TypeError, match="beside LogDet"):
        step.check(Problem(y, NMF(), Frobenius(), regs))
    with pytest.raises(ValueError, match="delta"):
        LogDet(1.0, delta=0.0)


def test_one_step_is_that_of_the_majorizer(generator):
    x, gram = normal(generator, 4, 2), torch.eye(2, dtype=torch.float64)
    block, volume = QuadraticBlock(gram, normal(generator, 4, 2), Frobenius()), LogDet(0.5)
    found, _ = Majorized(HALS())(x, (), block, Sum(NonNegative(), volume))
    more = QuadraticBlock(gram + volume.majorizer(x), block.cross, block.loss)
    close(found, HALS()(x, (), more, NonNegative())[0])


@pytest.mark.parametrize("equal", [False, True])
def test_gradients_of_the_prox_of_the_volume(equal, generator):
    """Also where singular values are equal."""
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    x = 2 * torch.linalg.qr(x).Q if equal else x
    step = torch.tensor(0.7, dtype=torch.float64)
    given = x.requires_grad_(), step.requires_grad_()
    assert torch.autograd.gradcheck(LogDet(0.3, delta=0.5).prox, given)
