"""Iterations: the laws of all, descent, derivatives, the kernel, and compilation."""

from dataclasses import replace

import pytest
import torch
from conformance import check_descent, check_falls, check_iteration, close, run
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from zoo import (
    BLOCK_ITERATIONS,
    ELASTIC,
    LOSSES,
    MODELS,
    REGULARIZERS,
    example,
    normal,
    uniform,
)

from rlra_torch.blocks import DivergenceBlock, QuadraticBlock
from rlra_torch.iterations import (
    ADMM,
    FISTA,
    HALS,
    MSOM,
    MU,
    SOM,
    ActiveSet,
    Alternating,
    BurgMirrorDescent,
    Counted,
    Extrapolated,
    ProjectedGradient,
    ProjectedLeastSquares,
    Repeat,
)
from rlra_torch.kernels.coordinate import coordinate_sweeps, plain_sweeps, plane_sweeps
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, NonNegative, Simplex, UnitNorm
from rlra_torch.solvers import solve

CASES = [
    (name, model, loss)
    for name, case in BLOCK_ITERATIONS.items()
    for model in MODELS
    for loss in case.losses
    if case.takes(model)
    # Every loss once; further models need no more than one that is quadratic and one that is not.
    if model == "nmf" or loss in ("frobenius", "kl")
]


@pytest.mark.parametrize(("name", "model", "loss"), CASES)
def test_conformance(name, model, loss, generator):
    check_iteration(BLOCK_ITERATIONS[name], model, loss, generator)


# --- Descent on fifty random problems each -----------------------------------------------------


def fifty(generator, model, loss, reg="nonnegative"):
    """Problems of many sizes of data, some with zeros and silent rows, some fitted at the start."""
    problem, _ = example(generator, model, loss, reg, batch=(50,))
    start = tuple(uniform(generator, 50, *shape) ** 2 for shape in MODELS[model].shapes)
    y = problem.y * 10 ** uniform(generator, 50, *(1,) * problem.model.ndim, low=-3, high=3)
    if LOSSES[loss].zeros and not loss == "beta=0.5":  # where the floor of MU is felt
        y[10:30] *= uniform(generator, *y[10:30].shape) < 0.5
        y[30:40, 1] = 0
    y[40:45] = problem.model(start)[40:45]  # solved already
    return replace(problem, y=y), start


@pytest.mark.parametrize(
    ("name", "model", "loss"),
    [
        (name, model, loss)
        for name, case in BLOCK_ITERATIONS.items()
        for model in MODELS
        for loss in case.descends
        if case.takes(model) and (model == "nmf" or loss in case.losses[:3])
    ],
)
def test_descent(name, model, loss, generator):
    case = BLOCK_ITERATIONS[name]
    problem, start = fifty(generator, model, loss, case.reg)
    start = tuple(REGULARIZERS[case.reg].onto(x) for x in start)
    check_descent(Alternating(case.make()), problem, start)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reg", [name for name in ELASTIC if name != "nonnegative"])
def test_descent_of_mu_with_penalties(loss, reg, generator):
    check_descent(Alternating(MU()), *fifty(generator, "nmf", loss, reg))


