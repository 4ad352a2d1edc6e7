"""Learned layers: what they are untrained, their derivatives, their laws, and what they refuse."""

from dataclasses import replace

import pytest
import torch
from conformance import check_iteration, close, run
from torch import nn
from torch.autograd import gradcheck
from torch.func import functional_call
from zoo import (
    BLOCK_ITERATIONS,
    COLUMNS,
    COMPONENTS,
    IMAGE,
    LOSSES,
    NETWORKS,
    REGULARIZERS,
    ROWS,
    IterationCase,
    example,
    mixture,
    normal,
    trained,
    uniform,
)

from rlra_torch.blocks import QuadraticBlock
from rlra_torch.iterations import (
    FISTA,
    HALS,
    LISTA,
    MSOM,
    MU,
    ActiveSet,
    Alternating,
    BurgMirrorDescent,
    Gain,
    Gained,
    Inertial,
    ProjectedGradient,
    Regularized,
)
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF
from rlra_torch.regularizers import L1, Free, KSparse, NonNegative, Simplex
from rlra_torch.unrolled import (
    ConvolutionalGain,
    GivenStart,
    RowGain,
    SeparableStart,
    UniformStart,
    Unrolled,
    learned,
    lista,
    nalmu,
    ralmu,
    unrolled_nnls,
)

POSITIVE = (NonNegative(), NonNegative())
SIZES = ((ROWS, COMPONENTS), (COLUMNS, COMPONENTS))


# --- Untrained, each is the plain iteration ----------------------------------------------------


def textbook_mu(y, w, h, loss, count):
    for _ in range(count):
        if isinstance(loss, Frobenius):
            w = w * (y @ h) / (w @ (h.mT @ h))
            h = h * (y.mT @ w) / (h @ (w.mT @ w))
        else:
            w = w * (y / (w @ h.mT) @ h) / h.sum(-2, keepdim=True)
            h = h * ((y / (w @ h.mT)).mT @ w) / w.sum(-2, keepdim=True)
    return w, h


SHAPES = [((), ()), ((COMPONENTS,),) * 2, ((ROWS, 1), (COLUMNS, 1)), SIZES]
MULTIPLICATIVE = {
    **{f"nalmu {s}": (lambda loss, s=s: nalmu(COMPONENTS, 25, s, loss=loss)) for s in SHAPES},
    "ralmu": lambda loss: ralmu(COMPONENTS, 25, loss=loss),
    "ralmu, image": lambda loss: ralmu(COMPONENTS, 25, image=IMAGE, loss=loss),
    "tied": lambda loss: Unrolled(
        [Alternating(Gained(MU(), Gain()))] * 25, NMF(), loss, POSITIVE, GivenStart()
    ),
}


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("loss", [Frobenius(), KullbackLeibler()])
@pytest.mark.parametrize("name", MULTIPLICATIVE)
def test_untrained_it_is_mu(name, loss, batch, generator):
    y, start = mixture(generator, *batch)
    net = MULTIPLICATIVE[name](loss).double()
    expected = textbook_mu(y, *start, loss, 25)
    for x, right in zip(net(y, start), expected, strict=True):
        close(x, right, 1e-12)
    assert not torch.allclose(trained(net, generator)(y, start)[0], expected[0], rtol=1e-3)


@pytest.mark.parametrize("reg", ["nonnegative l1", "l1", "elastic net"])
def test_untrained_lista_is_ista(reg, generator):
    problem, start = example(generator, reg=reg)
    found = run(Alternating(LISTA(3)), problem, start, 10)[-1]
    expected = run(Alternating(ProjectedGradient()), problem, start, 10)[-1]
    assert all(torch.equal(x, y) for x, y in zip(found, expected, strict=True))


