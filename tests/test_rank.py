"""Rank selection: folds, held-out losses, batches, and the rank that was planted."""

import json
import math

import numpy as np
import pytest
import scipy.sparse
import torch
from conformance import close
from test_plots import assert_readable
from zoo import uniform

from rlra_torch import select_rank
from rlra_torch.data import Dense, Sparse
from rlra_torch.functional.memory import peak_bytes
from rlra_torch.iterations import HALS, MU, Alternating
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.rank import Positions, RankFit, block_folds, speckled_folds
from rlra_torch.rank import batches as planning
from rlra_torch.rank import fits as fitting
from rlra_torch.rank.batches import Job, Study, capacity, grouped
from rlra_torch.regularizers import NonNegative, Simplex
from rlra_torch.solvers import solve


def planted(kind, seed, shape=(40, 50), rank=3, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    w, h = (torch.rand(size, rank, generator=draw, dtype=dtype).square() for size in shape)
    clean = w @ h.mT
    if kind == "kl":
        return torch.poisson(20 * clean, generator=draw)
    return clean + 0.2 * clean.mean() * torch.randn(shape, generator=draw, dtype=dtype)


def study(kind="kl", seed=0, folds=3, weights=None, shape=(12, 10), loss=None):
    y = planted(kind, seed, shape, 2)
    loss = KullbackLeibler() if loss is None else loss
    regs = (NonNegative(), NonNegative())
    return Study(Dense(y, weights), speckled_folds(shape, folds), loss, regs, seed)


def arrays(fit):
    return {name: value for name, value in vars(fit).items() if name != "seconds"}


def same(one, two, rtol=1e-7):
    for name, value in arrays(one).items():
        np.testing.assert_allclose(value, getattr(two, name), rtol, 1e-9, err_msg=name)


# --- Folds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda s: speckled_folds(s, 4), lambda s: block_folds(s, (2, 3))])
def test_every_entry_is_in_one_fold(make):
    shape = (7, 9)
    total = sum(fold.mask(shape).int() for fold in make(shape))
    assert (total == 1).all()


def test_speckled_folds_are_of_one_size_and_share_nothing():
    shape = (11, 13)
    for folds, fraction in ((5, None), (3, 0.1), (1, None), (1, 0.5)):
        parts = speckled_folds(shape, folds, fraction)
        expected = 143 * (fraction or (1 / folds if folds > 1 else 0.1))
        assert len(parts) == folds
        assert all(abs(len(part.rows) - expected) <= 1 for part in parts)
        assert sum(part.mask(shape).int() for part in parts).max() == 1
        assert all(part.mask(shape).sum() == len(part.rows) for part in parts)


def test_folds_take_what_is_observed_only(generator):
    seen = uniform(generator, 11, 13) < 0.5
    for parts in (speckled_folds((11, 13), 3, observed=seen), block_folds((11, 13), observed=seen)):
        assert torch.equal(sum(part.mask((11, 13)).int() for part in parts) > 0, seen)


def test_a_seed_gives_the_same_folds():
    for make in (speckled_folds, block_folds):
        one, two, other = make((6, 5), seed=1), make((6, 5), seed=1), make((6, 5), seed=2)
        again = make((6, 5), seed=torch.Generator().manual_seed(1))
        for parts, equal in ((two, True), (again, True), (other, False)):
            pairs = zip(one, parts, strict=True)
            assert all(torch.equal(x.mask((6, 5)), y.mask((6, 5))) for x, y in pairs) == equal


def test_speckles_are_uniform():
    """Each entry is held out as often as any other, and pairs are as good as independent."""
    counts = sum(
        speckled_folds((5, 4), 1, 0.25, seed)[0].mask((5, 4)).double() for seed in range(2000)
    )
    assert (counts / 2000 - 0.25).abs().max() < 0.05


def test_positions_of_a_matrix_that_is_larger_than_memory():
    """Without a table of all entries."""
    shape = (10**6, 10**6)
    made = []
    peak = peak_bytes(lambda: made.append(speckled_folds(shape, 2, 1e-9)))
    places = torch.cat([part.rows * shape[1] + part.cols for part in made[0]])
    assert len(places) == 2000 == len(places.unique()) and peak < 10**6
    assert places.double().mean() / 10**12 == pytest.approx(0.5, abs=0.05)
    for part in made[0]:
        assert part.rows.max() < shape[0] and part.cols.max() < shape[1]


def test_blocks_are_rows_times_columns():
    for fold in block_folds((7, 9), (2, 3)):
        mask = fold.mask((7, 9))
        rows, cols = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & cols)
        assert rows.sum() in (3, 4) and cols.sum() == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: speckled_folds((3, 3), 0), "number of folds must be an integer of at least 1"),
        (lambda: speckled_folds((3, 3), 3, 0.5), r"held_out must be in \(0, 0.333333\]"),
        (lambda: speckled_folds((3, 3), 1, 1.0), "held_out must be in"),
        (lambda: speckled_folds((3, 3), 3, 0.01), "leave one without an entry"),
        (lambda: block_folds((3, 3), (1, 1)), "hold out all or split what is not there"),
        (lambda: block_folds((3, 3), (4, 1)), "at most one a row and one a column"),
        (lambda: block_folds((3, 3), (3, 3), observed=torch.eye(3) > 0), "no observed entry"),
    ],
)
def test_bad_folds(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- Batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "step"),
    [
        (KullbackLeibler(), Alternating(MU())),
        (Frobenius(), Alternating(MU(), inner=2)),
        (Frobenius(), Alternating(HALS(), inner=2)),
    ],
)
@pytest.mark.parametrize("folds", [True, False])
def test_a_batch_equals_a_loop(folds, loss, step, weighted, generator):
    """Replicates, ranks and folds in one solve: each as if it were alone, up to rounding."""
    weights = uniform(generator, 12, 10, low=0.5) if weighted else None
    work = study("kl" if loss.nonnegative else "frobenius", weights=weights, loss=loss)
    over = range(3) if folds else [None]
    jobs = [Job(rank, i, k) for rank in (1, 2, 4) for i in range(2) for k in over]
    settings = {"max_iter": 60, "tol": 3e-3, "check_every": 5}
    together = solve(step, *work.problem(jobs), **settings)
    assert len(set(together.n_iter.tolist())) > 1, "each stops on its own"
    for k, job in enumerate(jobs):
        alone = solve(step, *work.problem([job]), **settings)
        assert alone.n_iter[0] == together.n_iter[k]
        for x, y in zip(together.factors, alone.factors, strict=True):
            assert (x[k, :, job.rank :] == 0).all()
            close(x[k, :, : job.rank], y[0], 1e-6)


