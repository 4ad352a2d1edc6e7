"""What a CP model is worth: against definitions written out, and by brute force."""

import itertools

import numpy as np
import pytest
import torch
from conformance import close
from zoo import normal, uniform

from rlra_torch.diagnostics import (
    KRank,
    congruence,
    core_consistency,
    degeneracy,
    dependence,
    k_rank,
    kruskal,
    leverage,
    uniqueness_hints,
)
from rlra_torch.metrics import factor_match
from rlra_torch.models import CP

DIMS = (6, 5, 7, 4)


def terms(generator, order, rank, *batch):
    return tuple(normal(generator, *batch, n, rank) for n in DIMS[:order])


def even(factors):
    """Columns of equal norms in all modes, the terms as they were."""
    norms = np.array([np.linalg.norm(x, axis=0) for x in factors])
    mean = norms.prod(0) ** (1 / len(factors))
    return [x / n * mean for x, n in zip(factors, norms, strict=True)]


# --- Core consistency -----------------------------------------------------------------------------


def consistency_by_lstsq(y, factors, mask):
    factors = even([x.numpy() for x in factors])
    rank, order = factors[0].shape[1], len(factors)
    design = factors[0]
    for x in factors[1:]:
        design = np.kron(design, x)
    keep = mask.numpy().ravel().astype(bool)
    core = np.linalg.lstsq(design[keep], y.numpy().ravel()[keep], rcond=None)[0]
    ideal = np.zeros((rank,) * order)
    np.fill_diagonal(ideal, 1)
    return 100 - 100 * ((core.reshape(ideal.shape) - ideal) ** 2).sum() / rank


@pytest.mark.parametrize("order", [2, 3, 4])
def test_core_consistency_is_its_definition(order, generator):
    factors = terms(generator, order, 3)
    clean = CP(order)(factors)
    y = clean + 0.3 * normal(generator, *clean.shape)
    whole, mask = torch.ones_like(y), uniform(generator, *y.shape) > 0.2
    expected = consistency_by_lstsq(y, factors, whole)
    assert expected < 99.99
    assert float(core_consistency(y, factors)) == pytest.approx(expected, rel=1e-10)
    assert float(core_consistency(y, factors, whole)) == pytest.approx(expected, rel=1e-8)
    hidden = torch.where(mask, y, torch.nan)
    found = core_consistency(hidden, factors, mask)
    assert float(found) == pytest.approx(consistency_by_lstsq(y, factors, mask), rel=1e-7)
    close(core_consistency(clean, factors), torch.tensor(100.0).double(), 1e-10)
    # How a term shares its scale does not matter.
    scaled = (7 * factors[0], factors[1] / 7, *factors[2:])
    close(core_consistency(y, scaled), core_consistency(y, factors), 1e-10)


def test_core_consistency_of_a_batch(generator):
    factors = terms(generator, 3, 2, 2, 3)
    y = CP(3)(factors) + 0.2 * normal(generator, 2, 3, *DIMS[:3])
    found, weighted = core_consistency(y, factors), core_consistency(y, factors, 0 * y + 2)
    for i, j in itertools.product(range(2), range(3)):
        alone = core_consistency(y[i, j], tuple(x[i, j] for x in factors))
        close(found[i, j], alone, 1e-10)
        close(weighted[i, j], alone, 1e-8)
    with pytest.raises(ValueError, match="dimension"):
        core_consistency(y, tuple(reversed(factors)))


# --- Factor match ---------------------------------------------------------------------------------


def match_by_permutations(factors, truth, weighted):
    def unit(x):
        return x / np.linalg.norm(x, axis=0)

    table = np.prod([unit(b).T @ unit(a) for a, b in zip(factors, truth, strict=True)], axis=0)
    if weighted:
        s, t = (np.prod([np.linalg.norm(x, axis=0) for x in f], axis=0) for f in (factors, truth))
        table = table * (1 - np.abs(t[:, None] - s) / np.maximum(t[:, None], s))
    rank = table.shape[0]
    orders = itertools.permutations(range(rank))
    return max(table[range(rank), list(order)].mean() for order in orders)


@pytest.mark.parametrize("weighted", [False, True])
def test_factor_match_is_its_definition(weighted, generator):
    truth = terms(generator, 3, 4, 5)
    turned = [x[..., [2, 0, 3, 1]] + 0.4 * normal(generator, *x.shape) for x in truth]
    found = factor_match(turned, truth, weighted)
    for i in range(5):
        one, two = ([x[i].numpy() for x in f] for f in (turned, truth))
        assert float(found[i]) == pytest.approx(match_by_permutations(one, two, weighted))


def test_sizes_count_where_asked(generator):
    truth = terms(generator, 3, 2)
    larger = (2 * truth[0], *truth[1:])
    assert float(factor_match(larger, truth)) == pytest.approx(1)
    assert float(factor_match(larger, truth, weighted=True)) == pytest.approx(0.5)
    gone = tuple(x * torch.tensor([1.0, 0.0]) for x in truth)
    assert float(factor_match(gone, gone, weighted=True)) == pytest.approx(1)
    assert float(factor_match(gone, truth, weighted=True)) == pytest.approx(0.5)


