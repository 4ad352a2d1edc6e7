"""Canonical polyadic decompositions: products of a sweep, ALS, starts, normal form, references."""

import copy

import numpy as np
import pytest
import torch
from conformance import close
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from zoo import normal, uniform

from rlra_torch import cp
from rlra_torch.data import Dense
from rlra_torch.datasets import load_kinetic
from rlra_torch.functional.linalg import solve_gram
from rlra_torch.functional.normal_form import normal_form
from rlra_torch.functional.tree import Kept, Tree
from rlra_torch.initialization import hosvd_factors, jennrich
from rlra_torch.iterations import (
    HALS,
    Alternating,
    Extrapolated,
    Nesterov,
    ProjectedGradient,
    ProjectedLeastSquares,
    State,
)
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import factor_match
from rlra_torch.models import CP, Multilinear, Tucker
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, NonNegative
from rlra_torch.solvers import solve

FREE = [Free()] * 3


def planted(generator, shape, rank, noise=0.0, draw=uniform):
    factors = tuple(draw(generator, n, rank) for n in shape)
    y = CP(len(shape))(factors)
    extra = normal(generator, *shape)
    return y + noise * y.norm() * extra / extra.norm(), factors


def reference():
    """Four planted components and a tenth of noise, and a start."""
    draw, other = np.random.RandomState(0), np.random.RandomState(1)
    factors = [draw.rand(n, 4) for n in (30, 31, 32)]
    clean = np.einsum("ir,jr,kr->ijk", *factors)
    noise = draw.randn(*clean.shape)
    y = clean + 0.1 * np.linalg.norm(clean) * noise / np.linalg.norm(noise)
    return y, [other.rand(n, 4) for n in (30, 31, 32)]


# --- All products of a sweep -------------------------------------------------------------------

