"""Networks as PyTorch modules: precision, copies, export, compilation, processes, vmap."""

import copy
import io

import pytest
import torch
from conformance import close
from two_processes import descend, made, worker
from zoo import COMPONENTS, ITERATIONS, NETWORKS, example_for, mixture, trained

from rlra_torch.iterations import HALS, Alternating, iterates
from rlra_torch.kernels import coordinate
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.unrolled import GivenStart, Unrolled, nalmu

every_network = pytest.mark.parametrize("name", NETWORKS)
LEARNED = [name for name in NETWORKS if name != "unrolled hals"]


def case(name, generator, batch=(), dtype=torch.float32):
    """A network and its arguments."""
    net = trained(NETWORKS[name].make().to(dtype), generator)
    y, start = mixture(generator, *batch)
    given = (y, start) if NETWORKS[name].given else (y,)
    return net, torch.utils._pytree.tree_map(lambda x: x.to(dtype), given)


def sought(net, factors):
    """The factors that the network finds."""
    return [factors[n] for n in net.problem(torch.ones(1, 1)).order]


# --- Precision ---------------------------------------------------------------------------------


@every_network
def test_float32_throughout(name, generator):
    """Values, gradients and parameters; close to what float64 gives."""
    net, given = case(name, generator)
    fine, exact = (
        copy.deepcopy(net).double(),
        torch.utils._pytree.tree_map(lambda x: x.double(), given),
    )
    found, expected = net(*given), fine(*exact)
    for x, right in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        close(x.double(), right, 1e-4)
    if name in LEARNED:
        for factors in (found, expected):
            sum(x.sum() for x in factors).backward()
        for p, q in zip(net.parameters(), fine.parameters(), strict=True):
            assert p.grad.dtype == p.dtype and p.grad.isfinite().all()
            # Steps and thresholds are single numbers, kept in double precision.
            assert p.dtype == torch.float32 or p.ndim == 0
            close(p.grad.double(), q.grad, atol=1e-3 * float(q.grad.abs().max()) + 1e-4)


