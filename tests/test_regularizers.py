"""Regularizers: the laws of all, and what is specific to some."""

import math

import pytest
import torch
from conformance import check_regularizer, close
from torch import nn
from zoo import MAJORIZED, REGULARIZERS, SPLITS, normal, uniform

from rlra_torch.regularizers import (
    L1,
    Box,
    ElasticNet,
    Free,
    Group,
    KSparse,
    LowerBound,
    NonNegative,
    Ridge,
    Simplex,
    UnitNorm,
)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_conformance(name, generator):
    check_regularizer(REGULARIZERS[name], generator)


# --- Splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPLITS)
def test_split_majorizes_and_is_tight(name, generator):
    case = REGULARIZERS[name]
    reg = case.make()
    for _ in range(20):
        x = case.onto(uniform(generator, 6, 4))
        l1, l2, lower, upper = reg.split(x)
        assert lower >= 0

        def bound(z, l1=l1, l2=l2):
            linear = 0 if l1 is None else (l1 * z).sum((-2, -1))
            return linear + (0 if l2 is None else (l2 * z.square()).sum((-2, -1)) / 2)

        scale = torch.tensor([0.01, 0.3, 3.0]).repeat(20)[:, None, None]
        z = case.onto((x + scale * normal(generator, 60, 6, 4)).clamp(lower, upper))
        rise, allowed = reg(z) - reg(x), bound(z) - bound(x)
        assert (rise <= allowed + 1e-12).all()
        if name not in MAJORIZED:
            close(rise + 0 * z.sum((-2, -1)), allowed + 0 * z.sum((-2, -1)), atol=1e-12)


def test_split_of_a_group_is_finite_at_zero(generator):
    x = uniform(generator, 6, 4)
    x[:, 1] = 0
    l2 = Group(0.3).split(x).l2
    assert l2 is not None and l2.isfinite().all()
    close(l2[:, 0] * x[:, 0].norm(), torch.tensor([0.3], dtype=x.dtype))


@pytest.mark.parametrize("name", sorted(set(REGULARIZERS) - set(SPLITS)))
def test_those_without_a_split_say_so(name):
    reg = REGULARIZERS[name].make()
    if isinstance(reg, ElasticNet):  # of either sign: described on its nonnegative part
        assert reg.split(torch.ones(2, 2)).lower == 0
        return
    with pytest.raises(TypeError, match=f"{type(reg).__name__} has no `split`, which MU and"):
        reg.split(torch.ones(2, 2))


# --- Values and weights ------------------------------------------------------------------------


def test_values(generator):
    x = normal(generator, 5, 3)
    close(L1(0.3)(x), 0.3 * x.abs().sum())
    close(Ridge(0.3)(x), 0.15 * x.square().sum())
    close(ElasticNet(0.2, 0.5)(x), 0.2 * x.abs().sum() + 0.25 * x.square().sum())
    close(Group(0.3)(x), 0.3 * x.norm(dim=0).sum())
    close(Group(0.3, dim=-1)(x), 0.3 * x.norm(dim=1).sum())
    for reg in (Free(), NonNegative(), Box(), LowerBound(0.1), Simplex(), UnitNorm(), KSparse(1)):
        assert reg(reg.prox(x, 1.0)) == 0


def test_weights_of_each_column(generator):
    x = normal(generator, 5, 3)
    weights = torch.tensor([[0.0, 0.5, 2.0]], dtype=x.dtype)
    for make in (
        lambda w: NonNegative(l1=w),
        lambda w: NonNegative(ridge=w),
        lambda w: L1(w),
        lambda w: Group(w),
    ):
        reg, singles = make(weights), [make(w) for w in weights[0].tolist()]
        columns = [single(x[:, [q]]) for q, single in enumerate(singles)]
        close(reg(x), torch.stack(columns).sum())
        moved = [single.prox(x[:, [q]], 0.7) for q, single in enumerate(singles)]
        close(reg.prox(x, 0.7), torch.cat(moved, -1))


@pytest.mark.parametrize(
    "make",
    [lambda w: NonNegative(l1=w), lambda w: NonNegative(ridge=w), L1, Ridge, Group],
    ids=["nonnegative l1", "nonnegative ridge", "l1", "ridge", "group"],
)
def test_weights_are_learned(make, generator):
    weight = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))
    reg = make(weight)
    assert [p is weight for p in reg.parameters()] == [True]
    x = uniform(generator, 5, 3, low=0.5)
    for value in (reg.prox(x, 0.7).sum(), reg(x)):
        (gradient,) = torch.autograd.grad(value, weight)
        assert gradient.isfinite() and gradient != 0

    def with_weight(weight, x):
        functional = {next(iter(dict(reg.named_parameters()))): weight}
        return torch.func.functional_call(reg, functional, (x,))

    assert torch.autograd.gradcheck(with_weight, (weight, x.requires_grad_()))


def test_a_float_is_a_buffer():
    for reg in (NonNegative(l1=0.1, ridge=0.2), Group(0.3)):
        assert list(reg.parameters()) == [] and len(list(reg.buffers())) == len(reg.state_dict())
        assert len(reg.state_dict()) > 0
    assert NonNegative().state_dict() == {}


def test_degrees():
    """``R(c x) = c^p R(x)``: which ones have no p is as important as the p of the others."""
    assert [r.degree for r in (Free(), NonNegative(), KSparse(1))] == [0, 0, 0]
    assert [r.degree for r in (L1(1.0), NonNegative(l1=1.0), Group(1.0))] == [1, 1, 1]
    assert [r.degree for r in (Ridge(1.0), NonNegative(ridge=1.0))] == [2, 2]
    without = (Box(), LowerBound(0.1), Simplex(), UnitNorm(), NonNegative(1.0, 1.0))
    assert [r.degree for r in without] == [None] * 5


def test_gradients_are_finite_at_zero():
    for case in REGULARIZERS.values():
        x = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
        reg = case.make()
        for value in (reg(x), reg.prox(x, 0.7).sum()):
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
                assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L1(-1.0), "finite and nonnegative"),
        (lambda: Ridge(math.nan), "finite and nonnegative"),
        (lambda: Group(-0.1), "finite and nonnegative"),
        (lambda: Box(1.0, 0.0), "lower < upper"),
        (lambda: Simplex(0.0), "must be positive"),
        (lambda: Simplex(dim=0), "dim is -2"),
        (lambda: KSparse(0), "at least 1"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
