"""Networks of rectified linear units as factorizations: cones, polar, certificate, growth."""

from functools import cache
from math import comb

import cvxpy as cp
import pytest
import torch
from conformance import close
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal, uniform

from rlra_torch.diagnostics import Degrees, certificate, degrees
from rlra_torch.estimators import grow
from rlra_torch.functional.activations import gates, regions
from rlra_torch.iterations import Alternating, Nesterov, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.models import CP, NMF, ReLU, Sensed
from rlra_torch.operators import Dense
from rlra_torch.problem import Problem
from rlra_torch.regularizers import L1, Free, Gauge, ProjectiveNorm, ReLUNorm, Ridge
from rlra_torch.regularizers.joint import Joint
from rlra_torch.solvers import solve

# --- Cones -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "n"), [(3, 1), (5, 2), (7, 3), (6, 4), (3, 5)])
def test_all_cones_of_inputs_in_general_position(p, n, generator):
    """As many as Cover counts, and all that a search finds."""
    v, rank = normal(generator, p, n), min(p, n)
    found = regions(v)
    assert len(found) == 2 * sum(comb(p - 1, k) for k in range(rank))
    known = {tuple(row) for row in found.tolist()}
    assert {tuple(row) for row in gates(v, normal(generator, n, 2000)).mT.tolist()} <= known


def test_cones_of_inputs_that_repeat_vanish_or_oppose(generator):
    v = normal(generator, 4, 2)
    v = torch.cat([v, v[:1], 0 * v[:1], -2 * v[1:2]])
    known = {tuple(row) for row in regions(v).tolist()}
    assert {tuple(row) for row in gates(v, normal(generator, 2, 500)).mT.tolist()} <= known
    assert regions(torch.zeros(3, 2)).tolist() == [[0.0, 0.0, 0.0]]
    assert regions(normal(generator, 40, 5)) is None


def on_cones(norm, factors):
    return norm.block(0, factors)


def test_prox_on_cones_is_cvxpys(generator):
    v, u = normal(generator, 7, 3), normal(generator, 3, 4)
    reg = on_cones(ReLUNorm(1.0, v), (u, normal(generator, 2, 4)))
    x, step = u + 2 * normal(generator, 3, 4), 0.3
    found, signs = reg.prox(x, step), 2 * gates(v, u) - 1
    for k in range(4):
        z = cp.Variable(3)
        cost = cp.sum_squares(z - x[:, k].numpy()) / 2
        cost += step * float(reg.gauge.weight[..., k]) * cp.norm2(z)
        program = cp.Problem(
            cp.Minimize(cost), [cp.multiply(signs[:, k].numpy(), v.numpy() @ z) >= 0]
        )
        program.solve(solver="CLARABEL")
        close(found[:, k], torch.from_numpy(z.value), atol=1e-5)


# --- The model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_the_model_is_linear_on_cones(batch, generator):
    v, shapes = normal(generator, 6, 3), ((3, 4), (2, 4))
    model = ReLU(v)
    u, z = (normal(generator, *batch, *shape) for shape in shapes)
    residual, weights = normal(generator, *batch, 6, 2), uniform(generator, *batch, 6, 2)
    near = u + 1e-4 * normal(generator, *u.shape)
    assert (gates(v, near) == gates(v, u)).all()
    close(model((2 * u + 3 * near, z)), 2 * model((u, z)) + 3 * model((near, z)), atol=1e-12)
    for n, x in enumerate((u, z)):
        close((model((u, z)) * residual).sum(), (x * model.adjoint((u, z), n, residual)).sum())
        _, vjp = torch.func.vjp(lambda x, n=n: model((x, z) if n == 0 else (u, x)), x)
        close(model.adjoint((u, z), n, residual), vjp(residual)[0])
        block = model.layout(n).pack(x)
        for weight in (None, weights):
            gram = model.gram((u, z), n, weight)
            product = block[..., None, :] @ (gram if weight is not None else gram[..., None, :, :])
            scaled = model((u, z)) * (1 if weight is None else weight)
            close(product[..., 0, :], model.layout(n).pack(model.adjoint((u, z), n, scaled)))


def test_the_model_and_its_norm_come_together(generator):
    v, y = normal(generator, 6, 3), normal(generator, 6, 2)
    problem = Problem(y, ReLU(v), Frobenius(), ReLUNorm(1.0, v.clone()))
    with pytest.raises(ValueError, match="3 inputs need hidden weights"):
        problem.validate((normal(generator, 2, 1), normal(generator, 2, 1)))
    with pytest.raises(ValueError, match="the model predicts"):
        problem.validate((normal(generator, 3, 1), normal(generator, 1, 1)))
    for model, regs, message in (
        (ReLU(v), ProjectiveNorm.nuclear(1.0), "give a ReLUNorm"),
        (ReLU(v), (Free(), Free()), "give a ReLUNorm"),
        (ReLU(v), ReLUNorm(1.0, v + 1), "must be the same"),
        (NMF(), ReLUNorm(1.0, v), "is for a ReLU model"),
    ):
        with pytest.raises(TypeError, match=message):
            Problem(y, model, Frobenius(), regs)
    with pytest.raises(ValueError, match="are a matrix"):
        ReLU(v[0])


