"""The faces: every kind of data in and out, and what a fit promises."""

import functools
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import torch

from rlra_torch import Factorization, Problem, cp, factorize, nmf, nnkl, nnls
from rlra_torch.initialization import spa
from rlra_torch.iterations import FISTA, HALS, MU, Alternating, Extrapolated
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler
from rlra_torch.metrics import factor_match
from rlra_torch.models import NMF, Multilinear
from rlra_torch.regularizers import Box, Free, NonNegative, Simplex, UnitNorm
from rlra_torch.solvers import Checkpoint, EarlyStop, ProgressBar, load_checkpoint

RNG = np.random.default_rng(1)
# Rank 3 and noise, positive, so that every loss takes it.
Y = RNG.random((12, 3)) @ RNG.random((3, 9)) + 0.1 * RNG.random((12, 9))
Y[2, 3] = Y[7, 0] = 0.02
A, X = RNG.random((20, 4)), np.maximum(RNG.standard_normal((4, 5)), 0)
B = A @ X + 0.1 * RNG.random((20, 5))
W, H = RNG.random((12, 3)), RNG.random((9, 3))
LOSSES = {
    "frobenius": Frobenius(),
    "kl": KullbackLeibler(),
    "is": ItakuraSaito(),
    -0.5: BetaDivergence(-0.5),
    0.5: BetaDivergence(0.5),
    1.5: BetaDivergence(1.5),
    3.0: BetaDivergence(3.0),
}
STARTS = ("random", "nndsvd", "nndsvda", "nndsvdar", "spa", "snpa", "xray", "vca")
WORKS = {
    "hals": ["frobenius"],
    "fista": ["frobenius"],
    "pg": ["frobenius"],
    "active_set": ["frobenius"],
    "als": ["frobenius"],
    "mu": list(LOSSES),
    "msom": ["frobenius", "kl", 1.5],
    "burg": ["kl"],
}
MONOTONE = ("hals", "pg", "active_set", "mu", "burg")


def planted(*shape, rank=3):
    """A CP tensor and its factors."""
    generator = torch.Generator().manual_seed(len(shape))
    factors = [
        torch.rand(size, rank, generator=generator, dtype=torch.float64) ** 2 for size in shape
    ]
    letters = "abcd"[: len(shape)]
    equation = ",".join(a + "z" for a in letters) + "->" + letters
    return torch.einsum(equation, *factors), factors


def numpy(x):
    return x.detach().numpy() if isinstance(x, torch.Tensor) else x


def readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def torch_sparse(x):
    return torch.from_numpy(x).to_sparse()


KINDS = {
    "float64": (lambda x: x, np.ndarray),
    "float32": (lambda x: x.astype(np.float32), np.ndarray),
    "fortran": (np.asfortranarray, np.ndarray),
    "read-only": (readonly, np.ndarray),
    "reversed": (lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1], np.ndarray),
    "strided": (lambda x: np.repeat(x, 2, axis=1)[:, ::2], np.ndarray),
    "big-endian": (lambda x: x.astype(">f8"), np.ndarray),
    "csr": (scipy.sparse.csr_matrix, np.ndarray),
    "csc": (scipy.sparse.csc_matrix, np.ndarray),
    "coo": (scipy.sparse.coo_matrix, np.ndarray),
    "csr-array": (scipy.sparse.csr_array, np.ndarray),
    "csr-float32": (lambda x: scipy.sparse.csr_matrix(x.astype(np.float32)), np.ndarray),
    "torch": (torch.from_numpy, torch.Tensor),
    "torch-float32": (lambda x: torch.from_numpy(x).float(), torch.Tensor),
    "torch-transposed": (lambda x: torch.from_numpy(x.T.copy()).T, torch.Tensor),
    "torch-sparse": (torch_sparse, torch.Tensor),
    "torch-csr": (lambda x: torch_sparse(x).to_sparse_csr(), torch.Tensor),
    "requires-grad": (lambda x: torch.from_numpy(x.copy()).requires_grad_(), torch.Tensor),
    "parameter": (lambda x: torch.nn.Parameter(torch.from_numpy(x.copy())), torch.Tensor),
}


