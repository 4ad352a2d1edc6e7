"""Data at the edges: no NaN, no rise of the objective, and float32 as near as it can be.

A layout turns dense data and weights into the arguments of a `Problem`; another one is one line.
"""

import warnings

import pytest
import torch
from conformance import run
from zoo import uniform

from rlra_torch.iterations import HALS, MSOM, MU, Alternating, BurgMirrorDescent, JointMM
from rlra_torch.losses import BetaDivergence, Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative


def csr(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x.to_sparse_csr()


def sparse(y, weights):
    """Sparse data; or dense data with sparse weights, where what is not stored is missing."""
    if weights is None:
        return {"y": csr(y)}
    return {"y": y, "weights": csr(weights)}


LAYOUTS = {"dense": lambda y, weights: {"y": y, "weights": weights}, "sparse": sparse}


def plain(generator):
    return uniform(generator, 9, 7), None


def zero_rows(generator):
    y = uniform(generator, 9, 7)
    y[[0, 4]] = 0
    return y, None


def zero_columns(generator):
    y = uniform(generator, 9, 7)
    y[:, [2, 6]] = 0
    return y, None


def mostly_zeros(generator):
    y = uniform(generator, 9, 7)
    return y * (uniform(generator, 9, 7) < 0.15), None


def one_entry(generator):
    y = torch.zeros(9, 7, dtype=torch.float64)
    y[3, 5] = 2.0
    return y, None


def nothing(generator):
    return torch.zeros(9, 7, dtype=torch.float64), None


def counts(generator):
    """From 0 to 1e7, rows and columns of every size."""
    sizes = (
        10 ** uniform(generator, 9, 1, low=0, high=3.5),
        10 ** uniform(generator, 7, low=0, high=3.5),
    )
    y = torch.poisson(sizes[0] * sizes[1] * uniform(generator, 9, 7), generator=generator)
    y[0, 0], y[1, 1] = 1e7, 0
    return y, None


def tiny(generator):
    return 1e-12 * uniform(generator, 9, 7), None


def weights_of_zero(generator):
    weights = uniform(generator, 9, 7) * (uniform(generator, 9, 7) < 0.7)
    weights[2], weights[:, 3] = 0, 0
    return uniform(generator, 9, 7), weights


def weights_of_one_entry(generator):
    weights = torch.zeros(9, 7, dtype=torch.float64)
    weights[8, 0] = 1e-3
    return uniform(generator, 9, 7), weights


def weighted_zeros(generator):
    """All that is seen of some rows and columns is zero."""
    y, weights = uniform(generator, 9, 7), torch.ones(9, 7, dtype=torch.float64)
    y[0, :4], weights[0, 4:] = 0, 0
    y[:5, 6], weights[5:, 6] = 0, 0
    return y, weights


EDGES = (
    plain, zero_rows, zero_columns, mostly_zeros, one_entry, nothing, counts, tiny,
    weights_of_zero, weights_of_one_entry, weighted_zeros,
)  # fmt: skip
STEPS = {
    "mu, frobenius": (Alternating(MU()), Frobenius),
    "mu, kl": (Alternating(MU()), KullbackLeibler),
    "mu, beta=0.5": (Alternating(MU()), lambda: BetaDivergence(0.5)),
    "mu, beta=1.5": (Alternating(MU()), lambda: BetaDivergence(1.5)),
    "mu, beta=3": (Alternating(MU()), lambda: BetaDivergence(3.0)),
    "burg, kl": (Alternating(BurgMirrorDescent()), KullbackLeibler),
    "joint, kl": (JointMM(), KullbackLeibler),
    "hals, frobenius": (Alternating(HALS()), Frobenius),
    "msom, frobenius": (Alternating(MSOM(1.0)), Frobenius),
}
PENALTIES = {"plain": (0.0, 0.0), "l1": (1e-3, 0.0), "ridge": (0.0, 1e-3), "both": (1e-3, 1e-3)}


def problem_of(edge, loss, layout, dtype, penalty="plain"):
    draw = torch.Generator().manual_seed(0)
    y, weights = edge(draw)
    parts = LAYOUTS[layout](y.to(dtype), None if weights is None else weights.to(dtype))
    regs = (NonNegative(*PENALTIES[penalty]), NonNegative(*PENALTIES[penalty]))
    problem = Problem(model=NMF(), loss=loss(), regs=regs, **parts)
    start = tuple(uniform(draw, size, 3, low=0.1).to(dtype) for size in (9, 7))
    return problem, problem.scaled(start)


def falls(problem, iterates, size):
    """The objective after each step, once it is known that none is higher than the one before."""
    values = torch.stack([problem.objective(factors) for factors in iterates]).double()
    rounding = 20 * torch.finfo(iterates[0][0].dtype).eps * (values[0].abs() + size)
    assert values.isfinite().all()
    assert (values[1:] - values[:-1] <= rounding).all()
    return values


def magnitude(problem):
    """What the terms of the objective are made of, which rounding is relative to."""
    return float(problem.data.size(problem.model, problem.loss))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", STEPS)
def test_no_nan_and_no_rise(name, edge, layout, dtype):
    iteration, loss = STEPS[name]
    for penalty in ("plain", "both"):
        problem, start = problem_of(edge, loss, layout, dtype, penalty)
        iterates = run(iteration, problem, start, 25)
        assert all(x.isfinite().all() and (x >= 0).all() for pair in iterates for x in pair)
        falls(problem, iterates, magnitude(problem))
        assert problem.kkt(iterates[-1]).isfinite()


# The floor of MU is a rounding unit, and below beta = 1 a zero costs a root of what is predicted.
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", [name for name in STEPS if name != "mu, beta=0.5"])
def test_single_precision_is_near_double(name, edge, layout):
    iteration, loss = STEPS[name]
    found = []
    for dtype in (torch.float64, torch.float32):
        problem, start = problem_of(edge, loss, layout, dtype)
        first, *_, last = run(iteration, problem, start, 10)
        found.append(float(problem.objective(last)))
        size = magnitude(problem) + float(problem.objective(first))
    assert abs(found[0] - found[1]) <= 1e-4 * abs(found[0]) + 1e-5 * size + 1e-30


@pytest.mark.parametrize("beta", [1.0, 1.1, 1.3, 1.5, 1.7, 1.9, 2.0, 2.5])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_gradients_at_a_zero_row_of_the_start(steps, dtype, penalty, beta, generator):
    """The prediction vanishes in that row, where powers of it have no finite derivative."""
    loss = {1.0: KullbackLeibler, 2.0: Frobenius}.get(beta, lambda: BetaDivergence(beta))()
    y = 3 * uniform(generator, 5, 4).to(dtype)
    regs = [NonNegative(*PENALTIES[penalty])] * 2
    problem = Problem(y, NMF(), loss, regs)
    w, h = (uniform(generator, size, 2, low=0.1).to(dtype) for size in (5, 4))
    w[2] = 0
    w.requires_grad_(), h.requires_grad_()
    iterates = run(Alternating(MU()), problem, (w, h), steps)
    value = problem.objective(iterates[-1])
    gradients = torch.autograd.grad(value, (w, h))
    assert all(g.isfinite().all() and (g != 0).any() for g in gradients)
