"""Gauges, projective norms, their certificates, and growth to a global optimum."""

import cvxpy as cp
import numpy as np
import pytest
import torch
from conformance import close
from zoo import normal, uniform

from rlra_torch.diagnostics import certificate
from rlra_torch.estimators.growth import alive, grow
from rlra_torch.functional.total_variation import Lattice, denoise
from rlra_torch.iterations import HALS, Alternating, Nesterov, ProjectedGradient
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF, Sensed
from rlra_torch.operators import Dense
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, Gauge, NonNegative, ProjectiveNorm
from rlra_torch.solvers import solve

GRID = (4, 5)
LATTICES = {"axes": Lattice.of(GRID), "diagonals": Lattice.of(GRID, diagonal=0.7)}


def edges(lattice):
    """A dense matrix of all jumps."""
    n = int(np.prod(lattice.shape))
    unit = torch.eye(n, dtype=torch.float64).reshape(n, *lattice.shape)
    return torch.cat([jump.flatten(1) for jump in lattice.jumps(unit)], 1).T


# --- Total variation on grids ------------------------------------------------------------------


def test_neighbours_of_a_grid():
    assert len(edges(LATTICES["axes"])) == 3 * 5 + 4 * 4
    assert len(edges(LATTICES["diagonals"])) == 3 * 5 + 4 * 4 + 2 * 3 * 4
    line = edges(Lattice.of((4,)))
    close(line, torch.diff(torch.eye(4, dtype=torch.float64), dim=0))


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("diagonal", [0.0, 0.7])
def test_jumps_and_their_adjoint(shape, diagonal, generator):
    lattice = Lattice.of(shape, diagonal)
    x, y = normal(generator, 2, *shape), lattice.jumps(normal(generator, 2, *shape))
    inner = sum((a * b).sum() for a, b in zip(lattice.jumps(x), y, strict=True))
    close(inner, (x * lattice.adjoint(y)).sum())
    norm = torch.linalg.matrix_norm(edges(lattice), 2).square()
    assert norm <= lattice.squared_norm
    close(lattice.total(x[0]), (edges(lattice) @ x[0].flatten()).abs().sum())


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("nonnegative", [False, True])
def test_denoising_is_cvxpys(name, nonnegative, generator):
    lattice, y = LATTICES[name], normal(generator, 3, *GRID)
    tv, l1 = uniform(generator, 3), uniform(generator, 3, high=0.5)
    found = denoise(y, tv, l1, lattice, lattice.still(y), nonnegative, steps=3000)
    matrix = edges(lattice).numpy()
    for i in range(3):
        x = cp.Variable(matrix.shape[1], nonneg=nonnegative)
        value = cp.sum_squares(x - y[i].flatten().numpy()) / 2
        value += float(tv[i]) * cp.norm1(matrix @ x) + float(l1[i]) * cp.norm1(x)
        cp.Problem(cp.Minimize(value)).solve(solver="CLARABEL")
        close(found.x[i].flatten(), torch.from_numpy(x.value), atol=1e-5)
    assert (found.gap < 1e-9).all()


def test_the_gap_bounds_the_distance_and_a_warm_start_helps(generator):
    lattice, y = Lattice.of((20, 20)), normal(generator, 2, 20, 20)
    tv, l1 = torch.tensor([0.5, 1.0]).double(), torch.zeros(2).double()
    exact = denoise(y, tv, l1, lattice, lattice.still(y), steps=5000)
    for steps in (5, 20, 80):
        rough = denoise(y, tv, l1, lattice, lattice.still(y), steps=steps)
        distance = (rough.x - exact.x).square().sum((-2, -1))
        assert (distance <= 2 * rough.gap + 1e-9).all()
    near = y + 0.01 * normal(generator, 2, 20, 20)
    cold = denoise(near, tv, l1, lattice, lattice.still(y), steps=20)
    warm = denoise(near, tv, l1, lattice, exact.dual, steps=20)
    assert (warm.gap < 0.1 * cold.gap).all()


# --- Gauges ------------------------------------------------------------------------------------

