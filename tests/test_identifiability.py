"""When factorizations are the only ones: against brute force, other solutions and known areas."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from zoo import normal, uniform

from rlra_torch.datasets import mixture
from rlra_torch.diagnostics import (
    atoms_unique,
    babel,
    cdl_identifiable,
    dependence,
    feasible_set,
    minimum_volume_unique,
    mutual_coherence,
    nmf_unique,
    nnls_unique,
    separable,
    spark,
    sparse_codes_unique,
    sufficiently_scattered,
)
from rlra_torch.diagnostics.nested import regions
from rlra_torch.estimators import nmf

I3 = torch.eye(3, dtype=torch.float64)


def cone(*rows):
    return torch.tensor(rows, dtype=torch.float64)


# --- Spark and coherence --------------------------------------------------------------------------


def test_coherence_and_babel_by_their_definitions(generator):
    D = normal(generator, 5, 7)
    unit = (D / D.norm(dim=0)).numpy()
    cosines = np.abs(unit.T @ unit)
    pairs = [cosines[i, j] for i, j in itertools.permutations(range(7), 2)]
    assert mutual_coherence(D).item() == pytest.approx(max(pairs))
    for p in range(1, 7):
        sums = [
            cosines[i, list(s)].sum()
            for i in range(7)
            for s in itertools.combinations([j for j in range(7) if j != i], p)
        ]
        assert babel(D)[p - 1].item() == pytest.approx(max(sums))
    assert babel(torch.stack([D, 2 * D])).shape == (2, 6)
    assert mutual_coherence(torch.ones(3, 1)).item() == 0


def test_spark_is_that_of_planted_dependent_sets(generator, monkeypatch):
    for size in (2, 3, 4):
        D = normal(generator, 6, 9)
        D[:, 8] = D[:, : size - 1].sum(1)
        assert spark(D) == (size, size)
    assert spark(D, limit=2).lower == 3
    D[:, 4] = 0
    assert spark(D) == (1, 1)
    assert spark(normal(generator, 6, 4)) == (math.inf, math.inf)
    monkeypatch.setattr(dependence, "SUBSETS", 3)
    D = torch.cat([torch.eye(24), torch.ones(24, 1) / 24**0.5], 1).double()
    D = torch.cat([D, D[:, :6].sum(1, keepdim=True)], 1)
    found = spark(D)  # the last atom and six others are dependent: pursuit finds them
    assert found.upper == 7 and 2 < found.lower <= 7


# --- Conditions -----------------------------------------------------------------------------------


def test_night_sky(generator):
    W = uniform(generator, 4, 7)
    found = nnls_unique(W)
    assert found.unique and "at most 3 positive" in found.words
    outside = 0
    for _ in range(20):
        y = normal(generator, 4)
        x = torch.from_numpy(scipy.optimize.nnls(W.numpy(), y.numpy())[0])
        if (W @ x - y).norm() > 1e-9:
            outside += 1
            assert nnls_unique(W, y).unique and int((x > 0).sum()) <= 3
        else:
            assert nnls_unique(W, W @ torch.ones(7, dtype=W.dtype)).unique is False
    assert outside
    assert nnls_unique(normal(generator, 7, 3)).unique is True
    assert nnls_unique(torch.cat([W, W[:, :1]], 1)).unique is None
    assert nnls_unique(torch.cat([W, W[:, :1]], 1), W[:, 0]).unique is False
    with pytest.raises(
        ValueError, match=r"W is \(m, n\) and y \(m,\), got W of shape \(4, 7\) and"
    ):
        nnls_unique(W, torch.ones(5))


def test_one_sparse_dictionaries_need_one_atom_more_than_the_rank(generator):
    # Five atoms in general position of a plane: spark 3 > 2, yet any two span the data.
    D = normal(generator, 2, 5)
    assert spark(D) == (3, 3)
    Y = D[:, :2] @ normal(generator, 2, 8)
    other = D[:, [2, 4]]
    assert (other @ torch.linalg.lstsq(other, Y).solution - Y).norm() < 1e-9
    assert atoms_unique(D, 2).unique is False
    assert atoms_unique(D, 1).unique is True
    assert atoms_unique(D, 2, torch.tensor([0, 1])).unique is False
    D = normal(generator, 8, 12)
    assert atoms_unique(D, 3).unique is True
    D[:, 11] = D[:, :3].sum(1)
    assert atoms_unique(D, 3).unique is False
    assert atoms_unique(D, 3, torch.tensor([2, 1, 0])).unique is False
    assert atoms_unique(D, 3, torch.tensor([0, 1, 4])).unique is True
    for indices in ([0, 0, 1], [0, 1], [0, 1, 12]):
        with pytest.raises(ValueError, match="3 different atoms from 0 to 11"):
            atoms_unique(D, 3, torch.tensor(indices))
    with pytest.raises(ValueError, match="rank must be an integer of at least 1, got 0"):
        atoms_unique(D, 0)


def test_sparse_codes(generator):
    assert sparse_codes_unique(normal(generator, 8, 12), 2).unique is True
    assert sparse_codes_unique(normal(generator, 3, 12), 2).unique is False
    with pytest.raises(ValueError, match="k must be"):
        sparse_codes_unique(I3, 0)


def test_counts_on_facets_have_words():
    t = torch.arange(1.0, 5.0)
    edge = torch.stack((torch.ones(4), t, torch.zeros(4)), 1)
    codes = torch.cat([edge.roll(i, 1) for i in range(3)])
    assert "the dictionary is unique" in cdl_identifiable(codes).words
    assert "fewer than the 4" in cdl_identifiable(codes[:-2]).words


def test_separable_and_its_words(generator):
    scene = mixture(20, 60, 4, seed=generator, dtype=torch.float64)
    found = separable(scene.H)
    assert found.unique and torch.equal(scene.H[found.pixels].argmax(1), torch.arange(4))
    mixed = separable(0.5 * scene.H + 0.125)
    assert mixed.unique is None and "4 components have no pure pixel" in mixed.words
    with pytest.raises(ValueError, match="nonnegative and not NaN"):
        separable(-scene.H)


class TestScattered:
    def test_the_hull_of_six_points_on_the_edges(self):
        # Rows a : 1 on all edges: the chord that cuts a corner touches the ball at a = 2 exactly.
        for a, expected in ((1.9, False), (2.1, True)):
            H = cone(*set(itertools.permutations((0.0, 1.0, a))))
            assert sufficiently_scattered(H).unique is expected
        assert sufficiently_scattered(cone(*set(itertools.permutations((0, 1, 2))))).unique is False

    @pytest.mark.parametrize("rank", [3, 4, 5])
    def test_margin_is_the_polar_radius(self, generator, rank):
        """Of ``{y: H y >= 0, sum y = 1}`` no vertex but the unit vectors has norm 1 or more."""
        H = uniform(generator, 30 - 4 * rank, rank)
        H = H * (uniform(generator, 30 - 4 * rank, rank) > 0.35)
        H = H[H.sum(1) > 0]
        found, worst = sufficiently_scattered(H), 0
        if found.unique and math.isnan(found.margin):
            return
        rows = H.numpy()
        for subset in itertools.combinations(range(len(rows)), rank - 1):
            system = np.vstack([rows[list(subset)], np.ones(rank)])
            if abs(np.linalg.det(system)) < 1e-10:
                continue
            y = np.linalg.solve(system, np.eye(rank)[-1])
            if (rows @ y >= -1e-10).all() and np.abs(y).max() < 1 - 1e-9:
                worst = max(worst, np.linalg.norm(y))
        # A vertex y and its facet: distances are inverse in a scale set by the simplex.
        assert found.unique == (worst < 1)

    def test_pure_rows_are_scattered_and_rows_without_zeros_are_not(self, generator):
        H = mixture(5, 50, 4, seed=generator).H
        assert sufficiently_scattered(H).unique is True
        assert "fewer than 3 zeros" in sufficiently_scattered(H + 0.1).words
        assert sufficiently_scattered(torch.rand(60, 12)).unique is False


def test_uniqueness_of_nmf(generator):
    H = cone(*set(itertools.permutations((0.0, 1.0, 5.0))))
    assert nmf_unique(H, H).unique is True
    assert feasible_set(H @ H.mT).unique is True
    W = uniform(generator, 8, 3)
    assert nmf_unique(W, H).unique is False  # no zeros in W
    W[0, 0] = W[1, 1] = W[2, 2] = 0
    assert nmf_unique(W, H).unique is None
    assert nmf_unique(W[:, [0, 0, 1]], H).unique is None
    with pytest.raises(ValueError, match="one rank"):
        nmf_unique(W, H[:, :2])
    rows = H / H.sum(1, keepdim=True)
    assert minimum_volume_unique(W, rows).unique is True
    assert (
        minimum_volume_unique(W, cone(*set(itertools.permutations((0, 2, 3)))) / 5).unique is None
    )
    with pytest.raises(ValueError, match="sums of one"):
        minimum_volume_unique(W, H)


# --- Feasible sets --------------------------------------------------------------------------------


class TestFeasibleSet:
    @pytest.mark.parametrize("radius", [2.2, 3.0])
    def test_area_between_two_circles(self, radius):
        """The side touches the inner circle, so the corner is ``2 b^2 / (b^2 - 1) - 1`` away."""
        turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], 1)
        half = np.pi / 200
        normals = np.stack([np.cos(turn + half), np.sin(turn + half)], 1)
        offsets = np.full(200, radius * np.cos(half))
        (part,) = regions(circle, radius * circle, normals, offsets)
        square = radius**2 - 1
        nearest = 2 * square / (square - 1) - 1
        assert part.area == pytest.approx(np.pi * (radius**2 - nearest**2), rel=2e-3)
        # Of radius 2 there is one triangle through each point, of less none.
        assert not regions(circle, circle * 1.9, normals, np.full(200, 1.9 * np.cos(half)))

    def test_is_unique_where_both_factors_are_separable(self, generator):
        W = torch.cat([I3, uniform(generator, 5, 3)])
        H = torch.cat([I3, uniform(generator, 9, 3)])
        found = feasible_set(W @ H.mT)
        assert found.unique and found.area < 1e-8
        corners = np.stack([part.boundary.mean(0) for part in found.regions])
        distance = np.linalg.norm(corners[:, None] - found.coordinates(W)[None], axis=-1)
        assert distance.min(1).max() < 1e-4

    @pytest.mark.parametrize("seed", range(3))
    def test_holds_all_and_only_corners(self, seed):
        """Against the test of single points, all over the plane."""
        scene = mixture(12, 40, 3, purity=0, seed=seed, dtype=torch.float64)
        found = feasible_set(scene.Y)
        low, high = found.outer.min(0), found.outer.max(0)
        grid = np.random.default_rng(0).uniform(low, high, (40000, 2))
        share = found.contains(grid).mean() * np.prod(high - low)
        assert share == pytest.approx(found.area, rel=0.05)
        assert found.contains(found.coordinates(scene.W)).all()
        assert not found.contains(found.inner.mean(0)[None]).any()

    def test_samples_are_exact_factorizations(self):
        scene = mixture(12, 40, 3, purity=0, seed=1, dtype=torch.float64)
        Y = torch.cat([3 * scene.Y, torch.zeros(12, 2, dtype=torch.float64)], 1)
        W, H = feasible_set(Y).sample(20, seed=0)
        assert W.min() >= -1e-8 and H.min() >= -1e-6
        torch.testing.assert_close(W @ H.mT, Y.expand(20, -1, -1), atol=1e-6, rtol=0)
        assert (W[1:] - W[:1]).abs().amax() > 1e-3

    def test_holds_what_nmf_finds(self):
        scene = mixture(12, 40, 3, purity=0, seed=2, dtype=torch.float64)
        found = feasible_set(scene.Y, tolerance=1e-3)
        for seed in range(3):
            fit = nmf(scene.Y, 3, init="random", seed=seed, max_iter=3000, tol=1e-8)
            assert fit.relative_error < 1e-4
            assert found.contains(found.coordinates(fit.factors[0])).all()

    def test_words_and_figure(self):
        Y = cone((1, 2, 5), (5, 1, 2), (2, 5, 1))
        found = feasible_set(Y)
        assert "3 regions, which fill 25 %" in found.words and found.unique is False
        figure = found.plot()
        assert [axes.get_xlabel() for axes in figure.axes] == ["first coordinate", "band"]
        around = feasible_set(Y + 20)
        assert around.regions[0].hole is not None and "one region around" in around.words
        touching = feasible_set(cone((0, 1, 4), (4, 0, 1), (1, 4, 0)))
        assert touching.words == "It is not unique: 6 spectra are possible, three at a time."

    @pytest.mark.parametrize(
        ("Y", "sentence"),
        [
            (-I3, "must be nonnegative"),
            (torch.ones(3), r"one matrix \(m, n\), got shape \(3,\)"),
            (torch.ones(4, 5), "a rank below three"),
            (
                4.0 * torch.eye(4) - torch.diag(torch.arange(4.0)) + torch.eye(4).roll(1, 0).tril(),
                "reduced to rank three .* pass a tolerance above",
            ),
        ],
    )
    def test_refuses_other_data(self, Y, sentence):
        with pytest.raises(ValueError, match=sentence):
            feasible_set(Y)
