"""Tucker decompositions: products, HOSVD, HOOI, nonnegative factors and core."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal, uniform

from rlra_torch import tucker
from rlra_torch.functional.tucker import hosvd, leading_basis, mode_product, multiplied
from rlra_torch.iterations import HALS, HOOI, Alternating
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF, Tucker
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, NonNegative


def noisy():
    """Four planted components and a tenth of noise, 30 x 31 x 32."""
    draw = np.random.RandomState(0)
    factors = [draw.rand(n, 4) for n in (30, 31, 32)]
    clean = np.einsum("ir,jr,kr->ijk", *factors)
    noise = draw.randn(*clean.shape)
    return torch.from_numpy(clean + 0.1 * np.linalg.norm(clean) * noise / np.linalg.norm(noise))


# --- Products ----------------------------------------------------------------------------------


def test_products_along_modes(generator):
    y = normal(generator, 2, 3, 4, 5)
    a, b = normal(generator, 2, 6, 4), normal(generator, 2, 7, 5)
    close = torch.testing.assert_close
    close(mode_product(y, a, -2), torch.einsum("zijk,zpj->zipk", y, a))
    close(mode_product(y, b, -1), torch.einsum("zijk,zpk->zijp", y, b))
    close(multiplied(y, [a, b]), torch.einsum("zijk,zpj,zqk->zipq", y, a, b))


def test_leading_basis_is_that_of_the_svd(generator):
    """Singular values over eight decades: what eigenvectors of the gram alone would not give."""
    left, right = (torch.linalg.qr(normal(generator, n, 5)).Q for n in (9, 30))
    values = torch.tensor([1.0, 1e-2, 1e-4, 1e-6, 1e-8]).double()
    y = (left * values) @ right.mT
    found = leading_basis(y.reshape(9, 6, 5), -3, 5)
    assert (found.mT @ found - torch.eye(5).double()).abs().max() < 1e-14
    assert (y - found @ (found.mT @ y)).norm() < 1e-15
    for q in range(4):
        assert abs(float(found[:, q] @ left[:, q])) > 1 - 1e-6
    assert (found.gather(0, found.abs().argmax(0, keepdim=True)) > 0).all()


# --- HOSVD and HOOI ----------------------------------------------------------------------------


def test_hosvd_reference_value():
    y = noisy()
    for sequential, expected in ((False, 0.09900371), (True, None)):
        bases, core = hosvd(y, (4, 4, 4), sequential)
        error = float((y - multiplied(core, bases)).norm() / y.norm())
        assert 0.09899300 <= error < 0.0991
        assert expected is None or abs(error - expected) < 1e-8
        for u in bases:
            assert (u.mT @ u - torch.eye(4).double()).abs().max() < 1e-13


@pytest.mark.parametrize("init", ["hosvd", "random"])
def test_hooi_reference_value(init):
    y = noisy()
    fit = tucker(y, (4, 4, 4), init=init, tol=1e-10)
    assert fit.converged and abs(fit.relative_error - 0.09899300835) < 1e-10
    *bases, core = fit.factors
    for u in bases:
        assert (u.mT @ u - torch.eye(4).double()).abs().max() < 1e-13
    assert (
        abs(float(core.norm() ** 2 + (fit.relative_error * y.norm()) ** 2 - y.norm() ** 2)) < 1e-7
    )


def test_hooi_never_rises_and_takes_batches(generator):
    y = normal(generator, 3, 6, 7, 8)
    start = [normal(generator, 3, n, 2) for n in (6, 7, 8)]
    start = (*start, normal(generator, 3, 2, 2, 2))
    problem, step = Problem(y, Tucker(3), Frobenius(), (Free(),) * 4), HOOI()
    state = step.init(start, problem)
    before = problem.objective(state.factors)
    for _ in range(30):
        state = step(state, problem)
        now = problem.objective(state.factors)
        assert (now <= before + 1e-12).all()
        before = now
    assert (problem.kkt(state.factors) < 1e-2).all()
    alone = Problem(y[1], Tucker(3), Frobenius(), (Free(),) * 4)
    single = step.init(tuple(x[1] for x in start), alone)
    for _ in range(30):
        single = step(single, alone)
    torch.testing.assert_close(alone.objective(single.factors), now[1])


def test_hooi_on_fake_cuda():
    with FakeTensorMode(), torch.no_grad():
        shapes = ((6, 2), (7, 2), (8, 2), (2, 2, 2))
        start = tuple(torch.empty(s, device="cuda") for s in shapes)
        y = torch.empty(6, 7, 8, device="cuda")
        problem, step = Problem(y, Tucker(3), Frobenius(), [Free() for _ in shapes]), HOOI()
        state = step(step.init(start, problem), problem)
        assert all(x.device.type == "cuda" for x in state.factors)


def test_hooi_against_tensorly(generator):
    from tensorly.decomposition import tucker as peer
    from tensorly.tucker_tensor import tucker_to_tensor

    for _ in range(5):
        y = normal(generator, 8, 9, 10) + 1
        ours = tucker(y.numpy(), (3, 4, 2), tol=1e-8).relative_error
        core, factors = peer(y.numpy(), (3, 4, 2), n_iter_max=500, tol=1e-10)
        gap = np.linalg.norm(tucker_to_tensor((core, factors)) - y.numpy())
        assert ours <= 1.001 * gap / float(y.norm())


# --- Nonnegative, and other losses --------------------------------------------------------------


def test_nonnegative_tucker_is_at_least_as_good_as_tensorly():
    """Which ends at 0.09900406 after 300 sweeps (its HALS with FISTA for the core)."""
    regs = [NonNegative() for _ in range(4)]
    fit = tucker(noisy(), (4, 4, 4), regs=regs, max_iter=100)
    assert all((x >= 0).all() for x in fit.factors)
    assert fit.relative_error < 1.001 * 0.09900406


@pytest.mark.parametrize("iteration", ["mu", "fista", "msom", "pg", "active_set"])
def test_nonnegative_by_any_iteration(iteration, generator):
    clean = [uniform(generator, n, 2) for n in (5, 6, 7)]
    y = multiplied(uniform(generator, 2, 2, 2), clean)
    fit = tucker(y, (2, 2, 2), iteration=iteration, max_iter=60)
    assert all((x >= 0).all() for x in fit.factors)
    assert fit.relative_error < 0.15
    objectives = [check.objective for check in fit.history]
    assert objectives[-1] < objectives[0]


def test_kullback_leibler_and_missing_entries(generator):
    clean = multiplied(uniform(generator, 2, 2, 2), [uniform(generator, n, 2) for n in (5, 6, 7)])
    y = torch.poisson(200 * clean, generator=generator)
    assert tucker(y, (2, 2, 2), "kl", max_iter=60).relative_error < 0.2
    holes = torch.where(uniform(generator, *y.shape) < 0.1, torch.nan, clean)
    fit = tucker(holes, (2, 2, 2), max_iter=60)
    found = Tucker(3)(fit.factors)
    assert all((x >= 0).all() for x in fit.factors)
    assert (found - clean).norm() < 0.15 * clean.norm()


def test_residual_of_a_large_core_forms_no_gram(generator):
    """The gram of a core of 20^3 numbers would have 6.4e7; the residual of HOOI never needs it."""
    y = normal(generator, 24, 24, 24)
    assert tucker(y, (20, 20, 20), max_iter=2, check_every=1).n_iter == 2


# --- In and out --------------------------------------------------------------------------------


def test_tucker_tensor_in_and_out(generator):
    from tensorly.tucker_tensor import TuckerTensor

    y = normal(generator, 5, 6, 7).numpy()
    fit = tucker(y, (2, 3, 4))
    out = fit.to_tensorly()
    assert isinstance(out, TuckerTensor) and out.rank == (2, 3, 4)
    again = tucker(y, (2, 3, 4), init=out, max_iter=1)
    assert abs(again.relative_error - fit.relative_error) < 1e-9
    exact = tucker(out, (2, 3, 4))
    assert exact.relative_error < 1e-12
    with pytest.raises(TypeError, match="components"):
        fit.normalized()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda y: tucker(y, (2, 2)), "one rank for each"),
        (lambda y: tucker(y, (2, 2, 9)), "between 1 and the sizes"),
        (lambda y: tucker(y, (2, 2, 2), init="svd"), "unknown init"),
        (lambda y: tucker(y[0, 0], (2,)), "order 2 or more"),
        (lambda y: tucker(y, 3), "one rank for each"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.ones(3, 4, 5))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (lambda y: Problem(y[0], NMF(), Frobenius(), (Free(),) * 2), "Tucker models"),
        (lambda y: Problem(y, CP(3), Frobenius(), (Free(),) * 3), "Tucker models"),
        (lambda y: Problem(y, Tucker(3), KullbackLeibler(), (Free(),) * 4), "least squares"),
        (lambda y: Problem(y, Tucker(3), Frobenius(), (NonNegative(),) * 4), "Free"),
        (lambda y: Problem(y, Tucker(3), Frobenius(), (Free(),) * 4, weights=y), "weights"),
    ],
)
def test_hooi_says_what_it_cannot(problem, words):
    with pytest.raises(TypeError, match=words):
        HOOI().check(problem(torch.ones(3, 4, 5)))


def test_other_iterations_take_free_factors(generator):
    """Tucker ALS, which HOOI is with orthonormal bases: the same error."""
    y = normal(generator, 5, 6, 7)
    regs = [Free() for _ in range(4)]
    settings = {"max_iter": 2000, "tol": 1e-7}
    als = tucker(y, (2, 2, 2), iteration="als", regs=regs, **settings).relative_error
    hooi = tucker(y, (2, 2, 2), **settings).relative_error
    hals = tucker(y, (2, 2, 2), iteration=Alternating(HALS(), 5), regs=regs, **settings)
    assert abs(als - hooi) < 1e-6 and abs(hals.relative_error - hooi) < 1e-3