@pytest.mark.parametrize(
    ("name", "reg"),
    [(name, reg) for name, case in BLOCK_ITERATIONS.items() for reg in case.regs],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_with_every_regularizer(name, reg, weighted, generator):
    """The factors stay in the set, and the objective falls where that is promised."""
    case, set_of = BLOCK_ITERATIONS[name], REGULARIZERS[reg]
    other = REGULARIZERS[case.reg]
    for loss in case.losses[:2]:
        problem, start = example(generator, "nmf", loss, reg, batch=(50,))
        problem = replace(problem, regs=(problem.regs[0], other.make()))
        if weighted:  # of very different sizes, some entries missing
            problem = replace(problem, weights=uniform(generator, *problem.y.shape) ** 20)
        start = (set_of.onto(start[0]), other.onto(start[1]))
        iteration = Alternating(case.make())
        iteration.check(problem)
        iterates = run(iteration, problem, start, 6)
        for first, second in iterates[1:]:
            close(set_of.onto(first), first)
            close(other.onto(second), second)
            assert second.isfinite().all()
        if loss in case.descends and (problem.regs[0].convex or case.unconvex):
            check_falls(problem, iterates)
    coarse = replace(problem, y=problem.y[0].float(), weights=None)
    for x in run(iteration, coarse, tuple(x[0].float() for x in start), 1)[-1]:
        assert x.dtype == torch.float32


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("reg", ["simplex of columns", "unit nonnegative columns"])
@pytest.mark.parametrize("name", ["msom gamma=1", "projected gradient", "hals"])
def test_sets_of_factors_that_are_not_blocks(name, reg, n, generator):
    """Constraints along batch and rank dimensions: met, with descent, or refused."""
    model = "tucker" if n == 3 else "parafac2"
    problem, start = example(generator, model, batch=(20,))
    regs = [NonNegative() for _ in start]
    regs[n] = REGULARIZERS[reg].make()
    start = (*start[:n], REGULARIZERS[reg].onto(start[n]), *start[n + 1 :])
    problem, iteration = replace(problem, regs=regs), Alternating(BLOCK_ITERATIONS[name].make())
    if name == "hals" and n != 2:
        with pytest.raises(TypeError, match="HALS cannot use"):
            iteration.check(problem)
        return
    iteration.check(problem)
    iterates = run(iteration, problem, start, 6)
    check_falls(problem, iterates)
    for factors in iterates:
        close(REGULARIZERS[reg].onto(factors[n]), factors[n])


def test_relaxations_up_to_two_descend(generator):
    problem, start = fifty(generator, "nmf", "frobenius")
    for gamma in (0.1, 0.5, 1.5, 1.99):
        for make in (MSOM, ProjectedGradient, lambda g: SOM(lambda x: x + 0.1, g)):
            check_descent(Alternating(make(gamma)), problem, start, 8)


def test_signed_factors(generator):
    """Without nonnegativity the gram has negative entries, which the majorants must survive."""
    y = normal(generator, 50, 6, 5)
    start = (normal(generator, 50, 6, 3), normal(generator, 50, 5, 3))
    problem = Problem(y, NMF(), Frobenius(), (Free(), Free()))
    for make in (HALS, MSOM, ProjectedGradient):
        check_descent(Alternating(make()), problem, start)
    # Plain alternating least squares ends at the truncated SVD.
    fit = solve(Alternating(ProjectedLeastSquares()), problem, start, max_iter=2000, tol=1e-12)
    tail = torch.linalg.svdvals(y)[:, 3:].square().sum(-1) / 2
    close(fit.objective, tail, 1e-6)


# --- What each is, in one step -----------------------------------------------------------------


@pytest.fixture
def block(generator):
    a, y = uniform(generator, 8, 3), uniform(generator, 8, 5)
    return QuadraticBlock(a.mT @ a, (a.mT @ y).mT, Frobenius())


def test_one_step_of_each(block, generator):
    x, reg, g, c = uniform(generator, 5, 3), NonNegative(), block.gram, block.cross
    close(MU()(x, (), block, reg)[0], x * c / (x @ g))
    lipschitz = torch.linalg.eigvalsh(g)[-1]
    gradient = x @ g - c
    close(ProjectedGradient()(x, (), block, reg)[0], (x - gradient / lipschitz).clamp_min(0), 1e-2)
    half = (x - 0.5 * gradient / g.sum(-1)).clamp_min(0)
    close(MSOM(0.5)(x, (), block, reg)[0], half)
    close(SOM(lambda x: x, 1.0)(x, (), block, reg)[0], (x * c / (x @ g)).clamp_min(0))
    sweep = x.clone()
    for q in range(3):
        sweep[:, q] += (c[:, q] - sweep @ g[:, q]) / g[q, q]
        sweep[:, q].clamp_min_(0)
    close(HALS()(x, (), block, reg)[0], sweep)
    close(ProjectedLeastSquares()(x, (), block, Free())[0], c @ torch.linalg.inv(g), 1e-9)


def test_fista_is_the_textbook_one(block, generator):
    x = v = uniform(generator, 5, 3)
    iteration, t, step = FISTA(), torch.ones(5, 1, dtype=x.dtype), 1 / block.lipschitz()
    found, memory = x, iteration.init(x, NonNegative())
    for _ in range(20):
        found, memory = iteration(found, memory, block, NonNegative())
        new = (v - step * (v @ block.gram - block.cross)).clamp_min(0)
        t = torch.where(((v - new) * (new - x)).sum(-1, keepdim=True) > 0, 1.0, t)
        later = (1 + (1 + 4 * t**2).sqrt()) / 2
        x, v, t = new, new + (t - 1) / later * (new - x), later
        close(found, x, 1e-11)


def test_active_set_is_exact_after_finitely_many_pivots(generator):
    a, y = uniform(generator, 50, 8, 4), normal(generator, 50, 8, 6)
    block = QuadraticBlock(a.mT @ a, (a.mT @ y).mT, Frobenius())
    x = torch.zeros(50, 6, 4, dtype=a.dtype)
    iteration = ActiveSet(pivots=20)
    x, memory = iteration(x, iteration.init(x, NonNegative()), block, NonNegative())
    gradient = block.gradient(x)
    assert (gradient[x == 0] >= -1e-12).all() and (gradient[x > 0].abs() < 1e-11).all()
    again, _ = iteration(x, memory, block, NonNegative())
    close(again, x)


def test_burg_and_mu_agree_for_a_single_component(generator):
    """With one component both solve the block: x = sum y / sum a."""
    y, h = uniform(generator, 5, 4), uniform(generator, 4, 1)
    factors = (uniform(generator, 5, 1), h)
    problem = Problem(y, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()), free=(0,))
    expected = y.sum(-1, keepdim=True) / h.sum()
    for make in (MU, BurgMirrorDescent):
        close(run(Alternating(make()), problem, factors, 1)[-1][0], expected)


