"""Decompositions of compressed tensors: Tucker compression, pro-ALS, proco-ALS, its projections."""

import pytest
import torch
from conformance import check_regularizer
from scipy.optimize import nnls
from torch.utils.flop_counter import FlopCounterMode
from zoo import RegularizerCase, normal, uniform

from rlra_torch import compress, cp, decompress, proco_als
from rlra_torch.functional.cones import project_onto_dual_cone
from rlra_torch.iterations import FISTA, Alternating, ProALS, ProcoALS
from rlra_torch.losses import Frobenius
from rlra_torch.models import CP
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, NonNegative, NonNegativeThrough


def tensor(factors):
    return CP(len(factors))(tuple(factors))


def error(y, factors):
    return float((tensor(factors) - y).norm() / y.norm())


@pytest.fixture
def cube(generator):
    return tensor([uniform(generator, 100, 3) for _ in range(3)])


# --- Compression -------------------------------------------------------------------------------


@pytest.mark.parametrize("sequential", [True, False])
def test_compression_of_a_noiseless_cube_costs_nothing(cube, sequential):
    small = compress(cube, (3, 3, 3), sequential)
    assert (decompress(small.core, small.bases) - cube).norm() <= 1e-14 * cube.norm()
    for u in small.bases:
        assert (u.mT @ u - torch.eye(3).double()).abs().max() < 1e-14
    # Then neither does a decomposition of the core, from an algebraic start and on by ALS.
    settings = {"iteration": "als", "regs": [Free()] * 3, "init": "jennrich", "max_iter": 50}
    found = small.decompress(cp(small.core, 3, **settings).factors)
    assert error(cube, found) < 1e-12


def test_compression_of_noisy_data_gives_a_start_that_is_as_good(generator):
    clean = tensor([normal(generator, n, 3) for n in (20, 30, 25)])
    y = clean + 0.1 * clean.std() * normal(generator, *clean.shape)
    settings = {"iteration": "als", "regs": [Free()] * 3, "init": "jennrich", "tol": 1e-9}
    whole = cp(y, 3, **settings).relative_error
    small = compress(y, (3, 3, 3))
    through = error(y, small.decompress(cp(small.core, 3, **settings).factors))
    assert whole <= through < 1.001 * whole


def test_compressed_and_back(generator):
    factors = [normal(generator, n, 2) for n in (5, 6, 7)]
    small = compress(tensor(factors).numpy(), (2, 2, 2))
    back = small.decompress(small.compress([x.numpy() for x in factors]))
    assert type(back[0]) is type(small.core) is not torch.Tensor
    for x, y in zip(factors, back, strict=True):
        assert abs(x.numpy() - y).max() < 1e-12


# --- Projection onto what decompresses to nonnegative ------------------------------------------


def basis_of(generator, n, rank):
    """Orthonormal, with the constant column in its span."""
    drawn = torch.cat((torch.ones(n, 1).double(), normal(generator, n, rank - 1)), 1)
    return torch.linalg.qr(drawn).Q


@pytest.mark.parametrize(("n", "rank"), [(9, 6), (100, 3), (30, 10), (5, 5), (60, 12)])
def test_exact_projection_against_its_dual(n, rank, generator):
    for basis in (basis_of(generator, n, rank), torch.linalg.qr(normal(generator, n, rank)).Q):
        x = normal(generator, rank, 4)
        found = project_onto_dual_cone(basis, x)
        for j in range(4):
            z = nnls(basis.mT.numpy(), -x[:, j].numpy(), maxiter=10000)[0]
            exact = x[:, j] + basis.mT @ torch.from_numpy(z)
            assert (found[:, j] - exact).abs().max() < 1e-12
        assert (basis @ found).min() > -1e-13


def test_signs_of_the_dual_problem(generator):
    """The minimizer z >= 0 of ||U^T z + x|| gives the projection x + U^T z, by its conditions."""
    basis, x = basis_of(generator, 12, 4), normal(generator, 4, 1)
    found = project_onto_dual_cone(basis, x)
    seen = basis @ found
    z = torch.linalg.lstsq(basis[seen[:, 0] < 1e-12].mT, found - x).solution
    assert (z > 0).all() and (seen > -1e-13).all()
    assert abs(float((found - x).mT @ found)) < 1e-12  # complementary, and a cone


def test_projection_in_batches_and_its_derivative(generator):
    basis = torch.stack([basis_of(generator, 12, 4) for _ in range(3)])
    x = normal(generator, 3, 4, 2)
    found = project_onto_dual_cone(basis, x)
    for i in range(3):
        assert (found[i] - project_onto_dual_cone(basis[i], x[i])).abs().max() < 1e-13
    x = normal(generator, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: project_onto_dual_cone(basis[0], x), (x,))


