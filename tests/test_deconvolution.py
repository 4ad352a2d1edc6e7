"""Short-and-sparse deconvolution: its steps, its starts, its path of penalties, its face."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from conformance import check_falls, check_model, check_regularizer, close, run
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import ModelCase, RegularizerCase, normal, uniform

from rlra_torch import deconvolve
from rlra_torch.cli import main
from rlra_torch.estimators.solutions import best_of
from rlra_torch.functional.circulant import restored, to_maps, transformed
from rlra_torch.functional.noise import noise_level
from rlra_torch.functional.proximal import soft_threshold
from rlra_torch.functional.shifts import merged, windowed
from rlra_torch.functional.spheres import Circle, great_circle
from rlra_torch.initialization import dropped_quadratic, windows_of
from rlra_torch.iterations import FISTA, Alternating, Homotopy, InertialDescent
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.metrics import shift_correlation, spike_score
from rlra_torch.models import NMF, Convolutive
from rlra_torch.problem import Problem
from rlra_torch.regularizers import L1, Group, NonNegative, Scaled, Sphere, UnitNorm
from rlra_torch.solvers import History, Record, Solution, solve, solve_reweighted

# (order, channels, signals, kernels, maps, centred)
KINDS = {
    "a trace": (1, False, False, (5, 1), (40, 1), False),
    "two kernels and a bias": (1, False, False, (5, 2), (41, 2), True),
    "kernels as long as the trace": (1, False, False, (9, 2), (9, 2), False),
    "channels": (1, True, False, (3, 4, 2), (30, 2), False),
    "signals with biases": (1, False, True, (4, 3), (2, 30, 3), True),
    "images": (2, False, False, (3, 4, 2), (10, 12, 2), False),
    "images of signals and channels": (2, True, True, (2, 2, 3, 2), (3, 8, 9, 2), True),
}


def unit(generator, shape, order):
    return Sphere(order).prox(normal(generator, *shape), 1.0)


def problem_of(kind, generator, batch=(), lam=0.05, nonnegative=False):
    order, channels, signals, kernels, maps, centred = KINDS[kind]
    model = Convolutive(order, channels, signals, centred=centred)
    own = order + channels
    truth = unit(generator, (*batch, *kernels), own), normal(generator, *batch, *maps)
    truth = truth[0], torch.where(truth[1] > 1, truth[1], 0)
    y = model(truth) + 0.02 * normal(generator, *model(truth).shape)
    y = y - y.mean(tuple(range(-order, 0)), keepdim=True) if centred else y
    reg = NonNegative(lam) if nonnegative else L1(lam)
    problem = Problem(y, model, Frobenius(), (Sphere(own), reg))
    start = unit(generator, (*batch, *kernels), own), 0.1 * normal(generator, *batch, *maps).abs()
    return problem, start


def traces(seeds, size=30, length=1500, rate=0.06, noise=0.0, positive=False):
    """(b, m), kernels (b, n) and spikes (b, m)."""
    found = []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        a = torch.randn(size, generator=draw, dtype=torch.float64)
        if positive:
            t = torch.arange(size, dtype=torch.float64) / size
            a = (-t / 0.2).exp() - (-t / 0.03).exp()
        x = (torch.rand(length, generator=draw) < rate).double()
        x = x if positive else x * (2 * torch.randint(0, 2, (length,), generator=draw) - 1)
        y = Convolutive()(((a / a.norm())[:, None], x[:, None]))
        y = y + noise * torch.randn(length, generator=draw, dtype=torch.float64)
        found.append((y, a / a.norm(), x))
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True))


def started(y, size, lam, seed=0):
    full = y[:, None, None]
    kernels = dropped_quadratic(windows_of(full, (size,), 1, seed), full)[:, :, 0].mT
    problem = Problem(y, Convolutive(), Frobenius(), (Sphere(), L1(lam)))
    return problem, (kernels, torch.zeros_like(y)[..., None])


# --- Parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cyclic", [True, False])
def test_a_free_mean_is_part_of_the_model(cyclic, generator):
    check_model(
        ModelCase(partial(Convolutive, cyclic=cyclic, centred=True), ((3, 2), (9, 2))), generator
    )
    model = Convolutive(centred=True)
    factors = normal(generator, 33, 1), normal(generator, 40, 1)
    close(model(factors).mean(), torch.tensor(0.0, dtype=torch.float64), atol=1e-14)
    jacobian = torch.func.jacrev(lambda x: model((factors[0], x)))(factors[1]).flatten(1)
    close(model.squared_norm(factors, 1), torch.linalg.matrix_norm(jacobian, 2) ** 2)


def test_kernels_of_any_order_are_on_the_sphere(generator):
    def onto(x):
        return x / x.norm(dim=-2, keepdim=True)

    check_regularizer(RegularizerCase(Sphere, onto), generator)
    x = normal(generator, 2, 3, 4, 5, 2)
    found = Sphere(3).prox(x, 1.0)
    close(found.square().sum((-4, -3, -2)), torch.ones(2, 2, dtype=x.dtype))
    close(found * x.square().sum((-4, -3, -2), keepdim=True).sqrt(), x)


def test_a_scale_for_each_problem(generator):
    scale, x = torch.tensor([0.5, 2.0], dtype=torch.float64), normal(generator, 2, 6, 3)
    reg = Scaled(Group(0.3), scale)
    for i in range(2):
        close(reg(x)[i], scale[i] * Group(0.3)(x[i]))
        close(reg.prox(x, 0.7)[i], Group(0.3 * float(scale[i])).prox(x[i], 0.7))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.5, 2.0])
def test_great_circles(angle, generator):
    a = normal(generator, 4)
    a = a / a.norm()
    d = normal(generator, 4)
    d = d - (a @ d) * a
    d = d / d.norm()
    x = math.cos(angle) * a + math.sin(angle) * d
    # The exponential map at x of b times minus the logarithm of a.
    expected = math.cos(1.4 * angle) * a + math.sin(1.4 * angle) * d
    close(great_circle(x, a, 0.4, 1), expected, atol=1e-12)


def test_the_least_value_on_a_circle(generator):
    for _ in range(20):
        root, b = normal(generator, 3, 3), 3 * normal(generator, 3)
        gram = root.T @ root
        z = normal(generator, 3)
        z = z / z.norm()
        gradient = gram @ z - b
        d = (gradient @ z) * z - gradient
        d = d / d.norm()
        circle = Circle(z @ gram @ z, z @ gram @ d, d @ gram @ d, -(b @ z), -(b @ d))
        t = circle.minimum()
        fine = torch.linspace(0, math.pi, 20001, dtype=torch.float64)
        assert circle.value(t) <= circle.value(fine).min() + 1e-7
        if t > 3:  # the least value may lie beyond half a turn
            continue
        close(circle.slopes(t)[0], torch.zeros((), dtype=t.dtype), atol=1e-6)


def test_windows_leave_the_sum_alone(generator):
    for order, signals in ((1, False), (2, False), (1, True), (2, True)):
        size, long, sizes = (4, 3)[:order], (9, 8)[:order], (30, 20)[:order]
        small = normal(generator, 2, *size, 3)
        kernels = small.new_zeros(2, *long, 3)
        kernels[(slice(None), *(slice(2, 2 + n) for n in size))] = small
        kernels = Sphere(order).prox(kernels, 1.0)
        maps = normal(generator, 2, *((5,) if signals else ()), *sizes, 3)
        model = Convolutive(order, signals=signals)
        short, moved = windowed(kernels, maps, size, signals)
        assert short.shape == (2, *size, 3)
        close(model((short, moved)), model((kernels, maps)), 1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_shifts_of_one_kernel_are_merged(order, generator):
    kernel = torch.zeros((9,) * order, dtype=torch.float64)
    kernel[(slice(3, 6),) * order] = normal(generator, *(3,) * order)
    kernel = kernel / kernel.norm()
    other = unit(generator, (*kernel.shape, 1), order)[..., 0]
    kernels = torch.stack([kernel, other, -kernel.roll((2,) * order, tuple(range(order)))], -1)
    maps = normal(generator, *(25,) * order, 3)
    found = merged(kernels, maps, order)
    model = Convolutive(order)
    assert (found[..., 2] == 0).all()
    close(model((kernels, found)), model((kernels, maps)), 1e-10)


def test_correlations_over_shifts(generator):
    a = normal(generator, 7, 6)
    found = torch.zeros(12, 9, dtype=torch.float64)
    found[3:10, 2:8] = -2 * a
    value, shift = shift_correlation(found, a, 2)
    close(value, torch.tensor(1.0, dtype=torch.float64))
    assert shift.tolist() == [3, 2]
    assert shift_correlation(a, found, 2)[1].tolist() == [-3, -2]


def test_spikes_are_matched_once():
    true, found = torch.zeros(50), torch.zeros(50)
    true[[5, 6, 20, 40]] = 1
    found[[7, 22, 23, 39]] = 1
    assert [float(spike_score(found, true, k)) for k in (0, 1, 2)] == [0.0, 0.5, 0.75]
    assert spike_score(torch.zeros(4), torch.zeros(4)) == 1


def test_noise_of_smooth_signals(generator):
    t = torch.linspace(0, 30, 4000, dtype=torch.float64)
    y = t.sin() + torch.tensor([[0.1], [0.3]]) * normal(generator, 2, 4000)
    close(noise_level(y), torch.tensor([0.1, 0.3], dtype=torch.float64), rtol=0.05)
    image = 5 + 0.2 * normal(generator, 100, 90)
    close(noise_level(image, 2), torch.tensor(0.2, dtype=torch.float64), rtol=0.05)


# --- Starts ------------------------------------------------------------------------------------


def test_starts_are_gradients_of_the_dropped_quadratic(generator):
    y, windows = normal(generator, 1, 1, 40), normal(generator, 1, 1, 4)
    a = torch.nn.functional.pad(windows, (3, 3)) / windows.norm()

    def correlations(a):
        return restored(to_maps(transformed(y, (40,)), transformed(a, (40,))), (40,))

    level = 0.3 * correlations(a).abs().max()

    def phi(a):
        return -0.5 * soft_threshold(correlations(a), level).square().sum()

    gradient = torch.zeros_like(a)
    for i in range(10):
        step = torch.zeros_like(a)
        step[..., i] = 1e-5
        gradient[..., i] = (phi(a + step) - phi(a - step)) / 2e-5
    close(dropped_quadratic(windows, y), -gradient / gradient.norm(), 1e-7)
    # Later data starts from the same kernel; the other sign of the window from the other sign.
    close(dropped_quadratic(windows, y.roll(7, -1)), dropped_quadratic(windows, y))
    close(dropped_quadratic(-windows, y), -dropped_quadratic(windows, y))


def test_windows_are_pieces_of_the_data(generator):
    y = normal(generator, 3, 2, 1, 9, 8)
    windows = windows_of(y, (3, 2), 4, seed=1)
    assert windows.shape == (3, 4, 1, 3, 2)
    for i in range(3):
        wide = torch.cat([y[i], y[i]], -2)
        wide = torch.cat([wide, wide], -1)
        pieces = wide.unfold(-2, 3, 1).unfold(-2, 2, 1).reshape(-1, 6)
        for piece in windows[i].reshape(4, 6):
            assert (pieces == piece).all(-1).any()


# --- Steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_descent(kind, momentum, generator):
    problem, start = problem_of(kind, generator, batch=(2,))
    iteration = InertialDescent(momentum)
    iteration.check(problem)
    trace = run(iteration, problem, start, 25)
    check_falls(problem, trace)
    own = tuple(range(1, start[0].ndim - 1))
    for kernels, _ in trace:
        assert ((kernels.square().sum(own) - 1).abs() < 1e-12).all()


def test_objective_is_the_explicit_sum(generator):
    problem, (kernels, maps) = problem_of("two kernels and a bias", generator, lam=0.3)
    y = problem.y
    fit = sum(
        sum(kernels[i, k] * maps[:, k].roll(i) for i in range(len(kernels))) for k in range(2)
    )
    left = y - (fit - fit.mean())
    close(problem.objective((kernels, maps)), 0.5 * left @ left + 0.3 * maps.abs().sum())


def test_nothing_to_start_from_is_no_trap(generator):
    problem, (kernels, maps) = problem_of("a trace", generator)
    trace = run(InertialDescent(), problem, (kernels, torch.zeros_like(maps)), 5)
    assert all(x.isfinite().all() for factors in trace for x in factors)
    # Under a penalty that keeps the maps at zero the kernels stay where they are.
    problem = problem.regularized((Sphere(), L1(1e3)))
    (a, x) = run(InertialDescent(), problem, (kernels, torch.zeros_like(maps)), 5)[-1]
    assert (x == 0).all()
    close(a, kernels)


@pytest.mark.parametrize("kind", ["a trace", "images", "signals with biases"])
def test_a_batch_is_as_many_problems(kind, generator):
    problem, start = problem_of(kind, generator, batch=(3,), nonnegative=True)
    for iteration in (InertialDescent(), Homotopy(InertialDescent(), longest=3)):
        found = run(iteration, problem, start, 12)[-1]
        for i in range(3):
            alone = Problem(problem.y[i], problem.model, problem.loss, problem.regs)
            for x, one in zip(
                found, run(iteration, alone, [x[i] for x in start], 12)[-1], strict=True
            ):
                close(x[i], one, 1e-9, 1e-10)


def test_neighbours_that_are_done_do_not_matter(generator):
    problem, start = problem_of("a trace", generator, batch=(4,))
    found = solve(InertialDescent(), problem, start, max_iter=400, tol=1e-6)
    for i in range(4):
        alone = Problem(problem.y[i], problem.model, problem.loss, problem.regs)
        one = solve(InertialDescent(), alone, [x[i] for x in start], max_iter=400, tol=1e-6)
        assert one.n_iter == found.n_iter[i]
        close(found.factors[1][i], one.factors[1], 1e-8, 1e-9)


def test_the_unit_of_the_data_does_not_matter(generator):
    problem, (kernels, maps) = problem_of("a trace", generator)
    larger = Problem(1e4 * problem.y, problem.model, Frobenius(), (UnitNorm(), L1(1e4 * 0.05)))
    a, x = run(InertialDescent(), problem, (kernels, maps), 20)[-1]
    b, z = run(InertialDescent(), larger, (kernels, 1e4 * maps), 20)[-1]
    close(a, b, 1e-8, 1e-10)
    close(1e4 * x, z, 1e-8, 1e-6)


def test_steps_are_differentiable(generator):
    problem, start = problem_of("two kernels and a bias", generator, lam=0.01)

    def after(y, kernels, maps):
        here = Problem(y, problem.model, problem.loss, problem.regs)
        return run(InertialDescent(), here, (kernels, maps), 3)[-1]

    inputs = tuple(x.clone().requires_grad_() for x in (problem.y, *start))
    assert torch.autograd.gradcheck(after, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", ["a trace", "images of signals and channels"])
def test_no_step_waits_for_the_device(kind):
    order, channels, signals, kernels, maps, centred = KINDS[kind]
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        model = Convolutive(order, channels, signals, centred=centred)
        start = torch.empty(3, *kernels), torch.empty(3, *maps)
        reg = NonNegative(torch.empty(3, *(1,) * (len(maps))))
        problem = Problem(model(start), model, Frobenius(), (Sphere(order + channels), reg))
        iteration = Homotopy(InertialDescent())
        state = iteration.init(start, problem)
        for _ in range(2):
            state = iteration(state, problem)
        assert all(x.device.type == "cuda" and x.dtype == torch.float32 for x in state.factors)


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"model": NMF()}, "cyclic Convolutive model"),
        ({"model": Convolutive(cyclic=False)}, "cyclic Convolutive model"),
        ({"loss": KullbackLeibler()}, "Frobenius loss"),
        ({"weights": torch.ones(40, dtype=torch.float64)}, "without weights"),
        ({"free": (1,)}, r"Alternating\(FISTA\(\)\)"),
        ({"regs": (L1(0.1), L1(0.1))}, r"Sphere\(order=1\)"),
        ({"regs": (Sphere(2), L1(0.1))}, r"Sphere\(order=1\)"),
        ({"regs": (UnitNorm(nonnegative=True), L1(0.1))}, r"Sphere\(order=1\)"),
    ],
)
def test_what_inertial_descent_cannot_do(change, needed, generator):
    problem, _ = problem_of("a trace", generator)
    parts = {"y": problem.y, "model": problem.model, "loss": problem.loss, "regs": problem.regs}
    if isinstance(change.get("model"), NMF):
        change = {**change, "y": torch.ones(3, 3, dtype=torch.float64)}
    with pytest.raises(TypeError, match=needed):
        InertialDescent().check(Problem(**{**parts, **change}))


# --- Paths of penalties ------------------------------------------------------------------------


def test_homotopy_recovers_what_is_there():
    y, kernels, _ = traces(range(6))
    problem, start = started(y, 30, 0.01)
    step = Homotopy(InertialDescent(), precision=0.5)
    found = solve(step, problem, start, max_iter=380, tol=1e-6)
    assert found.converged.all()
    assert (shift_correlation(found.factors[0][..., 0], kernels)[0] > 0.9999).all()


def test_inertia_pays_for_smooth_kernels():
    t = torch.linspace(-2, 2, 30, dtype=torch.float64)
    a = (-(t**2)).exp()
    _, _, spikes = traces(range(4))
    y = Convolutive()(((a / a.norm())[None, :, None].expand(4, -1, -1), spikes[..., None]))
    problem, start = started(y, 30, 0.1)
    ends = []
    for momentum in (0.0, 1.0):
        found = solve(InertialDescent(momentum), problem, start, max_iter=150, tol=0.0)
        ends.append(found.objective)
    assert (ends[1] < ends[0]).all()


def test_homotopy_begins_where_the_maps_are_zero(generator):
    problem, (kernels, maps) = problem_of("a trace", generator, batch=(2,), nonnegative=True)
    step = Homotopy(InertialDescent(), ratio=0.999999)
    state = step.init((kernels, torch.zeros_like(maps)), problem)
    scale = state.memory[1]
    assert (scale > 1).all()
    for factor, some in ((1.001, False), (0.99, True)):
        regs = (Sphere(), Scaled(NonNegative(0.05), factor * scale))
        here = problem.regularized(regs)
        block = here.block(1, (kernels, torch.zeros_like(maps)))
        x = here.pack(1, (kernels, torch.zeros_like(maps)))
        moved = here.regularizer(1, (kernels, maps)).prox(x - 1e-3 * block.gradient(x), 1e-3)
        assert [bool((part > 0).any()) for part in moved] == [some] * 2


def test_homotopy_ends_at_the_penalty_asked_for(generator):
    problem, start = problem_of("a trace", generator)
    problem = problem.freeze(0)
    last = solve(Alternating(FISTA()), problem, start, max_iter=5000, tol=1e-9)
    path = Homotopy(Alternating(FISTA()), longest=5)
    found = solve(path, problem, start, max_iter=5000, tol=1e-9)
    assert found.converged
    close(found.objective, last.objective, 1e-8)


def test_homotopy_needs_a_penalty(generator):
    problem, _ = problem_of("a trace", generator)
    with pytest.raises(TypeError, match="l1 penalty on factor 1, got NonNegative"):
        Homotopy(InertialDescent()).check(problem.regularized((Sphere(), NonNegative())))
    for wrong in ({"ratio": 1.0}, {"precision": 0.0}, {"longest": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Homotopy(InertialDescent(), **wrong)


def test_reweighting_takes_bias_away():
    y, kernels, spikes = traces(range(2), 50, 2000, 50**-0.8, 0.05, positive=True)
    lam = 0.2
    model = Convolutive(centred=True)
    y = y - y.mean(-1, keepdim=True)
    problem = Problem(y, model, Frobenius(), (Sphere(), NonNegative(lam)))
    start = kernels[..., None], torch.zeros_like(y)[..., None]
    first = solve(InertialDescent(), problem, start, max_iter=200, tol=1e-4)
    rounds = solve_reweighted(
        InertialDescent(), problem, first.factors, level=lam / 2, rounds=4, tol=3e-4
    )
    a, x = rounds[-1].factors
    for i in range(2):
        assert int((x[i] > 0).sum()) < 1.4 * int(spikes[i].sum())
        assert (first.factors[1][i] > 0).sum() > 1.5 * spikes[i].sum()
    assert (shift_correlation(a[..., 0], kernels)[0] > 0.99).all()


def test_weights_at_zero_are_finite(generator):
    problem, (kernels, maps) = problem_of("a trace", generator)
    start = kernels, torch.zeros_like(maps)
    (found,) = solve_reweighted(InertialDescent(), problem, start, level=0.1, rounds=1, max_iter=50)
    plain = solve(InertialDescent(), problem, start, max_iter=50)
    close(found.factors[1], plain.factors[1], 1e-10)
    with pytest.raises(TypeError, match="l1 penalty"):
        solve_reweighted(
            InertialDescent(), problem.regularized((Sphere(), Group(0.1))), start, level=0.1
        )


# --- The face ----------------------------------------------------------------------------------


def test_traces_in_one_call():
    y, kernels, spikes = traces(range(3), 20, 1000, 0.05, positive=True, noise=0.02)
    fit = deconvolve(1.5 + y.numpy(), 20, nonnegative=True, reweights=2)
    assert isinstance(fit.kernels, np.ndarray) and fit.kernels.shape == (3, 20, 1)
    corr, shift = shift_correlation(torch.from_numpy(fit.kernels[..., 0]), kernels)
    assert (corr > 0.97).all() and fit.converged.all() and (fit.kkt <= 1e-4).all()
    maps = torch.from_numpy(fit.maps[..., 0])
    for x, s, true in zip(maps, shift, spikes, strict=True):
        assert spike_score(torch.where(x > 0.3, x, 0).roll(int(s)), true, 1) > 0.85
    assert np.abs(fit.bias - 1.5).max() < 0.2
    assert 0.015 < fit.noise.min() <= fit.noise.max() < 0.1
    close(torch.as_tensor(fit.prediction), 1.5 + y, atol=0.3)
    again = deconvolve(1.5 + y.numpy(), 20, nonnegative=True, reweights=2)
    assert np.array_equal(again.maps, fit.maps)
    # Kernels that are known: the same maps, but for the bias that reweighting takes away.
    other = fit.transform(1.5 + y.numpy())
    assert other.maps.shape == fit.maps.shape
    assert np.corrcoef(other.maps.ravel(), fit.maps.ravel())[0, 1] > 0.9


def test_several_starts_keep_thebest_of():
    y, kernels, _ = traces([0, 1], 10, 300, 0.05)
    fit = deconvolve(y, 10, lam=0.02, bias=False, starts=3, max_iter=300)
    assert fit.kernels.shape == (2, 10, 1) and isinstance(fit.kernels, torch.Tensor)
    assert (shift_correlation(fit.kernels[..., 0], kernels)[0] > 0.99).all()
    value = torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    history = History().followed(Record(0, 0.0, value, value))
    factors = (value[..., None], 10 * value[..., None])
    best = best_of(Solution(factors, value > 2.5, value.long(), history))
    assert best.factors[1].flatten().tolist() == [20.0, 10.0]
    assert best.n_iter.tolist() == best.objective.tolist() == [2, 1]
    assert not best.converged.any()


def test_two_kernels_are_told_apart():
    y1, a, _ = traces([0], 15, 1200, 0.02)
    y2, b, _ = traces([1], 15, 1200, 0.02)
    for seed in (0, 1):
        fit = deconvolve(y1[0] + y2[0], 15, 2, lam=0.02, bias=False, seed=seed)
        kernels = fit.kernels.mT
        corr = shift_correlation(kernels[:, None], torch.cat([a, b]))[0]
        assert (corr.amax(0) > 0.99).all(), seed


def test_signals_share_kernels(generator):
    y, kernels, _ = traces([0], 15, 600, 0.03)
    x = torch.where(uniform(generator, 4, 200, 1) < 0.05, 1.0, 0.0).double()
    a = kernels[0][:, None]
    y = Convolutive(signals=True)((a, x)) + torch.arange(4.0).double()[:, None]
    fit = deconvolve(y, 15, lam=0.02, shared=True, nonnegative=True)
    assert fit.kernels.shape == (15, 1) and fit.maps.shape == (4, 200, 1)
    assert shift_correlation(fit.kernels[:, 0], kernels[0])[0] > 0.99
    close(fit.prediction, y, atol=0.2)
    assert fit.transform(y[:2]).maps.shape == (2, 200, 1)


def test_images(generator):
    truth = unit(generator, (5, 4, 1), 2)
    x = torch.where(uniform(generator, 40, 45, 1) < 0.02, 1.0, 0.0).double()
    y = Convolutive(2)((truth, x))
    fit = deconvolve(y, (5, 4), lam=0.02, bias=False)
    assert shift_correlation(fit.kernels[..., 0], truth[..., 0], 2)[0] > 0.99
    assert len(fit.plot(y).axes) == 4 and "5x4x1" in fit.summary()


def test_results_are_shown_and_kept(tmp_path):
    y, _, _ = traces([0], 10, 200, 0.05)
    fit = deconvolve(y, 10, lam=0.05, max_iter=60)
    assert max(len(line) for line in fit.summary().splitlines()) <= 80
    assert len(fit.plot(y, (0,)).axes) == 2
    fit.save(tmp_path / "fit.npz")
    with np.load(tmp_path / "fit.npz") as stored:
        assert np.array_equal(stored["maps"], fit.maps)
    with pytest.raises(ValueError, match="npz"):
        fit.save(tmp_path / "fit.txt")
    with pytest.raises(ValueError, match="these kernels"):
        fit.transform(y[0])


@pytest.mark.parametrize(
    ("call", "error", "needed"),
    [
        (lambda y: deconvolve(y, 0), ValueError, "kernel_size"),
        (lambda y: deconvolve(y, ()), ValueError, "kernel_size"),
        (lambda y: deconvolve(y, 50), ValueError, "longer data or a smaller kernel_size"),
        (lambda y: deconvolve(y, (5, 5)), ValueError, "need 2 dimensions"),
        (lambda y: deconvolve(y, 5, 0), ValueError, "n_kernels"),
        (lambda y: deconvolve(y, 5, lam=0.0), ValueError, "lam must be positive"),
        (lambda y: deconvolve(y, 5, reweights=-1), ValueError, "reweights"),
        (lambda y: deconvolve(y * np.nan, 5), ValueError, "100 NaN"),
        (lambda y: deconvolve(list(y), 5), TypeError, "NumPy array"),
    ],
)
def test_bad_input_gets_one_sentence(call, error, needed):
    with pytest.raises(error, match=needed):
        call(np.ones(100))


# --- The command -------------------------------------------------------------------------------


def test_traces_in_a_file(tmp_path, capsys):
    y, kernels, _ = traces([0, 1], 10, 300, 0.05)
    np.savetxt(tmp_path / "traces.csv", y.numpy(), delimiter=",")
    data, out = str(tmp_path / "traces.csv"), str(tmp_path / "out")
    asked = ["deconvolve", "--data", data, "--kernel-size", "10", "--out", out, "--lam", "0.02"]
    assert main([*asked, "--no-bias", "--dtype", "float64"]) == 0
    said = capsys.readouterr().out
    assert "2x10x1" in said and max(map(len, said.splitlines()[:9])) <= 80
    with np.load(tmp_path / "out" / "deconvolution.npz") as stored:
        found = torch.from_numpy(stored["kernels"][..., 0])
    assert (shift_correlation(found, kernels)[0] > 0.99).all()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["shape"] == [2, 300] and report["converged"] == [True, True]
    assert (tmp_path / "out" / "deconvolution.png").stat().st_size > 10000


@pytest.mark.parametrize(
    ("name", "size", "needed"),
    [("a.txt", "5", ".npy, .csv or .tsv"), ("a.npy", "5", "no file"), ("a.npy", "0", "at least 1")],
)
def test_the_command_complains_in_one_sentence(name, size, needed, tmp_path, capsys):
    asked = ["deconvolve", "--data", str(tmp_path / name), "--kernel-size", size]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert needed in said and said.count("\n") == 1


# --- At full size ------------------------------------------------------------------------------


@pytest.mark.slow
def test_figure_8():
    """Length 100 in traces of 10 000, lambda 0.01: every one of 20."""
    y, kernels, _ = traces(range(20), 100, 10000, 100**-0.75)
    problem, start = started(y, 100, 0.01)
    step = Homotopy(InertialDescent(), precision=0.5)
    found = solve(step, problem, start, max_iter=380, tol=1e-6, check_every=20)
    assert (shift_correlation(found.factors[0][..., 0], kernels)[0] > 0.9999).all()
