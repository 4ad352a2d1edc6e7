"""Operators: adjoints, inverses, norms, and models that are seen through them."""

import pytest
import torch
from conformance import close
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal, uniform

from rlra_torch.functional.recurrence import causal, impulse_response
from rlra_torch.iterations import Alternating, Nesterov, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF, Sensed
from rlra_torch.operators import Autoregressive, Mask, WithoutBackground
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Gauge, NonNegative, ProjectiveNorm
from rlra_torch.solvers import solve

DRAW = torch.Generator().manual_seed(3)
OPERATORS = {
    "mask": (Mask(uniform(DRAW, 7, 5)), (7, 5)),
    "mask of rows": (Mask((uniform(DRAW, 7, 1) < 0.5).double()), (7, 5)),
    "decay": (Autoregressive.decay(3.0, dtype=torch.float64), (7, 5)),
    "decay along rows": (Autoregressive.decay(3.0, dim=-1, dtype=torch.float64), (7, 5)),
    "decay of a trace": (Autoregressive.decay(3.0, -1, 1, torch.float64), (7,)),
    "rise": (Autoregressive.rise_and_decay(1.0, 4.0, dtype=torch.float64), (7, 5)),
    "oscillation": (Autoregressive(torch.tensor([0.5, -0.7, 0.1]).double()), (7, 5)),
    "longer than the data": (Autoregressive(0.05 * torch.ones(9).double()), (7, 5)),
    "background": (WithoutBackground(normal(DRAW, 7, 2)), (7, 5)),
    "background of rows": (WithoutBackground(torch.ones(5, 1).double(), dim=-1), (7, 5)),
}
every_operator = pytest.mark.parametrize("name", OPERATORS)


def dense(phi, shape):
    """The matrix of an operator."""
    unit = torch.eye(torch.Size(shape).numel(), dtype=torch.float64)
    return phi(unit.reshape(-1, *shape)).flatten(1).T


@every_operator
def test_adjoint_and_norm(name, generator):
    phi, shape = OPERATORS[name]
    assert phi.input_ndim == phi.output_ndim == len(shape)
    for batch in ((), (2, 3)):
        x, y = normal(generator, *batch, *shape), normal(generator, *batch, *shape)
        close((phi(x) * y).sum(), (x * phi.adjoint(y)).sum())
    close(phi(x)[1, 2], phi(x[1, 2]))
    norm = torch.linalg.matrix_norm(dense(phi, shape), 2).square()
    assert norm <= phi.squared_norm() * (1 + 1e-12)


@every_operator
def test_operators_on_a_device_wait_for_nothing(name):
    phi, shape = OPERATORS[name]
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(2, *shape, dtype=torch.float64)
        assert phi.adjoint(phi(x)).shape == x.shape


# --- Filters -----------------------------------------------------------------------------------


def recursion(a, x):
    """By the definition, along the last dimension."""
    y = torch.zeros_like(x)
    for t in range(x.shape[-1]):
        y[..., t] = x[..., t]
        for lag in range(1, min(t, len(a)) + 1):
            y[..., t] += a[lag - 1] * y[..., t - lag]
    return y


@pytest.mark.parametrize("a", [[0.9], [1.5, -0.6], [0.5, -0.7, 0.1], [1.96, -0.9604]])
def test_a_filter_is_its_recursion(a, generator):
    """Also with a pole of order two."""
    x, a = normal(generator, 3, 300), torch.tensor(a, dtype=torch.float64)
    phi, expected = Autoregressive(a, -1, 1), recursion(a, x)
    close(phi(x), expected, atol=1e-11 * expected.abs().amax())
    close(phi.inverse(phi(x)), x, atol=1e-10 * expected.abs().amax())
    close(phi.inverse(expected), x, atol=1e-11 * expected.abs().amax())


def test_power_series_and_products(generator):
    a, x = normal(generator, 2, 3), normal(generator, 2, 6)
    full = torch.stack(
        [torch.nn.functional.conv1d(u[None, None], v.flip(0)[None, None], padding=2)[0, 0]
         for u, v in zip(x, a, strict=True)]
    )  # fmt: skip
    close(causal(a, x, 8), full, atol=1e-12)
    close(causal(a, x, 5), full[:, :5], atol=1e-12)
    for length in (1, 2, 5, 64):
        h = impulse_response(torch.tensor([0.8], dtype=torch.float64), length)
        close(h, 0.8 ** torch.arange(length).double(), atol=1e-14)


def test_each_trace_may_have_a_filter_of_its_own(generator):
    """Of a batch of traces, and of a batch of movies."""
    frames = torch.tensor([2.0, 5.0, 20.0], dtype=torch.float64)
    for phi, shape in (
        (Autoregressive.decay(frames, -1, 1), (50,)),
        (Autoregressive.decay(frames), (50, 4)),
    ):
        x = normal(generator, 3, *shape)
        alone = [
            Autoregressive.decay(float(t), phi.dim, phi.input_ndim, torch.float64) for t in frames
        ]
        close(phi(x), torch.stack([f(u) for f, u in zip(alone, x, strict=True)]), atol=1e-12)
        close(phi.inverse(phi(x)), x, atol=1e-12)
        assert phi.squared_norm().shape == (3,)


