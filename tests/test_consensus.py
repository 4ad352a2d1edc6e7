"""Consensus of clusters, and stability of components."""

import numpy as np
import pytest
import torch
from conformance import close
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_samples
from zoo import uniform

from rlra_torch.metrics import (
    cluster_labels,
    component_stability,
    consensus_matrix,
    cophenetic_correlation,
    dispersion,
    factor_match,
)


def labels(generator, fits=7, n=20, clusters=3):
    return torch.randint(clusters, (fits, n), generator=generator)


def test_labels_do_not_see_how_factors_share_their_scale(generator):
    w, h = uniform(generator, 8, 4), uniform(generator, 12, 4)
    scale = uniform(generator, 4, low=0.1, high=10)
    found = cluster_labels(w, h)
    assert torch.equal(cluster_labels(w * scale, h / scale), found)
    share = torch.stack([(w[:, [k]] @ h[:, [k]].mT).sum(0) for k in range(4)])
    assert torch.equal(found, share.argmax(0))
    both = cluster_labels(torch.stack((w, w)), torch.stack((h, h)))
    assert torch.equal(both, torch.stack((found, found)))


def test_consensus_is_how_often_two_are_together(generator):
    fits = labels(generator)
    C = consensus_matrix(fits)
    for i in range(20):
        for j in range(20):
            together = sum(int(fit[i] == fit[j]) for fit in fits)
            assert C[i, j] == pytest.approx(together / 7)
    # The names of the clusters do not matter.
    renamed = torch.stack([torch.randperm(3, generator=generator)[fit] for fit in fits])
    assert torch.equal(consensus_matrix(renamed), C)


def test_cophenetic_correlation_is_scipys(generator):
    C = consensus_matrix(labels(generator))
    distances = squareform(1 - C.double().numpy(), checks=False)
    expected, _ = cophenet(linkage(distances, "average"), distances)
    assert cophenetic_correlation(C) == pytest.approx(expected)
    order = torch.randperm(20, generator=generator)
    C = consensus_matrix(labels(generator)) + 1e-3 * uniform(generator, 20, 20)  # without ties
    C = (C + C.mT) / 2
    found = cophenetic_correlation(C[order][:, order])
    assert found == pytest.approx(cophenetic_correlation(C))


def test_agreement_and_its_absence():
    one = torch.zeros(5, 12, dtype=torch.long)
    apart = torch.arange(12).expand(5, 12)
    two = (torch.arange(12) % 2).expand(5, 12)
    for fits in (one, apart, two):
        C = consensus_matrix(fits)
        assert cophenetic_correlation(C) == pytest.approx(1) and dispersion(C) == 1
    assert cophenetic_correlation(torch.ones(1, 1)) == 1
    undecided = torch.full((6, 6), 0.5).fill_diagonal_(1)
    assert cophenetic_correlation(undecided) == 0
    assert dispersion(undecided) == pytest.approx(1 / 6)


def test_equal_components_are_perfectly_stable(generator):
    w, h = uniform(generator, 9, 4), uniform(generator, 7, 4)
    orders = [torch.randperm(4, generator=generator) for _ in range(5)]
    scales = [uniform(generator, 4, low=0.1, high=9) for _ in range(5)]
    pairs = list(zip(orders, scales, strict=True))
    fits = (
        torch.stack([w[:, p] * s for p, s in pairs]),
        torch.stack([h[:, p] / s for p, s in pairs]),
    )
    found = component_stability(fits)
    close(found.congruence, torch.ones(4).double())
    close(found.silhouette, torch.ones(4).double())


def test_congruence_is_the_factor_match_of_each_pair(generator):
    fits = uniform(generator, 4, 9, 3), uniform(generator, 4, 7, 3)
    with_first = [
        factor_match([x[k] for x in fits], [x[0] for x in fits]).item() for k in range(1, 4)
    ]
    found = component_stability(fits).congruence
    assert found.mean().item() == pytest.approx(np.mean(with_first))


def test_silhouette_is_scikit_learns(generator):
    w = uniform(generator, 1, 6, 3) + 0.3 * uniform(generator, 5, 6, 3)
    h = uniform(generator, 1, 8, 3) + 0.3 * uniform(generator, 5, 8, 3)
    found = component_stability((w, h)).silhouette
    terms = torch.einsum("fik,fjk->fkij", w, h).flatten(2).flatten(0, 1)
    terms = terms / terms.norm(dim=1, keepdim=True)
    distance = (1 - terms @ terms.mT).fill_diagonal_(0).clamp_min(0).numpy()
    # Noise is small: the k-th component of every fit is the same one.
    clusters = np.tile(np.arange(3), 5)
    expected = silhouette_samples(distance, clusters, metric="precomputed").reshape(5, 3).mean(0)
    close(found, torch.from_numpy(expected), 1e-9)
    assert component_stability((w[..., :1], h[..., :1])).silhouette.tolist() == [1]


def test_zero_components_are_alike_to_nothing(generator):
    w, h = uniform(generator, 3, 6, 2), uniform(generator, 3, 5, 2)
    w[:, :, 1] = 0
    found = component_stability((w, h))
    assert found.congruence[1] == 0 and found.congruence[0] > 0
    assert found.silhouette.isfinite().all()
    with pytest.raises(ValueError, match="two fits or more, not 1"):
        component_stability((w[:1], h[:1]))