@pytest.mark.parametrize("weighted", [False, True])
def test_steps_descend_and_stay_in_their_cones(weighted, generator):
    v, y = normal(generator, 8, 3), normal(generator, 8, 2)
    weights = uniform(generator, 8, 2) if weighted else None
    problem = Problem(y, ReLU(v), Frobenius(), ReLUNorm(0.2, v), weights)
    start = (normal(generator, 3, 5), normal(generator, 2, 5))
    step = Alternating(ProjectedGradient())
    state, values, on = step.init(start, problem), [problem.objective(start)], gates(v, start[0])
    for _ in range(15):
        state = step(state, problem)
        values.append(problem.objective(state.factors))
        later = gates(v, state.factors[0])
        assert (later <= on).all()  # units on the border count as off
        on = later
    assert (torch.stack(values).diff() <= 1e-12).all() and values[-1] < 0.8 * values[0]


def test_a_network_seen_through_an_operator(generator):
    v, matrix = normal(generator, 8, 2), normal(generator, 5, 8)
    y = normal(generator, 5, 1)
    model = Sensed(ReLU(v), Dense(matrix))
    problem = Problem(y, model, Frobenius(), ReLUNorm(0.2, v))
    start = (normal(generator, 2, 3), normal(generator, 1, 3))
    found = solve(Alternating(ProjectedGradient()), problem, start, max_iter=20)
    assert problem.objective(found.factors) < problem.objective(start)
    assert certificate(problem, found.factors).method == "cones"


# --- Degrees -----------------------------------------------------------------------------------


def test_degrees_are_those_of_the_maps(generator):
    v = normal(generator, 6, 3)
    network = Problem(normal(generator, 6, 2), ReLU(v), Frobenius(), ReLUNorm(0.7, v))
    tensor = normal(generator, 3, 4, 5)
    cubic = Problem(tensor, CP(3), Frobenius(), ProjectiveNorm.nuclear(1.0, order=3))
    for problem, shapes in ((network, (3, 2)), (cubic, (3, 4, 5))):
        factors = tuple(normal(generator, n, 2) for n in shapes)
        scaled, found = tuple(1.7 * x for x in factors), degrees(problem)
        close(problem.model(scaled), 1.7**found.phi * problem.model(factors))
        close(problem.regs.penalty(scaled), 1.7**found.theta * problem.regs.penalty(factors))


@pytest.mark.parametrize(
    ("model", "regs", "theta", "message"),
    [
        (CP(3), [Ridge(1.0)] * 3, 2.0, "have degree 3 but the penalty has degree 2"),
        (NMF(), [L1(1.0)] * 2, 1.0, "have degree 2 but the penalty has degree 1"),
        (NMF(), [L1(1.0), Ridge(1.0)], None, "the penalty is not homogeneous"),
    ],
)
def test_unequal_degrees_are_refused(model, regs, theta, message, generator):
    shape = (3, 4, 5)[: model.ndim]
    problem = Problem(normal(generator, *shape), model, Frobenius(), regs)
    assert degrees(problem) == Degrees(float(model.ndim), theta)
    with pytest.raises(ValueError, match=message):
        certificate(problem, tuple(normal(generator, n, 1) for n in shape))


def test_a_joint_penalty_of_unknown_degree_is_refused(generator):
    class Squared(ProjectiveNorm):
        degree = Joint.degree

    problem = Problem(normal(generator, 3, 4), NMF(), Frobenius(), Squared.nuclear(1.0))
    with pytest.raises(ValueError, match="is not homogeneous"):
        certificate(problem, (normal(generator, 3, 1), normal(generator, 4, 1)))


# --- The polar ---------------------------------------------------------------------------------

OUTPUTS = {
    "l2": Gauge(),
    "l1": Gauge(l1=1.0, l2=0.0),
    "l1 and l2": Gauge(l1=0.5),
    "nonnegative l1": Gauge(l1=1.0, l2=0.0, nonnegative=True),
    "nonnegative l2": Gauge(nonnegative=True),
}


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("c", [1, 3])
def test_polar_encloses_what_search_finds(outputs, c, generator):
    v, m, gauge = normal(generator, 7, 3), normal(generator, 7, c), OUTPUTS[outputs]
    norm = ReLUNorm(1.5, v, gauge)
    found = norm.polar(m)
    u, z = (x[:, None] for x in found.vectors)
    close(norm.penalty((u, z)), torch.tensor(1.0).double(), 1e-9)
    close((m * ReLU(v)((u, z))).sum(), found.lower, 1e-9)
    assert found.lower <= found.upper
    if c == 1 or gauge.l2 == 0:  # a convex problem for each cone
        close(found.upper, found.lower, 1e-9)
    else:  # what is attained is no proof
        assert found.upper > 1.001 * found.lower
    tried = normal(generator, 3, 20000)
    best = gauge.polar(m.mT @ (v @ (tried / tried.norm(dim=0))).relu()).lower.amax() / 1.5
    assert 0.99 * found.lower <= best * (1.0 if c == 1 else 1.01)
    assert best <= found.lower * (1 + 1e-9)