GAUGES = {
    "l2": Gauge(),
    "nonnegative l2": Gauge(nonnegative=True),
    "l1": Gauge(l1=0.8, l2=0.0),
    "l1 and l2": Gauge(l1=0.5),
    "nonnegative l1 and l2": Gauge(l1=0.5, l2=0.7, nonnegative=True),
    "all": Gauge(0.3, 0.2, lattice=LATTICES["axes"], steps=300),
    "all, nonnegative": Gauge(
        0.3, 0.2, 0.5, LATTICES["diagonals"], nonnegative=True, weight=2.0, steps=300
    ),
}
every_gauge = pytest.mark.parametrize("name", GAUGES)


def expression(gauge, x):
    value = gauge.l1 * cp.norm1(x) + gauge.l2 * cp.norm2(x)
    if gauge.tv:
        value = value + gauge.tv * cp.norm1(edges(gauge.lattice).numpy() @ x)
    return value


@every_gauge
def test_prox_of_a_gauge_is_cvxpys(name, generator):
    gauge, y = GAUGES[name], 1.5 * normal(generator, 20, 3)
    found = gauge.prox(y, 0.4)
    for k in range(3):
        x = cp.Variable(20, nonneg=gauge.nonnegative)
        cost = float(gauge.weight) * 0.4 * expression(gauge, x)
        cp.Problem(cp.Minimize(cp.sum_squares(x - y[:, k].numpy()) / 2 + cost)).solve(
            solver="CLARABEL"
        )
        close(found[:, k], torch.from_numpy(x.value), atol=1e-5)


@every_gauge
def test_prox_of_a_gauge_is_firmly_nonexpansive(name, generator):
    gauge = GAUGES[name]
    x, y = normal(generator, 10, 20, 2), normal(generator, 10, 20, 2)
    p, q = gauge.prox(x, 0.3), gauge.prox(y, 0.3)
    assert ((p - q).square().sum(-2) <= ((p - q) * (x - y)).sum(-2) + 1e-6).all()


@every_gauge
def test_a_gauge_is_homogeneous_and_columns_are_apart(name, generator):
    gauge = GAUGES[name]
    x = uniform(generator, 2, 20, 3)
    close(gauge(2.5 * x), 2.5 * gauge(x))
    alone = torch.stack([gauge(x[..., k : k + 1]) for k in range(3)])
    close(gauge(x), alone.sum(0))
    close(gauge.prox(x, 0.1)[..., 1:2], gauge.prox(x[..., 1:2], 0.1), atol=1e-7)


