"""Implicit layers: their derivatives, against finite differences and long unrolled runs."""

import gc
import weakref
from itertools import product

import pytest
import torch
from conformance import close
from memory import peak_bytes
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from zoo import uniform

from rlra_torch.functional.krylov import gmres
from rlra_torch.implicit import (
    ImplicitFactorization,
    ImplicitNNKL,
    ImplicitNNLS,
    ImplicitRegression,
)
from rlra_torch.implicit import factorization as fixed_points
from rlra_torch.iterations import (
    FISTA,
    HALS,
    MSOM,
    MU,
    Alternating,
    Extrapolated,
    ProjectedNewton,
)
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import L1, Box, Free, NonNegative, Simplex
from rlra_torch.unrolled import Unrolled, learned

KINDS = {"nnls": (ImplicitNNLS, Frobenius), "nnkl": (ImplicitNNKL, KullbackLeibler)}
NONNEGATIVE = (NonNegative(), NonNegative())
RIDGE = (NonNegative(ridge=0.1), NonNegative(ridge=0.3))


def regression(generator, m=12, r=4, n=6, noise=0.3):
    """Data whose regressions have zeros here and there."""
    w, h = uniform(generator, m, r, low=0.1), uniform(generator, n, r, low=-0.8).clamp_min(0)
    return w, w @ h.mT + noise * uniform(generator, m, n) + 0.05


