"""Balanced scales: closed forms, elastic nets, cores, memory, and what they are good for."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance import check_descent, close, run
from experiments import balancing
from scipy.optimize import minimize
from zoo import MODELS, example, uniform

from rlra_torch import nmf
from rlra_torch.functional.scaling import balance
from rlra_torch.iterations import (
    ADMM,
    FISTA,
    HALS,
    MSOM,
    MU,
    AcceleratedMU,
    ActiveSet,
    Alternating,
    Balanced,
    Extrapolated,
    Inertial,
    Regularized,
    Repeat,
    Safeguarded,
)
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF, Coupled, Multilinear, Tucker
from rlra_torch.problem import Problem
from rlra_torch.regularizers import (
    L1,
    Box,
    ElasticNet,
    Group,
    MappedRows,
    NonNegative,
    Ridge,
    Sum,
    UnitNorm,
)
from rlra_torch.solvers import solve, solve_path

SWEEP = Alternating(HALS())


def penalties(problem, factors):
    return problem.objective(factors) - problem.regularized(
        [NonNegative() for _ in factors]
    ).objective(factors)


def uneven(generator, rank=3, sizes=(1.0, 20.0, 0.03)):
    dims = (5, 6, 7)
    return tuple(s * uniform(generator, n, rank) for n, s in zip(dims, sizes, strict=True))


def cp_problem(generator, regs):
    return Problem(uniform(generator, 5, 6, 7), CP(3), Frobenius(), regs)


# --- The best scales ------------------------------------------------------------------------------


def test_four_penalties_of_two_degrees():
    values = torch.tensor([4.0, 0.25, 0.5, 2.0], dtype=torch.float64)
    degrees = (1.0, 1.0, 2.0, 1.0)
    scales = balance([{p: r} for p, r in zip(degrees, values, strict=True)])
    for p, r, t in zip(degrees, values, scales, strict=True):
        assert float(p * r * t**p) == pytest.approx(1.21901365, abs=5e-9)
    assert float(torch.stack(scales).prod()) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("spread", [1, 30])
def test_sums_of_powers_against_their_optimality_conditions(spread, generator):
    def draw():
        return 10 ** (spread * uniform(generator, 500, low=-1))

    for degrees in ([(1, 2), (1, 2)], [(1, 2), (2,), (1,)], [(0.5, 4), (1, 2, 3), (1,)]):
        parts = [{float(p): draw() for p in several} for several in degrees]
        scales = balance(parts)
        close(torch.stack(scales).log().sum(0), torch.zeros(500, dtype=torch.float64), atol=1e-11)
        logs = [
            torch.stack([p * r * t**p for p, r in several.items()]).sum(0).log()
            for several, t in zip(parts, scales, strict=True)
        ]
        for log in logs[1:]:
            close(log, logs[0], atol=1e-10)


def test_scales_are_differentiable(generator):
    values = [uniform(generator, 2, low=0.1).requires_grad_() for _ in range(5)]

    def scales(a, b, c, d, e):
        return tuple(balance([{1.0: a, 2.0: b}, {2.0: c}, {1.0: d, 2.0: e}]))

    assert torch.autograd.gradcheck(scales, values)
    nothing = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    found = scales(nothing, *values[1:])
    grads = torch.autograd.grad(sum(t.sum() for t in found), [nothing, *values[1:]])
    assert all(g.isfinite().all() for g in grads)


REGS = {
    "ridges": (Ridge(0.3), Ridge(2.0), Ridge(0.01)),
    "l1": (NonNegative(l1=0.3), NonNegative(l1=0.3), NonNegative(l1=4.0)),
    "l1, ridge": (NonNegative(l1=0.3), NonNegative(ridge=0.3), L1(4.0)),
    "group, ridge": (Group(0.3), Ridge(0.5), Group(2.0, nonnegative=True)),
    "elastic net": (NonNegative(0.3, 0.2), NonNegative(ridge=0.5), ElasticNet(2.0, 0.1)),
}


@pytest.mark.parametrize("name", REGS)
def test_penalties_are_least_and_the_prediction_stays(name, generator):
    problem, x = cp_problem(generator, REGS[name]), uneven(generator)
    best = problem.balanced(x)
    close(problem.model(best), problem.model(x))
    assert penalties(problem, best) < penalties(problem, x)
    close(problem.implicit(x), penalties(problem, best), 1e-9)
    close(problem.implicit(best), problem.implicit(x), 1e-12)

    def cost(logs):
        first, second = torch.tensor(logs).reshape(2, 3).exp()
        moved = (x[0] * first, x[1] * second, x[2] / (first * second))
        return float(penalties(problem, moved))

    found = minimize(cost, np.zeros(6), tol=1e-10).fun
    assert float(problem.implicit(x)) == pytest.approx(found, rel=1e-8)
    # What is balanced stays, bit by bit.
    assert all((t == 1).all() for t in problem.balance(best))


def test_implicit_regularizers_of_ridges_l1_and_both(generator):
    x = uneven(generator)
    terms = torch.stack([torch.einsum("i,j,k->ijk", *(f[:, q] for f in x)) for q in range(3)])
    ridge = cp_problem(generator, [NonNegative(ridge=0.4) for _ in x])
    expected = 1.5 * 0.4 * terms.flatten(1).norm(dim=1).pow(2 / 3).sum()
    close(ridge.implicit(x), expected, 1e-12)

    w, h = x[:2]
    terms = torch.stack([torch.outer(w[:, q], h[:, q]) for q in range(3)])
    l1 = Problem(w @ h.mT, NMF(), Frobenius(), (NonNegative(l1=0.3), NonNegative(l1=1.2)))
    close(l1.implicit((w, h)), 2 * 0.6 * terms.sum((1, 2)).sqrt().sum(), 1e-12)
    both = Problem(w @ h.mT, NMF(), Frobenius(), (NonNegative(l1=0.3), NonNegative(ridge=0.6)))
    mixed = terms.sum(1).norm(dim=1)  # the norm over columns of the sums over rows
    close(both.implicit((w, h)), 3 / 2 ** (2 / 3) * 0.3 * mixed.pow(2 / 3).sum(), 1e-12)


def test_a_batch_is_as_many_problems(generator):
    x = tuple(uniform(generator, 4, n, 3) * 10**n for n in (2, 3))
    problem = Problem(x[0] @ x[1].mT, NMF(), Frobenius(), (L1(0.2), NonNegative(0.1, 0.3)))
    for i, single in enumerate(zip(*x, strict=True)):
        alone = replace(problem, y=problem.y[i])
        for a, b in zip(alone.balance(single), problem.balance(x), strict=True):
            close(a, b[i], 1e-14)
        close(alone.implicit(single), problem.implicit(x)[i], 1e-14)


# --- What cannot be scaled, and zeros -------------------------------------------------------------


def test_a_component_that_is_zero_in_one_factor_is_zero_in_all(generator):
    x = uneven(generator)
    x[1][:, 1] = 0
    problem = cp_problem(generator, REGS["l1, ridge"])
    best = problem.balanced(x)
    assert all((b[:, 1] == 0).all() and b[:, ::2].any(0).all() for b in best)
    assert penalties(problem, best) < penalties(problem, x)
    close(problem.model(best), problem.model(x))
    # Without penalties it may come back.
    free = cp_problem(generator, [NonNegative() for _ in x])
    best = free.balanced(x)
    assert best[0][:, 1].any() and not best[1].norm(dim=0)[1]
    norms = torch.stack([b.norm(dim=0) for b in best])[:, ::2]
    close(norms, norms[:1].expand(3, -1))


def test_penalties_of_weight_zero_leave_the_scale_alone(generator):
    regs = [NonNegative(l1=torch.zeros(())), NonNegative(l1=1.0), NonNegative(l1=1.0)]
    problem = cp_problem(generator, regs)
    assert all((t == 1).all() for t in problem.balance(uneven(generator)))


@pytest.mark.parametrize(
    ("regs", "error", "words"),
    [
        ((NonNegative(l1=1.0), NonNegative()), ValueError, "penalize all of them"),
        ((NonNegative(l1=1.0), UnitNorm()), TypeError, "two free factors"),
        ((Box(), UnitNorm()), TypeError, "two free factors"),
    ],
)
def test_what_has_no_best_scale_is_refused(regs, error, words, generator):
    x = (uniform(generator, 5, 2), uniform(generator, 4, 2))
    problem = Problem(x[0] @ x[1].mT, NMF(), Frobenius(), regs)
    assert all((t == 1).all() for t in problem.balance(x))
    with pytest.raises(error, match=words):
        solve(Balanced(SWEEP), problem, x)
    with pytest.raises(TypeError, match="wrap block iterations"):
        Balanced(HALS())


def test_constrained_and_frozen_factors_stay(generator):
    x = uneven(generator)
    problem = cp_problem(generator, (L1(1.0), UnitNorm(), Ridge(1.0)))
    assert (problem.balance(x)[1] == 1).all() and (problem.balance(x)[0] != 1).all()
    frozen = cp_problem(generator, REGS["l1"]).freeze(0)
    first, second, third = frozen.balance(x)
    assert (first == 1).all()
    close(second * third, torch.ones_like(second))


# --- Cores ----------------------------------------------------------------------------------------


def test_a_core_is_balanced_with_every_factor(generator):
    x = MODELS["tucker"].factors(generator)
    x = tuple(s * f for s, f in zip((1.0, 20.0, 0.03, 5.0), x, strict=True))
    regs = (NonNegative(l1=0.3), NonNegative(ridge=0.5), L1(2.0), NonNegative(l1=0.7))
    problem = Problem(Tucker(3)(x), Tucker(3), Frobenius(), regs)
    best = problem.balanced(x)
    close(problem.model(best), problem.model(x))
    sizes = [f.shape[-1] for f in x[:3]]

    def cost(logs):
        parts = torch.tensor(logs).exp().split(sizes)
        core = x[3] / torch.einsum("a,b,c->abc", *parts)
        moved = (*(f * t for f, t in zip(x[:3], parts, strict=True)), core)
        return float(penalties(problem, moved))

    found = minimize(cost, np.zeros(sum(sizes)), tol=1e-10).fun
    assert float(problem.implicit(x)) == pytest.approx(found, rel=1e-6)
    check_descent(Balanced(SWEEP), problem, tuple(1.1 * f for f in x))
    assert Problem(problem.y, Tucker(3), Frobenius(), (*regs[:3], Group(1.0))).balance(x)[0].ndim


def test_letters_of_the_output_are_not_scales(generator):
    equation = Multilinear("ir,kr,kjr->ijk")
    x = MODELS["parafac2"].factors(generator)
    problem = Problem(equation(x), equation, Frobenius(), [Ridge(0.1), Ridge(1.0), Ridge(5.0)])
    assert [freedom.gauge for freedom in problem.freedoms] == [((0, -1), (1, -1), (2, -1))]
    close(equation(problem.balanced(x)), equation(x))


def test_factors_of_one_data_set_only_are_balanced(generator):
    """The shared one has scales of its own in neither; linear couplings hold all factors still."""
    model = Coupled([(CP(3), (0, 1, 2)), (NMF(), (0, 3))])
    x = (*uneven(generator), uniform(generator, 4, 3))
    problem = Problem(model(x), model, Frobenius(), [Ridge(0.5) for _ in x])
    assert [freedom.gauge for freedom in problem.freedoms] == [((1, -1), (2, -1))]
    best = problem.balanced(x)
    for a, b in zip(model(best), model(x), strict=True):
        close(a, b)
    close(best[1].norm(dim=0), best[2].norm(dim=0))
    assert best[0] is x[0] or torch.equal(best[0], x[0])
    assert penalties(problem, best) < penalties(problem, x)
    maps = {1: torch.eye(6, dtype=torch.float64), 3: torch.ones(6, 4, dtype=torch.float64)}
    assert not replace(problem, couplings=(MappedRows(maps),)).freedoms


# --- The iteration --------------------------------------------------------------------------------


@pytest.mark.parametrize("reg", ["nonnegative l1", "nonnegative ridge", "nonnegative elastic"])
@pytest.mark.parametrize("block", [HALS(), MU(), ActiveSet(2), Inertial(MSOM(1.0))])
def test_the_objective_never_rises_from_balancing(block, reg, generator):
    problem, start = example(generator, "cp", reg=reg)
    plain, steps = Alternating(block), Balanced(Alternating(block))
    states = [steps.init(start, problem)]
    for _ in range(5):
        swept = plain(states[-1], problem).factors
        states.append(steps(states[-1], problem))
        assert problem.objective(states[-1].factors) <= problem.objective(swept) * (1 + 1e-14)
        found = [problem.balance(states[-1].factors)]
        assert all((t == 1).all() for t in itertools.chain(*found))


SCALED = [
    Alternating(Inertial(MU(), 0.3)),
    Alternating(AcceleratedMU()),
    Alternating(Safeguarded(AcceleratedMU(), MU())),
    Alternating(HALS()),
    Repeat(Alternating(Inertial(MU(), 0.3)), 2),
    Regularized(Alternating(AcceleratedMU()), (NonNegative(), NonNegative())),
    Extrapolated(Alternating(HALS())),
    Balanced(Alternating(AcceleratedMU())),
]


@pytest.mark.parametrize("iteration", SCALED, ids=lambda it: type(it).__name__)
@pytest.mark.parametrize("rank", [1, 3])
def test_memory_follows_the_factors(iteration, rank, generator):
    """A step from a rescaled state is the rescaled step, for iterations that do not see scales."""
    w, h = uniform(generator, 6, rank, low=0.1), uniform(generator, 5, rank, low=0.1)
    y = w @ h.mT + 0.1 * uniform(generator, 6, 5)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    state = iteration.init((w + 0.3, h + 0.2), problem)
    for _ in range(3):
        state = iteration(state, problem)
    t = 2.0 ** torch.arange(1, rank + 1, dtype=torch.float64)[None]
    other = iteration.rescaled(state, (t, 1 / t), problem)
    for _ in range(3):
        state, other = iteration(state, problem), iteration(other, problem)
    close(other.factors[0] @ other.factors[1].mT, state.factors[0] @ state.factors[1].mT, 1e-11)


def test_counters_are_not_scales(generator):
    x = uniform(generator, 6, 1)
    fista, active, reg = FISTA(), ActiveSet(2), NonNegative()
    point, count = fista.rescaled(2 * x, fista.init(x, reg), torch.full_like(x, 2.0), reg)
    assert torch.equal(point, 2 * x) and torch.equal(count, torch.ones_like(x))
    # What does not say how its memory scales starts anew.
    (passive,) = active.rescaled(0 * x, active.init(x, reg), torch.zeros_like(x), reg)
    assert not passive.any()


def test_a_sum_is_the_penalties_that_it_is_made_of(generator):
    x = uneven(generator)
    whole = (NonNegative(0.3, 0.2), NonNegative(ridge=0.5), NonNegative(0.1, 0.1))
    parts = [Sum(NonNegative(l1=0.3), Ridge(0.2)), Sum(NonNegative(), Ridge(0.3), Ridge(0.2))]
    several = cp_problem(generator, (*parts, Sum(whole[2])))
    for a, b in zip(several.balance(x), cp_problem(generator, whole).balance(x), strict=True):
        close(a, b)
    assert not Sum(Ridge(0.1), Box()).homogeneous


@pytest.mark.parametrize("reg", ["nonnegative l1", "nonnegative ridge"])
def test_multipliers_follow_the_factors(reg, generator):
    """Balanced AO-ADMM ends where balanced HALS does; rescaling costs it no iterations."""
    problem, start = example(generator, reg=reg)
    start = (10 * start[0], start[1] / 10)
    settings = {"max_iter": 400, "tol": 1e-9}
    exact = solve(Balanced(SWEEP), problem, start, **settings)
    split = solve(Balanced(Alternating(ADMM(), 5)), problem, start, **settings)
    assert split.converged and exact.converged
    close(split.objective, exact.objective, 1e-9)
    plain = solve(Alternating(ADMM(), 5), problem, problem.balanced(start), **settings)
    assert split.n_iter <= plain.n_iter + 10


def test_balanced_layers_are_differentiable(generator):
    y = uniform(generator, 4, 3).requires_grad_()
    weight = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    start = (uniform(generator, 4, 2, low=0.2), uniform(generator, 3, 2, low=0.2))

    def swept(y, weight):
        regs = (NonNegative(ridge=weight), NonNegative(l1=0.1, ridge=0.1))
        problem = Problem(y, NMF(), KullbackLeibler(), regs)
        return run(Balanced(Alternating(MU())), problem, start, 2)[-1]

    assert torch.autograd.gradcheck(swept, (y, weight))


# --- What it is good for --------------------------------------------------------------------------


def test_the_scaling_swamp_and_the_way_out():
    problem, start = balancing.swamp(1e-3)
    slow = run(SWEEP, problem, start, 200)[-1]
    assert float(slow[0]) == pytest.approx(0.642558430874947, rel=1e-12)
    assert float(slow[1]) == pytest.approx(1.5525184957484308, rel=1e-12)
    assert 2 * float(problem.objective(slow)) == pytest.approx(0.0028290328046, abs=1e-13)
    optimum, best = 0.001999, 0.999**0.5
    fast = run(Balanced(SWEEP), problem, start, 5)[-1]
    assert 2 * float(problem.objective(fast)) == pytest.approx(optimum, rel=1e-13)
    assert [float(x) for x in fast] == pytest.approx([best, best], rel=1e-12)
    # One balance of the start is enough to come near, and one of the end helps as well.
    once = run(SWEEP, problem, problem.balanced(start), 5)[-1]
    assert 2 * float(problem.objective(once)) < optimum * (1 + 1e-3)
    assert problem.objective(problem.balanced(slow)) < problem.objective(slow) * 0.71


def test_balanced_and_scaled_starts_lead_lower():
    problem, several = balancing.starts(seeds=5)
    settings = {"max_iter": 100, "tol": 0, "check_every": 100}
    ends = {
        name: solve(balancing.SWEEP, problem, start, **settings) for name, start in several.items()
    }
    worst = ends["as it is"].objective
    assert (ends["balanced"].objective < worst).all()
    for name in ("scaled", "balanced and scaled"):
        assert ends[name].objective.mean() < worst.mean()
    # Balancing the ends lowers the objective a little more, by most where nothing was done before.
    gains = {
        name: (end.objective - problem.objective(problem.balanced(end.factors))).mean()
        for name, end in ends.items()
    }
    assert all(gain >= 0 for gain in gains.values())
    assert gains["as it is"] > gains["balanced and scaled"]


def test_ridges_find_the_rank():
    assert balancing.pruned(seeds=20).tolist() == [3] * 20


def test_l1_on_both_factors_loses_whole_components():
    weights = (0.1, 0.3, 0.6, 0.7, 0.75, 1.5, 2.0, 4.0, 5.0)
    path = balancing.l1_path(weights)
    sizes = torch.stack([balancing.sizes(solution.factors) for solution in path])
    alive = sizes > 0
    assert alive.sum(-1).tolist() == [3, 3, 3, 3, 2, 2, 1, 1, 0]
    assert all(solution.converged for solution in path)
    # Each is lost at once: still more than 0.4 times as large as at the start of the path.
    for k in range(3):
        last = int(alive[:, k].sum()) - 1
        assert sizes[last, k] > 0.4 * sizes[0, k]


def test_paths_start_where_the_last_problem_ended(generator):
    problem, start = example(generator, reg="nonnegative l1")
    problems = [problem.regularized([NonNegative(l1=mu)] * 2) for mu in (0.01, 0.02)]
    first, second = solve_path(Alternating(MU()), problems, start, max_iter=20, tol=0)
    alone = solve(Alternating(MU()), problems[1], first.factors, max_iter=20, tol=0)
    assert all(torch.equal(a, b) for a, b in zip(second.factors, alone.factors, strict=True))


def test_named_starts_of_penalized_fits_are_balanced(generator):
    y = uniform(generator, 12, 3) @ uniform(generator, 9, 3).mT
    states, regs = [], (NonNegative(l1=1e-3), NonNegative(l1=5.0))
    nmf(y, 3, regs=regs, max_iter=1, callbacks=[states.append])
    w, h = states[0].state.factors
    close(1e-3 * w.sum(0), 5.0 * h.sum(0), 1e-9)