@pytest.mark.parametrize("name", ["l2", "l1 and l2", "nonnegative l1 and l2"])
def test_prox_of_a_gauge_has_gradients(name, generator):
    x = (2 * normal(generator, 20, 2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: GAUGES[name].prox(x, 0.2), (x,))


def test_prox_with_total_variation_has_gradients(generator):
    gauge = Gauge(0.2, 0.3, lattice=Lattice.of((2, 3)), steps=200)
    x = (2 * normal(generator, 6, 1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gauge.prox(x, 0.2), (x,), atol=1e-4)


@every_gauge
def test_polar_of_a_gauge(name, generator):
    """Against the convex program; attained; zero is the proximal point from there on."""
    gauge = GAUGES[name]
    g = normal(generator, 20, 3)
    g[:, 2] = -g[:, 2].abs()
    found = gauge.polar(g, steps=30, inner=60)
    for k in range(3):
        x = cp.Variable(20, nonneg=gauge.nonnegative)
        program = cp.Problem(cp.Maximize(g[:, k].numpy() @ x), [expression(gauge, x) <= 1])
        value = program.solve(solver="CLARABEL")
        assert found.lower[k] <= value + 1e-6 and value - 1e-6 <= found.upper[k]
        assert found.upper[k] - found.lower[k] < 1e-4 * (1 + found.upper[k])
    close((g * found.maximizer).sum(-2), found.lower, atol=1e-9)
    assert (gauge.columns(found.maximizer) <= 1 + 1e-9).all()
    scale = gauge.weight
    beyond = gauge.prox(g, 1.001 * found.upper / scale)
    assert (beyond.abs().amax(-2) < 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l1": -1.0}, "l1 of a gauge must be nonnegative"),
        ({"l2": 0.0}, "positive l1 or l2"),
        ({"tv": 1.0}, "needs the lattice"),
    ],
)
def test_bad_gauges(settings, message):
    with pytest.raises(ValueError, match=message):
        Gauge(**settings)


# --- The projective norm in a problem ----------------------------------------------------------


def example(generator, norm=None, rank=8, shape=(12, 9), loss=None):
    y = uniform(generator, shape[0], 3) @ uniform(generator, 3, shape[1])
    y = y + 0.1 * uniform(generator, *shape)
    norm = ProjectiveNorm.nuclear(0.5) if norm is None else norm
    start = tuple(uniform(generator, n, rank) for n in shape)
    return Problem(y, NMF(), loss or Frobenius(), norm), start


def test_a_block_sees_the_projective_norm_through_the_other_factor(generator):
    norm = ProjectiveNorm(1.3, Gauge(l1=0.2), Gauge(l1=0.4, nonnegative=True))
    problem, (w, h) = example(generator, norm)
    other = uniform(generator, *w.shape)
    whole = problem.objective((w, h)) - problem.objective((other, h))
    reg, block = problem.regularizer(0, (w, h)), problem.block(0, (w, h))
    close(whole, block.value(w) + reg(w) - block.value(other) - reg(other))
    close(norm.penalty((2 * w, h)), 2 * norm.penalty((w, h)))
    close(norm.weight, torch.tensor(1.3, dtype=torch.float64))


def test_the_scales_of_a_projective_norm_are_balanced(generator):
    problem, (w, h) = example(generator)
    moved = problem.balanced((5 * w, 0.2 * h))
    close(problem.objective(moved), problem.objective((w, h)))
    first, second = (g.columns(x) for g, x in zip(problem.regs, moved, strict=True))
    close(first, second)


@pytest.mark.parametrize("iteration", [HALS, ProjectedGradient, lambda: Nesterov(HALS())])
def test_steps_under_a_projective_norm_descend(iteration, generator):
    norm = ProjectiveNorm(0.3, Gauge(l1=0.2, nonnegative=True), Gauge(nonnegative=True))
    problem, start = example(generator, norm)
    found = solve(Alternating(iteration()), problem, start, max_iter=60, tol=0, check_every=1)
    values = torch.stack([record.objective for record in found.history])
    if iteration is not None and "Nesterov" not in repr(Alternating(iteration())):
        assert (values.diff() <= 1e-12).all()
    assert values[-1] < 0.5 * values[0]


def test_a_batch_under_a_projective_norm_is_its_problems(generator):
    singles = [example(generator) for _ in range(3)]
    y = torch.stack([problem.y for problem, _ in singles])
    start = tuple(torch.stack(parts) for parts in zip(*(s for _, s in singles), strict=True))
    batch = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(0.5))
    step = Alternating(ProjectedGradient())
    together = solve(step, batch, start, max_iter=200, tol=1e-5)
    for i, (problem, own) in enumerate(singles):
        alone = solve(step, problem, own, max_iter=200, tol=1e-5)
        close(together.objective[i], alone.objective, 1e-9)
        assert together.n_iter[i] == alone.n_iter


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ProjectiveNorm(1.0, Gauge(), NonNegative()), TypeError, "takes gauges"),
        (lambda: ProjectiveNorm(1.0, Gauge()), ValueError, "two factors or more"),
        (lambda: ProjectiveNorm(-1.0, Gauge(), Gauge()), ValueError, "must be nonnegative"),
    ],
)
def test_bad_projective_norms(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- Polars and certificates -------------------------------------------------------------------


def test_polar_of_the_nuclear_norm_is_the_largest_singular_value(generator):
    m = normal(generator, 4, 7, 5)
    found = ProjectiveNorm.nuclear(2.0).polar(m)
    expected = torch.linalg.matrix_norm(m, 2) / 2
    close(found.lower, expected, 1e-9)
    close(found.upper, expected)


def test_polar_with_an_l1_norm_is_the_largest_row(generator):
    m = normal(generator, 7, 5)
    found = ProjectiveNorm(1.0, Gauge(l1=1.0, l2=0.0), Gauge()).polar(m)
    close(found.upper, m.norm(dim=1).amax())
    close(found.lower, found.upper)
    both = ProjectiveNorm(1.0, *(Gauge(l1=1.0, l2=0.0) for _ in range(2))).polar(m)
    close(both.upper, m.abs().amax())
    close(both.lower, both.upper)


@pytest.mark.parametrize(
    "gauges",
    [
        (Gauge(l1=0.5), Gauge(l1=1.0)),
        (Gauge(nonnegative=True), Gauge(nonnegative=True)),
        (Gauge(l1=1.0), Gauge(0.5, 0.3, lattice=Lattice.of((8,)))),
        (Gauge(l1=0.3, nonnegative=True), Gauge()),
    ],
)
def test_polar_encloses_what_search_finds(gauges, generator):
    m, norm = normal(generator, 6, 8), ProjectiveNorm(1.0, *gauges)
    found = norm.polar(m)
    assert found.lower <= found.upper * (1 + 1e-12)
    u, v = found.vectors
    close(u @ m @ v, found.lower, 1e-9)
    close(norm.penalty((u[:, None], v[:, None])), torch.tensor(1.0).double(), 1e-9)
    a, z = normal(generator, 6, 20000), normal(generator, 8, 20000)
    a, z = (x.clamp_min(0) if g.nonnegative else x for x, g in zip((a, z), gauges, strict=True))
    sizes = gauges[0].columns(a) * gauges[1].columns(z)
    best = ((m.T @ a * z).sum(0) / sizes[0].clamp_min(1e-300)).amax()
    assert best <= found.lower * (1 + 1e-9)


def test_polar_of_a_tensor(generator):
    """A rank-one tensor has its own norm; bounds hold for others."""
    vectors = [normal(generator, n) for n in (3, 4, 5)]
    m = torch.einsum("i,j,k->ijk", *vectors)
    found = ProjectiveNorm.nuclear(1.0, order=3).polar(m)
    close(found.lower, m.norm(), 1e-9)
    close(found.upper, m.norm())
    other = ProjectiveNorm.nuclear(1.0, order=3).polar(normal(generator, 3, 4, 5))
    assert other.lower < other.upper


def thresholded(y, weight):
    u, s, vh = torch.linalg.svd(y, full_matrices=False)
    kept = (s - weight).clamp_min(0)
    x = u @ torch.diag(kept) @ vh
    return x, (y - x).square().sum() / 2 + weight * kept.sum(), int((kept > 0).sum())


@pytest.mark.parametrize("seed", range(20))
def test_the_nuclear_norm_is_solved_from_every_start(seed):
    """An under-ranked start is detected, and growth ends at singular value thresholding."""
    generator = torch.Generator().manual_seed(seed)
    y = normal(generator, 12, 9)
    weight = 0.95 * float(torch.linalg.svdvals(y)[4])
    x, value, rank = thresholded(y, weight)
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(weight))
    start = (normal(generator, 12, 1), normal(generator, 9, 1))
    found = grow(problem, start, tol=1e-9, kkt=1e-10)
    assert found.verdict == "optimal" and found.rounds[0].certificate.polar_lower > 1.001
    close(found.factors[0] @ found.factors[1].T, x, atol=1e-6)
    close(torch.tensor(found.objective, dtype=torch.float64), value, 1e-9)
    assert found.factors[0].shape[-1] == rank
    assert found.certificate.gap_upper < 1e-8 and abs(found.certificate.polar_upper - 1) < 1e-6
    assert found.certificate.stationarity < 1e-6


