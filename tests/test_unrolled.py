"""Unrolled networks: the loop of the solver, and its gradients."""

import copy

import pytest
import torch
from conformance import close
from memory import LiveBytes, peak_bytes
from torch import nn
from torch.autograd import gradcheck
from zoo import ITERATIONS, NETWORKS, example, example_for, mixture, trained, uniform

from rlra_torch.iterations import HALS, MSOM, MU, Alternating, Repeat
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import solve
from rlra_torch.unrolled import Unrolled, nalmu


def network(layers, problem, start):
    return Unrolled(
        layers, problem.model, problem.loss, problem.regs, lambda y: start, problem.free
    )


@pytest.mark.parametrize("name", ITERATIONS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_network_is_a_solve(name, batch, generator):
    """``[iteration] * K`` gives what K iterations of `solve` give; bit by bit where alone."""
    make, losses = ITERATIONS[name]
    iteration = make()
    for loss in losses[:2]:
        problem, start = example_for(name, generator, loss, batch)
        fit = solve(iteration, problem, start, max_iter=6, tol=0)
        with torch.no_grad():
            found = network([iteration] * 6, problem, start)(problem.y)
        # Holding finished problems of a batch may change strides, and with them the rounding.
        for x, y in zip(found, fit.factors, strict=True):
            close(x, y, 1e-13 if batch else 0.0)


def test_iterates_are_those_of_the_layers(generator):
    problem, start = example(generator)
    net = network([Alternating(MU()), Alternating(HALS())], problem, start)
    states = list(net.iterates(problem.y))
    assert len(states) == 3
    assert all(torch.equal(*pair) for pair in zip(states[0].factors, start, strict=True))
    assert [x.data_ptr() for x in net(problem.y)] != [x.data_ptr() for x in start]
    close(net(problem.y)[0], states[-1].factors[0], atol=0.0)
    expected = solve(Alternating(MU()), problem, start, max_iter=1, tol=0).factors
    close(states[1].factors[0], expected[0], atol=0.0)


def test_layers_may_be_exchanged(generator):
    """By a compiled one, say: it takes part like any other."""
    problem, start = example(generator)
    net = network([Alternating(MU()) for _ in range(2)], problem, start)
    expected = net(problem.y)
    net.layers[1] = torch.compile(net.layers[1], backend="eager")
    assert len(list(net.iterates(problem.y))) == 3
    assert all(torch.equal(x, y) for x, y in zip(net(problem.y), expected, strict=True))


def test_weights_and_frozen_factors(generator):
    problem, start = example(generator)
    net = network([Alternating(HALS())] * 3, problem.freeze(0), start)
    weights = uniform(generator, *problem.y.shape)
    found = net(problem.y, weights=weights)
    assert torch.equal(found[0], start[0])
    assert not torch.equal(found[1], net(problem.y)[1])


def test_parameters_are_tied_or_not():
    def count(layers):
        regs = (NonNegative(), NonNegative(l1=nn.Parameter(torch.tensor(0.1))))
        net = Unrolled(layers, NMF(), Frobenius(), regs, lambda y: ())
        return len(list(net.parameters()))

    def layer():
        return Alternating(MSOM(nn.Parameter(torch.tensor(1.0))))

    assert count([layer()] * 4) == 1 + 1
    assert count([layer() for _ in range(4)]) == 4 + 1
    assert count([Alternating(MSOM())]) == 1
    with pytest.raises(ValueError, match="at least one layer"):
        count([])


def test_learned_parameters_get_gradients(generator):
    """Each layer its own step, a learned penalty; then a few steps of training lower the loss."""
    problem, start = example(generator, batch=(8,))
    steps = [nn.Parameter(torch.tensor(0.5, dtype=torch.float64)) for _ in range(3)]
    penalty = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    net = Unrolled(
        [Alternating(MSOM(step)) for step in steps],
        problem.model,
        problem.loss,
        (NonNegative(), NonNegative(l1=penalty)),
        lambda y: start,
    )
    assert {id(p) for p in net.parameters()} == {id(p) for p in (*steps, penalty)}

    def error():
        return (problem.model(net(problem.y)) - problem.y).square().sum()

    before = error()
    before.backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite() and parameter.grad != 0
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error() < before


def test_gradcheck_through_the_network(generator):
    problem, start = example(generator)

    def forward(y, gamma):
        # A tensor that requires a gradient takes the place of the parameter.
        net = network([Alternating(MSOM(1.0)), Alternating(MU())], problem, start)
        (name,) = [n for n, _ in net.named_buffers() if n.endswith("gamma")]
        return torch.func.functional_call(net, {name: gamma}, (y,))

    gamma = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    assert gradcheck(forward, (problem.y.clone().requires_grad_(), gamma), atol=1e-6)


def test_state_dict_round_trip(generator):
    problem, start = example(generator)

    def net(value):
        step = nn.Parameter(torch.tensor(value, dtype=torch.float64))
        return network([Repeat(Alternating(MSOM(step)), 2)], problem, start)

    trained, fresh = net(0.7), net(1.5)
    assert not torch.equal(trained(problem.y)[0], fresh(problem.y)[0])
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(trained(problem.y)[0], fresh(problem.y)[0])


def test_float32_all_the_way(generator):
    problem, start = example(generator)
    net = network([Alternating(MSOM(nn.Parameter(torch.tensor(1.0))))] * 2, problem, start)
    net.init = lambda y: tuple(x.float() for x in start)
    assert all(x.dtype == torch.float32 for x in net(problem.y.float()))


# --- Memory ------------------------------------------------------------------------------------


def test_bytes_are_counted_while_they_live():
    given = torch.ones(1000)
    with LiveBytes() as memory:
        view = given[:500]  # of what was there before
        a = torch.zeros(256)
        b, same = a + 1, a.view(16, 16).mT
        assert memory.live == 2 * 1024
        del a
        assert memory.live == 2 * 1024  # a view holds it
        del same
        assert memory.live == 1024 and memory.peak == 2 * 1024
        b.add_(1)
        c = b[:10].clone()
        assert memory.live == 1024 + 40
    assert view.sum() == 500 and c.sum() == 20

    x = torch.ones(1000, requires_grad=True)
    with LiveBytes() as memory:
        y = x
        for _ in range(5):
            y = y.exp()  # each result is kept for the backward pass
        assert memory.live == 5 * 4000
        y.sum().backward()
        del y
        assert memory.live == 4000 and memory.peak > 6 * 4000  # the gradient
    assert x.grad is not None


def gradients(net, y, start, checkpointed):
    """Of a loss on all iterates, in the data, the start and the parameters."""
    net.checkpointed = checkpointed
    given = [x.detach().clone().requires_grad_() for x in (y, *start)]
    states = list(net.iterates(given[0], tuple(given[1:])))
    total = sum(
        k * x.square().sum() for k, state in enumerate(states, 1) for x in state.factors[-1:]
    )
    return states, torch.autograd.grad(total, (*given, *net.parameters()), allow_unused=True)


@pytest.mark.parametrize("depth", [1, 7, 20])
@pytest.mark.parametrize("name", ["nalmu, kl", "ralmu", "unrolled fista", "unrolled hals"])
def test_checkpointed_gradients_are_the_same(name, depth, generator):
    net = trained(NETWORKS[name].make().double(), generator)
    net.layers = nn.ModuleList([copy.deepcopy(net.layers[k % 2]) for k in range(depth)])
    y, start = mixture(generator, 2)
    plain, expected = gradients(net, y, start, False)
    states, found = gradients(net, y, start, True)
    assert len(states) == depth + 1
    for x, right in zip(
        (*states[-1].factors, *found), (*plain[-1].factors, *expected), strict=True
    ):
        assert (x is None) == (right is None)
        if x is not None:
            close(x, right, 1e-12)
    with torch.no_grad():
        assert torch.equal(net(y, start)[0], plain[-1].factors[0])


def test_a_checkpointed_backward_passes_through_weights_and_a_start(generator):
    net = trained(NETWORKS["nalmu"].make().double(), generator)
    y, _ = mixture(generator)
    weights = uniform(generator, *y.shape)
    slopes = []
    for net.checkpointed in (False, True):
        net.zero_grad()
        net(y, weights=weights)[1].sum().backward()
        slopes.append([p.grad for p in net.parameters()])
    assert slopes[0][0] != 0
    for x, right in zip(*slopes, strict=True):
        close(x, right)


def backward_peak(depth, checkpointed, shape=(40, 60), loss=None):
    generator = torch.Generator().manual_seed(0)
    start = tuple(0.1 + torch.rand(n, 3, generator=generator) for n in shape)
    y = start[0] @ start[1].mT + torch.rand(shape, generator=generator)
    net = nalmu(3, depth, loss=loss or KullbackLeibler(), checkpointed=checkpointed)
    return peak_bytes(lambda: sum(x.square().sum() for x in net(y, start)).backward())


@pytest.mark.parametrize(("few", "many"), [(16, 64), pytest.param(25, 400, marks=pytest.mark.slow)])
def test_checkpointed_memory_grows_with_the_square_root_of_the_depth(few, many):
    for loss in (Frobenius(), KullbackLeibler()):
        growth = backward_peak(many, True, loss=loss) / backward_peak(few, True, loss=loss)
        assert growth < 1.1 * (many / few) ** 0.5
    plain = backward_peak(64, False) / backward_peak(16, False)
    assert 3.8 < plain < 4.2


def test_memory_on_an_image():
    """Twenty-five layers on 156 bands of 95 x 95 pixels."""
    plain, checkpointed = (backward_peak(25, c, (156, 9025), Frobenius()) for c in (False, True))
    assert checkpointed <= plain / 6


@pytest.mark.slow
def test_memory_of_divergences_on_an_image():
    """The kernel keeps no prediction for the backward pass, only the factors."""
    plain, checkpointed = (
        backward_peak(25, c, (156, 9025), KullbackLeibler()) for c in (False, True)
    )
    predictions = 2 * 25 * 156 * 9025 * 4
    assert plain <= predictions / 6
    assert checkpointed <= plain / 3
