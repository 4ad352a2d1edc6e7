"""Unrolled networks: the loop of the solver, and its gradients."""

import pytest
import torch
from conformance import close
from torch import nn
from torch.autograd import gradcheck
from zoo import ITERATIONS, example, uniform

from rlra_torch.iterations import HALS, MSOM, MU, Alternating, Repeat
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import solve
from rlra_torch.unrolled import Unrolled


def network(layers, problem, start):
    return Unrolled(
        layers, problem.model, problem.loss, problem.regs, lambda y: start, problem.free
    )


@pytest.mark.parametrize("name", ITERATIONS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_a_network_is_a_solve(name, batch, generator):
    """``[iteration] * K`` gives what K iterations of `solve` give, bit by bit."""
    make, losses = ITERATIONS[name]
    iteration = make()
    for loss in losses[:2]:
        problem, start = example(generator, loss=loss, batch=batch)
        fit = solve(iteration, problem, start, max_iter=6, tol=0)
        with torch.no_grad():
            found = network([iteration] * 6, problem, start)(problem.y)
        assert all(torch.equal(x, y) for x, y in zip(found, fit.factors, strict=True))


def test_iterates_are_those_of_the_layers(generator):
    problem, start = example(generator)
    net = network([Alternating(MU()), Alternating(HALS())], problem, start)
    states = list(net.iterates(problem.y))
    assert len(states) == 3 and states[0].factors == start
    assert [x.data_ptr() for x in net(problem.y)] != [x.data_ptr() for x in start]
    close(net(problem.y)[0], states[-1].factors[0], atol=0.0)
    expected = solve(Alternating(MU()), problem, start, max_iter=1, tol=0).factors
    close(states[1].factors[0], expected[0], atol=0.0)


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