def test_lista_is_written_with_one_matrix(generator):
    """``x <- soft(x - B^T (A x - y), theta)`` with ``B = A M gamma / L``."""
    a, y, x = normal(generator, 8, 3), normal(generator, 8, 5), normal(generator, 5, 3)
    layer, l1 = trained(LISTA(3, gamma=0.7).double(), generator), 0.2
    block = QuadraticBlock(a.mT @ a, y.mT @ a, Frobenius())
    step = 0.7 / block.lipschitz()
    moved = x - (x @ a.mT - y.mT) @ a @ layer.preconditioner * step
    expected = moved.sign() * (moved.abs() - l1 * step).clamp_min(0)
    close(layer(x, (), block, L1(l1))[0], expected)


@pytest.mark.parametrize("name", BLOCK_ITERATIONS)
def test_no_momentum_is_the_iteration(name, generator):
    case = BLOCK_ITERATIONS[name]
    problem, start = example(generator, "nmf", case.losses[-1], case.reg, batch=(2,))
    start = tuple(REGULARIZERS[case.reg].onto(x) for x in start)
    plain, moving = case.make(), Inertial(case.make(), 0.0)
    inner = 1 if name == "admm" else 2  # which chooses its weight once for all inner steps
    found = run(Alternating(moving, inner=inner), problem, start, 4)[-1]
    expected = run(Alternating(plain, inner=inner), problem, start, 4)[-1]
    for x, y in zip(found, expected, strict=True):
        close(x, y)


def test_momentum_by_hand(generator):
    """``x+ = update(max(x + 0.5 (x - x_before), 0))``, and on hard problems it pays."""
    a, y = uniform(generator, 50, 30, 6), uniform(generator, 50, 30, 40)
    block = QuadraticBlock(a.mT @ a, y.mT @ a, Frobenius())
    before = x = slow = uniform(generator, 50, 40, 6)
    it, plain, reg = Inertial(MSOM(1.0), 0.5), MSOM(1.0), NonNegative()
    memory, found = it.init(x, NonNegative()), x
    for _ in range(40):
        before, x = x, plain((x + 0.5 * (x - before)).clamp_min(0), (), block, reg)[0]
        found, memory = it(found, memory, block, reg)
        slow = plain(slow, (), block, reg)[0]
    close(found, x)
    assert (block.value(found, 1) < block.value(slow, 1)).all()


def test_momentum_does_not_kill_entries_of_mu():
    """Zero is absorbing: what momentum would push beyond it starts from a tenth of what it was."""
    x, before = torch.tensor([[[0.1, 1.0]], [[1.0, 1.0]]], dtype=torch.float64)
    block = QuadraticBlock(torch.eye(2).to(x), torch.ones_like(x), Frobenius())
    it, seen = Inertial(MU(), 1.0), []
    it.iteration.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for reg in (NonNegative(), Free()):  # the second would let it be negative
        new, memory = it(x, (before, ()), block, reg)
        close(new, torch.ones_like(x))
        assert memory[0] is x
    for v in seen:
        close(v, torch.tensor([[0.01, 1.0]], dtype=torch.float64))


def test_regularizers_of_its_own(generator):
    """They take the place of those of the problem, in steps, starts and checks."""
    own = (NonNegative(), NonNegative(l1=0.2))
    problem, start = example(generator)
    alone = run(Alternating(FISTA(), inner=2), replace(problem, regs=own), start, 5)[-1]
    layer = Regularized(Alternating(FISTA(), inner=2), own)
    found = run(layer, replace(problem, regs=(Free(), Free())), start, 5)[-1]
    assert all(torch.equal(x, y) for x, y in zip(found, alone, strict=True))
    layer.check(replace(problem, regs=(NonNegative(), Simplex())))
    with pytest.raises(TypeError, match="MU"):
        Regularized(Alternating(MU()), (NonNegative(), Simplex())).check(problem)


# --- Derivatives -------------------------------------------------------------------------------


def called(net, y, w, h, *parameters, weights=None):
    """The network as a function of all that it depends on."""
    names = [name for name, _ in net.named_parameters()]
    given = dict(zip(names, parameters, strict=True))
    return functional_call(net, given, (y, (w, h), weights))