def test_kernels_are_exponentials():
    t = torch.arange(60, dtype=torch.float64)
    spike = torch.zeros(60, dtype=torch.float64)
    spike[0] = 1
    close(Autoregressive.decay(7.0, -1, 1, torch.float64)(spike), torch.exp(-t / 7), atol=1e-13)
    double = Autoregressive.rise_and_decay(2.0, 9.0, -1, 1, torch.float64)(spike)
    expected = torch.exp(-(t + 1) / 9) - torch.exp(-(t + 1) / 2)
    close(double / double[0], expected / expected[0], atol=1e-12)


def test_the_norm_of_a_decay_is_approached():
    phi = Autoregressive.decay(2.0, -1, 1, torch.float64)
    close(phi.squared_norm(), (1 - phi.coefficients[0]) ** -2)
    assert torch.linalg.matrix_norm(dense(phi, (200,)), 2).square() > 0.99 * phi.squared_norm()


def test_filters_have_gradients(generator):
    x, a = normal(generator, 12), torch.tensor([0.5, -0.3], dtype=torch.float64)
    phi = Autoregressive(a, -1, 1)
    assert torch.autograd.gradcheck(phi, (x.requires_grad_(),))
    assert torch.autograd.gradcheck(lambda a: impulse_response(a, 9), (a.requires_grad_(),))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Autoregressive(torch.tensor([1.0])), "is not stable: its largest pole is 1"),
        (lambda: Autoregressive(torch.tensor([0.5, 0.6])), "is not stable"),
        (lambda: Autoregressive(torch.tensor(0.5)), "one coefficient at least"),
        (lambda: Autoregressive(torch.tensor([0.5]), dim=-3), "time must run along"),
        (lambda: Autoregressive.decay(0.0), "must be positive, got 0"),
        (lambda: WithoutBackground(torch.ones(4, 2)), "independent columns"),
        (lambda: WithoutBackground(torch.ones(4)), "independent columns"),
        (lambda: WithoutBackground(torch.ones(4, 1), dim=0), "dimension -2 or -1"),
    ],
)
def test_bad_operators(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- In problems -------------------------------------------------------------------------------


def test_the_bound_of_a_block_is_a_bound(generator):
    """And batched as the problem is."""
    phi = Autoregressive.decay(torch.tensor([2.0, 6.0], dtype=torch.float64))
    for batch, operator in (((), OPERATORS["decay"][0]), ((2,), phi)):
        model = Sensed(NMF(), operator)
        factors = (normal(generator, *batch, 7, 2), normal(generator, *batch, 5, 2))
        y = model(factors)
        for n in (0, 1):
            bound = model.squared_norm(factors, n)
            assert bound.shape == batch
            problem = Problem(y, model, Frobenius(), ProjectiveNorm.nuclear(1.0))
            block, u = problem.block(n, factors), normal(generator, *factors[n].shape)
            for _ in range(50):
                u = u / u.norm(dim=(-2, -1), keepdim=True)
                u = block.hessian_product(u, u)
            assert (u.norm(dim=(-2, -1)) <= bound * (1 + 1e-9)).all()


def test_spikes_are_found_behind_a_decay(generator):
    """Footprints and spike trains of a small movie, frames by pixels."""
    spikes = (uniform(generator, 60, 2) < 0.1).double()
    places = torch.block_diag(torch.ones(6, 1), torch.ones(6, 1)).double()
    decay = Autoregressive.decay(4.0, dtype=torch.float64)
    y = decay(spikes @ places.T) + 0.01 * normal(generator, 60, 12)
    norm = ProjectiveNorm(0.03, Gauge(l1=1.0, nonnegative=True), Gauge(l1=1.0, nonnegative=True))
    problem = Problem(y, Sensed(NMF(), decay), Frobenius(), norm)
    start = (decay.inverse(y) @ places + 0.1, places + 0.1)
    step = Alternating(Nesterov(ProjectedGradient()))
    found = solve(step, problem, start, max_iter=200, tol=1e-6).factors
    prediction = found[0] @ found[1].T
    close(prediction, spikes @ places.T, atol=0.15)


def test_a_background_leaves_the_problem(generator):
    """The objective is that of the best background, and the background comes back."""
    w, h = uniform(generator, 8, 2), uniform(generator, 6, 2)
    ones, level = torch.ones(8, 1).double(), normal(generator, 1, 6)
    y, phi = w @ h.T + ones @ level, WithoutBackground(torch.ones(8, 1).double())
    problem = Problem(phi(y), Sensed(NMF(), phi), Frobenius(), (NonNegative(), NonNegative()))
    assert problem.objective((w, h)) < 1e-20
    close(phi.background(y - w @ h.T), level, atol=1e-12)
    other = uniform(generator, 8, 2)
    rest = y - other @ h.T
    best = rest - ones @ torch.linalg.lstsq(ones, rest).solution
    close(problem.objective((other, h)), best.square().sum() / 2)
