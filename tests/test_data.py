"""Data of every kind takes the same sums as a dense tensor."""

import pytest
import torch
from conformance import close
from zoo import LOSSES, uniform

from rlra_torch.data import Chunks, Dense, Sparse
from rlra_torch.kernels import beta as kernels
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative

SHAPE, RANK = (9, 7), 3


def counts(generator, *lead):
    """Small counts, half of them zero; an empty row and an empty column."""
    y = (5 * uniform(generator, *lead, *SHAPE)).ceil() * (uniform(generator, *SHAPE) < 0.5)
    y[..., 2, :] = 0
    y[..., :, 4] = 0
    return y


def some_weights(generator):
    return uniform(generator, *SHAPE, low=0.2, high=3) * (uniform(generator, *SHAPE) < 0.7)


def stored_everywhere(x):
    row, col = torch.ones_like(x).nonzero(as_tuple=True)
    found = torch.stack((row, col)), x.flatten()
    return torch.sparse_coo_tensor(*found, x.shape, check_invariants=True).coalesce()


# Each gives data, and the dense data and weights that it stands for.


def whole(generator):
    y = counts(generator)
    return Sparse.of(y.to_sparse_csr()), y, None


def explicit_zeros(generator):
    y = counts(generator)
    return Sparse.of(stored_everywhere(y)), y, None


def weighted(generator):
    y, weights = counts(generator), 0.3 + 0.7 * (uniform(generator, *SHAPE) < 0.7).double()
    weights[1, :3] = 0
    return Sparse.of(y.to_sparse_csc(), weights), y, weights


def completion(generator):
    y, weights = counts(generator), some_weights(generator)
    return Sparse.of(y, weights.to_sparse()), y, weights


def completion_of_sparse(generator):
    y, mask = counts(generator), (uniform(generator, *SHAPE) < 0.6).double()
    return Sparse.of(y.to_sparse_csr(), mask.to_sparse_csr()), y, mask


def held_out(generator):
    y, hidden = counts(generator), uniform(generator, *SHAPE) < 0.3
    row, col = hidden.nonzero(as_tuple=True)
    return Sparse.of(y.to_sparse_csr()).without(row, col), y, (~hidden).double()


def tiles(generator):
    y = counts(generator)
    return Dense(y), y, None


def weighted_tiles(generator):
    y, weights = counts(generator), some_weights(generator)
    return Dense(y, weights), y, weights


def chunks(generator):
    y = counts(generator)
    return Chunks.of(y.numpy(), rows=4), y, None


def sparse_weighted_chunks(generator):
    """Chunks with weights of their own, the first one with stored weights only."""
    y, weights = counts(generator), some_weights(generator)
    pairs = [(y[rows], weights[rows].to_sparse()) for rows in (slice(0, 5), slice(5, 9))]
    return Chunks(pairs, y.shape, y.dtype, y.device), y, weights


def mixed_chunks(generator):
    """Chunks of which one has weights, one has none, and of one nothing is observed."""
    y, weights = counts(generator), some_weights(generator)
    weights[4:7], weights[7:] = 1, 0
    chunks = [(y[:4], weights[:4]), y[4:7], (y[7:], weights[7:])]
    return Chunks(chunks, y.shape, y.dtype, y.device), y, weights


KINDS = [
    chunks,
    sparse_weighted_chunks,
    mixed_chunks,
    whole,
    explicit_zeros,
    weighted,
    completion,
    completion_of_sparse,
    held_out,
    tiles,
    weighted_tiles,
]
ABOVE_ZERO = [name for name, case in LOSSES.items() if case.zeros]


class Plain(Dense):
    """What everything is measured against: the prediction held as a whole."""

    def _tiled(self, *_):
        return False


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def pair(request, generator, monkeypatch):
    """Data, and what it stands for."""
    monkeypatch.setattr(kernels, "TILE", 20)
    data, y, weights = request.param(generator)
    return data, Plain(y, weights)


def factors_of(generator, *lead):
    return tuple(uniform(generator, *lead, n, RANK, low=0.1) for n in SHAPE)