@every_network
@pytest.mark.parametrize("batch", [(), (3,)])
def test_bfloat16_autocast(name, batch, generator):
    """Products run in bfloat16; the factors stay float32, near to what they are without it."""
    net, given = case(name, generator, batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(*given)
        total = sum(x.square().sum() for x in sought(net, found))
    for x, right in zip(found, net(*given), strict=True):
        assert x.dtype == torch.float32 and x.isfinite().all()
        assert (x - right).norm() <= 0.05 * right.norm()
    if name in LEARNED:
        total.backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", ITERATIONS)
def test_every_iteration_under_autocast(name, generator):
    make, losses = ITERATIONS[name]
    for loss in losses[:2]:
        problem, start = example_for(name, generator, loss)
        regs = [reg.float() for reg in problem.regs]
        problem = Problem(problem.y.float(), problem.model.float(), problem.loss, regs)
        start, iteration = tuple(x.float() for x in start), make()
        with torch.autocast("cpu", torch.bfloat16):
            *_, last = iterates([iteration] * 3, problem, iteration.init(start, problem))
        for x in last.factors:
            assert x.dtype == torch.float32 and x.isfinite().all()


# --- Copies ------------------------------------------------------------------------------------


@every_network
def test_state_dict_and_deepcopy(name, generator):
    net, given = case(name, generator, dtype=torch.float64)
    expected = net(*given)
    fresh = NETWORKS[name].make().double()
    if name in LEARNED:
        assert not torch.allclose(fresh(*given)[1], expected[1])
    fresh.load_state_dict(net.state_dict(), strict=True)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    loaded = NETWORKS[name].make().double()
    loaded.load_state_dict(torch.load(file, weights_only=True), strict=True)
    twin = copy.deepcopy(net)
    for other in (fresh, loaded, twin):
        assert all(torch.equal(x, y) for x, y in zip(other(*given), expected, strict=True))
    if name in LEARNED:
        assert {id(p) for p in twin.parameters()}.isdisjoint(id(p) for p in net.parameters())
        count = len(list(net.parameters()))
        assert len(list(twin.parameters())) == len(list(fresh.parameters())) == count
        trained(twin, generator)
        assert all(torch.equal(x, y) for x, y in zip(net(*given), expected, strict=True))


def test_a_state_of_another_shape_is_refused():
    net = nalmu(COMPONENTS, 3, ((COMPONENTS,), ()))
    for other in (nalmu(COMPONENTS, 2, ((COMPONENTS,), ())), nalmu(2, 3), nalmu(3, 3, ((3,), ()))):
        with pytest.raises(RuntimeError, match="state_dict"):
            other.load_state_dict(net.state_dict())


# --- Export ------------------------------------------------------------------------------------

EXPORTED = ["nalmu, kl, entries", "ralmu", "unrolled nnls", "unrolled hals"]


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize("dynamic", [pytest.param(False, marks=pytest.mark.slow), True])
def test_export(name, dynamic, generator):
    """Saved and loaded it gives the same, with a batch of any size where that is asked for."""
    net, given = case(name, generator, (3,) if dynamic else ())
    size = {0: torch.export.Dim("batch", min=1)} if dynamic else {}
    shapes = torch.utils._pytree.tree_map(lambda x: size, given)
    shapes = (*shapes, None, None)[:3] if dynamic else None
    program = torch.export.export(net, (*given, None, None)[:3], dynamic_shapes=shapes)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    if dynamic:
        given = torch.utils._pytree.tree_map(lambda x: torch.cat((x, 1.1 * x[:2])), given)
    for x, right in zip(loaded(*(*given, None, None)[:3]), net(*given), strict=True):
        close(x, right.detach(), 1e-6)


# --- Compilation -------------------------------------------------------------------------------


def compiled_equals_eager(net, given, backend):
    """Values and gradients in the data, the start and the parameters."""
    torch.compiler.reset()
    compiled, gradients, values = torch.compile(net, fullgraph=True, backend=backend), [], []
    for run in (compiled, net):
        leaves = torch.utils._pytree.tree_map(lambda x: x.clone().requires_grad_(), given)
        values.append(run(*leaves))
        total = sum((k * x).square().sum() for k, x in enumerate(sought(net, values[-1]), 1))
        inputs = (*torch.utils._pytree.tree_leaves(leaves), *net.parameters())
        gradients.append(torch.autograd.grad(total, inputs))
    for ours, theirs in (values, gradients):
        for x, right in zip(ours, theirs, strict=True):
            close(x, right, 1e-10)


QUICK = ("nalmu, kl, entries", "unrolled nnls")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NETWORKS]
)
def test_compiled_whole(name, generator):
    compiled_equals_eager(*case(name, generator, dtype=torch.float64), "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nalmu, kl", "unrolled hals"])