TREES = {
    "cp of order 3": (CP(3), ((4, 2), (3, 2), (5, 2))),
    "cp of order 4": (CP(4), ((4, 2), (3, 2), (5, 2), (2, 2))),
    "cp of order 5": (CP(5), ((2, 3), (3, 3), (2, 3), (4, 3), (2, 3))),
    "tucker": (Tucker(3), ((4, 2), (3, 2), (5, 3), (2, 2, 3))),
    "parafac2": (Multilinear("ir,kr,kjr->ijk"), ((4, 2), (3, 2), (3, 5, 2))),
    "train": (Multilinear("ia,ajb,bk->ijk"), ((4, 2), (2, 3, 3), (3, 5))),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_each_cut_gives_the_adjoints(name, batch, generator):
    model, shapes = TREES[name]
    factors = tuple(normal(generator, *batch, *s) for s in shapes)
    y = normal(generator, *model(factors).shape)
    cuts = Tree.cuts(model.equation)
    assert cuts
    for cut in cuts:
        tree, kept = Tree(model.equation, cut), Kept()
        for n in range(len(factors)):
            others = factors[:n] + factors[n + 1 :]
            expected = torch.einsum(model.equation.adjoint(n), y, *others)
            close(tree.adjoint(y, factors, n, kept), expected, 1e-13)


class Products(TorchDispatchMode):
    """The operations on a CPU or a fake device, and what they read of one tensor."""

    def __init__(self, y):
        super().__init__()
        self.data, self.names, self.large = y.untyped_storage()._cdata, [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        views = {
            "device",
            "view",
            "t",
            "permute",
            "_unsafe_view",
            "unsqueeze",
            "expand",
            "transpose",
        }
        if name in views | {"alias", "reshape", "_reshape_alias", "detach", "select", "slice"}:
            return found
        self.names.append(name)
        reads = [a for a in torch.utils._pytree.tree_leaves(args) if isinstance(a, torch.Tensor)]
        if any(a.untyped_storage()._cdata == self.data for a in reads):
            self.large.append(name)
        return found


@pytest.mark.parametrize("shape", [(6, 7, 8), (9, 2, 3), (3, 2, 9), (3, 4, 5, 4)])
@pytest.mark.parametrize("wrap", [Alternating, lambda it: Extrapolated(Alternating(it))])
def test_a_sweep_reads_the_data_twice_and_never_copies_it(shape, wrap, generator):
    y = planted(generator, shape, 2)[0].contiguous()
    problem = Problem(y, CP(len(shape)), Frobenius(), [NonNegative() for _ in shape])
    step = wrap(HALS())
    state = step.init(tuple(uniform(generator, n, 2) for n in shape), problem)
    with torch.no_grad(), Products(y) as seen:
        step(state, problem)
    assert len(seen.large) == 2 and set(seen.large) <= {"mm", "bmm"}


@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_as_without_the_tree_being_kept(weighted, generator):
    y, _ = planted(generator, (6, 7, 8), 3, 0.1)
    weights = uniform(generator, *y.shape) if weighted else None
    problem = Problem(y, CP(3), Frobenius(), [NonNegative() for _ in range(3)], weights=weights)
    step, start = Alternating(HALS(), 2), tuple(uniform(generator, n, 3) for n in (6, 7, 8))
    state = other = step.init(start, problem)
    for _ in range(5):
        state = step(state, problem)
        for n in range(3):
            other, _ = step.update(other, problem, n)
    assert all(torch.equal(a, b) for a, b in zip(state.factors, other.factors, strict=True))


def test_what_is_kept_is_of_the_same_tensors(generator):
    """Factors that change within a sweep, against the order, are seen."""
    y, factors = planted(generator, (6, 7, 8), 3)
    problem = Problem(y, CP(3), Frobenius(), FREE).sweep()
    for n in (0, 1, 2, 1, 0, 2):
        found = problem.block(n, factors).cross
        plain = Problem(y, CP(3), Frobenius(), FREE).block(n, factors).cross
        assert torch.equal(found, plain)
        factors = (*factors[:n], factors[n] + 1, *factors[n + 1 :])
    assert isinstance(problem.data, Dense) and problem.data.kept is not None


def test_gradients_through_a_sweep(generator):
    y, _ = planted(generator, (3, 4, 2), 2, 0.3)
    start = tuple(uniform(generator, n, 2) for n in (3, 4, 2))
    step = Alternating(ProjectedLeastSquares())

    def swept(y, *start):
        problem = Problem(y, CP(3), Frobenius(), FREE)
        return step(State(start, ((),) * 3), problem).factors

    inputs = (y.requires_grad_(), *(x.requires_grad_() for x in start))
    assert torch.autograd.gradcheck(swept, inputs)


def test_kernels_and_synchronisations_of_an_iteration():
    """Ten iterations of nonnegative CP on fake CUDA: no value is read, and 40 kernels each."""
    with FakeTensorMode(), torch.no_grad():
        start = tuple(torch.empty(30, 5, device="cuda") for _ in range(3))
        y = torch.empty(30, 30, 30, device="cuda")
        problem = Problem(y, CP(3), Frobenius(), [NonNegative() for _ in range(3)])
        step = Alternating(HALS(), 5)
        state = step.init(start, problem)
        with Products(y) as seen:
            for _ in range(10):  # reading a value would raise
                state = step(state, problem)
    assert len(seen.names) <= 400
    assert not {"_local_scalar_dense", "nonzero", "item"} & set(seen.names)


# --- ALS ---------------------------------------------------------------------------------------


def test_singular_grams_have_a_defined_answer(generator):
    a = normal(generator, 7, 3)
    a = torch.cat((a, a[:, :1], 0 * a[:, :1]), 1)  # a column twice, and one that is zero
    gram, cross = a.mT @ a, normal(generator, 4, 7) @ a
    near = normal(generator, 4, 5)
    for start in (None, near):
        x = solve_gram(gram, cross, start)
        assert (x @ gram - cross).abs().max() < 1e-10
        begin = torch.zeros(4, 5).double() if start is None else start
        # Twins share what changes, up to a few percent of it, and what does nothing stays.
        moved = x - begin
        close(moved[:, 0], moved[:, 3], atol=0.1 * float(moved.abs().max()))
        close(moved[:, 4], 0 * moved[:, 4], atol=1e-12)
    solved = solve_gram(gram, cross)
    close(solve_gram(gram, cross, solved), solved, 1e-10)


def test_als_with_components_that_are_lost_or_doubled(generator):
    y, _ = planted(generator, (6, 7, 8), 2, 0.1, normal)
    a, b, c = (normal(generator, n, 3) for n in (6, 7, 8))
    for x in (a, b, c):
        x[:, 2] = x[:, 1]
    a[:, 0] = b[:, 0] = 0
    problem, step = Problem(y, CP(3), Frobenius(), FREE), Alternating(ProjectedLeastSquares())
    state = step.init((a, b, c), problem)
    before = problem.objective(state.factors)
    for _ in range(20):
        state = step(state, problem)
        now = problem.objective(state.factors)
        assert now.isfinite() and now <= before + 1e-12
        before = now


REFERENCE = 0.09901422119


@pytest.mark.parametrize("init", [None, "random", "svd", "hosvd", "jennrich"])
@pytest.mark.parametrize("iteration", ["als", "hals"])
def test_reference_values_from_any_start(iteration, init):
    y, start = reference()
    regs = FREE if iteration == "als" else None
    fit = cp(y, 4, iteration=iteration, regs=regs, init=init or start, tol=1e-7, max_iter=800)
    assert abs(fit.relative_error - REFERENCE) < 2e-9


@pytest.mark.parametrize("iteration", ["mu", "msom", "fista", "pg", "newton", "pro_als"])
def test_nonnegative_by_any_iteration(iteration, generator):
    y, truth = planted(generator, (8, 9, 10), 2, 0.01)
    fit = cp(y, 2, iteration=iteration, max_iter=80, init="jennrich")
    assert all((x >= 0).all() for x in fit.factors)
    assert fit.relative_error < 0.02


# --- Starts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5, 4), (3, 20, 20), (5, 3, 7), (4, 5, 3, 6)])
@pytest.mark.parametrize("draw", [uniform, normal])
def test_jennrich_is_exact_where_the_data_is(shape, draw, generator):
    y, truth = planted(generator, shape, 3, draw=draw)
    found = jennrich(y, 3)
    assert (CP(len(shape))(found) - y).norm() < 1e-11 * y.norm()
    sizes = torch.stack([x.norm(dim=0) for x in found])
    close(sizes, sizes[:1].expand_as(sizes), 1e-12)
    if draw is uniform:
        assert all((x > 0).all() for x in found)  # signs as they are meant


def test_jennrich_of_noise_is_real_and_finite(generator):
    for _ in range(5):
        found = jennrich(normal(generator, 6, 7, 8), 5)
        assert all(x.isfinite().all() and x.dtype == torch.float64 for x in found)


def test_jennrich_starts_near_the_solution(generator):
    y, truth = planted(generator, (20, 20, 20), 4, 1e-3)
    assert (CP(3)(jennrich(y, 4)) - y).norm() < 0.02 * y.norm()
    assert cp(y, 4, init="jennrich", tol=1e-6).converged


@pytest.mark.parametrize(("shape", "rank"), [((6, 5), 2), ((6, 5, 4), 6), ((6, 5, 4), 0)])
def test_jennrich_says_what_it_needs(shape, rank):
    with pytest.raises(ValueError, match="second largest"):
        jennrich(torch.ones(shape), rank)


def test_hosvd_start_has_signs(generator):
    y, _ = planted(generator, (6, 7, 8), 3, draw=normal)
    found = hosvd_factors(y, 3)
    close(found[0].mT @ found[0], torch.eye(3).double(), 1e-12)
    assert any((x < 0).any() for x in found)


# --- Losses and missing entries ----------------------------------------------------------------


@pytest.mark.parametrize("iteration", ["mu", "amu", "sn"])
def test_kullback_leibler(iteration, generator):
    clean, truth = planted(generator, (8, 9, 10), 2)
    y = torch.poisson(100 * clean, generator=generator)
    fit = cp(y, 2, "kl", iteration, max_iter=60)
    found = CP(3)(fit.factors)
    assert (found - 100 * clean).norm() < 0.05 * (100 * clean).norm()
    assert fit.kkt < 1e-2


@pytest.mark.parametrize("iteration", ["hals", "als"])
def test_missing_entries(iteration, generator):
    y, truth = planted(generator, (8, 9, 10), 2)
    seen = uniform(generator, *y.shape) > 0.2
    holes = torch.where(seen, y, torch.nan)
    regs = FREE if iteration == "als" else None
    fit = cp(holes, 2, iteration=iteration, regs=regs, max_iter=500, tol=1e-9)
    assert (CP(3)(fit.factors) - y).norm() < 1e-2 * y.norm()


def test_weighted_gram_is_that_of_the_equation(generator):
    factors = tuple(normal(generator, 2, n, 3) for n in (4, 5, 6))
    weights = uniform(generator, 2, 4, 5, 6)
    for n in range(3):
        for w in (None, weights):
            expected = Multilinear.gram(CP(3), factors, n, w)
            close(CP(3).gram(factors, n, w), expected, 1e-12)


# --- Normal form, and TensorLy -----------------------------------------------------------------


def test_normal_form(generator):
    factors = tuple(normal(generator, 2, n, 4) for n in (5, 6, 7))
    factors[1][..., 2] = 0
    weights, found = normal_form(factors)
    close(CP(3)((found[0] * weights[:, None], *found[1:])), CP(3)(factors), 1e-13)
    assert (weights.diff(dim=-1) <= 0).all() and (weights[:, -1] == 0).all()
    for x in found:
        close(x[..., :3].norm(dim=-2), torch.ones(2, 3).double(), 1e-13)
        assert (x[..., 3] == 0).all()
    for x in found[:-1]:
        assert (x.gather(-2, x.abs().argmax(-2, keepdim=True)) >= 0).all()
    flipped = tuple(s * x.flip(-1) for s, x in zip((-1, -2, 0.5), factors, strict=True))
    for x, y in zip(normal_form(flipped)[1], found, strict=True):
        close(x, y, 1e-13)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_cp_tensor_in_and_out(kind):
    from tensorly.cp_tensor import CPTensor

    y, start = reference()
    fit = cp(kind(y), 4, max_iter=50)
    out = fit.to_tensorly()
    assert isinstance(out, CPTensor) and out.rank == 4 and type(out.factors[0]) is type(kind(y))
    weights, unit = fit.normalized()
    kept = copy.deepcopy(unit)
    for init in (out, CPTensor((weights, list(unit))), (weights, list(unit)), (None, out.factors)):
        again = cp(kind(y), 4, init=init, max_iter=1, tol=1.0)
        assert abs(again.relative_error - fit.relative_error) < 1e-12
    assert all((a == b).all() for a, b in zip(unit, kept, strict=True))
    exact = cp(out, 4, init=out, max_iter=1)
    assert exact.relative_error < 1e-12


def test_tensorly_says_what_it_has_no_type_for(generator):
    fit = cp(uniform(generator, 3, 4, 5), 1, max_iter=2)
    fit.description["model"] = "Multilinear"
    with pytest.raises(TypeError, match="no type"):
        fit.to_tensorly()
    with pytest.raises(TypeError, match="components"):
        fit.normalized()


@pytest.mark.slow
@pytest.mark.parametrize("iteration", ["als", "hals"])
def test_at_least_as_good_as_tensorly(iteration, generator):
    from tensorly.cp_tensor import CPTensor, cp_to_tensor
    from tensorly.decomposition import non_negative_parafac_hals, parafac

    peer = parafac if iteration == "als" else non_negative_parafac_hals
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        y, _ = planted(draw, (60, 50, 40), 4, 0.1)
        y, start = y.numpy(), [uniform(draw, n, 4).numpy() for n in y.shape]
        regs = FREE if iteration == "als" else None
        fit = cp(y, 4, iteration=iteration, regs=regs, init=start, tol=1e-4)
        init = CPTensor((None, [x.copy() for x in start]))
        found = peer(y, 4, init=init, n_iter_max=500, tol=1e-8)
        assert fit.objective <= 1.001 * 0.5 * np.linalg.norm(y - cp_to_tensor(found)) ** 2


# --- Acceleration ------------------------------------------------------------------------------


def correlated(seed):
    """50^3, rank 10, each column a tenth fresh and nine tenths the one before."""
    draw = torch.Generator().manual_seed(seed)
    factors = []
    for _ in range(3):
        fresh = uniform(draw, 50, 10)
        columns = [fresh[:, 0]]
        for q in range(1, 10):
            columns.append(0.1 * fresh[:, q] + 0.9 * columns[-1])
        factors.append(torch.stack(columns, -1))
    start = tuple(uniform(draw, 50, 10) for _ in range(3))
    return Problem(CP(3)(tuple(factors)), CP(3), Frobenius(), [NonNegative()] * 3), start


SLOW = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5)]