# --- Terms and rows -------------------------------------------------------------------------------


def test_degeneracy_is_the_least_triple_cosine(generator):
    factors = terms(generator, 3, 4, 3)
    found, table = degeneracy(factors), congruence(factors)
    close(table.diagonal(dim1=-2, dim2=-1), torch.ones(3, 4, dtype=torch.float64))
    for i in range(3):
        cosines = [
            float(np.prod([_cosine(x[i, :, p], x[i, :, q])
                           for x in factors]))
            for p, q in itertools.combinations(range(4), 2)
        ]  # fmt: skip
        assert float(found[i]) == pytest.approx(min(cosines))
    assert degeneracy([x[..., :1] for x in factors]).tolist() == [1, 1, 1]


def _cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def test_two_terms_that_grow_against_each_other(generator):
    """The classical tensor without a best approximation of rank two, and its sequence."""
    a, b = torch.eye(2, dtype=torch.float64)
    for n, bound in ((10.0, -0.9), (1000.0, -0.9999)):
        factor = torch.stack([n ** (1 / 3) * (a + b / n), -(n ** (1 / 3)) * a], -1)
        assert degeneracy((factor,) * 3) < bound


def test_leverage_is_the_diagonal_of_the_hat_matrix(generator):
    x = normal(generator, 2, 9, 3)
    hat = x @ torch.linalg.inv(x.mT @ x) @ x.mT
    close(leverage(x), hat.diagonal(dim1=-2, dim2=-1))
    dependent = torch.cat([x, x[..., :1]], -1)
    close(leverage(dependent), leverage(x))
    close(leverage(1e-9 * x).sum(-1), torch.full((2,), 3.0, dtype=torch.float64))
    assert (leverage(0 * x) == 0).all()


# --- Uniqueness -----------------------------------------------------------------------------------


def rank_by_subsets(x):
    best = 0
    for size in range(1, min(x.shape) + 1):
        subsets = itertools.combinations(range(x.shape[1]), size)
        if any(np.linalg.matrix_rank(x[:, list(s)]) < size for s in subsets):
            break
        best = size
    return best


def test_k_rank_by_brute_force(generator):
    seen = set()
    for _ in range(60):
        x = torch.randint(-1, 2, (4, 6), generator=generator, dtype=torch.float64)
        expected = rank_by_subsets(x.numpy())
        assert k_rank(x) == KRank(expected, expected)
        seen.add(expected)
    assert {0, 1, 2, 3} <= seen
    assert k_rank(normal(generator, 8, 5)) == KRank(5, 5)


def test_k_rank_of_many_columns_is_bounded(generator, monkeypatch):
    x = normal(generator, 12, 14)
    assert k_rank(x) == KRank(12, 12)
    monkeypatch.setattr(dependence, "SUBSETS", 100)
    found = k_rank(x)
    assert 2 <= found.lower < found.upper == 12
    spread = torch.cat([torch.eye(16), torch.ones(16, 1) / 4], 1).double()
    assert k_rank(spread).lower == 4  # 1 / mu, where only pairs are tried
    assert kruskal((x, x, x)).met is None
    assert "is open" in uniqueness_hints((x, x, x))[0]


def test_kruskal(generator):
    assert kruskal(terms(generator, 3, 5)).met is True
    assert kruskal(terms(generator, 3, 5)).needed == 12
    assert kruskal(terms(generator, 3, 9)).met is False
    a = torch.eye(3, dtype=torch.float64)
    assert kruskal((a, a, a[:, [0, 0, 2]])).ranks[2] == KRank(1, 1)
    with pytest.raises(ValueError, match="dimension 'z'"):
        kruskal((a, a[:, :2]))


def hints(*factors):
    return " ".join(uniqueness_hints(factors))


def test_hints_are_plain_sentences(generator):
    a, b, c = terms(generator, 3, 3)
    assert hints(a, b, c).startswith("The components are unique: the k-ranks 3 + 3 + 3 reach")
    assert len(uniqueness_hints((a, b, c))) == 1
    assert "only constraints" in hints(a, b)
    assert hints(a * torch.tensor([1.0, 0.0, 1.0]), b, c) == (
        "Component 2 is zero: fit again with rank 2."
    )
    twin = torch.stack([a[:, 0], 3 * a[:, 0], a[:, 2]], -1)
    assert "Components 1 and 2 are proportional in all modes but 2" in hints(twin, b, c)
    assert "does not tell" in hints(twin, b, c)
    assert "The factor of mode 1 is not determined" in hints(a, twin, twin)
    near = torch.stack([a[:, 0], -a[:, 0] + 0.05 * a[:, 1], a[:, 2]], -1)
    assert "nearly cancel" in hints(near, near, near)
    for text in (hints(near, near, near), hints(twin, b, c)):
        assert text.endswith(".")