@pytest.mark.parametrize(("l1", "ridge"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.4), (0.3, 0.4)])
def test_burg_takes_the_mirror_step(l1, ridge, generator):
    """Stationary in z: <g, z> + l1 z + ridge z^2 / 2 + M D(z, x), D that of Burg's entropy."""
    problem, (w, h) = example(generator, loss="kl")
    problem = replace(problem, regs=(NonNegative(l1, ridge), NonNegative()))
    z = run(Alternating(BurgMirrorDescent(), order=(0,)), problem, (w, h), 1)[-1][0]
    gradient = problem.block(0, (w, h)).gradient(w)
    mass = problem.y.sum(-1, keepdim=True)
    slope = gradient + l1 + ridge * z + mass * (1 / w - 1 / z)
    assert (slope.abs() < 1e-10 * mass).all()


def test_mu_keeps_entries_alive(generator):
    """Zero is absorbing, so entries stay above the floor; a floor of 0 lets them die."""
    x = uniform(generator, 5, 3)
    x[0, 0] = 0
    cross = torch.ones(5, 3, dtype=x.dtype)
    cross[1] = 0
    block = QuadraticBlock(torch.eye(3, dtype=x.dtype), cross, Frobenius())
    least = torch.finfo(x.dtype).eps ** 2 * x.max()
    floored = MU()(x, (), block, NonNegative())[0]
    assert floored.min() == least and floored[0, 0] == least
    assert (MU(floor=0)(x, (), block, NonNegative())[0][1] == 0).all()
    assert MU(floor=1e-3)(x, (), block, NonNegative())[0].min() == 1e-3 * x.max()


