"""Factors whose columns are atoms of a dictionary, and factors in the span of splines."""

from itertools import combinations, combinations_with_replacement, permutations

import pytest
import torch
from conformance import check_regularizer
from zoo import RegularizerCase, normal, uniform

from rlra_torch.datasets import load_usgs
from rlra_torch.dictionary import (
    bspline_basis,
    correlation,
    cosine,
    dictionary_cp,
    dlra,
    dlra_cp,
    euclidean,
    flexible_als,
    greedy_atoms,
    located,
    m2c_als,
    mc_als,
    mean_removed,
    pure_columns,
    random_atoms,
    random_everything,
    several,
    smooth_cp,
)
from rlra_torch.dictionary.choice import Choice
from rlra_torch.iterations import ADMM, HALS, Alternating, ProjectedLeastSquares
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import factor_match
from rlra_torch.models import CP, NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Atoms, NearAtoms, NonNegative
from rlra_torch.solvers import solve

DICTIONARY = normal(torch.Generator().manual_seed(5), 6, 5)
ONE = {"starts": several(1), "perturbations": 0}


def library(generator, bands=40, count=30):
    """Smooth nonnegative spectra that look alike: cosines up to 0.99."""
    place = torch.linspace(0, 1, bands, dtype=torch.float64)[:, None]
    centre = uniform(generator, count)
    return 0.5 + (-(((place - centre) / 0.15) ** 2)).exp()


def mixtures(d, rank, generator, runs=(), pixels=60):
    draws = torch.rand(*runs, d.shape[-1], generator=generator)
    atoms = draws.argsort(-1)[..., :rank]
    return d.mT[atoms].mT @ uniform(generator, *runs, pixels, rank).mT, atoms


# --- Atoms as a regularizer --------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: Atoms(DICTIONARY),
        lambda: Atoms(DICTIONARY, nonnegative=False),
        lambda: Atoms(DICTIONARY, scaled=False),
    ],
)
def test_atoms_are_a_projection(make, generator):
    def onto(x):
        return make().near(x)

    check_regularizer(RegularizerCase(make, onto), generator)


def test_the_penalty_of_a_distance_has_a_prox_between(generator):
    for scaled in (True, False):
        check_regularizer(
            RegularizerCase(lambda s=scaled: NearAtoms(DICTIONARY, 0.7, s)), generator
        )