# --- Regressions -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.1, 0.0), (0.0, 0.2), (0.1, 0.2)])
def test_gradcheck_of_a_regression(kind, weights, generator):
    w, y = regression(generator, 5, 2, 3)
    masked = uniform(generator, *y.shape) * (uniform(generator, *y.shape) > 0.2)
    layer = KINDS[kind][0](*weights)
    inputs = [x.requires_grad_() for x in (w, y, masked.clamp_min(0.01))]
    assert gradcheck(layer, inputs[:2], atol=1e-6)
    assert gradcheck(layer, inputs, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_of_a_regression(kind, generator):
    w, y = regression(generator, 5, 2, 2)
    assert gradgradcheck(KINDS[kind][0](0.1, 0.2), (w.requires_grad_(), y.requires_grad_()))


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_are_learned(kind, generator):
    w, y = regression(generator, 6, 3, 4)
    layer = learned(KINDS[kind][0](0.1, 0.2).solved.regs[1], "l1", "ridge")
    network = KINDS[kind][0](0.1, 0.2)
    network.solved.regs[1] = layer
    parameters = dict(network.named_parameters())
    assert len(parameters) == 2
    names = list(parameters)

    def found(*values):
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(network, given, (w, y))

    assert gradcheck(found, tuple(parameters.values()), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_100_random_regressions(kind, generator):
    """Against central differences along a random direction, and a long unrolled run."""
    make, loss = KINDS[kind]
    pairs = [regression(generator) for _ in range(100)]
    w, y = (torch.stack(parts).requires_grad_() for parts in zip(*pairs, strict=True))
    c = uniform(generator, 100, 6, 4)
    dw, dy = uniform(generator, *w.shape, low=-1), uniform(generator, *y.shape, low=-1)
    layer = make()
    h = layer(w, y)
    gradients = torch.autograd.grad((c * h).sum(), (w, y))

    def inner(a, b):
        return (a * b).flatten(1).sum(-1)

    e = 1e-6
    with torch.no_grad():
        ahead, behind = (layer(w + s * e * dw, y + s * e * dy) for s in (1, -1))
    slope = inner(c, ahead - behind) / (2 * e)
    along = inner(gradients[0], dw) + inner(gradients[1], dy)
    size = (inner(gradients[0], gradients[0]) + inner(gradients[1], gradients[1])).sqrt()
    size = size * (inner(dw, dw) + inner(dy, dy)).sqrt()
    assert ((slope - along).abs() / size).max() < 1e-5

    # Long enough that nothing of the start is left.
    step = Alternating(FISTA() if kind == "nnls" else ProjectedNewton(), inner=10)
    depth = 100 if kind == "nnls" else 3
    net = Unrolled([step] * depth, NMF(), loss(), NONNEGATIVE, lambda y: (), (1,))
    start = h.detach() + 0.1 if kind == "nnls" else h.detach() * 1.05 + 1e-3
    others = torch.autograd.grad((c * net(y, (w, start))[1]).sum(), (w, y))
    for a, b in zip(gradients, others, strict=True):
        assert (inner(a - b, a - b) / inner(a, a)).sqrt().max() < 1e-5


def test_entries_that_only_come_near_zero_stay_there():
    """Multiplicative updates never reach 0; the derivative is that of the solution."""
    w = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [0.0]], dtype=torch.float64, requires_grad=True)
    step, regs = Alternating(MU(), inner=1), (NonNegative(), NonNegative())
    layer = ImplicitRegression(step, NMF(), Frobenius(), regs, free=(1,), tol=1e-9, max_iter=2000)
    h = layer(y, (w, torch.ones(1, 2).double()))[1]
    assert 0 < h[0, 1] < 1e-9
    expected = ImplicitNNLS()(w, y)
    for x, z in zip(h[0], expected[0], strict=True):
        (a,), (b,) = (torch.autograd.grad(v, y, retain_graph=True) for v in (x, z))
        close(a, b, 1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_regressions_is_as_many(kind, generator):
    pairs = [regression(generator) for _ in range(3)]
    w, y = (torch.stack(parts).requires_grad_() for parts in zip(*pairs, strict=True))
    layer = KINDS[kind][0]()
    h = layer(w, y)
    close(h, torch.stack([layer(*pair) for pair in pairs]), 1e-9)
    # One W for all: its gradient is the sum, not the mean.
    one = pairs[0][0].clone().requires_grad_()
    (shared,) = torch.autograd.grad(layer(one, y).square().sum(), one)
    each = [torch.autograd.grad(layer(one, y[i].detach()).square().sum(), one)[0] for i in range(3)]
    close(shared, sum(each), 1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_does_not_matter(kind, generator):
    w, y = regression(generator)
    seen = (uniform(generator, *y.shape) > 0.3).to(y.dtype)
    hidden = torch.where(seen > 0, y, torch.nan)
    layer, w = KINDS[kind][0](ridge=0.1), w.requires_grad_()
    expected = layer(w, y, seen)
    close(layer(w, hidden, seen), expected, atol=0.0)
    (gradient,) = torch.autograd.grad(expected.sum(), w)
    assert gradient.isfinite().all()


def test_edges(generator):
    """Zero data, a dead column, one column, more columns than rows with a ridge."""
    w, y = regression(generator)
    for make in (ImplicitNNLS, ImplicitNNKL):
        for a, b, layer in (
            (w, torch.zeros_like(y), make(ridge=0.1)),
            (torch.cat((w[:, :1] * 0, w[:, 1:]), 1), y, make(ridge=0.1)),
            (w[:, :1], y, make()),
            (uniform(generator, 4, 9), y[:4], make(ridge=0.1)),
        ):
            inputs = (a.clone().requires_grad_(), b.clone().requires_grad_())
            h = layer(*inputs)
            assert h.isfinite().all() and (h >= 0).all()
            for gradient in torch.autograd.grad(h.sum(), inputs):
                assert gradient.isfinite().all()


def test_a_kink_takes_the_derivative_of_staying():
    """x = max(y, 0) at y = 0: 0, one of the two one-sided derivatives."""
    y = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    h = ImplicitNNLS()(torch.ones(1, 1, dtype=torch.float64), y)
    assert h == 0 and torch.autograd.grad(h.sum(), y)[0] == 0


def test_float32(generator):
    w, y = (x.float().requires_grad_() for x in regression(generator))
    for make in (ImplicitNNLS, ImplicitNNKL):
        h = make()(w, y)
        precise = make()(w.double(), y.double())
        assert h.dtype == torch.float32
        close(h.double(), precise, 1e-4)
        mine, right = (torch.autograd.grad(x.sum(), w)[0] for x in (h, precise))
        close(mine, right, 1e-3)


@pytest.mark.parametrize(
    "reg", [L1(0.2), Box(0.0, 0.4), Free(), NonNegative(l1=0.1)], ids=lambda reg: type(reg).__name__
)
def test_any_elastic_net(reg, generator):
    w, y = regression(generator, 6, 3, 3)
    layer = ImplicitRegression(
        Alternating(FISTA(), inner=20), NMF(), Frobenius(), (Free(), reg), free=(1,)
    )
    layer.check_every = 1

    def found(w, y):
        return layer(y, (w, torch.full((3, 3), 0.2, dtype=torch.float64)))[1]

    assert gradcheck(found, (w.requires_grad_(), y.requires_grad_()), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_iterations(kind, generator):
    """Peak bytes at 100 and at 10 000 iterations, within 5%."""
    w, y = regression(generator, 40, 5, 200)
    step = Alternating(MU() if kind == "nnkl" else FISTA())
    start = (w.requires_grad_(), torch.ones(200, 5, dtype=torch.float64))
    peaks = []
    for count in (100, 10_000):
        layer = ImplicitRegression(
            step, NMF(), KINDS[kind][1](), NONNEGATIVE, free=(1,), max_iter=count, tol=1e-300
        )
        layer.refuse = lambda failed, reason: None

        def run(layer=layer):
            layer(y, start)[1].sum().backward()

        peaks.append(peak_bytes(run))
    assert abs(peaks[1] - peaks[0]) <= 0.05 * peaks[0], peaks


# --- Factorizations ----------------------------------------------------------------------------


def factorization(generator, shapes=((9, 2), (7, 2)), model=None):
    """Data with a factorization that is unique up to order and scale: each component has rows and
    columns of its own."""
    model, factors = model or NMF(), []
    for rows, rank in shapes:
        x = uniform(generator, rows, rank, low=0.3)
        own = torch.arange(rows)[:, None] % (rank + 1)
        factors.append(torch.where((own == torch.arange(rank)) | (own == rank), x, 0))
    y = model(tuple(factors))
    y = (y + 0.02 * uniform(generator, *y.shape) * (y > 0)) / y.mean()
    return y, tuple(x + 0.05 * uniform(generator, *x.shape) for x in factors)


def slopes(layer, y, loss, generator, e=1e-4):
    """The derivative along a random direction: of the layer, and by central differences."""
    y = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(layer(y)), y)
    d = uniform(generator, *y.shape, low=-1) * (y.detach() > 0)
    with torch.no_grad():
        ahead, behind = loss(layer(y + e * d)), loss(layer(y - e * d))
    return float((gradient * d).sum()), float((ahead - behind) / (2 * e))


CASES = {
    "nmf": (NMF, ((9, 2), (7, 2)), Frobenius, HALS, NONNEGATIVE),
    "nmf, ridge": (NMF, ((9, 2), (7, 2)), Frobenius, HALS, RIDGE),
    "nmf, msom": (NMF, ((9, 2), (7, 2)), Frobenius, lambda: MSOM(1.0), NONNEGATIVE),
    "nmf, kl": (NMF, ((9, 2), (7, 2)), KullbackLeibler, lambda: MSOM(1.0), RIDGE),
    "cp": (lambda: CP(3), ((6, 2), (5, 2), (4, 2)), Frobenius, HALS, (NonNegative(),) * 3),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_factorizations(name, generator):
    """For a loss of the product, and for one of the balanced factors themselves."""
    model, shapes, loss, sweep, regs = CASES[name]
    y, start = factorization(generator, shapes, model())
    weights = [uniform(generator, *x.shape) for x in start]
    image = uniform(generator, *y.shape)
    layer = ImplicitFactorization(
        Alternating(sweep()), model(), loss(), regs, lambda y: start, tol=1e-12
    )

    def of_product(factors):
        return (image * model()(factors)).sum()

    def of_factors(factors):
        return sum((c * x).sum() for c, x in zip(weights, factors, strict=True))

    for criterion in (of_product, of_factors):
        found, expected = slopes(layer, y, criterion, generator)
        assert abs(found - expected) < 1e-5 * max(abs(expected), 0.1), (found, expected)


def test_factors_come_balanced(generator):
    y, start = factorization(generator)
    layer = ImplicitFactorization(
        Alternating(HALS()), NMF(), Frobenius(), NONNEGATIVE, lambda y: start
    )
    w, h = layer(y)
    close(w.norm(dim=0), h.norm(dim=0), 1e-10)
    problem = layer.problem(y)
    assert problem.kkt((w, h)) < 1e-7


def test_freedom_that_the_loss_sees_is_refused(generator):
    """All entries positive: any small rotation of the factors fits as well."""
    w, h = uniform(generator, 9, 2, low=0.5), uniform(generator, 7, 2, low=0.5)
    y = (w @ h.mT + 0.01 * uniform(generator, 9, 7)).requires_grad_()
    settings = (Alternating(HALS()), NMF(), Frobenius())
    layer = ImplicitFactorization(*settings, NONNEGATIVE, lambda y: (w, h), tol=1e-12)
    c = uniform(generator, 9, 2)
    found = layer(y)
    with pytest.raises(RuntimeError, match="no gradient.*freedom.*ridge"):
        (c * found[0]).sum().backward()
    # The product does not see it.
    image = uniform(generator, 9, 7)
    mine, right = slopes(layer, y.detach(), lambda f: (image * (f[0] @ f[1].mT)).sum(), generator)
    assert abs(mine - right) < 1e-5 * abs(right)

    lenient = ImplicitFactorization(
        *settings, NONNEGATIVE, lambda y: (w, h), tol=1e-12, strict=False
    )
    found = lenient(y)
    with pytest.warns(RuntimeWarning, match="zero gradients for 1 of 1"):
        (gradient,) = torch.autograd.grad((c * found[0]).sum(), y)
    assert (gradient == 0).all()


def test_a_batch_of_factorizations_is_as_many(generator):
    pairs = [factorization(generator) for _ in range(2)]
    y = torch.stack([y for y, _ in pairs]).requires_grad_()
    start = tuple(torch.stack(x) for x in zip(*(s for _, s in pairs), strict=True))

    def layer(start):
        return ImplicitFactorization(
            Alternating(HALS()), NMF(), Frobenius(), RIDGE, lambda y: start, tol=1e-11
        )

    (together,) = torch.autograd.grad(layer(start)(y)[0].square().sum(), y)
    for i in range(2):
        one = y[i].detach().requires_grad_()
        alone = layer(tuple(x[i] for x in start))(one)[0]
        (gradient,) = torch.autograd.grad(alone.square().sum(), one)
        close(together[i], gradient, 1e-6)


def test_one_step_is_cheap_and_biased(generator):
    y, start = factorization(generator)
    y = y.requires_grad_()
    gradients = []
    for products in (500, 0):
        layer = ImplicitFactorization(
            Alternating(HALS()), NMF(), Frobenius(), RIDGE, lambda y: start, products=products
        )
        gradients.append(torch.autograd.grad(layer(y)[0].sum(), y)[0])
    cosine = (gradients[0] * gradients[1]).sum() / (gradients[0].norm() * gradients[1].norm())
    assert 0.5 < cosine < 0.9999


def test_a_start_has_no_gradient_and_nothing_leaks(generator):
    y, start = factorization(generator)
    w = start[0].clone().requires_grad_()
    layer = ImplicitFactorization(
        Alternating(HALS()), NMF(), Frobenius(), RIDGE, lambda y: (w, start[1])
    )
    found = layer(y.requires_grad_())
    found[0].sum().backward()
    assert w.grad is None or (w.grad == 0).all()
    alive = weakref.ref(found[0])
    del found
    gc.collect()
    assert alive() is None


@pytest.mark.slow
def test_memory_of_a_factorization_does_not_grow(generator):
    y, start = factorization(generator, ((240, 4), (200, 4)))  # a check keeps 16 bytes
    peaks = []
    for count in (100, 10_000):
        layer = ImplicitFactorization(
            Alternating(HALS()), NMF(), Frobenius(), RIDGE, lambda y: start, products=50,
            max_iter=count, tol=1e-300,
        )  # fmt: skip
        layer.refuse = lambda failed, reason: None
        y = y.detach().requires_grad_()
        peaks.append(peak_bytes(lambda layer=layer, y=y: layer(y)[0].sum().backward()))
    assert abs(peaks[1] - peaks[0]) <= 0.05 * peaks[0], peaks


def test_any_regularizer_through_the_fixed_point(generator):
    """Fully constrained least squares: abundances on the simplex."""
    w, y = regression(generator, 6, 3, 3)
    start = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    layer = ImplicitFactorization(
        Alternating(MSOM(1.0), inner=5), NMF(), Frobenius(), (Free(), Simplex(dim=-1)), free=(1,)
    )
    layer.check_every = 1

    def found(w, y):
        return layer(y, (w, start))[1]

    assert gradcheck(found, (w.requires_grad_(), y.requires_grad_()), eps=1e-4, atol=1e-5)


def test_the_custom_backward_is_used(generator, monkeypatch):
    """A sabotaged backward shows up: alone, in a batch, and where torch.compile meets the layer."""
    right = fixed_points._Solved.backward

    def wrong(ctx, *gradients):
        return tuple(None if x is None else 7 * x for x in right(ctx, *gradients))

    y, start = factorization(generator)
    batch = tuple(torch.stack([x, x]) for x in start)

    def gradient(function, y, start):
        layer = ImplicitFactorization(
            Alternating(HALS()), NMF(), Frobenius(), RIDGE, lambda y: start
        )
        y = y.clone().requires_grad_()
        return torch.autograd.grad(function(layer)(y)[0].sum(), y)[0]

    def compiled(layer):
        return torch.compile(lambda y: layer(y), backend="aot_eager")

    ways = list(
        product((lambda layer: layer, compiled), ((y, start), (torch.stack([y, y]), batch)))
    )
    before = [gradient(way, *data) for way, data in ways]
    monkeypatch.setattr(fixed_points._Solved, "backward", staticmethod(wrong))
    for (way, data), expected in zip(ways, before, strict=True):
        close(gradient(way, *data), 7 * expected, 1e-6)


@pytest.mark.parametrize("wrapped", [lambda f: f, torch.compile], ids=["vmap", "compiled vmap"])
def test_vmap_is_refused_not_wrong(wrapped, generator):
    w, y = regression(generator)
    many = wrapped(torch.vmap(lambda y: ImplicitNNLS()(w, y)))
    with pytest.raises(Exception, match="(?i)vmap|data-dependent|disable"):
        many(torch.stack([y, y]))


# --- Bad input ---------------------------------------------------------------------------------


def test_an_unconverged_solve_has_no_gradient(generator):
    w, y = regression(generator)
    start = (w.requires_grad_(), torch.ones(6, 4, dtype=torch.float64))
    settings = (Alternating(MU()), NMF(), Frobenius(), NONNEGATIVE)
    layer = ImplicitRegression(*settings, free=(1,), max_iter=4)
    with pytest.raises(RuntimeError, match="no gradient: the solve ended after 4 iterations"):
        layer(y, start)
    with torch.no_grad():
        assert layer(y, start)[1].isfinite().all()
    lenient = ImplicitRegression(*settings, free=(1,), max_iter=4, strict=False)
    with pytest.warns(RuntimeWarning, match="zero gradients for 1 of 1 problems"):
        _, h = lenient(y, start)
    assert (torch.autograd.grad(h.sum(), w)[0] == 0).all()


def test_bad_input(generator):
    w, y = regression(generator)
    fista = Alternating(FISTA())
    cases = [
        (ValueError, "one free factor", lambda: ImplicitRegression(
            fista, NMF(), Frobenius(), NONNEGATIVE)),
        (TypeError, "Simplex.*ImplicitFactorization", lambda: ImplicitRegression(
            fista, NMF(), Frobenius(), (Free(), Simplex(dim=-1)), free=(1,))),
        (ValueError, "penalize all of them or none", lambda: ImplicitFactorization(
            Alternating(HALS()), NMF(), Frobenius(), (NonNegative(), NonNegative(ridge=1.0)))),
        (TypeError, "takes an Alternating", lambda: ImplicitFactorization(
            HALS(), NMF(), Frobenius(), NONNEGATIVE)),  # pyright: ignore
        (TypeError, "HALS needs a least-squares block", lambda: ImplicitFactorization(
            Alternating(HALS()), NMF(), KullbackLeibler(), NONNEGATIVE)),
        (ValueError, "needs a start", lambda: ImplicitRegression(
            fista, NMF(), Frobenius(), NONNEGATIVE, free=(1,))(y)),
        (ValueError, "12 rows|m rows", lambda: ImplicitNNLS()(w[:5], y)),
        (ValueError, "NaN", lambda: ImplicitNNLS()(w, y * torch.nan)),
        (ValueError, "max_iter", lambda: ImplicitRegression(
            fista, NMF(), Frobenius(), NONNEGATIVE, free=(1,), max_iter=0)),
    ]  # fmt: skip
    for kind, match, call in cases:
        with pytest.raises(kind, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_gmres_against_a_dense_solve(generator):
    a = torch.eye(30, dtype=torch.float64) + 0.3 * uniform(generator, 3, 30, 30, low=-1)
    b = uniform(generator, 3, 30)
    b[1] = 0
    found = gmres(lambda x: (a @ x[..., None])[..., 0], b, 1e-12, 300, restart=40)
    close(found.x, torch.linalg.solve(a, b), 1e-9)
    assert (found.residual <= 1e-12).all()
    restarted = gmres(lambda x: (a @ x[..., None])[..., 0], b, 1e-8, 3000, restart=15)
    close(restarted.x, found.x, 1e-6)
    # A singular system: solved where consistent, reported where not.
    flat = torch.diag(torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))
    rights = torch.tensor([[2.0, 3.0, 0.0], [2.0, 3.0, 4.0]], dtype=torch.float64)
    some = gmres(lambda x: x @ flat, rights, 1e-12, 50)
    close(some.x[0], torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64))
    close(some.residual[1], torch.tensor(16 / 29, dtype=torch.float64).sqrt(), 1e-9)


def test_balanced_columns_minimize_the_penalties(generator):
    """The closed form against trying other scales."""
    x = (uniform(generator, 5, 3), 4 * uniform(generator, 6, 3))
    for regs in (RIDGE, (NonNegative(l1=0.3), NonNegative(ridge=0.2)), (NonNegative(l1=2.0),) * 2):
        problem = Problem(x[0] @ x[1].mT, NMF(), Frobenius(), regs)
        scales = problem.balance(x)
        best = tuple(a * t for a, t in zip(x, scales, strict=True))
        close(problem.model(best), problem.model(x))
        for factor in (0.9, 0.999, 1.001, 1.1):
            for column in range(3):
                t = torch.ones(3, dtype=torch.float64)
                t[column] = factor
                assert problem.objective((best[0] * t, best[1] / t)) > problem.objective(best)


def test_columns_of_unequal_penalties_are_left_alone(generator):
    x = (uniform(generator, 5, 3), uniform(generator, 6, 3))
    weights = torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64)
    regs = (NonNegative(l1=weights), NonNegative(ridge=0.2))
    problem = Problem(x[0] @ x[1].mT, NMF(), Frobenius(), regs)
    assert all((scale == 1).all() for scale in problem.balance(x))


def test_momentum_does_not_drift_along_the_scale(generator):
    """Dense factors: extrapolated scales used to grow without end."""
    w, h = uniform(generator, 9, 2, low=0.2), uniform(generator, 7, 2, low=0.2)
    problem = Problem(w @ h.mT + 0.02 * uniform(generator, 9, 7), NMF(), Frobenius(), NONNEGATIVE)
    step = Extrapolated(Alternating(HALS()))
    state = step.init((w + 0.05, h + 0.05), problem)
    for _ in range(300):
        state = step(state, problem)
    ratio = state.factors[0].norm(dim=0) / state.factors[1].norm(dim=0)
    assert (ratio < 10).all() and (ratio > 0.1).all()
    assert problem.kkt(state.factors) < 1e-8


def test_networks_and_modules(generator):
    """An implicit layer is a module: state_dict, iterates, no graph without gradients."""
    w, y = regression(generator)
    layer = ImplicitRegression(
        Alternating(FISTA(), inner=20), NMF(), Frobenius(),
        (NonNegative(), learned(NonNegative(l1=0.2), "l1")), free=(1,),
    )  # fmt: skip
    start = (w, torch.ones(6, 4, dtype=torch.float64))
    first, last = layer.iterates(y, start)
    assert first.factors[0] is w and last.factors[1].requires_grad
    with torch.no_grad():
        assert not layer(y, start)[1].requires_grad
    assert isinstance(layer.regs, nn.ModuleList) and len(layer.state_dict()) >= 1