# --- Alternating -------------------------------------------------------------------------------


def test_alternating_updates_in_order_with_inner_steps(generator):
    problem, (w, h) = example(generator)
    w_first = run(Alternating(HALS()), problem, (w, h), 1)[-1]
    h_first = run(Alternating(HALS(), order=(1, 0)), problem, (w, h), 1)[-1]
    assert not torch.equal(w_first[0], h_first[0])
    only = run(Alternating(HALS(), order=(1,)), problem, (w, h), 1)[-1]
    assert torch.equal(only[0], w) and torch.equal(only[1], h_first[1])
    frozen = run(Alternating(HALS()), problem.freeze(1), (w, h), 3)[-1]
    assert torch.equal(frozen[1], h) and not torch.equal(frozen[0], w)
    mixed = run(Alternating([HALS(), MU()], inner=[3, 2]), problem, (w, h), 1)[-1]
    first = run(Alternating(HALS(), inner=3, order=(0,)), problem, (w, h), 1)[-1]
    second = run(Alternating(MU(), order=(1,)), problem, first, 2)[-1]
    assert all(torch.equal(x, y) for x, y in zip(mixed, second, strict=True))


def test_inner_counts_are_counted_operations(generator):
    assert Counted(alpha=0.5)(outer=100.0, inner=10.0) == 6
    assert Counted(alpha=0.0)(outer=100.0, inner=10.0) == 1
    assert Counted(largest=4)(outer=1e9, inner=1.0) == 4
    # A batch of problems does as many inner steps as one of them.
    problem, start = example(generator, batch=(3,))
    iteration = Alternating(MSOM(), inner=Counted(alpha=20.0))
    together = run(iteration, problem, start, 2)[-1]
    alone = run(iteration, replace(problem, y=problem.y[1]), tuple(x[1] for x in start), 2)[-1]
    close(together[0][1], alone[0], 1e-10)


def test_repeat(generator):
    problem, start = example(generator)
    thrice = run(Repeat(Alternating(MU()), 3), problem, start, 2)[-1]
    once = run(Alternating(MU()), problem, start, 6)[-1]
    assert all(torch.equal(x, y) for x, y in zip(thrice, once, strict=True))


def test_extrapolation_by_nothing_is_the_plain_iteration(generator):
    problem, start = example(generator, "cp", batch=(3,))
    plain = run(Alternating(HALS()), problem, start, 5)[-1]
    found = run(Extrapolated(Alternating(HALS()), beta=0.0), problem, start, 5)[-1]
    for x, y in zip(found, plain, strict=True):
        close(x, y)


def test_extrapolation_is_faster_where_it_is_hard(generator):
    """Collinear components, one column .9 of the one before: 50 sweeps do as well as 200."""
    factors = []
    for n in (20, 21, 22):
        x = uniform(generator, 5, n, 6)
        for q in range(1, 6):
            x[..., q] = 0.1 * x[..., q] + 0.9 * x[..., q - 1]
        factors.append(x)
    y = CP(3)(tuple(factors))
    problem = Problem(y, CP(3), Frobenius(), [NonNegative()] * 3)
    start = problem.scaled(tuple(uniform(generator, *x.shape) for x in factors))
    iteration = Alternating(HALS())
    fast = run(Extrapolated(iteration), problem, start, 50)
    assert all((x >= 0).all() for factors in fast for x in factors)
    slow = run(iteration, problem, start, 200)[-1]
    assert problem.objective(fast[-1]).median() <= problem.objective(slow).median()


