"""Nonnegative regressions against SciPy, and what the theory says of their solutions."""

import numpy as np
import pytest
import torch
from conformance import close
from scipy.optimize import lsq_linear, minimize
from scipy.optimize import nnls as scipy_nnls

from rlra_torch import Problem, nnkl, nnls, solve
from rlra_torch.iterations import HALS, MSOM, Alternating, Extrapolated
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.regularizers import NonNegative

KINDS = (
    "tall",
    "wide",
    "conditioned",
    "singular",
    "correlated",
    "zero columns",
    "inside",
    "outside",
)


def regression(rng, kind, size=None):
    """One random problem ``(A, y)`` of a kind."""
    m, r = {"tall": (20, 6), "wide": (6, 15)}.get(kind, (12, 8)) if size is None else size
    a = rng.random((m, r))
    if kind in ("conditioned", "singular"):
        u, _, v = np.linalg.svd(rng.standard_normal((m, r)), full_matrices=False)
        decades = rng.uniform(2, 7) if kind == "conditioned" else 8
        a = u @ np.diag(np.logspace(0, -decades, min(m, r))) @ v
    if kind == "correlated":
        a = 1 + 10 ** rng.uniform(-6, -1) * a
    if kind == "zero columns":
        a[:, rng.integers(r, size=2)] = 0
    truth = rng.random(r) * (rng.random(r) < 0.6)
    y = a @ truth if kind == "inside" else a @ truth + 0.3 * rng.standard_normal(m)
    return a, -np.abs(y) if kind == "outside" else y


def cost(a, x, y):
    return 0.5 * float(np.square(a @ x - y).sum())


def best_nnls(a, y):
    """The better of two of SciPy's solvers: neither is good at every condition number."""
    found = [lsq_linear(a, y, (0, np.inf), method="bvls", tol=1e-15, max_iter=500).x.clip(0)]
    try:
        found.append(scipy_nnls(a, y, maxiter=1000)[0])
    except RuntimeError:
        pass
    return min(cost(a, x, y) for x in found)