def test_the_start_of_a_rank_depends_on_nothing_else():
    work = study()
    one = work.problem([Job(2, 1, 0)])[1]
    two = work.problem([Job(5, 0, None), Job(2, 1, None)])[1]
    other = work.problem([Job(2, 0, 0)])[1]
    for x, y, z in zip(one, two, other, strict=True):
        assert torch.equal(x[0], y[1, :, :2]) and not torch.equal(x, z)


def test_groups():
    assert list(grouped([2, 3, 4, 5, 9], 6, lambda rank: 20, True)) == [
        ([2, 3, 4], 20),
        ([5, 9], 20),
    ]
    assert list(grouped([2, 3, 4], 6, lambda rank: 12, True)) == [([2, 3], 12), ([4], 12)]
    assert list(grouped([2, 3], 6, lambda rank: 20, False)) == [([2], 20), ([3], 20)]
    assert list(grouped([2, 3], 6, lambda rank: 5 - rank, True)) == [([2], 3), ([3], 2)]


def test_a_batch_takes_what_is_free(monkeypatch):
    """As many problems as fit, and one sentence where not even one does."""
    work, step = study(shape=(60, 50)), Alternating(MU())
    sizes = {}
    for free in (10**6, 10**7, 10**12):
        monkeypatch.setattr(planning, "available_bytes", lambda device, free=free: free)
        sizes[free] = capacity(work, step, 3)
    assert 1 <= sizes[10**6] < sizes[10**7] < sizes[10**12] == planning.CACHED // 3000

    @torch.no_grad()
    def once(count):
        problem, start = work.problem([Job(3, 0, 0)] * count)
        solve(step, problem, problem.scaled(start), max_iter=1, tol=0)

    assert work.masks.any()  # made once for all batches
    assert peak_bytes(lambda: once(sizes[10**7])) <= 10**7 * planning.SHARE
    monkeypatch.setattr(planning, "available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match="a fit of rank 3 needs .* MB beyond the data but 0.0 MB"):
        capacity(work, step, 3)


def test_small_batches_give_the_same_answer():
    y = planted("kl", 0, (14, 12), 2)
    settings = {"folds": 2, "replicates": 2, "max_iter": 30}
    whole = select_rank(y, [1, 2, 3], "kl", **settings)
    for batch in (1, 3):
        parts = select_rank(y, [1, 2, 3], "kl", batch=batch, **settings)
        for one, two in zip(whole.fits, parts.fits, strict=True):
            same(one, two, 1e-5)


def test_a_full_device_halves_the_batch(monkeypatch):
    y, tried = planted("kl", 0, (14, 12), 2), []

    def limited(step, problem, start, **settings):
        tried.append(problem.batch_shape.numel())
        if tried[-1] > 2:
            raise torch.OutOfMemoryError
        return solve(step, problem, start, **settings)

    settings = {"folds": 2, "replicates": 2, "max_iter": 20}
    whole = select_rank(y, [2], "kl", **settings)
    monkeypatch.setattr(fitting, "solve", limited)
    same(select_rank(y, [2], "kl", **settings)[2], whole[2], 1e-5)
    assert tried == [2, 4, 2, 2]

    def never(*parts, **settings):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(fitting, "solve", never)
    with pytest.raises(MemoryError, match="a fit of rank 2 does not fit into the memory of cpu"):
        select_rank(y, [2], "kl", **settings)


# --- What is measured --------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [KullbackLeibler(), Frobenius()])
@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_loss_is_the_mean_of_a_fold(weighted, loss, generator, monkeypatch):
    weights = uniform(generator, 12, 10) if weighted else None
    work = study(weights=weights, loss=loss)
    w, h = uniform(generator, 12, 2), uniform(generator, 10, 2)
    monkeypatch.setattr(planning, "CACHED", 7)  # in several pieces
    for k, fold in enumerate(work.folds):
        mask = fold.mask((12, 10))
        entries, parts = loss(w @ h.mT, work.data.y)[mask], torch.ones(12, 10).double()[mask]
        parts = parts if weights is None else weights[mask]
        expected = (entries * parts).sum() / parts.sum()
        assert work.held_out_loss(w, h, k) == pytest.approx(expected.item())


def test_a_fit_never_looks_at_what_is_held_out():
    y = planted("kl", 0, (14, 12), 2)
    folds = speckled_folds((14, 12), 2)
    settings = {"folds": folds, "replicates": 1, "max_iter": 20}
    one = select_rank(y, [2], "kl", **settings)[2]
    changed = torch.where(folds[0].mask((14, 12)), y + 5, y)
    two = select_rank(changed, [2], "kl", **settings)[2]
    assert (one.n_iter[:, 0] == two.n_iter[:, 0]).all()
    work = Study(Dense(y), folds, KullbackLeibler(), (NonNegative(), NonNegative()), 0)
    other = Study(Dense(changed), folds, KullbackLeibler(), work.regs, 0)
    for x, z in zip(
        *(
            solve(Alternating(MU()), *s.problem([Job(2, 0, 0)]), max_iter=9).factors
            for s in (work, other)
        ),
        strict=True,
    ):
        assert torch.equal(x, z)


def test_missing_entries_are_neither_fitted_nor_compared(generator):
    y = planted("kl", 0, (14, 12), 2)
    hole = uniform(generator, 14, 12) < 0.15
    settings = {"replicates": 2, "folds": 2, "max_iter": 20}
    answers = [
        select_rank(torch.where(hole, torch.nan, y), [1, 2], "kl", **settings),
        select_rank(y, [1, 2], "kl", weights=~hole, **settings),
        select_rank(torch.where(hole, 1e6, y), [1, 2], "kl", weights=(~hole).double(), **settings),
    ]
    for other in answers[1:]:
        for one, two in zip(answers[0].fits, other.fits, strict=True):
            same(one, two, 1e-12)
    assert sum(answers[0].description["held_out"]) == int((~hole).sum())


def test_given_folds(generator):
    y = planted("kl", 0, (14, 12), 2)
    hole = uniform(generator, 14, 12) < 0.15
    settings = {"replicates": 1, "max_iter": 10}
    blocks = block_folds((14, 12), (2, 2))
    found = select_rank(torch.where(hole, torch.nan, y), [1], "kl", folds=blocks, **settings)
    assert found.fits[0].held_out.shape == (1, 4)
    assert sum(found.description["held_out"]) == int((~hole).sum())


@pytest.mark.parametrize("iteration", ["mu", "msom", "burg", "newton"])
def test_every_iteration_and_a_constraint_that_couples_components(iteration):
    y = planted("kl", 0, (14, 12), 2).add(0.1)
    found = select_rank(y, [2, 3], "kl", iteration, folds=2, replicates=2, max_iter=20)
    assert all(np.isfinite(fit.held_out).all() for fit in found.fits)
    if iteration == "msom":
        regs = (NonNegative(), Simplex())
        found = select_rank(y, [2, 3], "kl", iteration, folds=2, regs=regs, max_iter=20)
        assert all(np.allclose(fit.H.sum(1), 1) for fit in found.fits)


# --- Sparse data -------------------------------------------------------------------------------


def sparse_counts(seed=0, shape=(30, 24)):
    draw = torch.Generator().manual_seed(seed)
    w, h = (torch.rand(size, 2, generator=draw, dtype=torch.float64).pow(4) for size in shape)
    return torch.poisson(3 * w @ h.mT, generator=draw)


@pytest.mark.parametrize("kind", ["csr", "coo", "scipy"])
@pytest.mark.parametrize("loss", ["kl", "frobenius"])
def test_sparse_data_gives_the_answer_of_dense_data(loss, kind):
    """With zeros held out that no one stores."""
    y = sparse_counts()
    assert (y == 0).double().mean() > 0.5
    make = {
        "csr": torch.Tensor.to_sparse_csr,
        "coo": torch.Tensor.to_sparse_coo,
        "scipy": lambda x: scipy.sparse.csc_matrix(x.numpy()),
    }[kind]
    settings = {"folds": speckled_folds((30, 24), 3, 0.1), "replicates": 2, "max_iter": 30}
    dense = select_rank(y, [1, 2, 3], loss, **settings)
    found = select_rank(make(y), [1, 2, 3], loss, **settings)
    for one, two in zip(dense.fits, found.fits, strict=True):
        same(one, two, 1e-5)


def test_sparse_data_never_becomes_dense(monkeypatch):
    def refuse(*parts, **settings):
        raise AssertionError("made dense")

    y = sparse_counts().to_sparse_csr()
    monkeypatch.setattr(torch.Tensor, "to_dense", refuse)
    found = select_rank(y, [1, 2], "kl", folds=2, replicates=1, max_iter=5)
    # Of a matrix that is mostly zeros no more is held out than is stored.
    stored = len(y.values())
    assert all(abs(size - min(stored, 360)) <= 1 for size in found.description["held_out"])


def test_what_sparse_weights_do_not_store_is_missing(generator):
    y, seen = sparse_counts(), uniform(generator, 30, 24) < 0.5
    weights = scipy.sparse.csr_matrix(seen.double().numpy())
    settings = {"replicates": 2, "max_iter": 20}
    folds = select_rank(y, [1], "kl", weights=weights, folds=3, **settings)
    assert sum(folds.description["held_out"]) == int(seen.sum())
    parts = speckled_folds((30, 24), 3)
    one = select_rank(y, [2], "kl", weights=weights, folds=parts, **settings)
    two = select_rank(y, [2], "kl", weights=seen, folds=parts, **settings)
    same(one.fits[0], two.fits[0], 1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
def test_entries_of_any_layout(zeros, weighted, generator):
    y, held = sparse_counts(), uniform(generator, 30, 24) < 0.4
    weights = uniform(generator, 30, 24, low=0.1) if weighted else torch.ones(30, 24).double()
    row, col = torch.randint(30, (50,), generator=generator), torch.arange(50) % 24
    if zeros:
        data = Sparse.of(y.to_sparse_csr(), weights if weighted else None)
        expected = weights
    else:
        data, expected = Sparse.of(y, (weights * held).to_sparse_csr()), weights * held
    values, found = data.at(row, col)
    assert torch.equal(found, expected[row, col])
    seen = found > 0
    assert torch.equal(values[seen], y[row, col][seen])
    values, found = Dense(y, expected).at(row, col)
    assert torch.equal(found, expected[row, col])
    assert torch.equal(values[found > 0], y[row, col][found > 0])
    nothing = Sparse.of(torch.zeros(3, 2).to_sparse_csr())
    assert [x.tolist() for x in nothing.at(torch.tensor([1]), torch.tensor([1]))] == [[0], [1]]


def test_half_precision_is_computed_with_in_single():
    y = planted("kl", 0, (14, 12), 2)
    settings = {"folds": 2, "replicates": 2, "max_iter": 15}
    half = select_rank(y.half(), [1, 2], "kl", **settings)
    single = select_rank(y.float(), [1, 2], "kl", **settings)
    assert half[2].W.dtype == np.float32
    for one, two in zip(half.fits, single.fits, strict=True):
        same(one, two, 1e-3)


# --- The planted rank --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["kl", "frobenius"])
def test_the_planted_rank_is_found(kind, seed):
    y = planted(kind, seed)
    y = y if kind == "kl" else y.clamp_min(0)
    found = select_rank(y, [1, 2, 3, 4, 6], kind, seed=seed, max_iter=100)
    assert found.minimum == found.one_standard_error == 3
    # Starts agree up to the planted rank and no further.
    congruence = {fit.rank: fit.congruence.mean() for fit in found.fits}
    assert min(congruence[r] for r in (1, 2, 3)) > 0.95 > congruence[6]
    # Fits improve with the rank; what was held out tells why not to believe them.
    objective = [fit.objective.min() for fit in found.fits]
    assert objective == sorted(objective, reverse=True)


def test_order_does_not_matter(generator):
    """Rows and columns permuted, with the same entries held out, or the matrix transposed."""
    y = planted("kl", 1, (30, 24), 2)
    rows, cols = torch.randperm(30, generator=generator), torch.randperm(24, generator=generator)
    folds = speckled_folds((30, 24), 3)
    moved = [Positions(rows.argsort()[f.rows], cols.argsort()[f.cols]) for f in folds]
    turned = [Positions(fold.cols, fold.rows) for fold in folds]
    settings = {"iteration": "newton", "replicates": 2, "max_iter": 60, "tol": 1e-7}
    ranks = [1, 2]
    one = select_rank(y, ranks, "kl", folds=folds, **settings)
    two = select_rank(y[rows][:, cols], ranks, "kl", folds=moved, **settings)
    three = select_rank(y.mT, ranks, "kl", folds=turned, samples="rows", **settings)
    for other in (two, three):
        assert other.minimum == one.minimum
        for a, b in zip(one.fits, other.fits, strict=True):
            np.testing.assert_allclose(a.held_out, b.held_out, rtol=1e-3)
            assert a.objective.min() == pytest.approx(b.objective.min(), rel=1e-6)
            assert a.consensus.shape == b.consensus.shape == (24, 24)
    np.testing.assert_allclose(one[2].consensus[cols][:, cols], two[2].consensus)
    np.testing.assert_allclose(one[2].consensus, three[2].consensus)


def test_noise_has_no_components():
    noise = torch.rand(30, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert select_rank(noise, [1, 2, 4], max_iter=60, replicates=2).minimum == 1


# --- The result --------------------------------------------------------------------------------


def line(rank, by_fold, **changes):
    held_out = np.array([by_fold, by_fold], dtype=float)
    parts = {
        "rank": rank, "held_out": held_out, "objective": np.array([1.0, 2.0]),
        "W": np.ones((3, rank)), "H": np.ones((4, rank)), "samples": np.arange(4),
        "consensus": np.ones((4, 4)),
        "cophenetic": 1.0, "dispersion": 1.0, "congruence": np.ones(rank),
        "silhouette": np.ones(rank), "converged": np.ones((2, 3), bool),
        "n_iter": np.full((2, 3), 7), "seconds": 0.5, **changes,
    }  # fmt: skip
    return RankFit(**parts)


def selection(*fits):
    from rlra_torch.rank import RankSelection

    described = {"shape": [3, 4], "loss": "KL", "iteration": "MU", "folds": 2, "replicates": 2}
    return RankSelection(fits, described)


def test_the_rule_of_one_standard_error():
    """The least mean is 1.0 with standard error 0.1 = (1.1 - 0.9) / 2."""
    fits = line(2, [1.2, 1.3]), line(3, [1.05, 1.05]), line(4, [0.9, 1.1]), line(5, [1.2, 1.0])
    found = selection(*fits)
    assert fits[2].mean == pytest.approx(1.0) and fits[2].error == pytest.approx(0.1)
    assert (found.minimum, found.one_standard_error) == (4, 3)
    single = selection(line(2, [1.1]), line(3, [1.0]))
    assert (single.minimum, single.one_standard_error) == (3, 3)
    assert math.isnan(single[3].error) and single.table[0]["standard_error"] is None
    with pytest.raises(KeyError, match="rank 7 was not tried; there are 2, 3"):
        single[7]


def test_what_is_reported(capsys):
    y = planted("kl", 0, (14, 12), 2).numpy()
    found = select_rank(y, [3, 1], "kl", folds=2, replicates=2, max_iter=20)
    assert found.ranks == (1, 3)
    fit = found[3]
    assert fit.held_out.shape == (2, 2) and fit.objective.shape == (2,)
    assert fit.W.shape == (14, 3) and fit.H.shape == (12, 3) and fit.consensus.shape == (12, 12)
    assert fit.congruence.shape == fit.silhouette.shape == (3,)
    assert fit.converged.shape == fit.n_iter.shape == (2, 3) and fit.seconds > 0
    loss = KullbackLeibler()(torch.from_numpy(fit.W @ fit.H.T), torch.from_numpy(y)).mean()
    assert fit.objective.min() == pytest.approx(loss.item())
    text = found.summary()
    assert max(len(row) for row in text.splitlines()) <= 80
    assert "14 x 12, KullbackLeibler(beta=1), AcceleratedMU; 2 folds, 2 starts" in text
    content = json.loads(found.to_json())
    assert content["chosen"]["minimum"] == found.minimum
    assert [row["rank"] for row in content["table"]] == [1, 3]
    assert np.allclose(content["details"][1]["held_out"], fit.held_out)
    assert_readable(found.plot())
    assert capsys.readouterr().out == ""
    assert_readable(selection(line(2, [1.1])).plot())


def test_one_start_says_nothing_about_stability():
    y = planted("kl", 0, (14, 12), 2)
    found = select_rank(y, [1, 2], "kl", folds=2, replicates=1, max_iter=10)
    row = found.table[1]
    assert [row[name] for name in ("congruence", "silhouette", "cophenetic")] == [None] * 3
    assert "-" in found.summary() and json.loads(found.to_json())["table"][1]["dispersion"] is None
    assert_readable(found.plot())


# --- Interrupted work --------------------------------------------------------------------------


def test_finished_ranks_are_kept(tmp_path):
    y = planted("kl", 0, (14, 12), 2)
    settings = {"folds": 2, "replicates": 2, "max_iter": 15, "folder": tmp_path / "deep" / "out"}
    first, then = [], []
    select_rank(y, [1, 2], "kl", watch=first.append, **settings)
    names = sorted(path.name for path in settings["folder"].iterdir())
    assert names == ["rank_001.npz", "rank_002.npz"]
    found = select_rank(y, [1, 2, 3], "kl", watch=then.append, **settings)
    assert [fit.rank for fit in first] == [1, 2] and [fit.rank for fit in then] == [3]
    fresh = select_rank(y, [1, 2, 3], "kl", **{**settings, "folder": None})
    for one, two in zip(found.fits, fresh.fits, strict=True):
        same(one, two, 1e-5)
    for change in (
        {"seed": 1}, {"max_iter": 16}, {"folds": 3}, {"loss": "frobenius"}, {"y": y + 1},
        {"regs": (NonNegative(0.1), NonNegative(0.1))}, {"weights": torch.ones_like(y)},
        {"iteration": MU(floor=1e-3)},
    ):  # fmt: skip
        again = []
        parts = {"y": y, "loss": "kl", "iteration": None, **settings, **change}
        data, loss, step = (parts.pop(name) for name in ("y", "loss", "iteration"))
        select_rank(data, [2], loss, step, watch=again.append, **parts)
        assert [fit.rank for fit in again] == [2], f"{change} is another fit"


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other"])
def test_a_damaged_file_is_done_again(damage, tmp_path):
    y = planted("kl", 0, (14, 12), 2)
    settings = {"folds": 2, "replicates": 2, "max_iter": 5, "folder": tmp_path}
    select_rank(y, [2], "kl", **settings)
    path, again = tmp_path / "rank_002.npz", []
    whole = path.read_bytes()
    if damage == "other":
        np.savez(path, settings=np.ones(3))
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"noise"}[damage])
    select_rank(y, [2], "kl", watch=again.append, **settings)
    assert len(again) == 1 and RankFit.load(path, "other settings") is None
    again.clear()
    select_rank(y, [2], "kl", watch=again.append, **settings)
    assert again == []


# --- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Y": np.ones(3)}, ValueError, "select_rank needs a matrix"),
        ({"Y": -np.ones((4, 4))}, ValueError, "cannot take this data"),
        ({"ranks": []}, ValueError, "ranks must be some integers"),
        ({"ranks": [2, 2]}, ValueError, "each once"),
        ({"ranks": 3}, TypeError, "ranks is a list of integers, got int"),
        ({"ranks": [0]}, ValueError, "a rank must be an integer of at least 1"),
        ({"replicates": 0}, ValueError, "replicates must be an integer"),
        ({"batch": 0}, ValueError, "batch must be an integer"),
        ({"samples": "cells"}, ValueError, "samples are 'columns' or 'rows'"),
        ({"folds": [torch.ones(2)]}, TypeError, "made of Positions"),
        ({"folds": []}, ValueError, "there must be a fold"),
        (
            {"folds": [Positions(torch.tensor([9]), torch.tensor([0]))]},
            ValueError,
            "some entries of a matrix of shape",
        ),
        ({"regs": [NonNegative(torch.ones(1, 3))] * 2}, ValueError, "same for all components"),
        ({"max_iter": 0}, ValueError, "max_iter"),
    ],
)
def test_bad_input(change, error, message, tmp_path):
    parts = {
        "Y": np.ones((6, 5)),
        "ranks": [1, 2],
        "loss": "kl",
        "folder": tmp_path / "out",
        **change,
    }
    with pytest.raises(error, match=message):
        select_rank(parts.pop("Y"), parts.pop("ranks"), **parts)
    assert not (tmp_path / "out").exists()