def test_polar_of_one_output_is_the_convex_program(generator):
    v, m = normal(generator, 6, 3), normal(generator, 6, 1)
    found, values = ReLUNorm(1.0, v).polar(m), []
    for pattern in regions(v).numpy():
        for sign in (1, -1):
            u = cp.Variable(3)
            product = v.numpy() @ u
            inside = [cp.norm2(u) <= 1, cp.multiply(2 * pattern - 1, product) >= 0]
            value = sign * cp.sum(cp.multiply(m[:, 0].numpy() * pattern, product))
            values.append(cp.Problem(cp.Maximize(value), inside).solve(solver="CLARABEL"))
    close(found.upper, torch.tensor(max(values)).double(), 1e-6)


def test_polar_of_many_inputs_has_bounds(generator):
    v, m = normal(generator, 40, 5), normal(generator, 2, 40, 2)
    found = ReLUNorm(2.0, v).polar(m)
    assert found.method == "norms" and (0 < found.lower).all() and (found.lower < found.upper).all()
    alone = ReLUNorm(2.0, v).polar(m[1])
    close(alone.lower, found.lower[1])
    u, z = (x[1][:, None] for x in found.vectors)
    close((m[1] * ReLU(v)((u, z))).sum(), found.lower[1], 1e-9)


# --- Growth to the global optimum --------------------------------------------------------------

WEIGHT = 0.3


@cache
def example():
    """Six samples of one input and a constant, and the least objective of all networks."""
    v = torch.stack([torch.linspace(-1, 1, 6), torch.ones(6)], 1).double()
    y = torch.tensor([[1.0], [-0.5], [0.8], [-1.0], [0.3], [1.2]], dtype=torch.float64)
    prediction, penalty, inside = 0, 0, []
    for pattern in regions(v).numpy():
        for sign in (1, -1):
            u = cp.Variable(2)
            product = v.numpy() @ u
            prediction += sign * cp.multiply(pattern, product)
            penalty += cp.norm2(u)
            inside.append(cp.multiply(2 * pattern - 1, product) >= 0)
    cost = cp.sum_squares(prediction - y[:, 0].numpy()) / 2 + WEIGHT * penalty
    best = cp.Problem(cp.Minimize(cost), inside).solve(
        solver="CLARABEL", tol_gap_rel=1e-11, tol_gap_abs=1e-11, tol_feas=1e-11
    )
    return Problem(y, ReLU(v), Frobenius(), ReLUNorm(WEIGHT, v)), best


SLOW = (pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))


@pytest.mark.parametrize("seed", [0, 1, 2, 3, *SLOW])
def test_the_best_network_is_found_from_every_start(seed):
    """One unit is too few: it is detected, and growth ends at the optimum of the convex program."""
    problem, best = example()
    generator = torch.Generator().manual_seed(seed)
    found = grow(problem, (normal(generator, 2, 1), normal(generator, 1, 1)), tol=1e-6, kkt=1e-8)
    assert found.rounds[0].rank == 1 and found.rounds[0].certificate.polar_lower > 1.5
    # A unit may be there in parts: two that point the same way cost as much as one.
    assert found.verdict == "optimal" and 2 <= found.factors[0].shape[-1] <= 4
    assert abs(found.objective - best) < 1e-6 * best
    assert found.certificate.polar_upper < 1 + 1e-6 and found.certificate.stationarity < 1e-6


def test_a_certificate_of_a_network_never_claims_too_much(generator):
    problem, best = example()
    for width in (1, 3):
        for scale in (0.1, 1.0):
            factors = (scale * normal(generator, 2, width), scale * normal(generator, 1, width))
            gap = problem.objective(factors) - best
            assert gap <= certificate(problem, factors).gap_upper * (1 + 1e-9)


def test_steps_on_a_device_wait_for_nothing():
    with FakeTensorMode(), torch.no_grad():
        v, y = torch.empty(8, 3, device="cuda"), torch.empty(2, 8, 2, device="cuda")
        problem = Problem(y, ReLU(v), Frobenius(), ReLUNorm(0.2, v).to("cuda"))
        start = (torch.empty(2, 3, 5, device="cuda"), torch.empty(2, 2, 5, device="cuda"))
        step = Alternating(Nesterov(ProjectedGradient()))
        state = step(step.init(start, problem), problem)
        assert state.factors[0].shape == start[0].shape and state.factors[0].is_cuda