@pytest.mark.parametrize("face", ["nmf", "cp", "factorize"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_comes_back_with_the_same_answer(kind, face):
    def fitted(data):
        if face == "nmf":
            return nmf(data, 3, max_iter=30)
        if face == "cp":
            return cp(data, 3, init="svd", max_iter=30)
        return factorize(data, NMF(), "kl", "mu", start=lambda y: spa(y, 3), max_iter=30)

    make, back = KINDS[kind]
    data = make(Y)
    fit, reference = fitted(data), fitted(Y)
    tolerance = 1e-3 if "float32" in kind else 1e-9
    for found, expected in zip(fit.factors, reference.factors, strict=True):
        assert isinstance(found, back)
        assert str(found.dtype).removeprefix("torch.") == ("float32" if "32" in kind else "float64")
        if isinstance(found, torch.Tensor):
            assert not found.requires_grad
        if "32" not in kind:
            np.testing.assert_allclose(numpy(found), expected, atol=tolerance)
    assert fit.relative_error == pytest.approx(reference.relative_error, rel=tolerance)
    # What came in is as it was.
    dense = data.todense() if scipy.sparse.issparse(data) else data
    dense = dense.detach().to_dense() if isinstance(dense, torch.Tensor) else dense
    np.testing.assert_allclose(np.asarray(dense), Y, atol=1e-6 if "32" in kind else 0)


@pytest.mark.parametrize("regress", [nnls, nnkl])
@pytest.mark.parametrize("kind", KINDS)
def test_regressions_take_any_kind(kind, regress):
    make, back = KINDS[kind]
    found, expected = (regress(a, b, tol=1e-3).x for a, b in ((make(A), make(B)), (A, B)))
    assert isinstance(found, back) and found.shape == (4, 5)
    assert str(found.dtype).removeprefix("torch.") == ("float32" if "32" in kind else "float64")
    np.testing.assert_allclose(numpy(found), expected, atol=1e-3 if "32" in kind else 1e-9)


def test_the_kind_of_the_right_hand_side_is_the_kind_that_comes_back():
    assert isinstance(nnls(A, torch.from_numpy(B)).x, torch.Tensor)
    assert isinstance(nnls(torch.from_numpy(A), B).x, np.ndarray)


@pytest.mark.parametrize(
    ("loss", "iteration"),
    [("frobenius", "hals"), ("frobenius", "fista"), ("kl", "mu"), ("is", "mu"), (1.5, "mu")],
)
def test_a_batch_is_many_problems(loss, iteration):
    stack = np.stack([Y, Y[::-1] + 0.1, 3 * Y])[:, None]
    starts = np.stack([W, W[::-1], W])[:, None], np.stack([H, H, H[::-1]])[:, None]
    settings = {"loss": loss, "iteration": iteration, "max_iter": 60, "tol": 1e-3}
    batch = nmf(stack, 3, init=starts, **settings)
    assert [x.shape for x in batch.factors] == [(3, 1, 12, 3), (3, 1, 9, 3)]
    assert batch.converged.shape == batch.n_iter.shape == batch.kkt.shape == (3, 1)
    for i in range(3):
        alone = nmf(stack[i, 0], 3, init=(starts[0][i, 0], starts[1][i, 0]), **settings)
        assert alone.n_iter == batch.n_iter[i, 0] and alone.converged == batch.converged[i, 0]
        assert alone.relative_error == pytest.approx(batch.relative_error[i, 0], rel=1e-9)
        for one, many in zip(alone.factors, batch.factors, strict=True):
            np.testing.assert_allclose(many[i, 0], one, atol=1e-9)


@pytest.mark.parametrize("init", ["nndsvda", "spa"])
def test_starts_of_a_batch_do_not_see_each_other(init):
    stack = np.stack([Y, 5 * Y + 1, Y[:, ::-1]])
    stack[0, 0, 0] = stack[1, 3, 4] = np.nan
    batch = nmf(stack, 2, init=init, max_iter=20)
    for i in range(3):
        alone = nmf(stack[i], 2, init=init, max_iter=20)
        for one, many in zip(alone.factors, batch.factors, strict=True):
            np.testing.assert_allclose(many[i], one, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_problem_without_data_does_not_disturb_the_others(loss):
    fit = nmf(np.stack([Y, np.full_like(Y, np.nan)]), 2, loss, max_iter=20)
    alone = nmf(Y, 2, loss, max_iter=20)
    np.testing.assert_allclose(fit.factors[0][0], alone.factors[0], atol=1e-9)
    assert fit.converged[1] and fit.objective[1] == 0 and np.isfinite(fit.factors[0]).all()


@pytest.mark.parametrize("face", [nmf, cp])
def test_a_seed_reproduces_every_bit(face):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = (
        face(Y, 3, init="random", max_iter=40, seed=seed).factors for seed in (5, 5, 6)
    )
    for x, same, different in zip(first, again, other, strict=True):
        assert np.array_equal(x, same) and not np.array_equal(x, different)
    # The generators of the process are left alone.
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


@pytest.mark.parametrize("face", [nmf, cp])
@pytest.mark.parametrize("loss", LOSSES)
def test_missing_masked_and_weight_zero_are_the_same(loss, face):
    seen = RNG.random(Y.shape) > 0.2
    absurd = np.where(seen, Y, np.resize([np.inf, -3.0, 0.0, 1e30], Y.shape))
    settings = {"max_iter": 20, "init": "random"}
    fits = [
        face(np.where(seen, Y, np.nan), 2, loss, **settings),
        face(Y, 2, loss, weights=seen, **settings),
        face(Y, 2, loss, weights=torch.from_numpy(seen), **settings),
        face(absurd, 2, loss, weights=seen.astype(float), **settings),
        face(np.where(seen, Y, np.nan), 2, loss, weights=np.ones_like(Y), **settings),
        face(Y, 2, loss, weights=scipy.sparse.csr_matrix(seen), **settings),
    ]
    for fit in fits[1:-1]:
        for found, expected in zip(fit.factors, fits[0].factors, strict=True):
            assert np.array_equal(found, expected)
        assert fit.history[-1][2:] == fits[0].history[-1][2:]
        assert fit.relative_error == fits[0].relative_error
    # A sparse mask visits the stored entries only, which add up in another order.
    for found, expected in zip(fits[-1].factors, fits[0].factors, strict=True):
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert fits[-1].objective == pytest.approx(fits[0].objective, rel=1e-8)


def test_weights_weigh():
    weights = RNG.integers(1, 4, Y.shape).astype(float)
    fit = nmf(Y, 2, weights=weights, max_iter=20)
    residual = fit.factors[0] @ fit.factors[1].T - Y
    assert fit.objective == pytest.approx((weights * residual**2).sum() / 2, rel=1e-10)
    error = np.sqrt((weights * residual**2).sum() / (weights * Y**2).sum())
    assert fit.relative_error == pytest.approx(error, rel=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_given_factors_are_used_as_they_are(loss, form):
    start = (W, H) if form == "numpy" else (torch.from_numpy(W), torch.from_numpy(H))
    kept = W.copy(), H.copy()
    fit = nmf(Y, 3, loss, init=start, max_iter=10)
    w, h, y = (torch.from_numpy(x) for x in (W, H, Y))
    expected = LOSSES[loss](w @ h.T, y).sum()
    assert fit.history[0].objective == pytest.approx(float(expected), rel=1e-12)
    assert np.array_equal(W, kept[0]) and np.array_equal(H, kept[1])


def test_a_start_that_is_a_solution_comes_back_as_a_copy():
    w, h = np.ones((4, 1)), np.ones((3, 1))
    fit = nmf(w @ h.T, 1, init=(w, h))
    assert fit.n_iter == 0 and fit.converged
    assert np.array_equal(fit.factors[0], w) and not np.shares_memory(fit.factors[0], w)


@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_start_works_with_every_loss(loss, init):
    fit = nmf(Y, 3, loss, init=init, max_iter=40)
    objectives = [check.objective for check in fit.history]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(objectives))
    assert objectives[-1] < objectives[0]
    assert all((x >= 0).all() for x in fit.factors)
    # Named starts come at their best scale.
    scales = [
        nmf(Y, 3, loss, init=[t * x for x in _start(loss, init)], max_iter=1).history[0].objective
        for t in (0.99, 1.0, 1.01)
    ]
    assert scales[1] == min(scales) == pytest.approx(objectives[0], rel=1e-9)


def _start(loss, init):
    """The factors at which a fit starts."""
    found = []
    nmf(Y, 3, loss, init=init, max_iter=1, callbacks=[lambda p: found.append(p.state.factors)])
    return found[0]


@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("iteration", ["hals", "mu", "fista"])
def test_data_of_any_sign(iteration, init):
    data = Y - Y.mean()
    fit = nmf(data, 2, iteration=iteration, init=init, max_iter=100)
    assert fit.objective < fit.history[0].objective < (data**2).sum() / 2
    assert all((x >= 0).all() for x in fit.factors)
    assert nmf(-Y, 2, iteration=iteration, init=init, max_iter=100).relative_error < 1 + 1e-9


@pytest.mark.parametrize(
    ("iteration", "loss"), [(it, loss) for it, losses in WORKS.items() for loss in losses]
)
def test_every_iteration_works_where_it_should(iteration, loss):
    fit = nmf(Y, 3, loss, iteration, init="random", max_iter=200)
    objectives = [check.objective for check in fit.history]
    assert objectives[-1] < 0.9 * objectives[0] or iteration == "msom"
    assert objectives[-1] <= objectives[0]
    if iteration in MONOTONE:
        assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(objectives))
    assert fit.kkt < 0.05 and fit.kkt < fit.history[0].kkt
    assert np.isfinite(fit.relative_error)


@pytest.mark.parametrize("iteration", ["hals", "mu", "msom", "fista", "pg", "active_set", "als"])
def test_iterations_agree_on_tensors(iteration):
    tensor, _ = planted(6, 5, 4, rank=2)
    assert cp(tensor, 2, iteration=iteration, max_iter=300, seed=1).relative_error < 0.05


@pytest.mark.parametrize("name", ["frobenius", "kl", "is"])
def test_a_beta_is_its_named_loss(name):
    beta = {"frobenius": 2, "kl": 1, "is": 0}[name]
    for same in (beta, float(beta), np.float32(beta), LOSSES[name]):
        found, expected = nmf(Y, 2, same, max_iter=20), nmf(Y, 2, name, max_iter=20)
        assert np.array_equal(found.factors[0], expected.factors[0])
        assert found.description == expected.description


@pytest.mark.parametrize("beta", [0.5, 1.5, 2.5])
def test_a_beta_between_is_the_general_loss(beta):
    found, expected = nmf(Y, 2, beta, max_iter=20), nmf(Y, 2, BetaDivergence(beta), max_iter=20)
    assert np.array_equal(found.factors[0], expected.factors[0])


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("penalty", [{"l1": 0.3}, {"ridge": 0.3}, {"l1": 0.1, "ridge": 0.1}])
def test_penalties_shrink_and_count(penalty, loss):
    plain = nmf(Y, 3, loss, max_iter=200)
    fit = nmf(Y, 3, loss, regs=(NonNegative(**penalty), NonNegative(**penalty)), max_iter=200)
    l1, ridge = penalty.get("l1", 0.0), penalty.get("ridge", 0.0)

    def size(factors):
        return sum(l1 * x.sum() + ridge * (x**2).sum() / 2 for x in factors)

    y, (w, h) = torch.from_numpy(Y), (torch.from_numpy(x) for x in fit.factors)
    expected = float(LOSSES[loss](w @ h.T, y).sum()) + size(fit.factors)
    assert fit.objective == pytest.approx(expected, rel=1e-9)
    assert size(fit.factors) < size(plain.factors)
    assert fit.relative_error > plain.relative_error
    assert fit.kkt < 1e-2 and fit.objective < fit.history[0].objective


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_abundances_sum_to_one(loss):
    fit = nmf(Y, 3, loss, "msom", regs=(NonNegative(), Simplex()), max_iter=300)
    w, h = fit.factors
    np.testing.assert_allclose(h.sum(1), 1, atol=1e-12)
    assert (w >= 0).all() and (h >= 0).all()
    assert fit.relative_error < 0.2 and fit.objective < fit.history[0].objective
    # The start is feasible too, so that the first check says something.
    start = []
    settings = {"regs": (NonNegative(), Simplex()), "max_iter": 1}
    nmf(Y, 3, loss, "msom", callbacks=[lambda p: start.append(p.state.factors[1])], **settings)
    np.testing.assert_allclose(start[0].sum(1), 1, atol=1e-12)


@pytest.mark.parametrize("iteration", ["hals", "pg", "fista", "msom"])
def test_columns_of_unit_norm(iteration):
    fit = nmf(Y, 3, iteration=iteration, regs=(UnitNorm(True), NonNegative()), max_iter=300)
    np.testing.assert_allclose(np.linalg.norm(fit.factors[0], axis=0), 1, atol=1e-12)
    assert all((x >= 0).all() for x in fit.factors)
    assert fit.objective < fit.history[0].objective and fit.relative_error < 0.1


def test_other_regularizers():
    boxed = nmf(Y, 3, regs=(Box(0.1, 0.6), Free()), max_iter=100).factors
    assert boxed[0].min() >= 0.1 and boxed[0].max() <= 0.6
    free = nmf(Y, 3, iteration="als", regs=(Free(), Free()), max_iter=100)
    u, s, v = np.linalg.svd(Y)
    best = np.sqrt((s[3:] ** 2).sum() / (s**2).sum())
    assert free.relative_error == pytest.approx(best, rel=1e-6)
    learned = torch.nn.ModuleList([NonNegative(l1=0.1), NonNegative(l1=0.1)])
    assert nmf(Y, 3, regs=learned, max_iter=10).objective > 0


@pytest.mark.parametrize(
    ("shape", "iteration"),
    [((8, 7, 6), "hals"), ((8, 7, 6), "active_set"), ((6, 5, 4, 5), "hals")],
)
def test_cp_recovers_what_was_planted(shape, iteration):
    tensor, factors = planted(*shape)
    fit = cp(tensor, 3, iteration=iteration, max_iter=2000, tol=1e-6)
    assert float(factor_match(fit.factors, factors)) > 0.99
    assert fit.relative_error < 1e-3


def test_cp_from_singular_vectors_and_for_counts():
    tensor, factors = planted(8, 7, 6)
    for settings in ({"init": "svd"}, {"loss": "kl", "max_iter": 150}):
        assert float(factor_match(cp(tensor, 3, **settings).factors, factors)) > 0.95


def test_factorize_fits_any_model():
    core, u, v = (torch.from_numpy(RNG.random(shape)) for shape in ((2, 3), (7, 2), (6, 3)))
    y = u @ core @ v.T
    fit = factorize(
        y,
        Multilinear("ia,jb,ab->ij"),
        "frobenius",
        "hals",
        start=lambda y: (u.flip(0) + 0.1, v.flip(0) + 0.1, core + 0.1),
        max_iter=100,
    )
    assert fit.relative_error < 0.05 and fit.description["model"] == "Multilinear"


# --- Regressions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("iteration", ["active_set", "hals", "fista", "pg", "msom", "mu"])
def test_nnls_is_scipys(iteration):
    settings = {"tol": 1e-9, "max_iter": 3000} if iteration != "active_set" else {}
    fit = nnls(A, B, iteration, **settings)
    expected = np.stack([scipy.optimize.nnls(A, b)[0] for b in B.T], 1)
    np.testing.assert_allclose(fit.x, expected, atol=1e-3 if iteration == "mu" else 1e-7)
    assert fit.objective == pytest.approx(((A @ expected - B) ** 2).sum() / 2, rel=1e-6)


@pytest.mark.parametrize("regress", [nnls, nnkl])
def test_vectors_matrices_and_batches_agree(regress):
    settings = {} if regress is nnls else {"tol": 1e-5, "iteration": "msom"}
    many = regress(A, B, **settings)
    assert many.x.shape == (4, 5) and isinstance(many.converged, bool) and many.converged
    for j in range(5):
        one = regress(A, B[:, j], **settings)
        assert one.x.shape == (4,)
        np.testing.assert_allclose(one.x, many.x[:, j], atol=1e-4)
    batch = regress(np.stack([A, A[::-1]])[:, None], np.stack([B, B[::-1]])[:, None], **settings)
    assert batch.x.shape == (2, 1, 4, 5) and batch.converged.shape == (2, 1)
    np.testing.assert_allclose(batch.x[:, 0], np.stack([many.x, many.x]), atol=1e-4)
    vectors = regress(np.stack([A, A[::-1]]), np.stack([B[:, 0], B[::-1, 0]]), **settings)
    assert vectors.x.shape == (2, 4)
    np.testing.assert_allclose(vectors.x, np.stack([many.x[:, 0]] * 2), atol=1e-4)


@pytest.mark.parametrize("iteration", ["active_set", "hals", "fista"])
def test_penalized_nnls_solves_its_conditions(iteration):
    fit = nnls(A, B, iteration, l1=0.3, ridge=0.2, tol=1e-8)
    gradient = A.T @ (A @ fit.x - B) + 0.3 + 0.2 * fit.x
    assert gradient.min() > -1e-5 and np.abs(gradient * fit.x).max() < 1e-5
    value = ((A @ fit.x - B) ** 2).sum() / 2 + 0.3 * fit.x.sum() + 0.1 * (fit.x**2).sum()
    assert fit.objective == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("iteration", ["mu", "msom"])
@pytest.mark.parametrize("penalty", [{}, {"l1": 0.2, "ridge": 0.3}])
def test_nnkl_solves_its_conditions(iteration, penalty):
    fit = nnkl(A, B, iteration, tol=1e-5, **penalty)
    gradient = A.T @ (1 - B / (A @ fit.x))
    gradient += penalty.get("l1", 0) + penalty.get("ridge", 0) * fit.x
    assert fit.converged and gradient.min() > -1e-3 and np.abs(gradient * fit.x).max() < 1e-3
    # Mirror descent is slow, and safe.
    slow = nnkl(A, B, "burg", max_iter=500, **penalty)
    objectives = [check.objective for check in slow.history]
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(objectives))
    assert fit.objective < slow.objective < 1.1 * fit.objective


# --- Results --------------------------------------------------------------------------------------


BATCH = np.stack([Y] * 30) * RNG.random((30, 1, 1))
FITS = {
    "matrix": lambda: nmf(Y, 3, max_iter=20),
    "kl": lambda: nmf(Y, 3, "kl", "burg", max_iter=20),
    "float32": lambda: nmf(Y.astype(np.float32), 3, 1.5, max_iter=20),
    "torch": lambda: nmf(torch.from_numpy(Y).float(), 3, max_iter=20),
    "batch": lambda: nmf(1e-5 * BATCH, 2, max_iter=20),
    "torch-batch": lambda: nmf(torch.from_numpy(BATCH[None, :2]).float(), 2, max_iter=20),
    "many-modes": lambda: cp(np.ones((1,) * 24), 2, max_iter=2),
    "mixed": lambda: nmf(Y, 3, iteration=Alternating([HALS(), FISTA()]), max_iter=20),
}


@functools.cache
def fitted(name):
    return FITS[name]()


@pytest.mark.parametrize("name", FITS)
def test_a_summary_fits_a_terminal(name):
    lines = fitted(name).summary().splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    for word in ("rank", "relative error", "objective", "KKT", "iterations", "converged", " s"):
        assert word in text


@pytest.mark.parametrize("name", FITS)
def test_saving_and_loading_is_exact(name, tmp_path):
    fit = fitted(name)
    fit.save(tmp_path / "fit.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]
    again = Factorization.load(str(tmp_path / "fit.npz"))
    assert again.description == fit.description and again.summary() == fit.summary()
    for found, expected in zip(again.factors, fit.factors, strict=True):
        assert type(found) is type(expected) and found.dtype == expected.dtype
        assert np.array_equal(numpy(found), numpy(expected))
    assert len(again.history) == len(fit.history)
    pairs = [*zip(again.history, fit.history, strict=True)]
    pairs += [tuple((x.converged, x.n_iter, x.relative_error) for x in (again, fit))]
    for found, expected in ((f, e) for p in pairs for f, e in zip(*p, strict=True)):
        assert type(found) is type(expected) and np.array_equal(found, expected)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize("x", ["seconds", "iteration"])
def test_a_plot_has_labels(x, tmp_path):
    figure = fitted("matrix").plot(x)
    for axes in figure.axes:
        assert axes.get_xlabel() and axes.get_ylabel() and axes.get_lines()
    assert "iteration" in figure.axes[0].get_xlabel() or x == "seconds"
    figure.savefig(tmp_path / "fit.png")
    plt.close(figure)


def test_a_history_is_honest():
    fit = nmf(Y, 3, max_iter=35, check_every=10, tol=0.0)
    assert [check.iteration for check in fit.history] == [0, 10, 20, 30, 35]
    seconds = [check.seconds for check in fit.history]
    assert seconds == sorted(seconds) and fit.seconds == seconds[-1]
    assert fit.n_iter == 35 and fit.converged is False
    w, h = fit.factors
    assert fit.objective == pytest.approx(((w @ h.T - Y) ** 2).sum() / 2, rel=1e-10)
    error = np.linalg.norm(w @ h.T - Y) / np.linalg.norm(Y)
    assert fit.relative_error == pytest.approx(error, rel=1e-10)
    y, factors = torch.from_numpy(Y), tuple(torch.from_numpy(x) for x in fit.factors)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    assert fit.kkt == pytest.approx(float(problem.kkt(factors)), rel=1e-9)
    assert nmf(Y, 3, max_iter=2000, tol=1e-4).kkt <= 1e-4


# --- Resuming and watching ------------------------------------------------------------------------

RESUMED = {
    "hals": lambda **settings: nmf(Y, 3, iteration="hals", **settings),
    "fista": lambda **settings: nmf(Y, 3, iteration="fista", **settings),
    "active-set": lambda **settings: nmf(Y, 3, iteration="active_set", **settings),
    "msom-kl": lambda **settings: nmf(Y, 3, "kl", "msom", **settings),
    "mu-masked": lambda **settings: nmf(np.where(Y < 0.4, np.nan, Y), 3, "kl", **settings),
    "float32": lambda **settings: nmf(Y.astype(np.float32), 3, **settings),
    "batch": lambda **settings: nmf(np.stack([Y, 2 * Y, Y**2]), 3, **settings),
    "cp": lambda **settings: cp(Y.reshape(4, 3, 9), 2, **settings),
    "extrapolated": lambda **settings: nmf(
        Y, 3, iteration=Extrapolated(Alternating(HALS())), **settings
    ),
}


@pytest.mark.parametrize("tol", [0.0, 1e-2])
@pytest.mark.parametrize("name", RESUMED)
def test_resuming_is_as_if_nothing_had_happened(name, tol, tmp_path):
    run, path = RESUMED[name], tmp_path / "run.pt"
    whole = run(max_iter=60, tol=tol)
    run(max_iter=30, tol=tol, callbacks=[Checkpoint(path)])
    resumed = run(max_iter=60, tol=tol, resume=load_checkpoint(path))
    for found, expected in zip(resumed.factors, whole.factors, strict=True):
        assert np.array_equal(found, expected)
    assert np.array_equal(resumed.n_iter, whole.n_iter)
    assert np.array_equal(resumed.converged, whole.converged)
    for found, expected in zip(resumed.history, whole.history, strict=True):
        assert found.iteration == expected.iteration
        assert np.array_equal(found.objective, expected.objective)
        assert np.array_equal(found.kkt, expected.kkt)


def test_callbacks_see_every_check():
    seen = []
    # What a callback returns stops a fit only if it is True.
    fit = nmf(Y, 3, max_iter=35, tol=0.0, callbacks=[lambda p: seen.append(p) or 1])
    assert [len(p.history) for p in seen] == [1, 2, 3, 4, 5]
    assert [p.history[-1].iteration for p in seen] == [c.iteration for c in fit.history]
    assert np.array_equal(seen[-1].state.factors[0].numpy(), fit.factors[0])


def test_callbacks_stop():
    fit = nmf(Y, 3, tol=0.0, callbacks=[lambda p: p.history[-1].iteration >= 20, lambda p: None])
    assert fit.n_iter == 20 and not fit.converged
    assert nmf(Y, 3, tol=0.0, callbacks=[lambda p: True]).n_iter == 0
    early = nmf(Y, 3, tol=0.0, max_iter=5000, callbacks=[EarlyStop(1e-4)])
    before, last = (check.objective for check in early.history[-2:])
    assert early.n_iter < 5000 and before - last <= 1e-4 * before


def test_a_progress_bar_is_silent_without_a_terminal(capsys):
    nmf(Y, 3, max_iter=20, callbacks=[ProgressBar(20)])
    assert capsys.readouterr() == ("", "")


# --- Edges ----------------------------------------------------------------------------------------

EDGES = {
    "one-entry": np.full((1, 1), 2.0),
    "one-row": Y[:1],
    "one-column": Y[:, :1],
    "constant": np.full((5, 4), 3.0),
    "zeros": np.zeros((5, 4)),
    "zero-row": np.concatenate([Y, np.zeros((1, 9))]),
    "one-nonzero": np.eye(5, 4)[[0, 0, 0, 0, 4]] * np.eye(5)[0][:, None],
    "tiny": 1e-6 * Y,
    "huge": 1e6 * Y,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["frobenius", "kl", 1.5])
@pytest.mark.parametrize("edge", EDGES)
def test_edges_have_an_answer(edge, loss, dtype):
    data = EDGES[edge].astype(dtype)
    for rank in (1, 6):
        for fit in (nmf(data, rank, loss, max_iter=20), cp(data, rank, loss, max_iter=20)):
            assert all(np.isfinite(x).all() and (x >= 0).all() for x in fit.factors)
            assert np.isfinite(fit.objective) and np.isfinite(fit.kkt)
            assert fit.objective <= fit.history[0].objective * (1 + 1e-5) + 1e-6 * (data**2).sum()
            assert np.isfinite(fit.relative_error)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
@pytest.mark.parametrize("loss", ["frobenius", "kl", "is", 1.5])
def test_the_unit_of_the_data_does_not_matter(loss, scale):
    fit, scaled = nmf(Y, 3, loss, max_iter=50), nmf(scale * Y, 3, loss, max_iter=50)
    assert scaled.relative_error == pytest.approx(fit.relative_error, rel=1e-6)
    assert scaled.kkt == pytest.approx(fit.kkt, rel=1e-6) and scaled.n_iter == fit.n_iter


@pytest.mark.parametrize("loss", ["kl", "frobenius"])
def test_a_zero_right_hand_side_has_the_zero_solution(loss):
    regress = nnls if loss == "frobenius" else nnkl
    fit = regress(A, np.zeros((20, 2)))
    assert fit.converged and np.abs(fit.x).max() < 1e-6
    assert np.abs(nnls(np.zeros((5, 2)), np.ones(5)).x).max() < np.inf


def test_mu_starts_from_named_starts_of_any_data():
    model = Alternating(MU())
    assert nmf(Y - 0.5, 2, iteration=model, init="spa", max_iter=20).objective > 0
