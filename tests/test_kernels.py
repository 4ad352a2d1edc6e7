"""The products of a gradient, tile by tile and at stored entries, against the plain formulas."""

import pytest
import torch
from conformance import close
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import uniform

from rlra_torch.data import Sparse
from rlra_torch.functional.divergences import beta_divergence
from rlra_torch.functional.memory import peak_bytes
from rlra_torch.iterations import MU, Alternating, JointMM
from rlra_torch.kernels import beta as tiled
from rlra_torch.kernels import sampled as stored
from rlra_torch.kernels.pattern import Pattern
from rlra_torch.kernels.sampled import negative, sampled, times
from rlra_torch.losses import KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative

EVERYTHING = tiled.Wanted(True, (True, True), (True, True))


def flat(found: tiled.Products):
    return (found.value, *found.positive, *found.negative)


def plainly(y, w, h, beta, weights):
    """The five products, written out."""
    c, p = 1 if weights is None else weights, w @ h.mT
    first, second = c * p ** (beta - 1), c * y * p ** (beta - 2)
    value = (c * beta_divergence(p, y, beta)).sum((-2, -1))
    return value, first @ h, first.mT @ w, second @ h, second.mT @ w


@pytest.mark.parametrize("tile", [1, 40, 300])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("lead", [(), (2, 3)])
def test_tiles_add_up(tile, beta, lead, generator, monkeypatch):
    monkeypatch.setattr(tiled, "TILE", tile)
    w, h = (uniform(generator, *lead, n, 3, low=0.1) for n in (7, 5))
    c = uniform(generator, *lead, 7, 5)
    by_rows = uniform(generator, *lead, 7, 5, low=0.1)
    by_columns = uniform(generator, *lead, 5, 7, low=0.1).mT
    shared = uniform(generator, 7, 5, low=0.1)
    for y in (by_rows, by_columns, shared):
        for weights in (None, c):
            found = flat(tiled.beta_products(y, w, h, beta, weights, EVERYTHING))
            for x, expected in zip(found, plainly(y, w, h, beta, weights), strict=True):
                close(x, expected)


@pytest.mark.parametrize("beta", [1.0, 1.5])
def test_tiles_have_derivatives(beta, generator, monkeypatch):
    monkeypatch.setattr(tiled, "TILE", 16)
    shapes = ((5, 4), (2, 5, 2), (2, 4, 2), (2, 5, 4))
    operands = [uniform(generator, *s, low=0.1).requires_grad_() for s in shapes]

    def products(y, w, h, c):
        return flat(tiled.beta_products(y, w, h, beta, c, EVERYTHING))

    assert torch.autograd.gradcheck(products, operands, fast_mode=True)
    assert torch.autograd.gradgradcheck(products, operands, fast_mode=True)


def test_the_prediction_is_never_held(generator):
    """Neither on the way there nor on the way back is there a tenth of the data more."""
    y = torch.rand(3000, 4000, generator=generator)
    w, h = (torch.rand(n, 10, generator=generator).requires_grad_() for n in y.shape)
    wanted = [False, False, False, True, True]
    assert peak_bytes(lambda: tiled._on_tiles(y, w.detach(), h.detach(), None, 1.0, wanted)) < (
        0.1 * 4 * y.numel()
    )
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape), lambda x: x):
        tiled.beta_products(y, w, h, 1.0, None, tiled.Wanted(negative=(True, True)))
    assert set(kept) == {y.shape, w.shape, h.shape}  # the data itself, not a copy


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_coarse_data_is_computed_with_in_single_precision(dtype, generator):
    y = (100 * torch.rand(700, 900, generator=generator)).to(dtype)
    w, h = (torch.rand(n, 4, generator=generator) + 0.1 for n in y.shape)
    assert tiled.worthwhile(y, w, h)
    found = flat(tiled.beta_products(y, w, h, 1.0, None, EVERYTHING))
    expected = plainly(y.double(), w.double(), h.double(), 1.0, None)
    for x, exact in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        close(x.double(), exact, 1e-5)


def pattern_of(mask):
    return Pattern.at(*mask.nonzero(as_tuple=True), mask.shape)[0]


