"""Models: the laws of all, and what is specific to some."""

import itertools

import numpy as np
import pytest
import torch
from conformance import check_model, close
from zoo import MODELS, normal, uniform

from rlra_torch.iterations import Alternating, ProjectedLeastSquares
from rlra_torch.losses import Frobenius
from rlra_torch.models import CP, NMF, Convolutive, Model, Multilinear, Sensed, Tucker
from rlra_torch.operators import Dense
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free


@pytest.mark.parametrize("name", MODELS)
def test_conformance(name, generator):
    check_model(MODELS[name], generator)


@pytest.mark.parametrize(
    ("model", "equation"),
    [
        (NMF(), "ir,jr->ij"),
        (CP(2), "ir,jr->ij"),
        (CP(4), "ir,jr,kr,lr->ijkl"),
        (Tucker(2), "ia,jb,ab->ij"),
        (Tucker(3), "ia,jb,kc,abc->ijk"),
    ],
)
def test_named_models_are_their_equation(model, equation, generator):
    left, output = equation.split("->")
    sizes = {letter: 2 + i % 3 for i, letter in enumerate(sorted(set(left) - {","}))}
    factors = [uniform(generator, *(sizes[a] for a in term)) for term in left.split(",")]
    close(model(tuple(factors)), torch.einsum(equation, *factors))
    assert model.ndim == len(output)
    assert model.factor_ndims == tuple(len(term) for term in left.split(","))


def test_nmf_is_w_times_h_transposed(generator):
    w, h = uniform(generator, 7, 2), uniform(generator, 5, 2)
    close(NMF()((w, h)), w @ h.T)
    residual = normal(generator, 7, 5)
    close(NMF().adjoint((w, h), 0, residual), residual @ h)
    close(NMF().adjoint((w, h), 1, residual), residual.T @ w)
    close(NMF().gram((w, h), 0), h.T @ h)


class Plain(Model):
    """A model that gives no more than it must."""

    ndim = 2
    factor_ndims = (2, 2)

    def forward(self, factors):
        return factors[0] @ factors[1].mT


def test_a_model_needs_no_more_than_its_forward(generator):
    w, h = uniform(generator, 3, 5, 2), uniform(generator, 3, 4, 2)
    residual = normal(generator, 3, 5, 4)
    for n in (0, 1):
        plain, closed = Plain(), NMF()
        close(plain.adjoint((w, h), n, residual), closed.adjoint((w, h), n, residual))
        sums = closed.column_sum((w, h), n).expand_as((w, h)[n])
        close(plain.column_sum((w, h), n), sums)
        assert not plain.has_gram(n)
        with pytest.raises(TypeError, match=f"Plain gives no gram for factor {n}"):
            plain.gram((w, h), n)
        # One number for all columns, but of the right size and unit.
        energy = plain.column_energy((w, h), n)
        assert energy.shape == (3, 1, 1)
        close(plain.column_energy((2 * w, 2 * h), n), 4 * energy)
    with pytest.raises(ValueError, match="Plain has 2 factors, got 1"):
        Plain().check((w,))


# --- Sensed ------------------------------------------------------------------------------------


def test_sensed_is_the_operator_after_the_model(generator):
    a, w, h = uniform(generator, 6, 5), uniform(generator, 5, 2), uniform(generator, 4, 2)
    close(Sensed(NMF(), Dense(a))((w, h)), a @ w @ h.T)
    residual = normal(generator, 6, 4)
    close(Sensed(NMF(), Dense(a)).adjoint((w, h), 0, residual), a.T @ residual @ h)


def test_sensed_energy_is_exact_for_an_isometry(generator):
    """And scales as the square of the operator."""
    w, h = uniform(generator, 5, 2), uniform(generator, 4, 2)
    isometry = torch.linalg.qr(normal(generator, 9, 5)).Q
    for n in (0, 1):
        plain = NMF().column_energy((w, h), n)
        close(Sensed(NMF(), Dense(3 * isometry)).column_energy((w, h), n), 9 * plain)


def test_sensed_checks_dimensions(generator):
    with pytest.raises(ValueError, match="Dense reads 2 dimensions but CP predicts 3"):
        Sensed(CP(3), Dense(torch.ones(2, 2)))
    with pytest.raises(ValueError, match="needs a matrix"):
        Dense(torch.ones(3))
    model = Sensed(NMF(), Dense(uniform(generator, 6, 5)))
    factors = (uniform(generator, 5, 2), uniform(generator, 4, 2))
    with pytest.raises(ValueError, match="the model measures"):
        model.check(factors, torch.Size((5, 4)))


@pytest.mark.parametrize("shape", [(6, 5), (3, 5)])
def test_operator_adjoint(shape, generator):
    phi = Dense(normal(generator, *shape))
    x, y = normal(generator, 2, shape[1], 4), normal(generator, 2, shape[0], 4)
    close((phi(x) * y).sum(), (x * phi.adjoint(y)).sum())


# --- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "data", "message"),
    [
        (((5, 2),), None, "NMF has 2 factors, got 1"),
        (((5, 2), (4,)), None, "factor 1 needs at least 2 dimensions"),
        (((5, 2), (4, 3)), None, "is 2 in factor 0 but 3 in factor 1 of shape"),
        (((5, 2), (4, 2)), (5, 6), "is 6 in the data but 4 in factor 1 of shape"),
        (((5, 2), (4, 2)), (4,), "the data needs at least 2 dimensions"),
    ],
)
def test_shapes_are_checked(shapes, data, message):
    y = None if data is None else torch.Size(data)
    with pytest.raises(ValueError, match=message):
        NMF().check(tuple(torch.ones(shape) for shape in shapes), y)


