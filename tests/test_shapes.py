"""Monotone, unimodal, piecewise constant and smooth columns: against brute force and solvers."""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from conformance import close
from scipy.optimize import isotonic_regression
from torch import nn
from torch.autograd import gradcheck
from zoo import normal, uniform

from rlra_torch.functional.segments import segment_means, taut_cuts, taut_string
from rlra_torch.functional.smoothing import polar, smooth
from rlra_torch.functional.unimodal import unimodal
from rlra_torch.regularizers import (
    Monotone,
    Orthonormal,
    Quadratic,
    Smooth,
    TotalVariation,
    Unimodal,
)

SIZES = (1, 2, 3, 5, 8, 30)


def vectors(generator, n, count=60):
    """Noise, walks, small whole numbers, constants and ramps."""
    x = normal(generator, count, n)
    x[::4] = x[::4].cumsum(-1)
    x[1::4] = x[1::4].round()
    x[2] = 1.0
    x[3] = torch.arange(n).to(x)
    x[5] = -x[3]
    return x


# --- Monotone and unimodal ---------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
def test_monotone_is_isotonic_regression(n, generator):
    x = vectors(generator, n)
    expected = np.stack([isotonic_regression(v).x for v in x.numpy()])
    found = Monotone().prox(x.mT, 1.0)
    close(found, torch.from_numpy(expected).mT, atol=1e-12)
    assert (found.diff(dim=-2) >= 0).all()
    falling = Monotone(decreasing=True, dim=-1).prox(x, 1.0)
    expected = np.stack([isotonic_regression(v, increasing=False).x for v in x.numpy()])
    close(falling, torch.from_numpy(expected), atol=1e-12)
    close(Monotone(nonnegative=True).prox(x.mT, 1.0), found.clamp_min(0))


def best_mode(x, nonnegative):
    """The least squared error over all modes, each by two isotonic regressions."""
    errors = []
    for p in range(len(x)):
        z = isotonic_regression(x[: p + 1]).x
        if p + 1 < len(x):
            z = np.concatenate((z, isotonic_regression(x[p + 1 :], increasing=False).x))
        z = np.maximum(z, 0) if nonnegative else z
        errors.append(((z - x) ** 2).sum())
    return min(errors)


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_unimodal_takes_the_best_of_all_modes(n, nonnegative, generator):
    x = vectors(generator, n)
    z = unimodal(x, nonnegative=nonnegative)
    expected = torch.tensor([best_mode(v.numpy(), nonnegative) for v in x], dtype=x.dtype)
    close((z - x).square().sum(-1), expected, atol=1e-11)
    top = torch.minimum(z.cummax(-1).values, z.flip(-1).cummax(-1).values.flip(-1))
    assert torch.equal(z, top) and (not nonnegative or (z >= 0).all())


def test_nonnegative_unimodal_against_a_conic_solver(generator):
    """Each mode as a convex problem of its own, without isotonic regression."""
    x = normal(generator, 3, 5)
    for v, z in zip(x, unimodal(x, nonnegative=True), strict=True):
        costs = []
        for p in range(5):
            u = cp.Variable(5)
            shape = [u[i] <= u[i + 1] if i < p else u[i] >= u[i + 1] for i in range(4)]
            cost = cp.Problem(cp.Minimize(cp.sum_squares(u - v.numpy())), [*shape, u >= 0])
            costs.append(cost.solve(solver=cp.CLARABEL))
        assert abs(float((z - v).square().sum()) - min(costs)) < 1e-6


def test_unimodal_in_chunks(generator, monkeypatch):
    x = vectors(generator, 30)
    expected = unimodal(x)
    monkeypatch.setattr("rlra_torch.functional.unimodal.CHUNK", 5000)
    assert torch.equal(unimodal(x), expected)