@pytest.mark.parametrize("panel", [1, 6, stored.PANEL])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_products_at_stored_entries(lead, panel, generator, monkeypatch):
    monkeypatch.setattr(stored, "PANEL", panel)
    mask = uniform(generator, 7, 5) < 0.4
    mask[2], mask[:, 1] = False, False
    pattern, (row, col) = pattern_of(mask), mask.nonzero(as_tuple=True)
    w, h = (uniform(generator, *lead, n, 3, low=0.1) for n in (7, 5))
    values, p = uniform(generator, len(row)), w @ h.mT
    dense = torch.zeros(7, 5, dtype=w.dtype).index_put((row, col), values)
    close(sampled(pattern, w, h), p[..., row, col])
    close(times(pattern, values, h), (dense @ h).expand(*lead, 7, 3))
    for beta in (0.5, 1.0, 1.5):
        close(negative(pattern, values, w, h, beta), (dense * p ** (beta - 2)) @ h)
    weights = uniform(generator, len(row))
    close(
        negative(pattern, values, w, h, 1.0, weights),
        negative(pattern, weights * values, w, h, 1.0),
    )


def test_stored_entries_have_derivatives(generator):
    mask = uniform(generator, 6, 5) < 0.5
    pattern, count = pattern_of(mask), int(mask.sum())
    w, h = (uniform(generator, 2, n, 2, low=0.1).requires_grad_() for n in (6, 5))
    values = uniform(generator, count, low=0.1).requires_grad_()
    for function, operands in (
        (lambda w, h: sampled(pattern, w, h), (w, h)),
        (lambda v, h: times(pattern, v, h), (values, h)),
        (lambda v, w, h: negative(pattern, v, w, h, 1.0), (values, w, h)),
        (lambda v, w, h: negative(pattern, v, w, h, 0.5), (values, w, h)),
    ):
        assert torch.autograd.gradcheck(function, operands, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, operands, fast_mode=True)


def test_the_transpose_of_a_pattern(generator):
    mask = uniform(generator, 6, 5) < 0.5
    pattern, turned = pattern_of(mask), pattern_of(mask.mT)
    assert torch.equal(pattern.transposed.crow, turned.crow)
    assert torch.equal(pattern.transposed.col, turned.col)
    entries = torch.arange(int(mask.sum()))
    dense = torch.zeros(6, 5, dtype=torch.long)
    dense[mask] = entries
    assert torch.equal(entries[pattern.order.long()], dense.mT[mask.mT])
    assert torch.equal(pattern.row.long(), mask.nonzero()[:, 0])


def test_nothing_stored(generator):
    """No counts at all: the factors vanish, without a NaN."""
    empty = torch.zeros(4, 3, dtype=torch.float64).to_sparse_csr()
    problem = Problem(empty, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
    step, start = Alternating(MU()), tuple(uniform(generator, n, 2) for n in (4, 3))
    state = step(step.init(start, problem), problem)
    assert all(x.isfinite().all() for x in state.factors)
    assert problem.objective(state.factors) < 1e-12


@pytest.mark.parametrize("iteration", [Alternating(MU()), JointMM()], ids=["mu", "joint"])
def test_sparse_steps_on_fake_cuda(iteration):
    """No synchronisation and no tensor elsewhere, without a GPU."""
    with FakeTensorMode():
        index = {"device": "cuda", "dtype": torch.int32}
        rows = Pattern(torch.zeros(7, **index), torch.zeros(9, **index), (6, 5))
        columns = Pattern(torch.zeros(6, **index), torch.zeros(9, **index), (5, 6))
        rows.__dict__["order"] = torch.zeros(9, **index)
        rows.__dict__["transposed"] = columns
        y = torch.ones(9, device="cuda")
        data = Sparse(type(Sparse.of(torch.eye(2).to_sparse_csr()).entries)(rows, y, None))
        data.__dict__["sides"] = (data.entries, data.entries._replace(pattern=columns))
        problem = Problem(data, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
        start = tuple(torch.ones(n, 2, device="cuda") for n in (6, 5))
        state = iteration(iteration.init(start, problem), problem)
        objective, kkt = problem.measure(state.factors)
        assert all(x.device.type == "cuda" for x in (*state.factors, objective, kkt))