def test_alternating_projections_converge_into_the_set(generator):
    reg = NonNegativeThrough(basis_of(generator, 12, 4))
    x = normal(generator, 4, 3)
    for _ in range(2000):
        x = reg.near(x)
    assert reg.expand(x).min() > -1e-8


def test_is_a_regularizer(generator):
    basis = basis_of(generator, 9, 6)
    inside = basis.mT @ torch.ones(9, 1).double()

    def onto(x):
        return x + inside * (-(basis @ x).amin(-2, keepdim=True)).clamp_min(0)

    def onto_or_in(x):
        return torch.where((basis @ x).amin((-2, -1), keepdim=True) > -1e-12, x, onto(x))

    check_regularizer(RegularizerCase(lambda: NonNegativeThrough(basis), onto_or_in), generator)


# --- pro-ALS and proco-ALS ---------------------------------------------------------------------


def test_negative_columns_are_turned_around(generator):
    """A start with a negative pair of columns: without the flip a component would be lost."""
    truth = [uniform(generator, n, 2) for n in (8, 9, 10)]
    y = tensor(truth)
    problem = Problem(y, CP(3), Frobenius(), [NonNegative()] * 3)
    start = (truth[0], -truth[1], truth[2])
    step = Alternating(ProALS())
    state = step(step.init(start, problem), problem)
    assert problem.relative_error(state.factors) < 1e-12
    assert all((x >= 0).all() for x in state.factors)


def test_flip_through_a_basis(generator):
    basis = basis_of(generator, 12, 4)
    reg, x = NonNegativeThrough(basis), normal(generator, 4, 1)
    inside = reg.prox(x + 3 * basis.mT @ torch.ones(12, 1).double(), 1.0)
    problem = Problem(
        tensor([-inside, *(uniform(generator, n, 1) for n in (3, 4))]),
        CP(3),
        Frobenius(),
        [reg, NonNegative(), NonNegative()],
    )
    start = (inside, torch.ones(3, 1).double(), torch.ones(4, 1).double())
    for make in (ProALS, ProcoALS):
        block = problem.block(0, start)
        found, _ = make()(start[0], (), block, reg)
        assert (reg.expand(found) > -1e-12).all() and found.norm() > 0.1 * inside.norm()


def operations(fit):
    """The floating-point operations of the products of a fit."""
    with FlopCounterMode(display=False) as counter:
        found = fit()
    return counter.get_total_flops(), found


def test_proco_als_ends_far_below_hals_at_equal_operations(cube):
    spent, fit = operations(lambda: proco_als(cube, 3, max_iter=600, tol=1e-12, check_every=200))
    assert all((x >= 0).all() for x in fit.factors)
    ten, _ = operations(lambda: cp(cube, 3, tol=0, max_iter=10))
    hals = cp(cube, 3, tol=0, max_iter=10 * (spent // ten + 1))
    assert fit.relative_error < 1e-2 * hals.relative_error
    assert fit.relative_error < 1e-7


@pytest.mark.parametrize("make", [ProcoALS, ProALS, FISTA])
def test_each_projection_gives_nonnegative_factors(make, generator):
    y = tensor([uniform(generator, n, 3) for n in (12, 13, 14)])
    y = y + 0.01 * y.std() * normal(generator, *y.shape)
    step = Alternating(make(), 10 if make is FISTA else 1)
    fit = proco_als(y, 3, (4, 4, 4), iteration=step, max_iter=100, check_every=50)
    best = cp(y, 3, iteration="hals", max_iter=500).relative_error
    assert all((x >= 0).all() for x in fit.factors)
    assert fit.relative_error < 1.05 * best


def test_checks_are_of_the_problem_that_they_name(generator):
    y = tensor([uniform(generator, n, 2) for n in (6, 7, 8)])
    fit = proco_als(y, 2, max_iter=50)
    problem = Problem(y, CP(3), Frobenius(), [NonNegative()] * 3)
    objective, kkt = problem.measure(fit.factors)
    assert fit.objective == float(objective) and fit.kkt == float(kkt)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compress(torch.ones(3, 4), (5, 1)), "between 1 and the sizes"),
        (lambda: compress(torch.ones(3, 4), (1,)), "one rank for each"),
        (lambda: compress(torch.full((3, 4), torch.nan), (1, 1)), "all entries"),
        (lambda: NonNegativeThrough(torch.ones(3, 2)), "orthonormal"),
        (lambda: proco_als(torch.ones(3, 4, 5), 2, (2, 2)), "one rank for each"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_proco_needs_a_basis(generator):
    y = tensor([uniform(generator, n, 2) for n in (4, 5, 6)])
    with pytest.raises(TypeError, match="NonNegativeThrough"):
        cp(y, 2, iteration=Alternating(ProcoALS()))