def test_a_certificate_never_claims_too_much(generator):
    """Its gap bounds the true one, wherever it is asked."""
    y = normal(generator, 12, 9)
    _, best, _ = thresholded(y, 1.0)
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(1.0))
    for rank in (1, 3, 9):
        for scale in (0.01, 0.3, 1.0, 3.0):
            factors = tuple(scale * normal(generator, n, rank) for n in y.shape)
            gap = problem.objective(factors) - best
            assert gap <= certificate(problem, factors).gap_upper * (1 + 1e-9)


def test_the_step_of_a_new_column_is_the_predicted_one(generator):
    """The objective falls by ``(k - 1)^2 / (2 ||u v^T||^2)``."""
    y = normal(generator, 12, 9)
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(1.0))
    zero = (torch.zeros(12, 1).double(), torch.zeros(9, 1).double())
    proof = certificate(problem, zero)
    u, v = proof.direction
    step = (proof.polar_lower - 1) / torch.outer(u, v).square().sum()
    moved = (step.sqrt() * u[:, None], step.sqrt() * v[:, None])
    fall = problem.objective(zero) - problem.objective(moved)
    close(fall, (proof.polar_lower - 1) ** 2 / (2 * torch.outer(u, v).square().sum()), 1e-9)


def test_matrix_completion_with_weights_and_through_an_operator(generator):
    """The bounds hold for missing entries and for operators: the gap is proved to be small."""
    truth = normal(generator, 15, 2) @ normal(generator, 2, 12)
    seen = (uniform(generator, 15, 12) < 0.7).double()
    matrix = torch.linalg.qr(normal(generator, 15, 15)).Q[:12]
    norm = ProjectiveNorm.nuclear(1.0)
    start = (normal(generator, 15, 1), normal(generator, 12, 1))
    for problem in (
        Problem(truth, NMF(), Frobenius(), norm, weights=seen),
        Problem(matrix @ truth, Sensed(NMF(), Dense(matrix)), Frobenius(), norm),
    ):
        found = grow(problem, start, tol=1e-3, largest=12, kkt=1e-6, max_iter=300)
        assert found.verdict == "optimal" and found.rounds[0].certificate.polar_lower > 1.01
        assert found.factors[0].shape[-1] >= 2