@pytest.mark.parametrize("kind", KINDS)
def test_active_set_against_scipy(kind):
    """Three hundred problems, one batch for each kind."""
    rng = np.random.default_rng(KINDS.index(kind))
    problems = [regression(rng, kind) for _ in range(43)]
    fit = nnls(*(np.stack(parts) for parts in zip(*problems, strict=True)))
    assert fit.x.shape[0] == 43 and (fit.x >= 0).all()
    for (a, y), x in zip(problems, fit.x, strict=True):
        assert cost(a, x, y) <= best_nnls(a, y) + 1e-9 * 0.5 * np.square(y).sum()


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k not in ("conditioned", "singular", "correlated")]
)
def test_active_set_converges_and_says_so(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for penalty in ({}, {"l1": 0.1}, {"ridge": 0.1}, {"l1": 0.05, "ridge": 0.2}):
        for _ in range(5):
            a, y = regression(rng, kind)
            fit = nnls(a, y, **penalty)
            assert fit.converged and fit.kkt < 1e-13 and fit.n_iter <= 50


def test_penalties_are_those_of_an_augmented_problem():
    """``l1 1^T x`` shifts y by ``d`` with ``A^T d = l1``; ``ridge |x|^2`` adds rows."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, y = regression(rng, "tall")
        l1, ridge = rng.uniform(0.1, 1, 2)
        shift = np.linalg.lstsq(a.T, np.full(6, l1))[0]
        tall, long = np.vstack([a, np.sqrt(ridge) * np.eye(6)]), np.append(y - shift, np.zeros(6))
        expected, _ = scipy_nnls(tall, long)
        np.testing.assert_allclose(nnls(a, y, l1=l1, ridge=ridge).x, expected, atol=1e-10)


@pytest.mark.parametrize("iteration", ["active_set", "hals", "msom", "fista", "mu", "pg"])
def test_one_batch_is_as_many_problems(iteration):
    rng = np.random.default_rng(1)
    kinds = ("tall", "inside", "outside", "zero columns")
    problems = [regression(rng, kind, (12, 5)) for kind in kinds for _ in range(3)]
    a, y = (np.stack(parts) for parts in zip(*problems, strict=True))
    together = nnls(a, y, iteration, max_iter=40)
    assert together.x.shape == (12, 5) and together.converged.shape == (12,)
    for i in range(12):
        alone = nnls(a[i], y[i], iteration, max_iter=40)
        np.testing.assert_allclose(together.x[i], alone.x, atol=1e-9)
        assert together.n_iter[i] == alone.n_iter


def test_right_hand_sides_share_a_matrix():
    rng = np.random.default_rng(2)
    a, y = rng.random((10, 4)), rng.standard_normal((10, 7))
    together = nnls(a, y)
    assert together.x.shape == (4, 7)
    for k in range(7):
        np.testing.assert_allclose(together.x[:, k], scipy_nnls(a, y[:, k])[0], atol=1e-12)


@pytest.mark.parametrize(
    ("iteration", "condition", "count"),
    [("fista", 1000, 2000), ("hals", 30, 1500), ("msom", 10, 1500), ("pg", 10, 1500)],
)
def test_first_order_iterations_reach_the_optimum(iteration, condition, count):
    """Those without momentum take of the order of the square of the condition number."""
    rng, problems = np.random.default_rng(3), []
    for _ in range(60):
        a = rng.random((12, 6)) if rng.random() < 0.5 else rng.standard_normal((12, 6))
        u, s, v = np.linalg.svd(a, full_matrices=False)
        a = u @ np.diag(rng.uniform(1, condition) ** -np.linspace(0, 1, 6)) @ v
        problems.append((a, a @ rng.standard_normal(6) + 0.1 * rng.standard_normal(12)))
    a, y = (np.stack(parts) for parts in zip(*problems, strict=True))
    x = nnls(a, y, iteration, max_iter=count, tol=1e-9).x
    for one, found, data in zip(a, x, y, strict=True):
        assert cost(one, found, data) <= best_nnls(one, data) + 5e-7 * np.square(data).sum()


@pytest.mark.slow
@pytest.mark.parametrize("iteration", [HALS(), MSOM(1.0)], ids=["hals", "msom"])
def test_momentum_takes_those_without_it_to_condition_1000(iteration):
    """Of the order of the condition number instead of its square."""
    rng, problems = np.random.default_rng(4), []
    for _ in range(40):
        u, v = (np.linalg.qr(rng.standard_normal((k, 6)))[0] for k in (12, 6))
        a = u @ np.diag(rng.uniform(1, 1000) ** -np.linspace(0, 1, 6)) @ v
        problems.append((a, a @ rng.standard_normal(6) + 0.1 * rng.standard_normal(12)))
    a, y = (torch.from_numpy(np.stack(parts)) for parts in zip(*problems, strict=True))
    regs = (NonNegative(), NonNegative())
    problem = Problem(y[..., None], NMF(), Frobenius(), regs, free=(1,))
    step = Extrapolated(Alternating(iteration))
    start = (a, torch.ones(40, 1, 6, dtype=y.dtype))
    x = solve(step, problem, start, max_iter=12000, tol=1e-12, check_every=500).factors[1][:, 0]
    for (one, data), found in zip(problems, x.numpy(), strict=True):
        assert cost(one, found, data) <= best_nnls(one, data) + 5e-7 * np.square(data).sum()


# --- What the theory says ----------------------------------------------------------------------


def test_night_sky():
    """For a generic wide A and y outside its cone the solution has at most m - 1 nonzeros."""
    rng = np.random.default_rng(4)
    for m in (3, 5, 8):
        for _ in range(20):
            a, y = rng.random((m, 40)), rng.standard_normal(m)
            x = nnls(a, y).x
            assert np.linalg.norm(a @ x - y) > 1e-3, "y must lie outside"
            assert np.count_nonzero(x) <= m - 1


def test_kkt_conditions_hold_exactly():
    rng = np.random.default_rng(5)
    for kind in ("tall", "wide", "outside"):
        a, y = regression(rng, kind)
        x = nnls(a, y).x
        dual = a.T @ (a @ x - y)
        assert (dual[x == 0] >= -1e-12).all() and (np.abs(dual[x > 0]) < 1e-11).all()
    assert (nnls(rng.random((6, 3)), -rng.random(6)).x == 0).all()


def test_example_in_the_literature():
    """HDR, section 7.4: six equations, fifty unknowns, and the support that is printed."""
    rng = np.random.RandomState(2)
    a, truth = rng.rand(6, 50), np.zeros(50)
    truth[[0, 2, 4]] = rng.rand(3)
    y = a @ truth + 0.1 * rng.randn(6)
    x = nnls(a, y).x
    assert np.flatnonzero(x).tolist() == [4, 41, 44]
    assert np.linalg.norm(y - a @ x) == pytest.approx(0.04207535623520433, rel=1e-10)
    np.testing.assert_allclose(x[[4, 41, 44]], [0.00500251, 0.25668643, 0.45111056], atol=1e-8)


def test_degenerate_regressions():
    assert (nnls(np.zeros((4, 3)), np.ones(4)).x == 0).all()
    assert (nnls(np.ones((4, 3)), np.zeros(4)).x == 0).all()
    one = nnls(np.ones((1, 1)), np.array([2.0]))
    assert one.x == 2.0 and one.converged
    twin = np.ones((4, 2))
    assert nnls(twin, np.full(4, 3.0)).x.sum() == pytest.approx(3.0)


def test_the_kind_and_precision_of_the_input_come_back():
    a, y = torch.rand(8, 3, generator=torch.Generator().manual_seed(0)), torch.ones(8)
    single = nnls(a, y)
    assert isinstance(single.x, torch.Tensor) and single.x.dtype == torch.float32
    close(single.x.double(), nnls(a.double(), y.double()).x, 1e-4)
    assert isinstance(nnls(a.numpy(), y.numpy()).x, np.ndarray)


# --- Kullback-Leibler --------------------------------------------------------------------------


def kl_cost(a, x, y):
    p = a @ x
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(y > 0, y * np.log(y / p), 0)
    return float((terms - y + p).sum())


def best_nnkl(a, y, l1=0.0, ridge=0.0):
    def objective(x):
        p = a @ x + 1e-300
        penalty = l1 * x.sum() + ridge * (x**2).sum() / 2
        return kl_cost(a, x, y) + penalty, a.sum(0) - a.T @ (y / p) + l1 + ridge * x

    start = np.full(a.shape[1], y.sum() / a.sum())
    options = {"maxiter": 10000, "maxfun": 50000, "ftol": 1e-15, "gtol": 1e-11}
    bounds = [(0, None)] * a.shape[1]
    run = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return run.fun


@pytest.mark.parametrize(("iteration", "count", "gap"), [("mu", 10000, 1e-6), ("burg", 1000, 3e-2)])
def test_nnkl_against_scipy(iteration, count, gap):
    """A hundred problems, half of the counts zero. Burg's steps are as short as 1 / sum(y)."""
    rng = np.random.default_rng(6)
    a = rng.random((100, 20, 5))
    rate = (a @ rng.exponential(3, (100, 5, 1)))[..., 0]
    y = rng.poisson(rate) * (rng.random((100, 20)) < 0.5) * 1.0
    fit = nnkl(a, y, iteration, max_iter=count)
    assert (fit.x >= 0).all()
    for one, found, data in zip(a, fit.x, y, strict=True):
        assert kl_cost(one, found, data) <= best_nnkl(one, data) * (1 + gap)


def test_nnkl_edges():
    rng = np.random.default_rng(7)
    a = rng.random((6, 3))
    silent = nnkl(a, np.zeros(6))
    assert np.abs(silent.x).max() < 1e-12
    assert nnkl(np.ones((2, 1)), np.array([1.0, 3.0])).x == pytest.approx(2.0)
    # A penalized rate in closed form: sum y / (sum a + l1).
    assert nnkl(np.ones((2, 1)), np.array([1.0, 3.0]), l1=2.0).x == pytest.approx(1.0, rel=1e-5)