# --- Total variation ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0, 30.0])
def test_total_variation_meets_its_optimality_conditions(n, weight, generator):
    """|u| <= weight for u = cumsum(x - z), with equality and the right sign at each jump."""
    x = vectors(generator, n)
    z = TotalVariation(weight, dim=-1).prox(x, 1.0)
    u, jumps = (x - z).cumsum(-1), z.diff(dim=-1)
    close(u[:, -1], torch.zeros_like(u[:, -1]), atol=1e-11)
    inner = u[:, :-1]
    assert (inner.abs() <= weight + 1e-11).all()
    real = jumps.abs() > 1e-9
    close(inner[real], -weight * jumps.sign()[real], atol=1e-11)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_total_variation_against_a_conic_solver(nonnegative, generator):
    for _ in range(8):
        x, step = 2 * normal(generator, 7, 2), 0.7
        weights = uniform(generator, 1, 2)
        z = TotalVariation(weights, nonnegative).prox(x, step)
        u = cp.Variable((7, 2))
        jumps = cp.sum(cp.abs(u[1:] - u[:-1]), axis=0)
        cost = cp.sum_squares(u - x.numpy()) / (2 * step) + weights.numpy()[0] @ jumps
        problem = cp.Problem(cp.Minimize(cost), [u >= 0] if nonnegative else [])
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        close(z, torch.from_numpy(u.value), atol=1e-6)


def test_total_variation_of_a_step():
    """A unit step of three and three, a third as strong on either side: .1 and .9."""
    x = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]], dtype=torch.float64).mT
    expected = torch.tensor([0.1] * 3 + [0.9] * 3, dtype=torch.float64)
    close(TotalVariation(0.3).prox(x, 1.0)[:, 0], expected)


def test_long_strings(generator):
    """Some thousand entries, the same in single precision, and on device as on paper."""
    x = torch.linspace(0, 20, 3000).to(torch.float64).sin() + 0.3 * normal(generator, 3000)
    z = TotalVariation(2.0).prox(x[:, None], 1.0)[:, 0]
    u = (x - z).cumsum(0)
    assert u[:-1].abs().max() <= 2 + 1e-9 and len(z.unique()) < 300
    coarse = TotalVariation(2.0).prox(x[:, None].float(), 1.0)[:, 0]
    assert coarse.dtype == torch.float32
    close(coarse.double(), z, atol=1e-4)


def test_the_operator(generator):
    x, one = vectors(generator, 6, 8), torch.ones(8, 1, dtype=torch.float64)
    torch.library.opcheck(taut_cuts, (x, -one, one))
    cuts = torch.tensor([[False, True, False]])
    duals = torch.tensor([[0.0, 1.0, 0.0]])
    found = segment_means(torch.tensor([[1.0, 2.0, 6.0]]), cuts, duals)
    close(found, torch.tensor([[1.0, 1.0, 7.0]]))


# --- Smooth ------------------------------------------------------------------------------------


def path(n, zero_ends):
    jumps = torch.eye(n + 1, n, dtype=torch.float64) - torch.eye(n + 1, n).roll(1, 0)
    jumps[0, 0] = 1.0
    jumps[n, n - 1] = -1.0
    return jumps if zero_ends else jumps[1:n]


@pytest.mark.parametrize("zero_ends", [False, True])
@pytest.mark.parametrize("n", SIZES)
def test_smooth_solves_its_system(n, zero_ends, generator):
    x, weights = normal(generator, n, 3), uniform(generator, 1, 3)
    jumps = path(n, zero_ends)
    laplacian = jumps.mT @ jumps
    reg, eye = Smooth(weights, zero_ends), torch.eye(n, dtype=x.dtype)
    pairs = zip(weights[0], x.mT, strict=True)
    expected = [torch.linalg.solve(eye + 0.7 * w * laplacian, c) for w, c in pairs]
    close(reg.prox(x, 0.7), torch.stack(expected, -1), 1e-11)
    close(reg(x), 0.5 * (weights * (jumps @ x).square().sum(0)).sum())
    other = Quadratic(laplacian, weights)
    close(other.prox(x, 0.7), reg.prox(x, 0.7), 1e-11)
    close(other(x), reg(x), atol=1e-12)
    rows = Quadratic(laplacian, weights.mT, dim=-1)
    close(rows.prox(x.mT, 0.7), reg.prox(x, 0.7).mT, 1e-11)


