"""Complete dictionary learning: recovery from near starts, and when it is the only solution."""

import pytest
import torch
from conformance import close
from zoo import normal

from rlra_torch.diagnostics import cdl_identifiable
from rlra_torch.estimators import complete_dictionary_learning
from rlra_torch.metrics import support_score


def codes_and_dictionary(seed, rank, k, n):
    generator = torch.Generator().manual_seed(seed)
    dictionary = normal(generator, rank, rank)
    used = torch.rand(n, rank, generator=generator).argsort(-1) < k
    codes = torch.where(used, normal(generator, n, rank), 0)
    noise = normal(generator, rank, rank), normal(generator, n, rank)
    return dictionary / dictionary.norm(dim=0), codes, noise


def test_twenty_dictionaries_of_rank_eight():
    """Three nonzeros, twice the samples of the bound, starts at a distance of 0.02."""
    needed = 8 * (8 - 2) // (8 - 3) + 1
    drawn = [codes_and_dictionary(seed, 8, 3, 2 * needed * 8 // 5) for seed in range(20)]
    dictionary, codes = (torch.stack([each[i] for each in drawn]) for i in range(2))
    noise = [torch.stack([each[2][i] for each in drawn]) for i in range(2)]
    assert codes.shape == (20, 32, 8)
    start = (dictionary + 0.02 * noise[0], codes + 0.02 * noise[1])
    fit = complete_dictionary_learning(dictionary @ codes.mT, start, 3, tol=0)
    found, sparse = fit.factors
    assert (found.norm(dim=-2) - 1).abs().max() < 1e-12
    assert ((sparse != 0).sum(-1) <= 3).all()
    error = (found - dictionary).square().mean((-2, -1)).sqrt()
    assert support_score(sparse, codes).median() >= 0.99
    assert error.median() < 1e-3


def on_facets(generator, points):
    """Samples with two nonzeros of three, so many without each of the atoms."""
    codes = normal(generator, 3 * points, 3)
    codes[torch.arange(3 * points), torch.arange(3 * points) % 3] = 0
    return codes


def test_three_against_four_points_on_each_facet(generator):
    three, four = (cdl_identifiable(on_facets(generator, points)) for points in (3, 4))
    assert three.needed == four.needed == 4
    assert (three.points, four.points) == ((3, 3, 3), (4, 4, 4))
    assert not three.identifiable and four.identifiable


def test_nine_points_on_two_triangles(generator):
    """Where the sides of two triangles meet are nine points, three on each side: two solutions."""
    dictionaries = normal(generator, 2, 3, 3)
    sides = torch.linalg.inv(dictionaries)
    samples = torch.linalg.cross(sides[0][:, None], sides[1][None]).reshape(9, 3).mT
    for sides_of_one in sides:
        codes = (sides_of_one @ samples).mT
        codes = torch.where(codes.abs() > 1e-10, codes, 0)
        assert ((codes != 0).sum(1) <= 2).all()
        close(torch.linalg.inv(sides_of_one) @ codes.mT, samples)
        facets = cdl_identifiable(codes)
        assert facets.points == (3, 3, 3) and not facets.identifiable


def test_what_is_not_in_general_position_does_not_count(generator):
    codes = on_facets(generator, 4)
    twice = torch.cat((codes, -2 * codes, torch.zeros(2, 3, dtype=codes.dtype)))
    assert cdl_identifiable(twice) == cdl_identifiable(codes)
    alone = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]], dtype=codes.dtype)
    assert cdl_identifiable(torch.cat((codes[:9], alone)), 2).points == (3, 4, 4)
    # Of many samples that share three atoms three count on the facets that hold them.
    codes = torch.where(torch.arange(8) < 3, normal(generator, 40, 8), 0)
    facets = cdl_identifiable(codes)
    assert facets.points == (0, 0, 0, 3, 3, 3, 3, 3) and facets.needed == 10
    assert cdl_identifiable(codes, 7).needed == 49


def test_the_bound_is_met_by_enough_samples():
    _, codes, _ = codes_and_dictionary(0, 8, 3, 200)
    assert cdl_identifiable(codes).identifiable
    assert not cdl_identifiable(codes[:12]).identifiable


@pytest.mark.parametrize(
    ("codes", "k", "message"),
    [
        (torch.ones(4, 3), None, "at most k < 3 nonzeros"),
        (torch.eye(3), 3, "got k = 3"),
        (torch.ones(4, 20), 2, "3 to 16 atoms"),
        (torch.ones(4), 2, r"got shape \(4,\)"),
    ],
)
def test_bad_codes(codes, k, message):
    with pytest.raises(ValueError, match=message):
        cdl_identifiable(codes, k)


def test_bad_starts():
    y, start = torch.ones(3, 4), (torch.eye(3), torch.ones(4, 3))
    with pytest.raises(ValueError, match="codes with 3 nonzeros of 3 are not sparse"):
        complete_dictionary_learning(y, start, 3)
    with pytest.raises(ValueError, match="an atom of zeros"):
        complete_dictionary_learning(y, (0 * start[0], start[1]), 2)


def test_support_score():
    x, empty = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.zeros(2, 2)
    assert support_score(x, x) == 1 and support_score(empty, empty) == 1
    assert support_score(empty, x) == 0
    close(support_score(torch.stack((x, empty)), torch.stack((x.mT, x))), torch.tensor([2 / 3, 0]))
    with pytest.raises(ValueError, match="equal shapes"):
        support_score(x, x[:1])