def test_compiled_with_checkpoints(name, generator):
    net, given = case(name, generator, dtype=torch.float64)
    net.checkpointed = True
    compiled_equals_eager(net, given, "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, from inside inductor
@pytest.mark.parametrize("name", ["nalmu, entries", "nalmu, kl", "ralmu", "unrolled nnls"])
def test_compiled_to_machine_code(name, generator):
    try:
        compiled_equals_eager(*case(name, generator, dtype=torch.float64), "inductor")
    except torch._inductor.exc.InvalidCxxCompiler as error:
        pytest.skip(f"no compiler for inductor here: {error}")


# --- Two processes -----------------------------------------------------------------------------


def test_two_processes_train_as_one(tmp_path):
    """Halves of a batch in two processes give what the whole batch gives in one.

    Where W alone is supervised the gain of H in the last layer, which comes after W, does not
    matter: it has no gradient, which a distributed training has to be told.
    """
    scenarios = [((0, 1), {}), ((0,), {"find_unused_parameters": True}), ((0,), {})]
    torch.multiprocessing.spawn(worker, (str(tmp_path), scenarios), nprocs=2)
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for (supervised, _), *found in zip(scenarios[:2], *results, strict=False):
        net, y, targets = made()
        before = [p.detach().clone() for p in net.parameters()]
        gradients = descend(net, y, targets, supervised)
        *_, last = net.named_parameters()
        assert last[0] == "layers.2.iterations.1.gain.theta"
        assert (last[1].grad is None) == (supervised == (0,))
        for parameters, slopes in found:
            for p, q, start in zip(parameters, net.parameters(), before, strict=True):
                close(p, q.detach(), atol=1e-12)
                assert torch.equal(q, start) == (q.grad is None)
            for slope, expected in zip(slopes, gradients, strict=True):
                if expected is None:
                    assert slope is None
                else:
                    close(slope, expected, atol=1e-12)
    for found in results:
        assert "parameters that were not used in producing loss" in found[2]


# --- The backward of the kernel is the one that is used ----------------------------------------


def sweep(y, w, h):
    """One HALS layer that knows W."""
    regs = (NonNegative(), NonNegative())
    layers = [Alternating(HALS())]
    return Unrolled(layers, NMF(), Frobenius(), regs, GivenStart(), free=(1,))(y, (w, h))[1]


def slopes(function, *given):
    leaves = [x.clone().requires_grad_() for x in given]
    return torch.autograd.grad(function(*leaves).square().sum(), leaves)


@pytest.fixture
def data(generator):
    y, start = mixture(generator, 3)
    return y, *start


@pytest.fixture
def sabotaged(monkeypatch):
    """The operator of the coordinate sweeps with a backward pass that is seven times too large."""
    operator = coordinate.plane_sweeps
    right = operator._backward_fn

    def wrong(ctx, grad):
        return tuple(None if x is None else 7 * x for x in right(ctx, grad))

    monkeypatch.setattr(operator, "_backward_fn", wrong)
    torch.compiler.reset()


def ratio(found, expected):
    """One number, if all derivatives in the data and the start are that multiple."""
    pairs = [(found[n], expected[n]) for n in (0, 2)]  # W enters around the operator as well
    ratios = torch.cat([(x / y)[y.abs() > 1e-9] for x, y in pairs])
    close(ratios, ratios[:1].expand_as(ratios), 1e-9)
    return float(ratios[0])


def alone(data):
    return [x[0] for x in data]


def test_a_backward_that_is_wrong_is_seen(data, request):
    expected = slopes(sweep, *alone(data)), slopes(sweep, *data)
    request.getfixturevalue("sabotaged")
    assert ratio(slopes(sweep, *alone(data)), expected[0]) == pytest.approx(7)
    compiled = torch.compile(sweep, fullgraph=True, backend="aot_eager")
    assert ratio(slopes(compiled, *alone(data)), expected[0]) == pytest.approx(7)
    # With leading dimensions the operator is not called: the plain sweeps are differentiated.
    assert ratio(slopes(sweep, *data), expected[1]) == pytest.approx(1)
    torch.compiler.reset()
    compiled = torch.compile(sweep, fullgraph=True, backend="aot_eager")
    assert ratio(slopes(compiled, *data), expected[1]) == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_vmap_uses_it_or_says_that_it_cannot(data, request):
    """Nothing differentiates the forward pass of the operator behind its back."""
    expected = slopes(sweep, *data)
    request.getfixturevalue("sabotaged")
    over = torch.vmap(sweep)
    assert ratio(slopes(over, *data), expected) == pytest.approx(7)
    compiled = torch.compile(over, backend="aot_eager")
    assert ratio(slopes(compiled, *data), expected) == pytest.approx(7)

    def gradient(y, w, h):
        return torch.func.grad(lambda y: sweep(y, w, h).square().sum())(y)

    for function, given in ((gradient, alone(data)), (torch.vmap(gradient), data)):
        with pytest.raises(RuntimeError, match="functorch transforms"):
            function(*given)