@pytest.mark.parametrize("order", [1, 25])
def test_cp_orders(order):
    with pytest.raises(ValueError, match=f"got {order}"):
        CP(order)


@pytest.mark.parametrize("order", [1, 13])
def test_tucker_orders(order):
    with pytest.raises(ValueError, match=f"got {order}"):
        Tucker(order)


def test_largest_orders_work():
    assert CP(24)(tuple(torch.ones(1, 1) for _ in range(24))).shape == (1,) * 24
    core = torch.ones((1,) * 12)
    assert Tucker(12)((*(torch.ones(1, 1) for _ in range(12)), core)).shape == (1,) * 12
    # A gram needs as many letters again.
    model = Multilinear("ia,jb,kc,ld,me,abcde->ijklm")
    factors = (*(torch.ones(2, 2) for _ in range(5)), torch.ones((2,) * 5))
    assert model.gram(factors, 5).shape == (32, 32)


@pytest.mark.parametrize("model", [CP(24), Tucker(12)], ids=["cp", "tucker"])
def test_every_order_has_its_gram(model):
    factors = tuple(torch.ones((1,) * own) for own in model.factor_ndims)
    for n in range(len(factors)):
        weights = model(factors)
        assert model.gram(factors, n).shape[-2:] == (1, 1)
        assert model.gram(factors, n, weights).shape[-2:] == (1, 1)
        assert model.column_energy(factors, n).numel() == 1


# --- Convolutions ------------------------------------------------------------------------------


def convolved(kernel, signal, cyclic):
    """Entry by entry, in any number of dimensions."""
    out = torch.zeros_like(signal)
    for lag in itertools.product(*(range(n) for n in kernel.shape)):
        moved = signal.roll(lag, tuple(range(signal.ndim)))
        if not cyclic:
            for dim, shift in enumerate(lag):
                moved.narrow(dim, 0, shift).zero_()
        out = out + kernel[lag] * moved
    return out


@pytest.mark.parametrize("cyclic", [True, False])
@pytest.mark.parametrize(("short", "long"), [((3,), (7,)), ((4,), (4,)), ((2, 3), (5, 4))])
def test_convolutive_is_a_sum_of_convolutions(short, long, cyclic, generator):
    model = Convolutive(len(short), channels=True, signals=True, cyclic=cyclic)
    a, x = normal(generator, 2, 3, *short, 2), normal(generator, 2, 4, *long, 2)
    found = model((a, x))
    assert found.shape == (2, 4, 3, *long)
    for b, s, c in itertools.product(range(2), range(4), range(3)):
        terms = [convolved(a[b, c, ..., k], x[b, s, ..., k], cyclic) for k in range(2)]
        close(found[b, s, c], terms[0] + terms[1])


def test_convolution_is_scipys(generator):
    a, x = normal(generator, 5, 1), normal(generator, 20, 1)
    full = np.convolve(a[:, 0], x[:, 0])
    close(Convolutive(cyclic=False)((a, x)), torch.from_numpy(full[:20]))
    wrapped = full[:20] + np.pad(full[20:], (0, 16))
    close(Convolutive()((a, x)), torch.from_numpy(wrapped))


def test_maps_move_with_the_data(generator):
    """A shift of the maps shifts the prediction; one of the kernel undoes it, when it has room."""
    a, x = normal(generator, 4, 2), normal(generator, 12, 2)
    close(Convolutive()((a, x.roll(3, 0))), Convolutive()((a, x)).roll(3, 0))
    wide = torch.cat([a, torch.zeros(3, 2, dtype=a.dtype)])
    close(Convolutive()((wide.roll(2, 0), x.roll(-2, 0))), Convolutive()((a, x)))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("rank", [1, 3])
def test_squared_norm_of_convolutions(rank, channels, generator):
    model = Convolutive(channels=True, signals=True)
    a, x = normal(generator, channels, 3, rank), normal(generator, 2, 8, rank)
    jacobian = torch.func.jacrev(lambda x: model((a, x)))(x).reshape(-1, x.numel())
    norm = model.squared_norm((a, x), 1)
    close(norm, torch.linalg.matrix_norm(jacobian, 2).square())
    problem = Problem(model((a, x)), model, Frobenius(), (Free(), Free()))
    close(problem.block(1, (a, x)).lipschitz().squeeze(), norm)


def test_a_kernel_is_found_by_least_squares(generator):
    model = Convolutive()
    a, x = normal(generator, 5, 2), normal(generator, 40, 2)
    problem = Problem(model((a, x)), model, Frobenius(), (Free(), Free()))
    step = Alternating(ProjectedLeastSquares(), order=(0,))
    found = step(step.init((torch.ones_like(a), x), problem), problem)
    close(found.factors[0], a, atol=1e-9)


@pytest.mark.parametrize(
    ("shapes", "data", "message"),
    [
        (((3, 2), (6, 3)), None, "there are 2 kernels but 3 maps"),
        (((7, 2), (6, 2)), None, r"kernels of size \(7,\) are longer than maps of size \(6,\)"),
        (((3, 2), (6, 2)), (5,), r"the data has shape \(5,\) but the model predicts \(6,\)"),
    ],
)
def test_convolutive_checks_shapes(shapes, data, message):
    with pytest.raises(ValueError, match=message):
        Convolutive().check(
            tuple(torch.ones(s) for s in shapes), None if data is None else torch.Size(data)
        )
    with pytest.raises(ValueError, match="at least one dimension"):
        Convolutive(0)
