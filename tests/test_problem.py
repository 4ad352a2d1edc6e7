"""The problem: its residual, its objective, its scale, and what it does with missing entries."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance import close
from scipy.optimize import nnls as scipy_nnls
from zoo import LOSSES, MODELS, REGULARIZERS, example, normal, uniform

from rlra_torch.functional.missing import observed
from rlra_torch.iterations import MU, Alternating
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from rlra_torch.models import CP, NMF, Coupled, Multilinear
from rlra_torch.models.base import replaced
from rlra_torch.operators import Dense
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Box, Free, NonNegative, Simplex
from rlra_torch.regularizers.packed import Packed
from rlra_torch.solvers import solve

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_model = pytest.mark.parametrize("model", MODELS)
# Where a component can be scaled in one factor and back in another: (factor, dim, factor, dim).
GAUGES = {
    "nmf": [(0, -1, 1, -1)],
    "cp": [(0, -1, 1, -1), (2, -1, 0, -1)],
    "tucker": [(0, -1, 3, 0), (1, -1, 3, 1), (2, -1, 3, 2)],
    "parafac2": [(0, -1, 1, -1), (1, -1, 2, -1), (1, -2, 2, -3)],
    "single pixel": [(0, -1, 1, -2), (1, -1, 2, -1)],
    "coded": [(0, -1, 1, -2), (1, -1, 2, -1)],
    "rank first": [(0, 0, 1, 0)],
    "convolutive": [(0, -1, 1, -1)],
    "convolutive nmf": [(0, -1, 1, -1)],
    "convolutive by fourier": [(0, -1, 1, -1)],
    "convolved images": [(0, -1, 1, -1)],
    "sensed nmf": [(0, -1, 1, -1)],
}


def along(vector, dim, ndim):
    shape = [1] * ndim
    shape[dim] = -1
    return vector.reshape(shape)


# --- The residual ------------------------------------------------------------------------------


@every_loss
@every_model
def test_kkt_does_not_see_the_unit_of_the_data(model, loss, generator):
    problem, factors = example(generator, model, loss)
    expected = problem.kkt(factors)
    assert expected > 1e-2
    for c in (1e-4, 1e3):
        for n in range(len(factors)):
            scaled = replace(problem, y=c * problem.y)
            close(scaled.kkt(replaced(factors, n, c * factors[n])), expected, 1e-9)


@every_loss
@every_model
def test_kkt_does_not_see_the_scale_of_components(model, loss, generator):
    problem, factors = example(generator, model, loss)
    expected = problem.kkt(factors)
    for a, i, b, j in GAUGES[model]:
        d = 10 ** uniform(generator, factors[a].shape[i], low=-3, high=3)
        moved = list(factors)
        moved[a] = moved[a] * along(d, i, moved[a].ndim)
        moved[b] = moved[b] / along(d, j, moved[b].ndim)
        close(problem.objective(tuple(moved)), problem.objective(factors), 1e-9)
        close(problem.kkt(tuple(moved)), expected, 1e-9)


@pytest.mark.parametrize("model", ["nmf", "cp", "sensed nmf"])
@pytest.mark.parametrize("reg", ["nonnegative elastic", "simplex of columns", "group of columns"])
def test_kkt_does_not_see_the_order_of_components(model, reg, generator):
    problem, factors = example(generator, model, reg=reg)
    turned = tuple(x.roll(1, -1) for x in factors)
    close(problem.kkt(turned), problem.kkt(factors), 1e-10)


@every_loss
@every_model
def test_kkt_is_zero_at_an_exact_fit(model, loss, generator):
    problem, factors = example(generator, model, loss, batch=(2,))
    fitted = replace(problem, y=problem.model(factors))
    assert (fitted.kkt(factors) < 1e-13).all()


def test_kkt_is_zero_at_the_solution_of_scipy(generator):
    for m, r in ((20, 6), (6, 20), (8, 8)):
        a, y = uniform(generator, m, r), normal(generator, m)
        x, _ = scipy_nnls(a.numpy(), y.numpy())
        assert (x == 0).any()
        problem = Problem(y[:, None], NMF(), Frobenius(), (NonNegative(),) * 2, free=(1,))
        factors = (a, torch.from_numpy(x)[None])
        assert problem.kkt(factors) < 1e-12
        # Zero-locked: every entry at 0 has a zero multiplicative gradient, yet this is no solution.
        if (a.mT @ y > 0).any():
            assert problem.kkt((a, torch.zeros(1, r, dtype=a.dtype))) > 1e-3


@pytest.mark.parametrize(
    ("loss", "reg", "solution"),
    [
        # min over x >= 0 of the loss of (2 x, 4 x) to (3, 7) plus the penalty
        (Frobenius(), Free(), 34 / 20),
        (Frobenius(), NonNegative(l1=4.0), 30 / 20),
        (Frobenius(), NonNegative(ridge=5.0), 34 / 25),
        (Frobenius(), NonNegative(4.0, 5.0), 30 / 25),
        (Frobenius(), NonNegative(l1=40.0), 0.0),
        (Frobenius(), Box(0.0, 1.5), 1.5),
        (KullbackLeibler(), NonNegative(), 10 / 6),
        (KullbackLeibler(), NonNegative(l1=4.0), 10 / 10),
        (KullbackLeibler(), NonNegative(ridge=2.0), (-6 + 116**0.5) / 4),
        (ItakuraSaito(), NonNegative(), (3 / 2 + 7 / 4) / 2),
        (BetaDivergence(3.0), NonNegative(), (3 * 4 + 7 * 16) / (8 + 64)),
    ],
)
def test_kkt_is_zero_at_closed_form_solutions_only(loss, reg, solution):
    y = torch.tensor([[3.0], [7.0]], dtype=torch.float64)
    a = torch.tensor([[2.0], [4.0]], dtype=torch.float64)
    problem = Problem(y, NMF(), loss, (Free(), reg), free=(1,))

    def kkt(x):
        return problem.kkt((a, torch.full((1, 1), x, dtype=y.dtype))).item()

    assert kkt(solution) < 1e-14
    away = [kkt(solution + delta) for delta in (1e-6, 1e-4, 1e-2)]
    # To first order in the distance: it is a distance, not its square.
    assert 1e-9 < away[0] < away[1] < away[2]
    assert 50 < away[1] / away[0] < 200 and 50 < away[2] / away[1] < 200
    if solution and not isinstance(reg, Box):
        assert kkt(solution - 1e-4) == pytest.approx(away[1], rel=0.01)


def test_kkt_where_the_prediction_is_zero(generator):
    for name in MODELS:
        for reg in ("nonnegative", "nonnegative elastic"):
            problem, factors = example(generator, name, reg=reg)
            for n in range(len(factors)):
                value = problem.kkt(replaced(factors, n, torch.zeros_like(factors[n])))
                assert value.isfinite() and value > 1e-3


def test_kkt_of_silent_and_unobserved_data(generator):
    y = uniform(generator, 3, 5, 4)
    y[1] = 0
    weights = torch.ones_like(y)
    weights[2] = 0
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(),) * 2, weights)
    factors = (uniform(generator, 3, 5, 2), uniform(generator, 3, 4, 2))
    kkt = problem.kkt(factors)
    assert kkt[0] > 1e-2 and kkt[1] > 1e-2 and kkt[2] == 0
    silent = (factors[0], torch.zeros_like(factors[1]))
    assert problem.kkt(silent)[1] == 0


# --- Batches, weights, objective ---------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("model", ["cp", "parafac2", "sensed nmf"])
@pytest.mark.parametrize("reg", ["nonnegative elastic", "group of columns"])
def test_a_batch_is_as_many_problems(model, loss, reg, generator):
    problem, factors = example(generator, model, loss, reg, batch=(2, 3))
    problem = replace(problem, weights=uniform(generator, *problem.y.shape))
    for i, j in ((0, 0), (1, 2)):
        weights, single = problem.weights[i, j], tuple(x[i, j] for x in factors)
        alone = replace(problem, y=problem.y[i, j], weights=weights)
        for measure in ("objective", "kkt", "relative_error"):
            together = getattr(problem, measure)(factors)
            assert together.shape == (2, 3)
            close(together[i, j], getattr(alone, measure)(single), 1e-10)
        pairs = zip(problem.scaled(factors), alone.scaled(single), strict=True)
        for x, y in pairs:
            close(x[i, j], y, 1e-9)


def test_objective_by_hand(generator):
    y, w, h = uniform(generator, 5, 4), uniform(generator, 5, 2), uniform(generator, 4, 2)
    regs = (NonNegative(l1=0.3), NonNegative(ridge=0.5))
    problem = Problem(y, NMF(), Frobenius(), regs)
    fit = 0.5 * (y - w @ h.T).square().sum()
    close(problem.objective((w, h)), fit + 0.3 * w.sum() + 0.25 * h.square().sum())
    close(problem.freeze(0).objective((w, h)), fit + 0.25 * h.square().sum())
    close(problem.relative_error((w, h)), (y - w @ h.T).norm() / y.norm())
    assert problem.freeze(0).order == (1,)


@every_loss
def test_integer_weights_repeat_rows(loss, generator):
    problem, (w, h) = example(generator, loss=loss)
    counts = torch.tensor([1, 3, 0, 2, 1])
    weights = counts[:, None].expand_as(problem.y).to(w.dtype)
    weighted = replace(problem, weights=weights)
    long = replace(problem, y=problem.y.repeat_interleave(counts, 0))
    repeated = (w.repeat_interleave(counts, 0), h)
    close(weighted.objective((w, h)), long.objective(repeated))
    close(weighted.block(1, (w, h)).gradient(h), long.block(1, repeated).gradient(h))


@every_loss
def test_kkt_does_not_see_the_unit_of_the_weights(loss, generator):
    problem, factors = example(generator, loss=loss)
    for c in (1.0, 1e-4, 100.0):
        weighted = replace(problem, weights=torch.full_like(problem.y, c))
        close(weighted.kkt(factors), problem.kkt(factors), 1e-10)


@every_loss
def test_a_fit_never_looks_at_unobserved_entries(loss, generator):
    problem, factors = example(generator, loss=loss)
    weights = (uniform(generator, *problem.y.shape) < 0.7).to(problem.y.dtype)
    fits = []
    for unobserved in (0.0, 3.0, -2.0, 1e9):
        y = torch.where(weights > 0, problem.y, unobserved)
        masked = replace(problem, y=y, weights=weights)
        fit = solve(Alternating(MU()), masked, masked.scaled(factors), max_iter=30, tol=0)
        fits.append((*fit.factors, fit.kkt, fit.objective, masked.relative_error(fit.factors)))
    for fit in fits[1:]:
        assert all(torch.equal(a, b) for a, b in zip(fit, fits[0], strict=True))
    assert all(x.isfinite().all() for x in fits[0])


def test_observed(generator):
    y = uniform(generator, 4, 3)
    assert observed(y) == (y, None)
    hole = y.clone()
    hole[1, 2] = torch.nan
    filled, weights = observed(hole)
    assert weights is not None and weights[1, 2] == 0 and weights.sum() == 11
    assert filled.isfinite().all() and torch.equal(filled * weights, y * weights)
    _, both = observed(hole, (y > 0.5).to(y.dtype))
    assert both is not None and torch.equal(both, ((y > 0.5) & ~hole.isnan()).to(y.dtype))
    _, boolean = observed(y, y > 0.5)
    assert boolean is not None and boolean.dtype == y.dtype


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(3), "weights have shape"),
        (torch.tensor([1.0, -1.0]), "finite and nonnegative"),
        (torch.tensor([1.0, torch.inf]), "finite and nonnegative"),
    ],
)
def test_observed_refuses(weights, message):
    with pytest.raises(ValueError, match=message):
        observed(torch.ones(2), weights)


def test_a_problem_needs_an_observed_entry(generator):
    factors = tuple(uniform(generator, n, 2) for n in (3, 4))
    y = uniform(generator, 3, 4)
    problem = Problem(y, NMF(), Frobenius(), [NonNegative()] * 2, torch.zeros_like(y))
    with pytest.raises(ValueError, match="no entry is observed"):
        problem.validate(factors)


# --- The best common scale ---------------------------------------------------------------------


def scale_of(problem, factors):
    ratios = [x / y for x, y in zip(problem.scaled(factors), factors, strict=True)]
    for ratio in ratios:
        close(ratio, ratio.flatten()[0].expand_as(ratio))
    return [ratio.flatten()[0].item() for ratio in ratios]


def test_scale_in_closed_form(generator):
    problem, factors = example(generator, "cp")
    p, y = problem.model(factors), problem.y
    for loss, expected in (
        (Frobenius(), (p * y).sum() / p.square().sum()),
        (KullbackLeibler(), y.sum() / p.sum()),
        (ItakuraSaito(), (y / p).mean()),
    ):
        found = scale_of(replace(problem, loss=loss), factors)
        assert found == pytest.approx([expected.item() ** (1 / 3)] * 3, rel=1e-12)


@every_loss
@pytest.mark.parametrize(
    ("model", "reg"),
    [("nmf", "free"), ("nmf", "nonnegative l1"), ("cp", "nonnegative ridge")],
)
def test_scale_minimizes_the_objective(model, loss, reg, generator):
    problem, factors = example(generator, model, loss, "nonnegative")
    regs = [REGULARIZERS[reg].make() for _ in factors]
    for r in regs:
        for weight in r.buffers():
            weight.mul_(0.1)
    problem = replace(problem, regs=regs)
    best = problem.scaled(factors)
    found = problem.objective(best)
    for t in np.exp(np.linspace(-4, 4, 81)):
        assert found <= problem.objective(tuple(t * x for x in best)) * (1 + 1e-12)
    for t in (0.999, 1.001):
        assert found < problem.objective(tuple(t * x for x in best))
    # What is best already stays.
    assert scale_of(problem, best) == pytest.approx([1.0] * len(factors))


def test_scale_of_frozen_and_of_fixed_factors(generator):
    problem, (w, h) = example(generator)
    target = ((w @ h.mT * problem.y).sum() / (w @ h.mT).square().sum()).item()
    assert scale_of(problem.freeze(0), (w, h)) == pytest.approx([1, target])
    fixed = replace(problem, regs=(NonNegative(), Simplex()))
    assert scale_of(fixed, (w, h)) == pytest.approx([target, 1])
    assert scale_of(replace(problem, regs=(Simplex(), Simplex())), (w, h)) == [1, 1]


def test_scale_of_a_heavily_penalized_start_is_not_zero(generator):
    """Zero may be the cheapest scale, but from zero factors no iteration ever leaves."""
    for weight in (0.5, 2.0, 50.0):
        for reg in (NonNegative(l1=weight), NonNegative(ridge=weight)):
            problem, factors = example(generator, "cp")
            problem = replace(problem, regs=(reg, reg, reg))
            assert all(0 < s < torch.inf for s in scale_of(problem, factors))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_signed_factor_turns_to_the_data(n, generator):
    """Opposite to the data the best scale would be negative, and 0 is where nothing moves."""
    truth = MODELS["cp"].factors(generator, (2,))
    y = CP(3)(truth) * torch.tensor([1.0, -1.0]).double()[:, None, None, None]
    regs = [Free() if i == n else NonNegative() for i in range(3)]
    found = Problem(y, CP(3), Frobenius(), regs).scaled(tuple(2 * x for x in truth))
    for i, (x, old) in enumerate(zip(found, truth, strict=True)):
        close(x[0], old[0], 1e-10)
        close(x[1], (-1.0 if i == n else 1.0) * old[1], 1e-10)


def test_signed_factors_of_coupled_models_turn_to_their_data(generator):
    model = Coupled([(NMF(), (0, 1)), (NMF(), (0, 2))])
    truth = tuple(uniform(generator, n, 2) for n in (4, 5, 6))
    first, second = model(truth)
    problem = Problem((first, -second), model, Frobenius(), [Free()] * 3)
    close(
        torch.stack(problem.relative_errors(problem.scaled(truth))),
        torch.zeros(2).double(),
        0,
        1e-6,
    )


def test_scale_in_the_literature():
    """HDR, section 10.4: with 0.1 on the l1 norms, to which the printed call assigns its weight."""
    rng, dims = np.random.RandomState(22), (10, 11, 12)
    true = [rng.rand(n, 3) for n in dims]
    data = np.einsum("ir,jr,kr,r->ijk", *true, [1, 0.1, 0.01]) + 0.1 * rng.randn(*dims)
    start = tuple(torch.from_numpy(10.0**-i * rng.rand(n, 6)) for i, n in enumerate(dims))
    norms = [x.norm().item() for x in start]
    assert norms == pytest.approx([4.299994791774854, 0.4074799825930501, 0.04968474562511675])
    problem = Problem(torch.from_numpy(data), CP(3), Frobenius(), [NonNegative(l1=0.1)] * 3)
    assert scale_of(problem, start) == pytest.approx([5.290233987029234] * 3, rel=1e-12)


# --- Factors that are not stored as blocks -----------------------------------------------------


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("equation", ["ri,rj->ij", "kr,kjr,ir->ijk", "mp,rp,sr->ms"])
def test_a_regularizer_acts_on_the_factor_as_it_is_stored(name, equation, generator):
    model, reg = Multilinear(equation), REGULARIZERS[name].make()
    n = 1 if equation.startswith("mp") else 0
    x = normal(generator, 2, 4, 3)
    layout = model.layout(n)
    packed, block = Packed(reg, layout, x), layout.pack(x)
    assert (packed.degree, packed.convex) == (reg.degree, reg.convex)
    close(packed(block), reg(x))
    close(packed.prox(block, 0.7), layout.pack(reg.prox(x, 0.7)))
    diagonal = uniform(generator, *block.shape, low=0.1)
    metric = packed.metric(diagonal)
    assert metric.shape == block.shape and (metric >= diagonal).all()
    close(layout.unpack(metric, x), reg.metric(layout.unpack(diagonal, x)).expand_as(x))
    step = layout.unpack(1 / metric, x)
    close(packed.prox(block, 1 / metric), layout.pack(reg.prox(x, step)))


# --- Parts that do not fit ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regs": (NonNegative(),)}, "NMF has 2 factors but 1 regularizers were given"),
        ({"y": torch.ones(4)}, "NMF predicts 2 dimensions"),
        ({"weights": torch.ones(4, dtype=torch.float64)}, "weights have shape"),
        ({"free": (2,)}, "free factors must be among 0..1"),
        ({"free": ()}, "free factors must be among 0..1"),
    ],
)
def test_parts_that_do_not_fit(change, message, generator):
    problem, _ = example(generator)
    with pytest.raises(ValueError, match=message):
        replace(problem, **change)


def test_validate(generator):
    problem, (w, h) = example(generator, batch=(2,))
    problem.validate((w, h))
    for bad, error, message in (
        ((w.float(), h), TypeError, "factor 0 is torch.float32 on cpu but the data is"),
        ((w.long(), h), TypeError, "factor 0 must be real floating point"),
        ((w, h * torch.nan), ValueError, "factor 1 has 24 NaN or infinite entries of 24"),
        ((w[:, :0], h), ValueError, "factor 0 is empty"),
        ((w[0], h), ValueError, r"factor 0 has leading dimensions \(\) but the data has \(2,\)"),
    ):
        with pytest.raises(error, match=message):
            problem.validate(bad)
    kl = replace(problem, loss=KullbackLeibler())
    with pytest.raises(ValueError, match="KullbackLeibler needs nonnegative factors"):
        kl.validate((-w, h))
    with pytest.raises(ValueError, match="KullbackLeibler cannot take this data: 40 of 40"):
        replace(kl, y=-kl.y).validate((w, h))
    # What is masked may be anything.
    seen = (torch.arange(4) > 0).expand_as(kl.y).to(w.dtype)
    replace(kl, y=torch.where(seen > 0, kl.y, -torch.inf), weights=seen).validate((w, h))


def test_sensed_shapes_are_validated(generator):
    problem, factors = example(generator, "sensed nmf", batch=(2,))
    problem.validate(factors)
    assert isinstance(problem.model.operator, Dense)
    with pytest.raises(ValueError, match="the model measures"):
        replace(problem, y=problem.y[..., :-1]).validate(factors)