def test_constants_are_free_or_not():
    ones = torch.ones(5, 1, dtype=torch.float64)
    close(Smooth(1.0).prox(ones, 1.0), ones)
    close(
        Smooth(1.0, zero_ends=True).prox(ones, 1.0)[:, 0],
        torch.tensor([11 / 18, 15 / 18, 16 / 18, 15 / 18, 11 / 18], dtype=torch.float64),
    )


def test_what_is_no_quadratic_form():
    with pytest.raises(ValueError, match="positive semidefinite, but it has the eigenvalue -1"):
        Quadratic(-torch.eye(3))
    with pytest.raises(ValueError, match="symmetric"):
        Quadratic(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    with pytest.raises(TypeError, match=r"square, of real numbers, got shape \(2, 3\)"):
        Quadratic(torch.ones(2, 3))


# --- Orthonormal -------------------------------------------------------------------------------


def test_orthonormal_is_the_best_rotation(generator):
    x = normal(generator, 20, 5, 3)
    q = Orthonormal().prox(x, 1.0)
    close(q.mT @ q, torch.eye(3, dtype=x.dtype).expand(20, 3, 3))
    close((q * x).sum((-2, -1)), torch.linalg.svdvals(x).sum(-1))
    with pytest.raises(ValueError, match="3 columns of 2 entries cannot be orthonormal"):
        Orthonormal().prox(x[0, :2], 1.0)
    zero = torch.zeros(4, 2, dtype=x.dtype)
    close(polar(zero).mT @ polar(zero), torch.eye(2, dtype=x.dtype))


def test_the_derivative_where_singular_values_are_equal(generator):
    turn = torch.linalg.qr(normal(generator, 4, 3)).Q
    assert gradcheck(polar, (2 * turn.requires_grad_(),), atol=1e-6)


# --- Derivatives -------------------------------------------------------------------------------

MAPS = {
    "increasing": Monotone(),
    "decreasing nonnegative": Monotone(True, True),
    "unimodal": Unimodal(),
    "unimodal nonnegative": Unimodal(True),
    "total variation": TotalVariation(0.3),
    "total variation nonnegative": TotalVariation(0.3, True),
    "smooth": Smooth(0.4),
    "smooth, zero ends": Smooth(0.4, True),
    "orthonormal": Orthonormal(),
}


@pytest.mark.parametrize("name", MAPS)
def test_gradients(name, generator):
    x = normal(generator, 6, 3).requires_grad_()
    assert gradcheck(lambda x: MAPS[name].prox(x, 0.7), (x,), atol=1e-6)


@pytest.mark.parametrize(
    "make", [TotalVariation, Smooth, lambda w: Quadratic(torch.eye(6).double(), w)]
)
def test_weights_are_learned(make, generator):
    weight = nn.Parameter(torch.tensor(0.2, dtype=torch.float64))
    x = normal(generator, 6, 3)
    reg = make(weight)
    assert [p is weight for p in reg.parameters()] == [True]

    def with_weight(weight, step):
        return torch.func.functional_call(_Prox(reg), {"reg.weight": weight}, (x, step))

    step = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(with_weight, (weight, step))


class _Prox(nn.Module):
    def __init__(self, reg):
        super().__init__()
        self.reg = reg

    def forward(self, x, step):
        return self.reg.prox(x, step)


def test_bounds_that_are_infinite(generator):
    x = normal(generator, 4, 9)
    zero = x.new_zeros(4, 1)
    falling = taut_string(x, zero - math.inf, zero)
    close(falling, -taut_string(-x, zero, zero + math.inf))
    assert torch.equal(smooth(x, zero), smooth(x, zero))