def alike(block, other, x, u):
    """The same function up to a constant for quadratics, and the same derivatives."""
    for part, expected in zip(block.split(x), other.split(x), strict=True):
        close(part.expand_as(x), expected.expand_as(x), 1e-11)
    close(block.gradient(x), other.gradient(x), 1e-11)
    close(block.hessian_product(x, u), other.hessian_product(x, u), 1e-11)
    close(block.majorant(x, u), other.majorant(x, u), 1e-11)
    grams = [found.hessian(x) for found in (block, other)]
    rows = [g if g.ndim > x.ndim else g.unsqueeze(-3) for g in grams]
    close(*(g.expand(*x.shape, RANK) for g in rows), 1e-11)
    assert block.value(x, x.ndim - 2).shape == x.shape[:-2]
    close(block.value(x) - block.value(u), other.value(x) - other.value(u), 1e-11)


@pytest.mark.parametrize("name", ABOVE_ZERO)
@pytest.mark.parametrize("lead", [(), (2, 2)])
def test_every_kind_of_data_takes_the_same_sums(pair, name, lead, generator):
    (data, dense), loss, model = pair, LOSSES[name].make(), NMF()
    if lead and isinstance(data, Chunks):
        pytest.skip("chunks are one problem")
    factors = factors_of(generator, *lead)
    if lead and isinstance(data, Dense):
        shared = [Plain, Dense]
        data, dense = (
            kind(
                found.y.expand(*lead, *SHAPE),
                None if found.weights is None else found.weights.expand(*lead, *SHAPE),
            )
            for kind, found in zip(shared[::-1], (data, dense), strict=True)
        )
    elif lead:
        data = data.expand(*lead)
        expanded = None if dense.weights is None else dense.weights.expand(*lead, *SHAPE)
        dense = Plain(dense.y.expand(*lead, *SHAPE), expanded)
    assert data.shape == dense.shape and data.dtype == dense.dtype
    close(data.total(model, loss, factors), dense.total(model, loss, factors), 1e-11)
    for found, expected in (
        (data.scale(model, loss, factors), dense.scale(model, loss, factors)),
        (data.means(model), dense.means(model)),
        ((data.size(model, loss),), (dense.size(model, loss),)),
    ):
        for a, b in zip(found, expected, strict=True):
            close(a.expand(lead), b.expand(lead), 1e-11)
    for n in (0, 1):
        blocks = [kind.block(model, loss, factors, n) for kind in (data, dense)]
        alike(*blocks, factors[n], uniform(generator, *factors[n].shape, low=0.1))
    for order in ((0, 1), (1,)):
        found, expected = (kind.parts(model, loss, factors, order) for kind in (data, dense))
        close(found.value, expected.value, 1e-11)
        assert list(found.splits) == list(order)
        for n in order:
            gradients = [p - q for p, q in (found.splits[n], expected.splits[n])]
            close(*gradients, 1e-11)


@pytest.mark.parametrize("name", ["kl", "frobenius", "beta=1.5"])
def test_problems_agree_whatever_their_data(pair, name, generator):
    (data, dense), loss = pair, LOSSES[name].make()
    factors = factors_of(generator)
    regs = (NonNegative(l1=0.1), NonNegative(ridge=0.2))
    problem, plain = (Problem(kind, NMF(), loss, regs) for kind in (data, dense))
    problem.validate(factors)
    for x, y in zip(problem.measure(factors), plain.measure(factors), strict=True):
        close(x, y, 1e-11)
    close(problem.measure(factors)[0], problem.objective(factors))
    close(problem.relative_error(factors), plain.relative_error(factors), 1e-11)
    for x, y in zip(problem.scaled(factors), plain.scaled(factors), strict=True):
        close(x, y, 1e-10)


@pytest.mark.parametrize("name", ["kl", "frobenius", "beta=1.5"])
def test_blocks_are_differentiable(pair, name, generator):
    data, loss, model = pair[0], LOSSES[name].make(), NMF()
    w, h = (x.requires_grad_() for x in factors_of(generator))

    def of_w(w, h):
        block = data.block(model, loss, (w, h), 0)
        return (*block.split(w), block.value(w))

    def of_h(w, h):
        return data.block(model, loss, (w, h), 1).gradient(h)

    def parts(w, h):
        found = data.parts(model, loss, (w, h), (0, 1))
        return (found.value, *(p - q for p, q in found.splits.values()))

    for function in (of_w, of_h, parts):
        assert torch.autograd.gradcheck(function, (w, h), fast_mode=True)
        assert torch.autograd.gradgradcheck(function, (w, h), fast_mode=True)