@pytest.mark.parametrize("seed", [0, *SLOW])
def test_extrapolation_after_50_sweeps_is_below_plain_after_200(seed):
    problem, start = correlated(seed)
    start = problem.scaled(start)
    errors = {}
    plain = Alternating(HALS(), 50)
    for name, step, count in (("plain", plain, 200), ("her", Extrapolated(plain), 50)):
        found = solve(step, problem, start, max_iter=count, tol=0, check_every=count)
        errors[name] = float(problem.relative_error(found.factors))
    assert errors["her"] <= errors["plain"] < 1e-3


def test_nesterov_accelerates_gradient_steps(generator):
    problem, start = correlated(0)
    start, found = problem.scaled(start), []
    for step in (ProjectedGradient(), Nesterov(ProjectedGradient())):
        end = solve(Alternating(step), problem, start, max_iter=150, tol=0, check_every=150)
        found.append(float(end.objective))
    assert found[1] < 0.5 * found[0]


# --- Measured data -----------------------------------------------------------------------------


def test_kinetic_fluorescence():
    """Three nonnegative components of catecholamines, from two random starts."""
    kinetic = load_kinetic(drop_outliers=True)
    found = [
        cp(kinetic.tensor, 3, weights=kinetic.observed, seed=seed, max_iter=60) for seed in (0, 1)
    ]
    for fit in found:
        assert fit.relative_error <= 0.044
    assert float(factor_match(found[0].factors, found[1].factors)) >= 0.99