@pytest.mark.parametrize(
    "make",
    [
        lambda: MSOM(0.0),
        lambda: MSOM(2.0),
        lambda: ProjectedGradient(2.5),
        lambda: ActiveSet(0),
        lambda: MU(floor=1.0),
        lambda: MU(floor=-0.1),
        lambda: Repeat(Alternating(MU()), 0),
        lambda: Alternating(MU(), inner=0),
        lambda: Alternating(MU(), inner=[1, 0]),
    ],
)
def test_bad_parameters(make):
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize(
    ("iteration", "change", "message"),
    [
        (HALS(), {"loss": KullbackLeibler()}, "HALS needs a least-squares block but Kullback"),
        (FISTA(), {"loss": KullbackLeibler()}, "FISTA needs a bounded curvature"),
        (ActiveSet(), {"regs": (Free(), Free())}, "ActiveSet solves nonnegative least squares"),
        (BurgMirrorDescent(), {}, "BurgMirrorDescent is for KullbackLeibler"),
        (HALS(), {"regs": (Simplex(), Free())}, "HALS cannot use Simplex"),
        (MU(), {"regs": (UnitNorm(), Free())}, "UnitNorm has no `split`, which MU"),
    ],
)
def test_mismatches_name_what_is_missing(iteration, change, message, generator):
    problem, _ = example(generator)
    with pytest.raises(TypeError, match=message):
        Alternating(iteration).check(replace(problem, **change))


def test_those_that_need_a_gram_say_so(generator):
    problem, _ = example(generator, "sensed nmf")
    for name, case in BLOCK_ITERATIONS.items():
        iteration = Alternating(case.make())
        if case.gram:
            with pytest.raises(TypeError, match="needs the gram of factor 0, which Sensed"):
                iteration.check(problem)
        elif name != "burg":
            iteration.check(problem)


# --- The kernel --------------------------------------------------------------------------------


def kernel_inputs(generator, batch=(), zero=False):
    a = normal(generator, *batch, 9, 4)
    gram, cross = a.mT @ a, normal(generator, *batch, 6, 4)
    if zero:
        gram[..., 2, :], gram[..., :, 2], cross[..., 2] = 0, 0, 0
    return normal(generator, *batch, 6, 4).abs(), gram, cross


@pytest.mark.parametrize("penalties", [(None, None), (0.3, None), (None, 0.4), (0.3, 0.4)])
@pytest.mark.parametrize("interval", [(0.0, float("inf")), (0.1, 0.4), (-0.2, 0.3)])
@pytest.mark.parametrize("zero", [False, True])
def test_sweeps_are_exact_minimization_over_each_column(penalties, interval, zero, generator):
    """The operator, its batched form and the loop from the definition."""
    x, gram, cross = kernel_inputs(generator, zero=zero)
    weights = tuple(None if p is None else x.new_tensor(p) for p in penalties)
    l1, l2 = (0.0 if p is None else p for p in penalties)
    expected = x.clone()
    for _ in range(3):
        for q in range(4):
            curvature = gram[q, q] + l2
            if curvature == 0:
                pushed = l1 > 0 and interval[0] >= 0
                expected[:, q] = interval[0] if pushed else expected[:, q].clamp(*interval)
                continue
            target = cross[:, q] - expected @ gram[:, q] + gram[q, q] * expected[:, q]
            soft = target.sign() * (target.abs() - l1).clamp_min(0)
            expected[:, q] = (soft / curvature).clamp(*interval)
    found = coordinate_sweeps(x, gram, cross, weights, interval, 3)
    close(found, expected)
    stacked = (torch.stack([t, t]) for t in (x, gram, cross))
    close(coordinate_sweeps(*stacked, weights, interval, 3)[1], expected)
    rows = gram.expand(6, 4, 4)
    close(coordinate_sweeps(x, rows, cross, weights, interval, 3), expected)
    assert found.mT.is_contiguous()


