"""Known zeros: the laws of `Support`, and what iterations make of it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch
from conformance import check_falls, check_regularizer, close, run
from zoo import BLOCK_ITERATIONS, RegularizerCase, example, normal, uniform

from rlra_torch.iterations import FISTA, HALS, MSOM, MU, Alternating, Counted, Extrapolated
from rlra_torch.models import NMF, Multilinear
from rlra_torch.problem import Problem
from rlra_torch.regularizers import (
    Box,
    Free,
    Group,
    LowerBound,
    NonNegative,
    Simplex,
    Support,
    UnitNorm,
)
from rlra_torch.regularizers.packed import Packed
from rlra_torch.solvers import solve

CHEQUERED = (torch.arange(6)[:, None] + torch.arange(4)) % 3 > 0
COLUMNS = torch.tensor([[True, False, True, True]])
ROWS = torch.tensor([[True]] * 4 + [[False]] * 2)
CASES = {
    "entries": lambda: Support(CHEQUERED),
    "entries of either sign": lambda: Support(CHEQUERED, Free()),
    "entries, elastic net": lambda: Support(CHEQUERED, NonNegative(0.2, 0.5)),
    "entries of a box": lambda: Support(CHEQUERED, Box(0.0, 0.8)),
    "columns": lambda: Support(COLUMNS),
    "columns, grouped": lambda: Support(COLUMNS, Group(0.3)),
    "rows, grouped": lambda: Support(ROWS, Group(0.3, True, dim=-1)),
    "twice": lambda: Support(CHEQUERED, Support(COLUMNS, NonNegative(0.1))),
}


def onto(reg):
    """A map onto the set of a support that is not its prox."""
    if isinstance(reg, Support):
        inner = onto(reg.reg)
        return lambda x: inner(x) * reg.mask
    low, high = getattr(reg, "lower", -torch.inf), getattr(reg, "upper", torch.inf)
    low = 0.0 if getattr(reg, "nonnegative", False) else low
    return lambda x: x.clamp(low, high)


@pytest.mark.parametrize("name", CASES)
def test_conformance(name, generator):
    check_regularizer(RegularizerCase(CASES[name], onto(CASES[name]())), generator)


@pytest.mark.parametrize("name", CASES)
def test_split_is_exact_and_holds_zeros(name, generator):
    reg = CASES[name]()
    x = onto(reg)(uniform(generator, 6, 4))
    split = reg.split(x)
    assert isinstance(split.upper, torch.Tensor)
    moved = split.clip(x + uniform(generator, 6, 4))
    assert (moved[onto(reg)(torch.ones(6, 4)) == 0] == 0).all() and (moved >= 0).all()


@pytest.mark.parametrize("equation", ["ri,rj->ij", "kr,kjr,ir->ijk"])
def test_factors_that_are_not_stored_as_blocks(equation, generator):
    model = Multilinear(equation)
    mask = uniform(generator, 2, 4, 3) < 0.5
    x, layout = uniform(generator, 2, 4, 3), model.layout(0)
    reg, packed = Support(mask), Packed(Support(mask), layout, x)
    split, own = packed.split(layout.pack(x)), reg.split(x)
    assert torch.equal(layout.unpack(split.upper, x), own.upper)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Support(torch.ones(2, 2)), TypeError, "must be a tensor of truth values"),
        (lambda: Support([[True]]), TypeError, "must be a tensor of truth values, got list"),
        (lambda: Support(torch.tensor([True])), ValueError, "must broadcast with"),
        (lambda: Support(CHEQUERED, "nonnegative"), TypeError, "takes a regularizer, got str"),
        (lambda: Support(CHEQUERED, Simplex()), ValueError, "cuts through what Simplex couples"),
        (lambda: Support(ROWS, UnitNorm()), ValueError, "size 1 along dimension -2"),
    ],
)
def test_bad_supports(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_mask_on_another_device_is_refused(generator):
    problem, start = example(generator)
    mask = torch.ones(5, 3, dtype=torch.bool, device="meta")
    with pytest.raises(
        TypeError, match="mask of the regularizer of factor 0 is torch.bool on meta"
    ):
        replace(problem, regs=(Support(mask), NonNegative())).validate(start)


# --- Iterations --------------------------------------------------------------------------------

FITTING = {
    name: case
    for name, case in BLOCK_ITERATIONS.items()
    if name not in ("active set", "newton", "sparse nnls") and "gained" not in name
    if case.reg == "nonnegative"
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("name", FITTING)
def test_every_iteration_keeps_known_zeros(name, columns, weighted, generator):
    case = FITTING[name]
    loss = case.losses[0]
    problem, start = example(generator, loss=loss)
    masks = [uniform(generator, 1 if columns else len(x), 3) < 0.7 for x in start]
    weights = uniform(generator, *problem.y.shape) if weighted else None
    problem = replace(problem, regs=[Support(mask) for mask in masks], weights=weights)
    start = tuple(x * mask for x, mask in zip(start, masks, strict=True))
    iterates = run(Alternating(case.make()), problem, start, 8)
    for factors in iterates:
        for x, mask in zip(factors, masks, strict=True):
            assert (x[~mask.expand_as(x)] == 0).all() and x.isfinite().all() and (x >= 0).all()
    if loss in case.descends:
        check_falls(problem, iterates)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (HALS, "frobenius"),
        (FISTA, "frobenius"),
        *((make, loss) for make in (MU, MSOM) for loss in ("frobenius", "kl", "beta=1.5")),
    ],
)
def test_columns_of_zeros_change_nothing(make, loss, weighted, generator):
    """A problem padded to a larger rank takes the same steps and stops at the same check."""
    iteration = Alternating(make(), inner=2)
    problem, start = example(generator, loss=loss)
    weights = uniform(generator, *problem.y.shape) if weighted else None
    problem = replace(problem, weights=weights)
    mask = torch.arange(5)[None, :] < 3
    wide = replace(problem, regs=[Support(mask, NonNegative())] * 2)
    padded = tuple(torch.nn.functional.pad(x, (0, 2)) for x in start)
    close(wide.kkt(padded), problem.kkt(start))
    single = solve(iteration, problem, start, max_iter=200, tol=1e-2, check_every=5)
    fit = solve(iteration, wide, padded, max_iter=200, tol=1e-2, check_every=5)
    assert fit.n_iter == single.n_iter < 200
    for x, y in zip(fit.factors, single.factors, strict=True):
        close(x[:, :3], y, 1e-9)
        assert (x[:, 3:] == 0).all()


@pytest.mark.parametrize("reg", [NonNegative(), NonNegative(0.1, 0.2), Box(0.0, 0.4), Free()])
def test_hals_solves_regressions_with_known_zeros(reg, generator):
    """Against SciPy, row by row, on the columns that a row may use."""
    h, y = uniform(generator, 12, 4), uniform(generator, 6, 12)
    l1, ridge = (0.0 if w is None else float(w) for w in reg.weights)
    problem = Problem(y, NMF(), example(generator)[0].loss, (Support(CHEQUERED, reg), Free()))
    start = (torch.zeros(6, 4, dtype=y.dtype), h)
    fit = solve(Alternating(HALS(), inner=50), problem.freeze(1), start, max_iter=20, tol=0)
    low, high = reg.lower, reg.upper
    for i in range(6):
        a = h[:, CHEQUERED[i]].numpy()
        gram, cross = a.T @ a + ridge * np.eye(a.shape[1]), a.T @ y[i].numpy() - l1
        root = np.linalg.cholesky(gram)
        right = np.linalg.solve(root, cross)
        found = scipy.optimize.lsq_linear(root.T, right, (low, high), tol=1e-14).x
        close(fit.factors[0][i, CHEQUERED[i]], torch.from_numpy(found), 1e-6)


def test_hals_takes_the_fast_sweeps_where_it_can(generator, monkeypatch):
    """Whole columns, or a gram for each row: not the general sweep of products with all columns."""
    from rlra_torch.iterations import hals

    problem, start = example(generator)
    weights = uniform(generator, *problem.y.shape)
    columns, entries = torch.tensor([[True, False, True]]), uniform(generator, 5, 3) < 0.5
    slow = []
    monkeypatch.setattr(hals, "_sweep", lambda x, *rest: slow.append(1) or x)
    for mask, parts, calls in ((columns, None, 0), (entries, weights, 0), (entries, None, 2)):
        masked = replace(problem, regs=(Support(mask), NonNegative()), weights=parts)
        run(Alternating(HALS(), inner=2), masked, start, 1)
        assert len(slow) == calls


def test_other_iterations_around(generator):
    problem, start = example(generator)
    mask = torch.tensor([[True, False, True]])
    masked = replace(problem, regs=(Support(mask), Support(mask)))
    for iteration in (
        Extrapolated(Alternating(HALS())),
        Alternating(HALS(), inner=Counted()),
        Alternating(MSOM()),
    ):
        fit = solve(iteration, masked, start, max_iter=40)
        assert all((x[:, 1] == 0).all() and (x[:, 0] > 0).any() for x in fit.factors)
    low = replace(problem, regs=(Support(mask, LowerBound(0.1)), NonNegative()))
    for make in (HALS, MU, MSOM):
        w, _ = run(Alternating(make()), low, start, 3)[-1]
        assert (w[:, 1] == 0).all() and (w[:, [0, 2]] >= 0.1).all()


def test_gradients_pass_through(generator):
    """Into data and factors, for the sweeps of HALS on a shared gram and on one for each row."""
    problem, (w, h) = example(generator)
    for mask, weights in (
        (torch.tensor([[True, False, True]]), None),
        (uniform(generator, 5, 3) < 0.6, uniform(generator, 5, 4, low=0.1)),
        (uniform(generator, 5, 3) < 0.6, None),
    ):
        for make in (HALS, MU):

            def step(y, w, mask=mask, weights=weights, make=make):
                regs = (Support(mask), NonNegative())
                parts = replace(problem, y=y, regs=regs, weights=weights)
                return run(Alternating(make()), parts, (w * mask, h), 1)[-1][0]

            y = problem.y.clone().requires_grad_()
            moved = (w + 0.01 * normal(generator, *w.shape)).requires_grad_()
            assert torch.autograd.gradcheck(step, (y, moved))
