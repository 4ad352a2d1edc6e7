"""The toy example of Cohen, Regularized low-rank approximations (HDR, 2026), section 19.2.

Nonnegative least squares with a known W of 20 x 5 and 500 columns: 20 layers with a gain for each
component, trained by Adam on all iterates with log-spaced weights.
"""

import pytest
import torch

from rlra_torch.iterations import MU, Alternating, Gain, Gained, iterates
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.regularizers import NonNegative
from rlra_torch.unrolled import GivenStart, Unrolled

RANK, ROWS, COLUMNS, DEPTH = 5, 20, 500, 20


def drawn():
    """The data of the manuscript, drawn in its order; then as much again of the same law."""
    generator = torch.Generator().manual_seed(2)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    mean = 50 * torch.rand(RANK, 1, generator=generator)
    h = (normal(RANK, COLUMNS) + mean).T.contiguous()
    w = torch.rand(ROWS, RANK, generator=generator)
    y = w @ h.T + 0.1 * normal(ROWS, COLUMNS)
    fresh = (normal(RANK, COLUMNS) + mean).T.contiguous()
    return w, (y, h), (w @ fresh.T + 0.1 * normal(ROWS, COLUMNS), fresh)


def unrolled(layers):
    regs = (NonNegative(), NonNegative())
    return Unrolled(layers, NMF(), Frobenius(), regs, GivenStart(), free=(1,))


def relative(found, truth):
    return float((found - truth).norm() / truth.norm())


def test_mu_alone():
    """It is at 0.0509 after 20 iterations and at 0.0099 after about 60."""
    w, (y, h), _ = drawn()
    net = unrolled([Alternating(MU())])
    problem, ones = net.problem(y), torch.ones(COLUMNS, RANK)
    states = iterates(list(net.layers) * 65, problem, net.layers[0].init((w, ones), problem))
    with torch.no_grad():
        errors = [relative(state.factors[1], h) for state in states]
    assert errors[20] == pytest.approx(0.0509, rel=0.1)
    reached = next(k for k, error in enumerate(errors) if error <= 0.0099)
    assert 55 <= reached <= 65


@pytest.mark.slow
def test_twenty_trained_layers_do_what_sixty_iterations_do():
    w, (y, h), (y_fresh, h_fresh) = drawn()
    net = unrolled([Alternating(Gained(MU(), Gain(RANK))) for _ in range(DEPTH)])
    start, weights = (w, torch.ones(COLUMNS, RANK)), torch.logspace(-7, 0, DEPTH)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        states = list(net.iterates(y, start))[1:]
        errors = [(state.factors[1] - h).square().sum() for state in states]
        torch.dot(weights, torch.stack(errors)).backward()
        optimizer.step()
    with torch.no_grad():
        assert relative(net(y, start)[1], h) == pytest.approx(0.0099, rel=0.1)
        assert relative(net(y_fresh, start)[1], h_fresh) == pytest.approx(0.0104, rel=0.1)