def test_the_operator_equals_its_reference(generator):
    x, gram, cross = kernel_inputs(generator)
    for interval in ((0.0, float("inf")), (0.1, 0.4)):
        found = plane_sweeps(x.mT, gram, cross.mT, *interval, 3)
        close(found, plain_sweeps(x, gram, cross, None, interval, 3).mT)
        assert found.is_contiguous() and found.data_ptr() != x.data_ptr()
        inputs = (x.mT.clone(), gram, cross.mT.clone(), *interval, 2)
        torch.library.opcheck(torch.ops.rlra_torch.plane_sweeps.default, inputs)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("interval", [(0.0, float("inf")), (-0.2, 0.6)])
def test_kernel_gradients(batch, interval, generator):
    x, gram, cross = (t[..., :2, :2].clone() for t in kernel_inputs(generator, batch))
    given = tuple(t.requires_grad_() for t in (x, gram + 2 * torch.eye(2), cross))

    def sweeps(x, gram, cross):
        return coordinate_sweeps(x, gram, cross, (None, None), interval, 2)

    assert gradcheck(sweeps, given)
    assert gradgradcheck(sweeps, given)


# --- Derivatives of whole sweeps ---------------------------------------------------------------

SMOOTH = {
    "mu": (MU, "frobenius"),
    "mu, kl": (MU, "kl"),
    "mu, is": (MU, "is"),
    "mu, beta=1.5": (MU, "beta=1.5"),
    "mu, beta=3": (MU, "beta=3"),
    "hals": (HALS, "frobenius"),
    "msom": (MSOM, "frobenius"),
    "msom, kl": (MSOM, "kl"),
    "fista": (FISTA, "frobenius"),
    "projected gradient": (ProjectedGradient, "frobenius"),
    "burg": (BurgMirrorDescent, "kl"),
    "active set": (ActiveSet, "frobenius"),
    "projected least squares": (ProjectedLeastSquares, "frobenius"),
    "admm": (ADMM, "frobenius"),
    "admm, kl": (ADMM, "kl"),
    "admm, beta=1.5": (ADMM, "beta=1.5"),
}