def differentiable(net, y, start):
    return tuple(x.detach().clone().requires_grad_() for x in (y, *start, *net.parameters()))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradcheck(name, generator):
    """In the data, the factors to start from and all parameters, every network trained a bit."""
    net = trained(NETWORKS[name].make().double(), generator)
    y, start = mixture(generator)
    given = differentiable(net, y, start)
    many = sum(x.numel() for x in given) > 100  # then along random directions
    assert gradcheck(lambda *x: called(net, *x), given, atol=1e-6, fast_mode=many)

    if not given[3:]:
        return
    outputs, free = called(net, *given), net.problem(y).order
    total = sum((normal(generator, *outputs[n].shape) * outputs[n]).sum() for n in free)
    gradients = torch.autograd.grad(total, given[3:])
    for (parameter, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        # At the start there is nothing before.
        still = parameter.startswith("layers.0.") and "momentum" in parameter
        assert still or (gradient != 0).any(), f"{parameter} does not matter"


@pytest.mark.parametrize("name", NETWORKS)
def test_gradcheck_of_a_batch_with_weights(name, generator):
    """Along random directions; the last entry of each problem is missing."""
    net = trained(NETWORKS[name].make().double(), generator)
    y, start = mixture(generator, 2)
    weights = uniform(generator, *y.shape, low=0.2)
    weights[..., -1, -1] = 0

    def forward(*given):
        return called(net, *given, weights=weights)

    given = differentiable(net, y, start)
    assert gradcheck(forward, given, atol=1e-6, fast_mode=True)
    (slope,) = torch.autograd.grad(sum(x.sum() for x in forward(*given)), given[:1])
    assert (slope[..., -1, -1] == 0).all() and (slope[..., 0, 0] != 0).all()


def test_the_start_is_a_constant(generator):
    """Gradients in the data pass through the layers, not through the choice of columns."""
    y, _ = mixture(generator)
    net = nalmu(COMPONENTS, 3).double()
    y.requires_grad_()
    (whole,) = torch.autograd.grad(net(y)[0].sum(), y)
    (given,) = torch.autograd.grad(net(y, net.init(y.detach()))[0].sum(), y)
    assert torch.equal(whole, given) and (whole != 0).any()


# --- What one block of NALMU descends on -------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1])
def test_tied_gains_descend(n, generator):
    """The factor that is updated carries the gain: with X that factor and M(X) the prediction,

        M(X) = W H^T:   ||M(X) - Y||^2 / 2 + <M((1 - A) * X), Y>

    never rises for any positive constant A. For the gained update minimizes Jensen's majorizer of
    ``||M(X)||^2 / 2 - <M(A * X), Y>``, which is that cost up to a constant. The cost in which a
    whole ``<M(A * X), Y>`` is added to ``||M(X) - Y||^2`` does rise.
    """
    problem, start = example(generator, batch=(50,))
    layer = Gained(MU(), Gain(*start[n].shape))
    gain = uniform(generator, *start[n].shape, low=0.5, high=2)
    layer.gain.theta.data = gain.log()

    def cost(factors):
        moved = list(factors)
        moved[n] = (1 - gain) * factors[n]
        residual = problem.model(factors) - problem.y
        pull = problem.model(tuple(moved)) * problem.y
        return (residual.square() / 2 + pull).sum((-2, -1))

    def printed(factors):
        moved = list(factors)
        moved[n] = gain * factors[n]
        residual = problem.model(factors) - problem.y
        return (residual.square() + problem.model(tuple(moved)) * problem.y).sum((-2, -1))

    iterates = run(Alternating(layer, order=(n,)), problem, start, 30)
    trace = torch.stack([cost(factors) for factors in iterates])
    size = problem.y.square().sum((-2, -1))
    assert (trace[1:] - trace[:-1] <= 1e-13 * size).all()
    assert (trace[-1] < trace[0] - 1e-3 * size).all()
    other = torch.stack([printed(factors) for factors in iterates])
    assert (other[1:] - other[:-1] > 1e-6 * size).any(0).sum() >= 40


def test_tied_gains_solve_a_scaled_regression(generator):
    """Where it ends: nonnegative least squares with the cross products times A."""
    problem, start = example(generator, batch=(20,))
    layer = Gained(MU(floor=0), Gain(4, 3))
    gain = uniform(generator, 4, 3, low=0.5, high=2)
    layer.gain.theta.data = gain.log()
    found = run(Alternating(layer, order=(1,)), problem, start, 3000)[-1][1]
    block = problem.block(1, start)
    scaled = QuadraticBlock(block.gram, gain * block.cross, block.loss)
    solver = ActiveSet(12)
    expected, _ = solver(start[1], solver.init(start[1], NonNegative()), scaled, NonNegative())
    gap = scaled.value(found, 1) - scaled.value(expected, 1)
    assert (gap.abs() <= 1e-5 * scaled.value(expected, 1).abs()).all()


# --- Gains -------------------------------------------------------------------------------------

PREDICTED = {"rows": RowGain, "columns": ConvolutionalGain}


@pytest.mark.parametrize("name", PREDICTED)
def test_predicted_gains(name, generator):
    """One until trained, then within a factor e, whatever the scale and the order of columns."""
    gain, x = PREDICTED[name](4).double(), uniform(generator, 3, 7, 5, low=0.1)
    assert (gain(x) == 1).all()
    trained(gain, generator, 1.0)
    found = gain(x)
    assert found.shape == x.shape and found.std() > 1e-3
    assert (found.log().abs() <= 1).all()
    scale = uniform(generator, *((3, 1, 1) if name == "rows" else (3, 1, 5)), low=1e-3, high=1e3)
    close(gain(scale * x), found, 1e-10)
    order = torch.arange(5).roll(2)
    close(gain(x[..., order]), found[..., order])
    assert gain(x[..., :2]).shape == (3, 7, 2) and gain(x[:, :6]).shape == (3, 6, 5)
    close(gain(x)[1], gain(x[1]))
    if name == "rows":
        order = torch.arange(7).roll(3)
        close(gain(x[:, order]), found[:, order])


@pytest.mark.parametrize("name", PREDICTED)
def test_gains_of_nothing_are_finite(name, generator):
    """An empty row, an empty column, an empty factor: values and derivatives."""
    gain = trained(PREDICTED[name](4).double(), generator, 1.0)
    for empty in ((slice(2, 3), slice(None)), (slice(None), slice(1, 2)), (..., slice(None))):
        x = uniform(generator, 7, 3)
        x[empty] = 0
        x.requires_grad_()
        found = gain(x)
        (slope,) = torch.autograd.grad(found.sum(), x)
        assert found.isfinite().all() and slope.isfinite().all() and slope.abs().max() < 1e6


def test_gains_of_an_image(generator):
    """Its pixels come row by row, and a convolution sees them as an image."""
    gain = trained(ConvolutionalGain(3, 3, (4, 6)).double(), generator, 1.0)
    x = uniform(generator, 24, 2)
    maps = (x / x.mean(0)).mT.reshape(2, 1, 4, 6)
    close(gain(x), gain.net(maps).tanh().exp().reshape(2, 24).mT)
    flipped = torch.stack([x[:, q].reshape(4, 6).mT.reshape(-1) for q in range(2)], -1)
    assert not torch.allclose(gain(flipped).sum(), gain(x).sum())


def test_gains_are_positive_by_construction(generator):
    gain = Gain(3)
    gain.theta.data = torch.tensor([-30.0, 0.0, 30.0])
    assert (gain(torch.ones(2, 3)) > 0).all()
    assert Gain(4, 1)(torch.ones(5, 4, 2)).shape == (4, 1)


def test_a_gain_is_that_of_the_factor_before_its_update(generator):
    problem, start = example(generator)
    gain = trained(RowGain(4).double(), generator, 1.0)
    found = run(Alternating(Gained(MSOM(), gain), order=(0,)), problem, start, 1)[-1][0]
    plain = run(Alternating(MSOM(), order=(0,)), problem, start, 1)[-1][0]
    close(found, gain(start[0]) * plain)


@pytest.mark.parametrize("reg", ["box", "lower bound", "nonnegative", "group of columns"])
def test_what_is_gained_stays_in_its_set(reg, generator):
    problem, start = example(generator, reg=reg, batch=(3,))
    start = tuple(REGULARIZERS[reg].onto(x) for x in start)
    for value in (-2.0, 2.0):
        layer = Gained(MU(), Gain())
        layer.gain.theta.data.fill_(value)
        *_, found = run(Alternating(layer), problem, start, 3)
        for x in found:
            close(REGULARIZERS[reg].onto(x), x)


# --- LISTA has a rank --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["nmf", "rank first", "sensed nmf"])
def test_lista_conforms(model, generator):
    check_iteration(IterationCase(lambda: LISTA(3)), model, "frobenius", generator)


# --- Learned hyperparameters -------------------------------------------------------------------


def test_learned_stays_positive(generator):
    """It starts where it was, and any step of an optimizer leaves it above 0."""
    module = learned(MSOM(1.5), "gamma")
    (theta,) = module.parameters()
    close(module.gamma, torch.tensor(1.5, dtype=torch.float64))
    (3 * module.gamma).backward()
    close(theta.grad, 3 * module.gamma.detach())
    torch.optim.SGD([theta], lr=10.0).step()
    assert 0 < module.gamma < 1e-10


def test_learned_weights_are_those_of_the_penalty(generator):
    reg, x = learned(NonNegative(l1=0.3, ridge=0.2), "l1", "ridge"), uniform(generator, 4, 3)
    close(reg(x), NonNegative(0.3, 0.2)(x))
    close(reg.prox(x, 0.7), NonNegative(0.3, 0.2).prox(x, 0.7))
    assert isinstance(reg, NonNegative) and len(list(reg.parameters())) == 2


# --- Networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_is_as_many_problems(name, generator):
    case = NETWORKS[name]
    net = trained(case.make().double(), generator)
    y, start = mixture(generator, 2, 3)
    weights = uniform(generator, *y.shape, low=0.2)
    given = (lambda i, j: tuple(x[i, j] for x in start)) if case.given else (lambda i, j: None)
    found = net(y, start if case.given else None, weights)
    for i, j in ((0, 0), (1, 2)):
        for x, alone in zip(found, net(y[i, j], given(i, j), weights[i, j]), strict=True):
            close(x[i, j], alone, 1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_missing_does_not_matter(name, generator):
    """Not to the layers, and not to the start, whatever stands in its place."""
    case = NETWORKS[name]
    net = trained(case.make().double(), generator)
    y, start = mixture(generator)
    start = start if case.given else None
    weights = (uniform(generator, *y.shape) < 0.8).double()
    found, plain = net(y, start, weights), net(y, start)
    for value in (torch.nan, torch.inf, 1e9):
        again = net(torch.where(weights > 0, y, value), start, weights)
        assert all(torch.equal(x, other) for x, other in zip(found, again, strict=True))
    assert all(x.isfinite().all() for x in found) and not torch.allclose(found[1], plain[1])
    if "almu" in name:  # without penalties, nor does the unit of the data
        w, h = net(1e3 * y, None, weights)
        close(w @ h.mT, 1e3 * found[0] @ found[1].mT, 1e-9)
    ones = net(y, start, torch.ones_like(y))
    for x, plain in zip(ones, net(y, start), strict=True):
        close(x, plain, 1e-6)


@pytest.mark.parametrize("image", [None, IMAGE])
def test_components_have_no_order_in_ralmu(image, generator):
    """And one network serves every rank, and images without an order of pixels of every size."""
    net = trained(ralmu(COMPONENTS, 4, hidden=3, image=image).double(), generator)
    y, (w, h) = mixture(generator)
    found = net(y, (w, h))
    turned = net(y, (w.flip(-1), h.flip(-1)))
    for x, other in zip(found, turned, strict=True):
        close(other.flip(-1), x, 1e-10)
    # The unit of the data is that of W, and the columns of the start may have any scale.
    scaled = net(1e3 * y, (50 * w, h))
    close(scaled[0] @ scaled[1].mT, 1e3 * found[0] @ found[1].mT, 1e-10)
    three = uniform(generator, ROWS, 3), uniform(generator, COLUMNS, 3)
    assert [x.shape for x in net(y, three)] == [(ROWS, 3), (COLUMNS, 3)]
    if image is None:
        order = torch.arange(COLUMNS).roll(2)
        close(net(y[:, order], (w, h[order]))[1], found[1][order], 1e-10)
        larger = mixture(generator, 2)[0].repeat(1, 3, 2)
        assert [x.shape for x in net(larger)] == [(2, 3 * ROWS, 2), (2, 2 * COLUMNS, 2)]


def test_alike_components_stay_alike_without_gains_of_their_own(generator):
    y, _ = mixture(generator)
    alike = trained(nalmu(3, 5, start=UniformStart(3)).double(), generator)(y)
    assert all(torch.equal(x, x[:, :1].expand_as(x)) for x in alike)
    apart = trained(nalmu(3, 5, ((3,), (3,)), start=UniformStart(3)).double(), generator)(y)
    assert all((x.std(-1) > 1e-6).all() for x in apart)


def test_the_separable_start_is_separable(generator):
    """Pure pixels among mixtures: W is found among the columns of the data, H reproduces them."""
    w = uniform(generator, 2, 9, 3)
    h = torch.cat((torch.eye(3).double().expand(2, 3, 3), uniform(generator, 2, 20, 3) / 3), -2)
    found = SeparableStart(3, floor=0.0)(w @ h.mT)
    close(found[0] @ found[1].mT, w @ h.mT, 1e-9)
    assert (SeparableStart(3, floor=0.1)(w @ h.mT)[1] >= 0.1).all()


def test_the_start_does_not_feel_autocast(generator):
    y = uniform(generator, 30, 50).float()
    expected = SeparableStart(4)(y)
    with torch.autocast("cpu", torch.bfloat16):
        found = SeparableStart(4)(y)
    assert all(torch.equal(x, right) for x, right in zip(found, expected, strict=True))


def test_what_networks_learn():
    """In each layer: a gain for each factor, steps, momentum and thresholds, preconditioners."""

    def learns(net):
        return sorted(tuple(p.shape) for p in net.parameters())

    assert learns(nalmu(2, 3, ((4, 1), (2,)))) == 3 * [(2,)] + 3 * [(4, 1)]
    assert learns(nalmu(2, 3, ((4, 1), (2,)), momentum=0.1)) == 6 * [()] + 3 * [(2,)] + 3 * [(4, 1)]
    assert learns(unrolled_nnls(4)) == 12 * [()]
    assert learns(lista(3, 2)) == 2 * [()] + 2 * [(3, 3)]
    count = len(list(RowGain().parameters())) + len(list(ConvolutionalGain().parameters()))
    assert len(learns(ralmu(2, 3, image=IMAGE))) == 3 * count
    assert len({id(layer) for layer in ralmu(2, 3).layers}) == 3


def test_known_factors_stay(generator):
    y, start = mixture(generator)
    for net in (unrolled_nnls(3), lista(COMPONENTS, 3)):
        found = net.double()(y, start)
        assert found[0] is start[0] and not torch.equal(found[1], start[1])


# --- Bad input, one sentence each --------------------------------------------------------------


def unrolled(layers, loss=None, regs=POSITIVE, init=None, **settings):
    return Unrolled(layers, NMF(), loss or Frobenius(), regs, init or SeparableStart(2), **settings)


def mu():
    return Alternating(MU())


DATA, WRONG = torch.ones(ROWS, COLUMNS), torch.ones(5, 7)
PAIR = (torch.ones(ROWS, COMPONENTS), torch.ones(COLUMNS, COMPONENTS))
BAD = {
    "depth": (lambda: nalmu(2, 0), ValueError, "the depth of a network.*at least 1, got 0"),
    "depth, ralmu": (lambda: ralmu(2, -1), ValueError, "depth.*got -1"),
    "depth, nnls": (lambda: unrolled_nnls(2.5), ValueError, "depth.*got 2.5"),
    "depth, lista": (lambda: lista(2, 0), ValueError, "depth.*got 0"),
    "rank": (lambda: nalmu(0), ValueError, "rank.*at least 1, got 0"),
    "rank, lista": (lambda: LISTA(0), ValueError, "rank of LISTA.*got 0"),
    "rank of the factor": (lambda: lista(3, 2)(DATA, PAIR), ValueError, "made for rank 3, but.*2"),
    "rank above": (lambda: nalmu(7, 2)(DATA), ValueError, "rank 7.*between 1 and 6"),
    "no layers": (lambda: unrolled([]), ValueError, "at least one layer"),
    "block layer": (lambda: unrolled([MU()]), TypeError, "takes an Iteration, got MU; wrap"),
    "not a layer": (lambda: unrolled([mu(), 5]), TypeError, "takes an Iteration, got int"),
    "a layer that cannot": (
        lambda: unrolled([mu(), Alternating(HALS())], KullbackLeibler()),
        TypeError,
        "HALS needs a least-squares block but KullbackLeibler gives none; use MU",
    ),
    "a layer for another loss": (
        lambda: unrolled([Alternating(Gained(BurgMirrorDescent(), Gain()))]),
        TypeError,
        "BurgMirrorDescent is for KullbackLeibler, not Frobenius; use MU",
    ),
    "a layer for other regs": (
        lambda: unrolled([Alternating(Inertial(HALS()))], regs=(NonNegative(), Simplex())),
        TypeError,
        "HALS cannot use Simplex",
    ),
    "lista and sparsity": (
        lambda: unrolled([Alternating(LISTA(2))], regs=(Free(), KSparse(1))),
        TypeError,
        "LISTA needs a convex regularizer, which KSparse is not",
    ),
    "memories": (
        lambda: unrolled([mu(), Alternating(FISTA())]),
        TypeError,
        "layer 2 keeps another memory than layer 1",
    ),
    "regs": (lambda: unrolled([mu()], regs=POSITIVE[:1]), ValueError, "2 factors but 1 reg"),
    "regs of a layer": (
        lambda: unrolled([Regularized(mu(), POSITIVE[:1])]),
        ValueError,
        "2 factors but 1 reg",
    ),
    "reg of a layer": (lambda: Regularized(mu(), NonNegative()), TypeError, "list of regularizers"),
    "regularized block": (lambda: Regularized(MU(), POSITIVE), TypeError, "wrap block"),
    "init": (lambda: unrolled([mu()], init=PAIR), TypeError, "init is a function of.*tuple"),
    "free": (lambda: unrolled([mu()], free=(2,)), ValueError, "free factors"),
    "no start": (lambda: unrolled_nnls(2)(DATA), ValueError, r"net\(y, \(W, H\)\)"),
    "start of another size": (
        lambda: unrolled_nnls(2)(WRONG, PAIR),
        ValueError,
        "'a' is 5 in the data but 4 in factor 0",
    ),
    "data with too few dimensions": (lambda: nalmu(2, 2)(DATA[0]), ValueError, "2 dimensions"),
    "weights": (lambda: nalmu(2, 2)(DATA, None, WRONG), ValueError, "weights have shape"),
    "gain that does not fit": (
        lambda: nalmu(2, 2, ((5, 1), ()))(DATA),
        ValueError,
        r"a gain of shape \(5, 1\) does not fit a factor of shape \(4, 2\)",
    ),
    "gain with too many dimensions": (
        lambda: Gain(1, 4, 2)(PAIR[0]),
        ValueError,
        r"gain of shape \(1, 4, 2\) does not fit",
    ),
    "gain of size 0": (lambda: Gain(0), ValueError, "size of a gain.*got 0"),
    "gain of a fraction": (lambda: Gain(1.5), ValueError, "size of a gain.*got 1.5"),
    "one gain": (lambda: nalmu(2, 2, ((4, 1),)), ValueError, "two shapes"),
    "gains that are numbers": (lambda: nalmu(2, 2, (4, 6)), ValueError, "two shapes"),
    "gain that is no module": (
        lambda: Gained(MU(), torch.exp),
        TypeError,
        "gain of Gained is a module",
    ),
    "gained iteration": (lambda: Gained(mu(), Gain()), TypeError, "iteration, got Alternating"),
    "inertial iteration": (lambda: Inertial(mu()), TypeError, "block iteration, got Alternating"),
    "momentum": (lambda: Inertial(MU(), -0.1), ValueError, "momentum.*nonnegative, got -0.1"),
    "kernel": (lambda: ConvolutionalGain(kernel=4), ValueError, "must be odd, got 4"),
    "hidden": (lambda: RowGain(0), ValueError, "units of a gain.*got 0"),
    "image": (
        lambda: ralmu(2, 2, image=(3, 3))(DATA),
        ValueError,
        r"an image of \(3, 3\) pixels, but the factor has 6 rows",
    ),
    "image with one side": (lambda: ralmu(2, image=(6,)), ValueError, "height, width"),
    "image with no side": (lambda: ralmu(2, image=(6, 0)), ValueError, "side.*got 0"),
    "image that is a number": (lambda: ConvolutionalGain(image=6), ValueError, "height, width"),
    "floor": (lambda: SeparableStart(2, -1.0), ValueError, "floor of a start.*got -1"),
    "unknown hyperparameter": (
        lambda: learned(MSOM(), "step"),
        ValueError,
        "MSOM has no hyperparameter 'step' that could be learned; it has gamma",
    ),
    "no hyperparameter": (
        lambda: learned(HALS(), "gamma"),
        ValueError,
        "HALS has no hyperparameter 'gamma'.*it has none",
    ),
    "absent weight": (
        lambda: learned(NonNegative(), "l1"),
        ValueError,
        "l1 of NonNegative must start above 0 to be learned, got 0",
    ),
    "zero weight": (
        lambda: unrolled_nnls(2, momentum=0.0),
        ValueError,
        "momentum of Inertial must start above 0 to be learned, got 0.0",
    ),
    "learned twice": (
        lambda: learned(learned(MSOM(), "gamma"), "gamma"),
        ValueError,
        "no hyperparameter 'gamma'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    make, kind, message = BAD[name]
    with pytest.raises(kind, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", ["frobenius", "kl", "is"])
def test_rows_of_zeros_are_survived(loss, generator):
    """Values and derivatives of MU layers are finite where a row of the start is zero."""
    y, (w, h) = mixture(generator)
    w[0] = 0
    net = Unrolled([mu()] * 2, NMF(), LOSSES[loss].make(), POSITIVE, GivenStart())
    given = [(scale * x).requires_grad_() for x, scale in ((y, 30.0), (w, 1.0), (h, 1.0))]
    found = net(given[0], given[1:])
    slopes = torch.autograd.grad(sum(x.sum() for x in found), given)
    assert all(x.isfinite().all() for x in (*found, *slopes))


def test_a_gained_tensor_model_of_any_shape(generator):
    """The layers are those of any model: an unrolled CP with a gain for each component."""
    problem, start = example(generator, "cp", batch=(2,))
    layers = [Alternating([Gained(MU(), Gain(2)) for _ in range(3)]) for _ in range(3)]
    net = Unrolled(layers, CP(3), Frobenius(), (NonNegative(),) * 3, lambda y: start).double()
    for x, y in zip(net(problem.y), run(Alternating(MU()), problem, start, 3)[-1], strict=True):
        close(x, y)
    trained(net, generator)(problem.y)[0].sum().backward()
    assert all(p.grad is not None for p in list(net.parameters())[:-2])


def test_mu_layers_with_penalties(generator):
    """A learned ridge and threshold in layers of MU have the derivatives that they should."""
    y, start = mixture(generator)

    def forward(l1, ridge):
        regs = (NonNegative(), NonNegative(nn.Parameter(l1.detach()), nn.Parameter(ridge.detach())))
        net = Unrolled([mu()] * 2, NMF(), KullbackLeibler(), regs, GivenStart())
        return functional_call(net, {"regs.1.l1": l1, "regs.1.ridge": ridge}, (y, start))

    weights = tuple(torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.1, 0.2))
    assert gradcheck(forward, weights)