def test_a_dictionary_is_a_matrix_of_finite_numbers():
    with pytest.raises(TypeError, match="real numbers"):
        Atoms([[1.0]])  # pyright: ignore
    with pytest.raises(ValueError, match="atoms as columns"):
        Atoms(torch.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        Atoms(torch.tensor([[torch.nan]]))


@pytest.mark.parametrize("step", [ADMM(), ProjectedLeastSquares(), HALS()])
def test_iterations_that_know_nothing_of_dictionaries_work_with_atoms(step, generator):
    d = uniform(generator, 20, 15)
    y, atoms = mixtures(d, 3, generator)
    regs = (Atoms(d), NonNegative())
    near = d[:, atoms] + 0.05 * uniform(generator, 20, 3)
    start = (near, torch.linalg.lstsq(near, y).solution.mT.clamp_min(0))
    problem = Problem(y, NMF(), Frobenius(), regs)
    found = solve(Alternating((step, HALS()), 10), problem, start, max_iter=50, tol=1e-10)
    nearest = cosine(found.factors[0], d).argmin(-1)
    assert nearest.tolist() == atoms.tolist()


# --- Which atom each column takes --------------------------------------------------------------


@pytest.mark.parametrize("distance", [cosine, correlation, mean_removed, euclidean])
def test_exact_columns_in_any_order_take_their_own_atoms(distance, generator):
    d = library(generator)
    choice = Choice.of([d], None, distance, True, 8)
    for _ in range(200):
        atoms = torch.randperm(d.shape[-1], generator=generator)[:8]
        assert choice(d[:, atoms]).tolist() == atoms.tolist()


@pytest.mark.parametrize("distinct", [True, False])
def test_the_assignment_with_counts_is_the_best_of_all(distinct, generator):
    sizes, counts, rank = (4, 3, 2), (2, 1, 2), 4
    parts = [normal(generator, 5, n) for n in sizes]
    choice = Choice.of(parts, counts, euclidean, distinct, rank)
    group = torch.tensor([0] * 4 + [1] * 3 + [2] * 2)
    every = torch.cartesian_prod(*[torch.arange(9)] * rank)
    few = torch.stack([(group[every] == i).sum(-1) <= c for i, c in enumerate(counts)]).all(0)
    apart = torch.stack([every[:, i] != every[:, j] for i, j in permutations(range(rank), 2)])
    every = every[few & apart.all(0)] if distinct else every[few]
    for _ in range(20):
        x = normal(generator, 5, rank)
        table, found = euclidean(x, choice.atoms), choice(x)
        costs = table[torch.arange(rank), every].sum(-1)
        assert abs(table[torch.arange(rank), found].sum() - costs.min()) < 1e-12
        assert (every == found).all(-1).any()


def test_no_atom_is_taken_twice_where_that_is_asked(generator):
    d = library(generator)
    x = d[:, [3, 3, 3]]
    assert Choice.of([d], None, cosine, False, 3)(x).tolist() == [3, 3, 3]
    assert len(Choice.of([d], None, cosine, True, 3)(x).unique()) == 3


def test_counts_and_sizes_that_do_not_fit(generator):
    d = library(generator)
    with pytest.raises(ValueError, match="need as many atoms"):
        mc_als(d, d[:, :2], 3)
    with pytest.raises(ValueError, match="need as many counts"):
        m2c_als(d, [d, d], [1])
    with pytest.raises(ValueError, match="need as many atoms"):
        m2c_als(d, [d, d], [1, 1], rank=3)
    with pytest.raises(ValueError, match="same rows"):
        m2c_als(d, [d, d[1:]], [1, 1])


# --- MC-ALS ------------------------------------------------------------------------------------


def test_planted_atoms_are_found_from_several_starts_and_seldom_from_one(generator):
    d = library(generator)
    y, atoms = mixtures(d, 4, generator, (20,))
    right = {}
    for name, starts in (("one", (random_everything,)), ("several", several(3))):
        fit = mc_als(y, d, 4, starts=starts, perturbations=0)
        right[name] = (fit.indices.sort(-1).values == atoms.sort(-1).values).all(-1)
        assert ((fit.residual < 1e-7) == right[name]).all()
        assert ((fit.agreed >= 1) & (fit.agreed <= len(starts))).all()
    assert right["several"].all() and right["one"].sum() < 18


def test_perturbations_help_random_starts(generator):
    d = library(generator)
    y, _ = mixtures(d, 3, generator, (5,))
    once, more = (
        mc_als(y, d, 3, starts=(random_atoms,) * 4, perturbations=p).residual for p in (0, 4)
    )
    assert (more <= once).all() and (more < once).any()


def test_what_a_fit_says_of_itself(generator):
    d = library(generator)
    y, _ = mixtures(d, 3, generator)
    y = y + 0.02 * normal(generator, *y.shape)
    fit = mc_als(y, d, 3, starts=several(5))
    w, h = fit.factors
    assert torch.equal(w, d[:, fit.indices]) and (h >= 0).all()
    assert torch.allclose(d @ fit.codes, w, rtol=0, atol=1e-14)
    error = (w @ h.mT - y).norm() / y.norm()
    assert torch.allclose(fit.residual, error) and torch.allclose(fit.history[-1], error)
    assert (fit.residuals >= fit.residual).all() and (fit.history >= error - 1e-12).all()
    again = mc_als(y, d, 3, starts=several(5))
    assert torch.equal(again.indices, fit.indices) and torch.equal(again.factors[1], h)


def test_a_batch_is_as_many_problems(generator):
    d = library(generator)
    y, _ = mixtures(d, 3, generator, (2, 2))
    fit = mc_als(y, d, 3, starts=(pure_columns,), perturbations=0)
    for i in range(2):
        for j in range(2):
            alone = mc_als(y[i, j], d, 3, starts=(pure_columns,), perturbations=0)
            assert torch.equal(alone.indices, fit.indices[i, j])
            assert torch.allclose(alone.residual, fit.residual[i, j], atol=1e-8)


def test_codes_of_any_sign_and_single_precision(generator):
    d = normal(generator, 20, 30)
    codes = normal(generator, 40, 3)
    y = d[:, [4, 9, 2]] @ codes.mT
    for dtype in (torch.float32, torch.float64):
        fit = mc_als(y.to(dtype), d.to(dtype), 3, nonnegative=False, **ONE)
        assert fit.indices.sort().values.tolist() == [2, 4, 9]
        assert fit.residual < 1e-5 and fit.factors[1].dtype == dtype


def test_data_and_dictionary_must_fit(generator):
    d = library(generator)
    with pytest.raises(ValueError, match="40 rows does not fit"):
        mc_als(d[1:], d, 2)
    with pytest.raises(TypeError, match="one type"):
        mc_als(d.float(), d, 2)
    with pytest.raises(ValueError, match="NaN"):
        mc_als(d / 0, d, 2)
    with pytest.raises(ValueError, match="order 3"):
        dictionary_cp(d, d, 2)


def test_zero_data_and_rank_above_the_data_have_an_answer(generator):
    d = library(generator)
    fit = mc_als(torch.zeros_like(d), d, 3)
    assert fit.residual == 0 and len(fit.indices.unique()) == 3
    fit = mc_als(d[:, :2], d, 4)
    assert fit.residual < 1e-6 and len(fit.indices.unique()) == 4


def test_the_flexible_variant_finds_atoms_too(generator):
    d = library(generator)
    y, atoms = mixtures(d, 3, generator, (3,))
    fit = flexible_als(y, d, 3, **ONE)
    assert torch.equal(fit.indices.sort(-1).values, atoms.sort(-1).values)
    # From elsewhere columns move between atoms: the error never ends above that of the start.
    fit = flexible_als(y, d, 3, starts=(random_atoms,) * 4)
    stuck = mc_als(y, d, 3, starts=(random_atoms,) * 4, perturbations=0, max_iter=1)
    assert fit.residual.mean() < stuck.residual.mean()


@pytest.mark.parametrize("rank", [3, 5])
def test_atoms_of_the_library_of_minerals(rank, generator):
    try:
        d = load_usgs(torch.float64).spectra
    except FileNotFoundError:
        pytest.skip("the library is not in the cache")
    y, atoms = mixtures(d, rank, generator, (10,))
    fit = mc_als(y, d, rank, starts=several(3))
    assert (fit.indices.sort(-1).values == atoms.sort(-1).values).all()


# --- Several dictionaries ----------------------------------------------------------------------


def test_windows_around_pure_pixels(generator):
    spectra = library(generator, count=4)
    codes = -uniform(generator, 80, 4).log()
    codes = codes / codes.sum(-1, keepdim=True)
    pure = torch.tensor([5, 30, 31, 60])
    codes[pure] = torch.eye(4).double()
    y = spectra @ codes.mT
    y = (y + 0.01 * normal(generator, *y.shape)).clamp_min(0)
    parts = [y[:, :20], y[:, 25:40], y[:, 55:65]]
    fit = m2c_als(y, parts, (1, 2, 1), starts=several(3))
    which, inside = located(fit.indices, (20, 15, 10))
    assert which.sort().values.tolist() == [0, 1, 1, 2]
    pixels = torch.tensor([0, 25, 55])[which] + inside
    assert sorted(pixels.tolist()) == pure.tolist()
    alone = m2c_als(y, [y[:, p : p + 1] for p in pure.tolist()], (1, 1, 1, 1), **ONE)
    assert alone.indices.sort().values.tolist() == [0, 1, 2, 3]


def test_a_distance_is_made_small(generator):
    d = library(generator)
    y, atoms = mixtures(d, 3, generator)
    for distance in (cosine, mean_removed):
        fit = m2c_als(y, (d[:, :10], d[:, 10:]), (3, 3), rank=3, distance=distance, **ONE)
        assert fit.indices.sort().values.tolist() == atoms.sort().values.tolist()


# --- Tensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_atoms_in_one_mode_of_a_tensor(mode, generator):
    d = library(generator)
    atoms = torch.tensor([3, 17, 25])
    factors = [uniform(generator, n, 3) for n in (7, 8)]
    factors.insert(mode, d[:, atoms])
    tensor = CP(3)(tuple(factors))
    fit = dictionary_cp(tensor, d, 3, mode, starts=several(2), tol=1e-9)
    assert fit.indices.sort().values.tolist() == atoms.tolist()
    assert fit.residual < 1e-4 and [x.shape[0] for x in fit.factors] == list(tensor.shape)


def test_atoms_of_a_tensor_of_order_four_of_any_sign(generator):
    d = normal(generator, 10, 12)
    factors = [d[:, [1, 5]], *(normal(generator, n, 2) for n in (4, 5, 3))]
    fit = dictionary_cp(
        CP(4)(tuple(factors)), d, 2, nonnegative=False, starts=(greedy_atoms,), tol=1e-8
    )
    assert fit.indices.sort().values.tolist() == [1, 5] and fit.residual < 1e-5


# --- Several atoms for each column -------------------------------------------------------------


def test_columns_of_two_atoms_each(generator):
    d = normal(generator, 20, 12)
    d = d / d.norm(dim=0)
    codes = torch.zeros(12, 3).double()
    codes[[0, 4, 5, 7, 8, 11], [0, 0, 1, 1, 2, 2]] = 1 + uniform(generator, 6)
    w, h = d @ codes, normal(generator, 40, 3)
    fit = dlra(w @ h.mT, d, 3, 2, starts=6)
    assert sorted(map(tuple, fit.support.tolist())) == [(0, 4), (5, 7), (8, 11)]
    assert fit.residual < 1e-3 and fit.agreed >= 1
    assert ((fit.codes != 0).sum(0) <= 2).all()
    assert torch.allclose(d @ fit.codes, fit.factors[0])
    factors = (normal(generator, 6, 3), w, normal(generator, 7, 3))
    fit = dlra_cp(CP(3)(factors), d, 3, 2, mode=1, starts=5)
    assert sorted(map(tuple, fit.support.tolist())) == [(0, 4), (5, 7), (8, 11)]
    with pytest.raises(ValueError, match="has 12"):
        dlra(w @ h.mT, d, 3, 13)


@pytest.mark.parametrize("order", [2, 3])
def test_two_atoms_each_against_all_supports(order, generator):
    """Noisy data, rank 2: each pair of supports by alternating least squares from many starts."""
    d = normal(generator, 6, 5)
    codes = torch.tensor([[1.0, 0.0, 0.7, 0.0, 0.0], [0.0, 1.2, 0.0, 0.0, -0.9]]).double().T
    sizes = (7,) if order == 2 else (4, 3)
    others = [normal(generator, n, 2) for n in sizes]
    y = NMF()((d @ codes, *others)) if order == 2 else CP(3)((d @ codes, *others))
    y = y + 0.1 * normal(generator, *y.shape)
    if order == 2:
        fit = dlra(y, d, 2, 2, starts=20, tol=1e-8)
    else:
        fit = dlra_cp(y, d, 2, 2, starts=20, tol=1e-8)
    least, where = _all_supports(y, d, sizes, generator)
    assert float(fit.residual) <= least * (1 + 1e-3)
    assert sorted(map(tuple, fit.support.sort(-1).values.tolist())) == where


def _all_supports(y, d, sizes, generator):
    """The least relative error over all pairs of supports of two atoms, and that pair."""
    choices = list(combinations(range(d.shape[1]), 2))
    pairs = list(combinations_with_replacement(choices, 2))
    atoms = torch.stack([torch.stack([d[:, s], d[:, t]], -2) for s, t in pairs])  # (p, m, 2, k)
    others = [normal(generator, 4, len(pairs), n, 2) for n in sizes]
    flat, letters = y.reshape(len(d), -1), "jk"[: len(sizes)]
    for _ in range(40):
        terms = ",".join(f"...{a}r" for a in letters)
        b = torch.einsum(f"{terms}->...{letters}r", *others).reshape(4, len(pairs), -1, 2)
        design = torch.einsum("pmrk,spnr->spmnrk", atoms, b).flatten(-2).flatten(2, 3)
        x = _solved(design, flat.reshape(-1, 1))
        w = torch.einsum("pmrk,sprk->spmr", atoms, x.reshape(4, len(pairs), 2, 2))
        for i in range(len(sizes)):
            rest = [w, *(z for j, z in enumerate(others) if j != i)]
            names = ["m", *(a for j, a in enumerate(letters) if j != i)]
            terms = ",".join(f"sp{a}r" for a in names)
            k = torch.einsum(f"{terms}->sp{''.join(names)}r", *rest).flatten(2, -2)
            unfolded = y.movedim(i + 1, -1).reshape(-1, sizes[i])
            others[i] = _solved(k, unfolded).mT
    terms = ",".join(f"sp{a}r" for a in "m" + letters)
    found = torch.einsum(f"{terms}->spm{letters}", w, *others)
    errors = (found - y).flatten(2).norm(dim=-1) / y.norm()
    best = int(errors.amin(0).argmin())
    return float(errors.min()), sorted(pairs[best])


def _solved(a, b):
    """Least squares; columns of one support may be dependent."""
    tiny = 1e-10 * torch.eye(a.shape[-1], dtype=a.dtype)
    return torch.linalg.solve(a.mT @ a + tiny, a.mT @ b)


# --- Splines -----------------------------------------------------------------------------------


def test_splines_are_nonnegative_and_sum_to_one():
    for degree, count in ((0, 3), (1, 4), (3, 9)):
        basis = bspline_basis(50, count, degree)
        assert basis.shape == (50, count) and (basis >= 0).all()
        assert torch.allclose(basis.sum(-1), torch.ones(50, dtype=basis.dtype))
    x = torch.tensor([0.0, 1.0, 4.0, 5.0, 9.0])
    assert bspline_basis(x, 4).dtype == torch.float32
    with pytest.raises(ValueError, match="number of splines"):
        bspline_basis(10, 3)
    with pytest.raises(ValueError, match="increase"):
        bspline_basis(x.flip(0), 4)


def test_splines_beat_a_plain_cp_under_strong_noise(generator):
    from rlra_torch import cp

    place = torch.linspace(0, 1, 80, dtype=torch.float64)[:, None]
    smooth = (-(((place - torch.tensor([0.3, 0.6])) / 0.15) ** 2)).exp()
    truth = (uniform(generator, 8, 2), smooth, uniform(generator, 9, 2))
    clean = CP(3)(truth)
    noise = normal(generator, *clean.shape)
    y = clean + noise * clean.norm() / noise.norm() * 10 ** (5 / 20)  # -5 dB
    fit = smooth_cp(y, 2, {1: bspline_basis(80, 12)}, starts=2)
    plain = min((cp(y, 2, seed=s) for s in range(2)), key=lambda found: found.relative_error)
    errors = [float((CP(3)(x) - clean).norm() / clean.norm()) for x in (fit.factors, plain.factors)]
    assert errors[0] < 0.75 * errors[1]
    assert factor_match(fit.factors, truth) > factor_match(plain.factors, truth)
    assert torch.allclose(bspline_basis(80, 12) @ fit.codes[1], fit.factors[1])
    assert all((x >= 0).all() for x in fit.factors) and 1 <= fit.agreed <= 2


def test_splines_lose_nothing_that_they_span(generator):
    bases = {0: bspline_basis(15, 5), 2: bspline_basis(12, 4)}
    truth = (bases[0] @ uniform(generator, 5, 2), uniform(generator, 4, 2))
    y = CP(3)((*truth, bases[2] @ uniform(generator, 4, 2)))
    for nonnegative in (True, False):
        fit = smooth_cp(y, 2, bases, nonnegative=nonnegative, starts=1, max_iter=40)
        assert fit.residual < 0.05
    with pytest.raises(ValueError, match="does not fit mode 1"):
        smooth_cp(y, 2, {1: bases[0]})
    with pytest.raises(ValueError, match="dependent"):
        smooth_cp(y, 2, {0: torch.ones(15, 2).double()})
