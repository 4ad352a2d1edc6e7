"""Small linear algebra on grams against numpy, singular and badly scaled matrices included."""

import numpy as np
import pytest
import torch
from conformance import close
from torch.autograd import gradcheck
from zoo import normal, uniform

from rlra_torch.functional.linalg import masked_solve, solve_gram, spectral_bound, times_gram


def psd(generator, *shape, rank):
    a = normal(generator, *shape[:-1], rank, shape[-1])
    return a.mT @ a


def test_times_gram(generator):
    x, g = normal(generator, 2, 7, 3), psd(generator, 2, 3, rank=4)
    close(times_gram(x, g), x @ g)
    assert times_gram(x[0], g[0]).mT.is_contiguous()
    rows = psd(generator, 2, 7, 3, rank=4)
    close(times_gram(x, rows), torch.einsum("bir,birs->bis", x, rows))


# --- The spectral bound ------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1, 2, 7, 50])
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_spectral_bound_is_above_and_within_one_percent(r, scale, generator):
    g = scale * psd(generator, 20, r, rank=max(1, r // 2))
    g = torch.cat([g, scale * torch.eye(r, dtype=g.dtype)[None]])
    ratio = spectral_bound(g) / torch.linalg.eigvalsh(g)[..., -1]
    assert (ratio >= 1 - 1e-12).all() and (ratio <= 1.01).all()


def test_spectral_bound_in_float32_and_of_zero(generator):
    g = psd(generator, 5, 6, rank=3).float()
    ratio = spectral_bound(g) / torch.linalg.eigvalsh(g)[..., -1]
    assert spectral_bound(g).dtype == torch.float32
    assert (ratio >= 1 - 1e-5).all() and (ratio <= 1.01).all()
    for dtype in (torch.float32, torch.float64):
        zero = torch.zeros(3, 3, dtype=dtype, requires_grad=True)
        bound = spectral_bound(zero)
        assert bound == 0
        assert torch.autograd.grad(bound, zero)[0].isfinite().all()


def test_spectral_bound_gradcheck(generator):
    a = normal(generator, 3, 4).requires_grad_()
    assert gradcheck(lambda a: spectral_bound(a.mT @ a, squarings=4), a)


# --- Solves ------------------------------------------------------------------------------------


def test_solve_gram(generator):
    g, c = psd(generator, 4, 5, rank=9), normal(generator, 4, 7, 5)
    close(solve_gram(g, c), torch.linalg.solve(g, c.mT).mT, 1e-10)
    rows = psd(generator, 4, 7, 5, rank=9)
    close(solve_gram(rows, c), torch.linalg.solve(rows, c), 1e-10)


@pytest.mark.parametrize("per_row", [False, True])
def test_masked_solve_is_least_squares_on_each_support(per_row, generator):
    a, y = normal(generator, 30, 9, 5), normal(generator, 30, 9)
    gram, cross = a.mT @ a, (a.mT @ y[..., None])[..., 0]
    mask = uniform(generator, 30, 5) < 0.6
    mask[0], mask[1] = False, True
    if per_row:
        found = masked_solve(gram, cross, mask)
    else:
        found = masked_solve(gram, cross[:, None], mask[:, None])[:, 0]
    for i in range(30):
        support = mask[i].numpy()
        expected = np.zeros(5)
        if support.any():
            expected[support] = np.linalg.lstsq(a[i].numpy()[:, support], y[i].numpy())[0]
        close(found[i], torch.from_numpy(expected), atol=1e-11)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_solves_do_not_mind_the_scale_of_columns(scale, generator):
    a, y = normal(generator, 9, 4), normal(generator, 9)
    d = torch.tensor([1.0, scale, 1.0, scale], dtype=a.dtype)
    everything = torch.ones(1, 4, dtype=torch.bool)
    expected = torch.linalg.lstsq(a, y[:, None]).solution[:, 0]
    gram, cross = (a * d).mT @ (a * d), (d * (a.mT @ y))[None]
    close(d * masked_solve(gram, cross, everything)[0], expected, 1e-10)
    close(d * solve_gram(gram, cross)[0], expected, 1e-10)


def test_singular_systems_give_a_least_squares_solution(generator):
    """A zero column, a column twice, more columns than rows: the fit is what counts."""
    a, y = normal(generator, 4, 6), normal(generator, 4)
    a[:, 0], a[:, 2] = 0, a[:, 1]
    gram, cross = a.mT @ a, (a.mT @ y)[None]
    for found in (solve_gram(gram, cross), masked_solve(gram, cross, torch.ones(1, 6) > 0)):
        assert found.isfinite().all() and found[0, 0] == 0
        best = np.linalg.lstsq(a.numpy(), y.numpy())[0]
        residual = np.linalg.norm(a.numpy() @ best - y.numpy())
        assert abs((a @ found[0] - y).norm().item() - residual) <= 1e-6


def test_solves_gradcheck(generator):
    a, c = normal(generator, 7, 3).requires_grad_(), normal(generator, 2, 3).requires_grad_()
    mask = torch.tensor([[True, False, True], [True, True, True]])
    assert gradcheck(lambda a, c: masked_solve(a.mT @ a, c, mask), (a, c))
    assert gradcheck(lambda a, c: solve_gram(a.mT @ a, c), (a, c))


def test_gradients_are_finite_on_an_empty_support(generator):
    g = psd(generator, 3, rank=2).requires_grad_()
    c = normal(generator, 1, 3).requires_grad_()
    out = masked_solve(g, c, torch.zeros(1, 3, dtype=torch.bool))
    assert (out == 0).all()
    assert all((x == 0).all() for x in torch.autograd.grad(out.sum(), (g, c)))