def test_growth_finds_the_rank_of_a_nonnegative_matrix(generator):
    y = uniform(generator, 12, 3).square() @ uniform(generator, 3, 10).square()
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nonnegative(0.05))
    start = (torch.ones(12, 1).double(), torch.ones(10, 1).double())
    found = grow(problem, start, tol=1e-2, kkt=1e-5, max_iter=300, largest=6)
    assert found.certificate.polar_lower <= 1 + 1e-2
    assert (found.factors[0] @ found.factors[1].T - y).norm() < 0.1 * y.norm()
    assert all((x >= 0).all() for x in found.factors)


def test_growth_of_tensors(generator):
    factors = [torch.linalg.qr(normal(generator, n, 2)).Q for n in (5, 6, 7)]
    y = torch.einsum("ir,jr,kr->ijk", *factors)
    problem = Problem(y, CP(3), Frobenius(), ProjectiveNorm.nuclear(0.1, order=3))
    found = grow(problem, tuple(normal(generator, n, 1) for n in y.shape), tol=1e-6)
    assert found.verdict == "optimal" and found.factors[0].shape[-1] == 2
    assert found.rounds[0].certificate.polar_lower > 1.001
    # Orthogonal terms are thresholded one by one.
    close(
        torch.tensor(found.objective, dtype=torch.float64),
        torch.tensor(0.19, dtype=torch.float64),
        1e-6,
    )


def test_growth_and_certificates_refuse_what_they_cannot_prove(generator):
    problem, start = example(generator)
    plain = Problem(problem.y, NMF(), Frobenius(), (Free(), Free()))
    with pytest.raises(TypeError, match="needs a ProjectiveNorm"):
        certificate(plain, start)
    batch = Problem(problem.y.expand(2, -1, -1), NMF(), Frobenius(), problem.regs)
    with pytest.raises(ValueError, match="one problem at a time"):
        grow(batch, tuple(x.expand(2, -1, -1) for x in start))
    with pytest.raises(ValueError, match="tol must be positive"):
        grow(problem, start, tol=0.0)


def test_a_certificate_for_another_loss(generator):
    """Kullback-Leibler: stationary points of enough columns are global, and say so."""
    norm = ProjectiveNorm(0.2, Gauge(l1=1.0, l2=0.0, nonnegative=True), Gauge(nonnegative=True))
    problem, _ = example(generator, norm, loss=KullbackLeibler())
    start = tuple(uniform(generator, n, 3, low=0.5) for n in problem.y.shape)
    proof = certificate(problem, start)
    assert proof.polar_lower <= proof.polar_upper and proof.gap_upper > 0


def test_dead_columns_are_taken_out():
    zero = torch.zeros(3, 2)
    assert [x.shape for x in alive((zero, torch.ones(2, 2)))] == [(3, 1), (2, 1)]
