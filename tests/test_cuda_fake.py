"""On fake CUDA tensors: everything stays on its device, and nothing waits for it.

Under `FakeTensorMode` a tensor on "cuda" needs no GPU. Mixing devices raises, and so does reading a
value: `.item()`, `bool()`, `.tolist()`. Autograd on such tensors asks for a driver, so the backward
passes run on the meta device, where reading a value raises too.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from zoo import (
    BLOCK_ITERATIONS,
    COLUMNS,
    COMPONENTS,
    ITERATIONS,
    LOSSES,
    MADE_FOR,
    MODELS,
    NETWORKS,
    ONLY,
    PATTERNS,
    ROWS,
    IterationCase,
    regularizers,
)

from rlra_torch.functional.total_variation import Lattice
from rlra_torch.iterations import (
    MSOM,
    MU,
    Alternating,
    Carried,
    Nesterov,
    ProjectedGradient,
    iterates,
)
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF, Sensed
from rlra_torch.operators import RandomPhase
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Gauge, ProjectiveNorm
from rlra_torch.solvers import Progress, plug_and_play
from rlra_torch.solvers.solve import _run
from rlra_torch.unrolled import Unrolled

COMBINATIONS = [
    (name, model, loss)
    for name, (make, losses) in ITERATIONS.items()
    for model in MODELS
    for loss in losses
    if BLOCK_ITERATIONS.get(name, IterationCase(MU, gram="hals" in name)).takes(model)
    if model in ONLY.get(name, MODELS)
    # Every loss on matrices, and each other model once.
    if model == "nmf" or loss == losses[0]
]


def made_for(name, loss, **settings):
    """A problem of the first model that an iteration is made for, and its start."""
    model, *_ = ONLY.get(name, ("nmf",))
    return made(model, loss, MADE_FOR.get(name, "nonnegative"), **settings)


@pytest.fixture
def fake():
    with FakeTensorMode(), torch.no_grad():
        yield


def made(model, loss, reg="nonnegative", batch=(), device="cuda", weighted=False):
    """A problem and its start without values."""
    case = MODELS[model]
    start = tuple(torch.empty(*batch, *s, device=device) for s in case.shapes)
    net = case.make().to(device, torch.float32)
    y = torch.empty_like(net(start))
    with unset_fake_temporarily() as mode:  # what reads the values that it is made of
        regs = regularizers(reg, len(start))
    regs = [(own._apply(mode.from_tensor) if mode else own).to(device) for own in regs]
    weights = torch.empty_like(y) if weighted else None
    return Problem(y, net, LOSSES[loss].make(), regs, weights), start


def placed(make, device="cuda"):
    """Made where its tensors belong."""
    with torch.device(device):
        return make()


def tensors(tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [x for part in tree for x in tensors(part)]


# --- The harness itself can fail ---------------------------------------------------------------


def test_reading_a_value_is_caught(fake):
    x = torch.ones(3, device="cuda")
    for read in (lambda: x.sum().item(), lambda: bool((x > 0).all()), lambda: x.tolist()):
        with pytest.raises(DataDependentOutputException):
            read()
    with pytest.raises(DynamicOutputShapeException):
        x.nonzero()
    with pytest.raises(RuntimeError, match="device"):
        x + torch.ones(3)


# --- Forward -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "model", "loss"), COMBINATIONS)
def test_iterations(name, model, loss, fake):
    make, losses = ITERATIONS[name]
    for batch, weighted in (((), False), ((3,), True)):
        if weighted and (model != "nmf" or loss != losses[0]):
            continue
        reg = MADE_FOR.get(name, "nonnegative")
        problem, start = made(model, loss, reg, batch, weighted=weighted)
        iteration = placed(make)
        iteration.check(problem)
        state = iteration(iteration.init(start, problem), problem)
        assert all(x.device.type == "cuda" for x in tensors(state))
        for x, before in zip(state.factors, start, strict=True):
            assert x.shape == before.shape and x.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "reg"),
    [(name, reg) for name, case in BLOCK_ITERATIONS.items() for reg in case.regs],
)
def test_regularizers(name, reg, fake):
    case = BLOCK_ITERATIONS[name]
    problem, start = made("nmf", case.losses[-1], reg)
    iteration = placed(lambda: Alternating(case.make()))
    state = iteration(iteration.init(start, problem), problem)
    assert all(x.device.type == "cuda" for x in tensors(state))


@pytest.mark.parametrize(
    ("model", "loss"), [("nmf", loss) for loss in LOSSES] + [(model, "kl") for model in MODELS]
)
def test_measures(model, loss, fake):
    for batch, weighted in (((), True), ((3,), False)):
        problem, start = made(model, loss, "nonnegative elastic", batch, weighted=weighted)
        for value in (problem.kkt(start), problem.objective(start), problem.relative_error(start)):
            assert value.device.type == "cuda" and value.shape == batch


@pytest.mark.parametrize("name", ITERATIONS)
def test_the_solver_between_two_checks(name, fake):
    make, losses = ITERATIONS[name]
    for batch in ((), (3,)):
        problem, start = made_for(name, losses[-1], batch=batch)
        iteration = placed(make)
        done = torch.empty(batch, dtype=torch.bool, device="cuda")
        state = iteration.init(start, problem)
        progress = Progress(state, done, torch.zeros_like(done, dtype=torch.long), ())
        *_, last = _run(iteration, problem, progress, 2)
        assert all(x.device.type == "cuda" for x in tensors(last))


def test_compressed_recovery(fake):
    """Random-phase samples, total variation under a joint norm, and the steps that are measured."""
    phi = RandomPhase((4, 6), bands=5, ratio=2).to("cuda")
    start = (torch.empty(5, 2, device="cuda"), torch.empty(24, 2, device="cuda"))
    gauge = Gauge(tv=1.0, lattice=Lattice.of(phi.shape), steps=2)
    norm = ProjectiveNorm(0.1, Gauge(), gauge).to("cuda")
    model = Sensed(NMF(), phi).gained(start, steps=2)
    problem = Problem(torch.empty(5, 12, device="cuda"), model, Frobenius(), norm)
    iteration = Carried(Alternating(Nesterov(ProjectedGradient())))
    state = iteration.init(start, problem)
    for _ in range(2):
        state = iteration(state, problem)
    assert all(x.device.type == "cuda" for x in tensors(state))


@pytest.mark.parametrize("name", ITERATIONS)
def test_networks(name, fake):
    make, losses = ITERATIONS[name]
    problem, start = made_for(name, losses[-1], batch=(4,))
    net = Unrolled([placed(make)] * 2, problem.model, problem.loss, problem.regs, lambda y: start)
    assert all(x.device.type == "cuda" for x in net(problem.y))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name):
    """With its own start, parameters without values in the place of its own, weights and a batch.

    What is learned starts at a value that is read once, so a network is made outside.
    """
    case = NETWORKS[name]
    net = case.make()
    with FakeTensorMode(), torch.no_grad():
        found = stand_in(net, "cuda", case.given, weighted=False)
        found += stand_in(net, "cuda", case.given, weighted=True, batch=(3,))
        assert all(x.device.type == "cuda" and x.dtype == torch.float32 for x in found)
    assert [x.shape[:-1] for x in found] == [(ROWS,), (COLUMNS,), (3, ROWS), (3, COLUMNS)]


def stand_in(net, device, given, weighted, batch=(), gradients=False):
    """What a network makes of data without values, its parameters without values too."""
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    made = {name: torch.empty(x.shape, dtype=x.dtype, device=device) for name, x in tensors.items()}
    for name, _ in net.named_parameters() if gradients else ():
        made[name].requires_grad_()
    y = torch.empty(*batch, ROWS, COLUMNS, device=device)
    start = tuple(torch.empty(*batch, n, COMPONENTS, device=device) for n in (ROWS, COLUMNS))
    weights = torch.empty_like(y) if weighted else None
    arguments = (y, start if given else None, weights)
    found = torch.func.functional_call(net, made, arguments)
    if not gradients:
        return found
    given = [x for x in made.values() if x.requires_grad]
    return torch.autograd.grad(sum(x.sum() for x in found), given, allow_unused=True)


def test_scaled_without_penalties(fake):
    for model in MODELS:
        problem, start = made(model, "frobenius", batch=(2,))
        assert all(x.device.type == "cuda" for x in problem.scaled(start))


# --- Backward, on the meta device --------------------------------------------------------------


@pytest.mark.parametrize("name", ITERATIONS)
def test_backward(name):
    make, losses = ITERATIONS[name]
    for loss, batch in [(losses[-1], ()), *((loss, (3,)) for loss in losses)]:
        problem, start = made_for(name, loss, batch=batch, device="meta")
        given = [x.requires_grad_() for x in (problem.y, *start)]
        iteration = placed(make, "meta")
        *_, last = iterates([iteration] * 2, problem, iteration.init(start, problem))
        total = sum(x.sum() for x in last.factors)
        gradients = torch.autograd.grad(total, given, allow_unused=True)
        for gradient, x in zip(gradients, given, strict=True):
            assert gradient is None or gradient.shape == x.shape
        assert gradients[0] is not None and gradients[0].device.type == "meta"


def test_backward_into_parameters():
    problem, start = made("nmf", "frobenius", batch=(4,), device="meta")
    steps = [Alternating(MSOM(nn.Parameter(torch.tensor(1.0)))) for _ in range(2)]
    net = Unrolled(steps, problem.model, problem.loss, problem.regs, lambda y: start).to("meta")
    sum(x.sum() for x in net(problem.y)).backward()
    assert all(p.grad is not None and p.grad.device.type == "meta" for p in net.parameters())


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "unrolled hals"])
def test_backward_through_every_network(name):
    case = NETWORKS[name]
    found = stand_in(case.make(), "meta", case.given, True, (3,), gradients=True)
    assert all(x is not None and x.device.type == "meta" for x in found)


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name):
    camera = PATTERNS[name]()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        camera = camera.to("cuda")
        x = torch.empty(camera.pixels, 3, device="cuda")
        y = camera(x)
        rho = torch.ones(3, device="cuda")
        found = camera.adjoint(y), camera.pseudo_inverse(y), camera.resolvent(x, rho)
        assert y.shape == (camera.measurements, 3) and y.device.type == "cuda"
        assert all(z.shape == x.shape and z.device.type == "cuda" for z in found)
        v = torch.empty(3, 2, device="cuda")
        found = plug_and_play(camera, y, torch.relu, spectra=v, counts=True, max_iter=2)
        assert found.x.shape == (camera.pixels, 2) and found.x.device.type == "cuda"
