"""What every loss, regularizer, model and iteration must satisfy, stated once."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from zoo import (
    IterationCase,
    LossCase,
    ModelCase,
    RegularizerCase,
    example,
    normal,
    uniform,
)

from rlra_torch.iterations import Alternating, Iteration
from rlra_torch.models.base import replaced
from rlra_torch.problem import Problem


def close(actual: Tensor, expected: Tensor, rtol: float = 1e-12, atol: float | None = None) -> None:
    """Equal up to rounding, measured against the largest entry."""
    if atol is None:
        atol = rtol * float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


# --- Losses ------------------------------------------------------------------------------------


def check_loss(case: LossCase, generator: torch.Generator) -> None:
    loss = case.make()
    y, p = uniform(generator, 40, 5, low=0.1, high=3), uniform(generator, 40, 5, low=0.1, high=3)
    if case.zeros:
        y[::3] = 0
    _check_derivatives(loss, case, p, y)
    assert loss.domain(y) is None

    positive = y[1::3]
    assert (loss(positive, positive).abs() <= 1e-14 * loss.magnitude(positive).clamp_min(1)).all()
    for factor in (0.3, 0.999, 1.001, 4.0):
        assert (loss(factor * positive, positive) > 0).all()

    # Its magnitude carries the unit of the loss.
    unit = loss(7 * p, 7 * positive[0]) / loss(p, positive[0])
    close(loss.magnitude(7 * positive), unit[0] * loss.magnitude(positive), 1e-10)

    top, bottom = (part.sum() for part in loss.scale(p, y))
    oracle = minimize_scalar(
        lambda u: loss(p * float(torch.tensor(u).exp()), y).sum().item(), bracket=(-1.0, 1.0)
    )
    value = loss(p * (top / bottom), y).sum().item()
    assert value <= oracle.fun + 1e-12 * abs(oracle.fun)
    assert abs((top / bottom).log().item() - oracle.x) < 1e-6

    _check_majorized(loss, generator, y)
    assert loss(p.float(), y.float()).dtype == torch.float32


def _check_derivatives(loss, case, p, y):
    p = p.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(p, y).sum(), p, create_graph=True)
    positive, negative = loss.split(p.detach(), y)
    assert (positive >= 0).all() and (negative >= 0).all()
    close(positive - negative, gradient.detach())
    curvature = loss.curvature(p.detach(), y)
    assert (curvature >= 0).all()
    if case.convex:
        (second,) = torch.autograd.grad(gradient.sum(), p)
        close(curvature, second)
    if loss.constant_positive:
        assert (positive == 1).all()


def _check_majorized(loss, generator, y):
    """One step on a separable majorizer never raises the objective, and moves unless stationary."""
    a = uniform(generator, *y.shape[:1], 3)
    pairs = product((None, torch.tensor(0.7)), (None, torch.tensor(0.4)))
    for l1, l2 in (*pairs, (torch.tensor(-0.7), torch.tensor(0.4))):
        x = uniform(generator, 5, 3, low=0.1)

        def objective(x, l1=l1, l2=l2):
            linear = 0 if l1 is None else (l1 * x).sum()
            return loss(a @ x.mT, y).sum() + linear + (0 if l2 is None else (l2 * x**2 / 2).sum())

        before = objective(x)
        for _ in range(5):
            positive, negative = (part.mT @ a for part in loss.split(a @ x.mT, y))
            x = loss.majorized(x, positive, negative, l1, l2)
            assert (x >= 0).all() and x.isfinite().all()
            after = objective(x)
            assert after < before
            before = after


# --- Regularizers ------------------------------------------------------------------------------


def check_regularizer(case: RegularizerCase, generator: torch.Generator) -> None:
    reg = case.make()
    for step in (0.05, 1.0, 20.0):
        for x in (
            normal(generator, 6, 4),
            10 * normal(generator, 6, 4),
            0 * normal(generator, 6, 4),
        ):
            _check_prox(reg, case, x, step, generator)
    if reg.convex:
        a, b = normal(generator, 50, 6, 4), normal(generator, 50, 6, 4)
        moved = (reg.prox(a, 0.7) - reg.prox(b, 0.7)).flatten(1).norm(dim=1)
        assert (moved <= (a - b).flatten(1).norm(dim=1) * (1 + 1e-12)).all()
    if reg.degree is not None:
        x = case.onto(normal(generator, 6, 4))
        for c in (0.25, 3.0):
            close(case.onto(c * x), c * x)
            close(reg(c * x), c**reg.degree * reg(x))
    _check_steps(reg, generator)
    if reg.even:
        x = normal(generator, 6, 4)
        close(reg(-x), reg(x))
        close(reg.prox(-x, 0.7), -reg.prox(x, 0.7), 1e-7)

    x = normal(generator, 2, 3, 6, 4)
    each = [[reg.prox(x[i, j], 0.7) for j in range(3)] for i in range(2)]
    close(reg.prox(x, 0.7), torch.stack([torch.stack(row) for row in each]))
    close(reg(x), torch.stack([torch.stack([reg(q) for q in p]) for p in x]))
    assert reg(x[0, 0]).shape == ()
    assert reg.prox(x.float(), 0.7).dtype == reg(x.float()).dtype == torch.float32

    other = copy.deepcopy(reg)
    for tensor in other.state_dict().values():
        tensor.zero_()
    other.load_state_dict(reg.state_dict())
    close(other.prox(x, 0.7), reg.prox(x, 0.7), atol=0.0)


def _check_prox(reg, case, x, step, generator):
    z = reg.prox(x, step)
    close(case.onto(z), z)  # it is in the set

    def cost(z):
        return reg(z) + (z - x).square().sum((-2, -1)) / (2 * step)

    scale = torch.tensor([1e-4, 1e-2, 0.3, 3.0]).repeat(50)[:, None, None].to(x)
    others = case.onto(z + scale * normal(generator, 200, *x.shape))
    # For a convex regularizer the cost is strongly convex, so that a minimizer satisfies more.
    margin = (others - z).square().sum((-2, -1)) / (2 * step) if reg.convex else 0
    assert (cost(others) - cost(z) >= margin - 1e-12 * (1 + cost(z).abs() + margin)).all()


def _check_steps(reg, generator):
    """The step may vary along every dimension that the prox does not couple."""
    x = normal(generator, 6, 4)
    close(reg.prox(x, x.new_tensor(0.7)), reg.prox(x, 0.7))
    step = reg.metric(uniform(generator, 6, 4, low=0.1, high=2))
    assert all((step.shape[d] == 1) == (d in reg.couples) for d in (-2, -1))
    found, wide = reg.prox(x, step), step.expand_as(x)
    for i, j in product(range(6), range(4)):
        close(found[i, j], reg.prox(x, float(wide[i, j]))[i, j], atol=1e-12)


# --- Models ------------------------------------------------------------------------------------


def check_model(case: ModelCase, generator: torch.Generator) -> None:
    model = case.make().to(generator.device)
    for batch in ((), (2,), (2, 3)):
        factors = case.factors(generator, batch)
        prediction = model(factors)
        assert prediction.ndim == len(batch) + model.ndim
        model.check(factors, prediction.shape)
        for n in range(len(factors)):
            _check_factor(model, factors, n, len(batch), generator)
    # A batch is as many problems.
    each = [tuple(x.flatten(0, 1)[i] for x in factors) for i in range(6)]
    close(prediction.flatten(0, 1), torch.stack([model(single) for single in each]))
    for n in range(len(factors)):
        if model.has_gram(n):
            weights = uniform(generator, *prediction.shape)
            singles = zip(each, weights.flatten(0, 1), strict=True)
            found = torch.stack([model.gram(single, n, w) for single, w in singles])
            close(model.gram(factors, n, weights).flatten(0, 1), found)


def _check_factor(model, factors, n, lead, generator):
    x, other = factors[n], normal(generator, *factors[n].shape)
    mixed = model(replaced(factors, n, 2 * x - 3 * other))
    close(mixed, 2 * model(factors) - 3 * model(replaced(factors, n, other)))

    residual = normal(generator, *mixed.shape)
    _, vjp = torch.func.vjp(lambda x: model(replaced(factors, n, x)), x)
    found = model.adjoint(factors, n, residual)
    close(found, vjp(residual)[0])
    close((model(factors) * residual).sum(), (x * found).sum())
    free = replaced(factors, n, other)  # its own value does not enter
    close(model.adjoint(free, n, residual), found)

    layout = model.layout(n)
    block = layout.pack(x)
    assert block.ndim == lead + layout.batch + 2
    close(layout.unpack(block, x), x, atol=0.0)
    sums = layout.pack(model.adjoint(factors, n, torch.ones_like(residual)))
    close(model.column_sum(factors, n).expand_as(block), sums)
    energy = model.column_energy(factors, n)
    assert (energy > 0).all() and energy.expand_as(block).isfinite().all()
    if model.has_gram(n):
        gram = model.gram(factors, n)
        close(
            energy.expand_as(block), gram.diagonal(dim1=-2, dim2=-1)[..., None, :].expand_as(block)
        )
        if lead == 0:
            _check_gram(model, factors, n, block, uniform(generator, *residual.shape))


def _check_gram(model, factors, n, block, weights):
    def predict(block: Tensor) -> Tensor:
        return model(replaced(factors, n, model.layout(n).unpack(block, factors[n])))

    jacobian = torch.func.jacrev(predict)(block).reshape(weights.numel(), block.numel())
    rank = block.shape[-1]
    for weight in (None, weights):
        gram = model.gram(factors, n, weight)
        rows = gram if weight is not None else gram[..., None, :, :]
        rows = rows.expand(*block.shape, rank).reshape(-1, rank, rank)
        diagonal = torch.ones_like(weights) if weight is None else weight
        dense = jacobian.mT @ (diagonal.reshape(-1, 1) * jacobian)
        close(torch.block_diag(*rows), dense)


# --- Iterations --------------------------------------------------------------------------------


def run(iteration: Iteration, problem: Problem, factors, count: int):
    """The factors after each of ``count`` steps, the start first."""
    state = iteration.init(factors, problem)
    trace = [state.factors]
    for _ in range(count):
        state = iteration(state, problem)
        trace.append(state.factors)
    return trace


def check_descent(iteration: Iteration, problem: Problem, factors, count: int = 10) -> None:
    """The objective never rises, beyond rounding."""
    check_falls(problem, run(iteration, problem, factors, count))


def check_falls(problem: Problem, iterates) -> None:
    """The objective never rises along these factors, beyond rounding."""
    trace = torch.stack([problem.objective(factors) for factors in iterates])
    entries = problem.loss.magnitude(problem.y)
    entries = entries if problem.weights is None else problem.weights * entries
    size = entries.flatten(len(problem.batch_shape)).sum(-1) + trace[0]
    assert trace.isfinite().all()
    assert ((trace[1:] - trace[:-1]) <= 1e-13 * size).all()
    assert (trace[-1] < trace[0]).any()


def check_iteration(case: IterationCase, model: str, loss: str, generator: torch.Generator) -> None:
    iteration = Alternating(case.make()).to(generator.device)
    problem, start = example(generator, model, loss, case.reg, batch=(3,))
    iteration.check(problem)
    before = [x.clone() for x in start]
    *_, found = run(iteration, problem, start, 2)
    for x, old, new in zip(start, before, found, strict=True):
        assert torch.equal(x, old), "an iteration works out of place"
        assert new.shape == x.shape and new.dtype == x.dtype
        assert (case.reg != "nonnegative" or (new >= 0).all()) and new.isfinite().all()

    # A batch is as many problems.
    for i in range(3):
        alone = replace(problem, y=problem.y[i])
        _same(run(iteration, alone, tuple(x[i] for x in start), 2)[-1], [x[i] for x in found])
    # Neither the unit of the data nor the order of the components matters.
    larger = replace(problem, y=1e5 * problem.y)
    moved = run(iteration, larger, (1e5 * start[0], *start[1:]), 2)[-1]
    _same(moved, (1e5 * found[0], *found[1:]))
    if model in ("nmf", "cp") and not case.ordered:
        order = torch.arange(start[0].shape[-1]).roll(1).to(generator.device)
        turned = run(iteration, problem, tuple(x[..., order] for x in start), 2)[-1]
        _same(turned, [x[..., order] for x in found])
    # A solution stays.
    solved = replace(problem, y=problem.model(start))
    _same(run(iteration, solved, start, 3)[-1], start)

    coarse = Problem(
        problem.y.float(), copy.deepcopy(problem.model).float(), problem.loss, problem.regs
    )
    for x in run(iteration, coarse, tuple(x.float() for x in start), 2)[-1]:
        assert x.dtype == torch.float32 and x.isfinite().all()


def _same(actual, expected) -> None:
    for x, y in zip(actual, expected, strict=True):
        close(x, y, 1e-7)
