"""One prediction for all factors, and how many products of the size of the data a step takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance import check_descent, close, run
from test_iterations import fifty
from torch.utils.flop_counter import FlopCounterMode
from zoo import ELASTIC, example, uniform

from rlra_torch.iterations import HALS, MSOM, MU, Alternating, Extrapolated, JointMM
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative


def test_the_update_is_that_of_the_paper(generator):
    """W from N_W / sum H, then H from N_H / sum W_new, with both N at the old factors."""
    problem, start = example(generator, "nmf", "kl")
    w, h, y = (x.numpy() for x in (*start, problem.y))
    ratio = y / (w @ h.T)
    new_w = w * (ratio @ h) / h.sum(0)
    new_h = h * (ratio.T @ w) / new_w.sum(0)
    for found, expected in zip(run(JointMM(), problem, start, 1)[-1], (new_w, new_h), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("model", ["nmf", "cp", "tucker", "parafac2", "single pixel"])
@pytest.mark.parametrize("reg", ELASTIC)
def test_the_objective_never_rises(model, reg, generator):
    check_descent(JointMM(), *fifty(generator, model, "kl", reg))


def test_with_weights_it_never_rises(generator):
    problem, start = fifty(generator, "nmf", "kl")
    weights = uniform(generator, *problem.y.shape) ** 20
    weights[:, :2, :2] = 0
    check_descent(JointMM(), replace(problem, weights=weights), start)


def test_a_batch_is_as_many_problems(generator):
    problem, start = example(generator, "nmf", "kl", batch=(3,))
    found = run(JointMM(), problem, start, 3)[-1]
    for i in range(3):
        alone = run(JointMM(), replace(problem, y=problem.y[i]), [x[i] for x in start], 3)[-1]
        for x, expected in zip(found, alone, strict=True):
            close(x[i], expected)


def test_gradients(generator):
    problem, start = example(generator, "nmf", "kl")
    start = [x.requires_grad_() for x in start]

    def swept(*start):
        return run(JointMM(), problem, start, 2)[-1]

    assert torch.autograd.gradcheck(swept, start)


def test_only_for_kullback_leibler(generator):
    problem, start = example(generator, "nmf", "frobenius")
    with pytest.raises(TypeError, match=r"not Frobenius; use Alternating\(MU\(\)\)"):
        JointMM().check(problem)


@pytest.mark.parametrize(
    ("iteration", "loss", "products"),
    [
        (JointMM(), KullbackLeibler(), 3),
        (Alternating(MU()), KullbackLeibler(), 4),
        (Alternating(MU(), inner=3), Frobenius(), 2),
        (Alternating(HALS(), inner=3), Frobenius(), 2),
        (Alternating(MSOM(), inner=3), Frobenius(), 2),
        (Extrapolated(Alternating(HALS(), inner=3)), Frobenius(), 2),
    ],
    ids=["joint", "mu, kl", "mu", "hals", "msom", "extrapolated hals"],
)
def test_products_of_the_size_of_the_data(iteration, loss, products, generator):
    m, n, rank = 400, 300, 2
    y = uniform(generator, m, n)
    problem = Problem(y, NMF(), loss, (NonNegative(), NonNegative()))
    start = tuple(uniform(generator, size, rank) for size in (m, n))
    state = iteration.init(start, problem)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        iteration(state, problem)
    assert products <= counted.get_total_flops() / (2 * m * n * rank) < products + 0.2