@pytest.mark.parametrize("reg", ["nonnegative", "nonnegative elastic"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradcheck_of_a_whole_sweep(name, reg, generator):
    make, loss = SMOOTH[name]
    iteration, loss = Alternating(make(), inner=2), LOSSES[loss].make()
    w, h = uniform(generator, 4, 2, low=0.5), uniform(generator, 3, 2, low=0.5)
    y = w @ h.mT * uniform(generator, 4, 3, low=0.9, high=1.1)

    def sweep(y, w, h):
        problem = Problem(y, NMF(), loss, [REGULARIZERS[reg].make() for _ in range(2)])
        return iteration(iteration.init((w, h), problem), problem).factors

    assert gradcheck(sweep, tuple(x.requires_grad_() for x in (y, w, h)), atol=1e-6)


@pytest.mark.parametrize("make", [MU, HALS, MSOM, FISTA, ProjectedGradient, ADMM])
def test_gradcheck_where_entries_are_clipped(make, generator):
    """Random data, so that many entries sit at zero, and a sweep of a tensor model."""
    iteration = Alternating(make())
    factors = tuple(uniform(generator, n, 2) for n in (3, 2, 3))
    y = normal(generator, 3, 2, 3).abs()

    def sweep(y, *factors):
        problem = Problem(y, CP(3), Frobenius(), [NonNegative(l1=0.3)] * 3)
        return iteration(iteration.init(factors, problem), problem).factors

    outputs = sweep(y, *factors)
    assert make is MU or any((x == 0).any() for x in outputs)
    assert gradcheck(sweep, tuple(x.requires_grad_() for x in (y, *factors)), atol=1e-6)


@pytest.mark.parametrize("make", [lambda g: MSOM(g), lambda g: ProjectedGradient(g)])
def test_gradient_of_a_learned_step(make, generator):
    problem, start = example(generator)

    def sweep(gamma):
        iteration = Alternating(make(gamma))
        return iteration(iteration.init(start, problem), problem).factors

    gamma = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda g: sweep(nn.Parameter(g) if not g.requires_grad else g), gamma)
    learned = Alternating(make(nn.Parameter(gamma.detach())))
    sum(x.sum() for x in run(learned, problem, start, 2)[-1]).backward()
    (parameter,) = learned.parameters()
    assert parameter.grad is not None and parameter.grad.isfinite() and parameter.grad != 0


# --- Compilation -------------------------------------------------------------------------------


def compiled_equals_eager(make, backend, generator):
    if make is ADMM and torch.__version__ < "2.12":
        pytest.skip("the compiler of torch 2.11 loses the fields of dataclasses in ADMM")
    iteration = Alternating(make(), inner=2 if make in (FISTA, ADMM) else 1)
    w, h = uniform(generator, 6, 2), uniform(generator, 5, 2)
    y = uniform(generator, 6, 5)

    def sweep(y, w, h):
        problem = Problem(y, NMF(), Frobenius(), (NonNegative(0.1), NonNegative()))
        return iteration(iteration.init((w, h), problem), problem).factors

    compiled = torch.compile(sweep, fullgraph=True, backend=backend)
    given = tuple(x.requires_grad_() for x in (y, w, h))
    ours, theirs = compiled(*given), sweep(*given)
    weights = [normal(generator, *x.shape) for x in theirs]
    gradients = []
    for outputs in (ours, theirs):
        total = sum((a * x).sum() for a, x in zip(weights, outputs, strict=True))
        gradients.append(torch.autograd.grad(total, given))
    for x, y in zip((*ours, *gradients[0]), (*theirs, *gradients[1]), strict=True):
        close(x, y, 1e-10)


FAST = pytest.mark.parametrize("make", [MU, HALS, MSOM, FISTA, ADMM])


@FAST
def test_compiled_whole(make, generator):
    torch.compiler.reset()
    compiled_equals_eager(make, "aot_eager", generator)


@FAST
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, from inside inductor
def test_compiled_to_machine_code(make, generator):
    torch.compiler.reset()
    try:
        compiled_equals_eager(make, "inductor", generator)
    except torch._inductor.exc.InvalidCxxCompiler as error:
        pytest.skip(f"no compiler for inductor here: {error}")


# --- Blocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["frobenius", "kl", "is", "beta=1.5"])
@pytest.mark.parametrize("model", MODELS)
def test_blocks_agree_with_autograd(model, loss, generator):
    """Gradient, Hessian products, the majorant and the bound on the curvature."""
    problem, factors = example(generator, model, loss)
    problem = replace(problem, weights=uniform(generator, *problem.y.shape))
    for n in range(len(factors)):
        block, x = problem.block(n, factors), problem.pack(n, factors)
        expected = torch.func.grad(lambda x, n=n: problem.objective(problem.unpack(n, factors, x)))
        close(block.gradient(x), expected(x), 1e-10)
        positive, negative = (part.expand_as(x) for part in block.split(x))
        assert (positive >= 0).all() and (negative >= 0).all()
        u = uniform(generator, *x.shape, low=0.1)
        if LOSSES[loss].convex:
            _, product = torch.func.jvp(expected, (x,), (u,))
            close(block.hessian_product(x, u), product, 1e-10)
        dense = torch.func.jacrev(lambda u, block=block, x=x: block.hessian_product(x, u))(u)
        dense = dense.reshape(x.numel(), x.numel())
        majorant = torch.diag(block.majorant(x, u).flatten())
        smallest = torch.linalg.eigvalsh(majorant - dense)[0]
        assert smallest >= -1e-10 * majorant.max()
        if problem.loss.quadratic:
            largest = torch.linalg.eigvalsh(dense)[-1]
            assert largest * (1 - 1e-12) <= block.lipschitz().max() <= 1.06 * largest
        else:
            with pytest.raises(TypeError, match="is not bounded"):
                block.lipschitz()
            assert isinstance(block, DivergenceBlock)
