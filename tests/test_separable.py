"""Pure-pixel algorithms: exact where they should be, a defined answer everywhere else."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch import nmf
from rlra_torch.datasets import load_image
from rlra_torch.functional import pixels
from rlra_torch.functional.memory import peak_bytes
from rlra_torch.initialization import spa_indices
from rlra_torch.initialization.spa import ProjectedColumns, successive_projection
from rlra_torch.separable import (
    abundances,
    nonnegative,
    outlying,
    smoothed_spa,
    smoothed_vca,
    snpa,
    spa,
    sum_at_most_one,
    sum_to_one,
    vca,
    xray,
)
from rlra_torch.separable.result import residual_norms
from rlra_torch.separable.subspace import signal_to_noise

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from experiments.separable import PROTOCOLS, recovered, trial

GREEDY = {"spa": spa, "snpa": snpa, "xray": xray}
ALL = GREEDY | {
    "vca": vca,
    "smoothed_spa": lambda M, r, **more: smoothed_spa(M, r, 1, **more),
    "smoothed_vca": lambda M, r, **more: smoothed_vca(M, r, 1, **more),
}
FITS = {"free": nonnegative, "at most one": sum_at_most_one, "one": sum_to_one}
EACH = pytest.mark.parametrize("name", ALL)
EACH_GREEDY = pytest.mark.parametrize("name", GREEDY)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scenes(count, bands=20, rank=8, mixed=100, seed=0, dtype=torch.float64):
    """Noiseless separable data in random order, and which pixels are pure."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(count, bands, rank, generator=generator, dtype=dtype)
    h = torch.rand(count, mixed, rank, generator=generator, dtype=dtype).log().neg()
    h = torch.cat([torch.eye(rank, dtype=dtype).expand(count, -1, -1), h / h.sum(-1, True)], 1)
    order = torch.stack([torch.randperm(rank + mixed, generator=generator) for _ in range(count)])
    h = h.gather(1, order[..., None].expand_as(h))
    return w @ h.mT, (order < rank).nonzero()[:, 1].reshape(count, rank)


def subspace_noise(m, scale, seed=1):
    noise = torch.randn(m.shape, generator=torch.Generator().manual_seed(seed), dtype=m.dtype)
    return m + scale * noise


# --- Exact recovery ------------------------------------------------------------------------------


@EACH_GREEDY
def test_a_hundred_noiseless_problems(name):
    m, pure = scenes(100)
    found = GREEDY[name](m, 8)
    assert torch.equal(found.indices.sort(-1).values, pure)
    assert found.residual.max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["vca", "smoothed_vca", "smoothed_spa"])
def test_noiseless_problems_of_the_others(name, dtype):
    m, pure = scenes(10, dtype=dtype)
    settings = {} if name == "smoothed_spa" else {"restarts": 1}
    found = ALL[name](m, 8, **settings)
    assert torch.equal(found.indices.sort(-1).values, pure)
    assert found.residual.max() < 1e-5


@EACH_GREEDY
def test_single_and_double_precision_agree(name):
    m = subspace_noise(scenes(5)[0], 0.01)
    assert torch.equal(GREEDY[name](m.float(), 8).indices, GREEDY[name](m, 8).indices)


@EACH_GREEDY
def test_the_order_of_the_pixels_does_not_matter(name):
    m = subspace_noise(scenes(1)[0][0], 0.02)
    order = torch.randperm(m.shape[1], generator=torch.Generator().manual_seed(3))
    found, moved = GREEDY[name](m, 8), GREEDY[name](m[:, order], 8)
    assert torch.equal(order[moved.indices], found.indices)
    torch.testing.assert_close(moved.abundances, found.abundances[order])


def test_xray_is_free_of_the_brightness_of_mixed_pixels():
    m, pure = scenes(3)
    m = m * (0.2 + 3 * draw(3, 1, m.shape[-1]))
    assert torch.equal(xray(m, 8).indices.sort(-1).values, pure)


def test_recovery_in_fewer_bands_than_spectra():
    for protocol in PROTOCOLS[:2]:
        several = [trial(protocol, seed) for seed in range(2)]
        m = torch.stack([t.clean + 1e-2 * t.noise for t in several])
        for name, limits in {"spa": (0.4, 0.5), "snpa": (1.0, 1.0)}.items():
            for t, indices in zip(several, GREEDY[name](m, 20).indices, strict=True):
                share = recovered(indices, t.material)
                assert limits[0] <= share <= limits[1], (protocol.name, name)


def test_indian_pines():
    m = load_image("indian_pines").scaled().matrix.contiguous()
    for name, indices, error in (
        ("spa", [13225, 19579, 17966, 259, 2516], 0.0573),
        ("snpa", [13225, 19579, 17966, 259, 2516], 0.0573),
        ("xray", [17966, 19579, 693, 13225, 2516], 0.0560),
    ):
        found = GREEDY[name](m, 5)
        assert found.indices.tolist() == indices
        assert float(found.residual) == pytest.approx(error, abs=5e-5)
    found = spa(m, 5, normalize="l1")
    assert found.indices.tolist() == [19579, 3090, 693, 19283, 2516]
    assert float(found.residual) == pytest.approx(0.0664, abs=5e-5)


# --- What holds on any data ----------------------------------------------------------------------


def noisy(*lead, bands=12, pixels=40, seed=0):
    return draw(*lead, bands, pixels, seed=seed)


@EACH
def test_what_a_result_is_made_of(name):
    m = noisy()
    found = ALL[name](m, 5)
    assert len(set(found.indices.tolist())) == 5
    assert torch.equal(found.spectra, m[:, found.indices])
    assert (found.abundances >= 0).all()
    error = (m - found.spectra @ found.abundances.mT).norm() / m.norm()
    torch.testing.assert_close(found.residual, error)
    if name == "snpa":
        assert found.abundances.sum(-1).max() <= 1 + 1e-9
    # What is best for the pixels is known for those that were picked.
    torch.testing.assert_close(found.abundances[found.indices], torch.eye(5).double())


def test_the_residual_of_snpa_never_rises():
    m = noisy()
    steps = [snpa(m, r) for r in range(1, 13)]
    pixelwise = [residual_norms(m, s.spectra, s.abundances) for s in steps]
    for before, after in zip(pixelwise, pixelwise[1:], strict=False):
        assert (after <= before + 1e-9).all()
    for before, after in zip(steps, steps[1:], strict=False):
        assert torch.equal(after.indices[:-1], before.indices)
    # The farthest pixel is the one that is picked.
    for left, after in zip(pixelwise, steps[1:], strict=False):
        assert int(left.argmax()) == int(after.indices[-1])


@EACH_GREEDY
def test_a_batch_is_its_problems(name):
    m = noisy(2, 3)
    m[0, 1] = 0
    m[1, 2, :, 7] = torch.nan
    found = GREEDY[name](m, 4)
    assert found.indices.shape == (2, 3, 4) and found.residual.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = GREEDY[name](m[i, j], 4)
            torch.testing.assert_close(tuple(x[i, j] for x in found), tuple(alone), equal_nan=True)


def test_a_batch_is_its_problems_with_random_directions():
    m, pure = scenes(4)
    assert torch.equal(
        vca(m.reshape(2, 2, *m.shape[1:]), 8).indices.flatten(0, 1).sort(-1)[0], pure
    )


@EACH
def test_the_scale_of_the_data_does_not_matter(name):
    m = noisy().float()
    expected = ALL[name](m, 4)
    for scale in (1e-12, 1e12):
        found = ALL[name](scale * m, 4)
        assert torch.equal(found.indices, expected.indices)
        torch.testing.assert_close(found.residual, expected.residual, rtol=1e-3, atol=1e-5)


def test_the_whole_is_the_sum_of_its_pieces(monkeypatch):
    m = noisy(bands=100, pixels=3000)
    assert len(list(pixels.pieces(m))) > 1
    torch.testing.assert_close(pixels.column_norms(m), m.norm(dim=0))
    torch.testing.assert_close(pixels.column_sums(m), m.sum(0))
    torch.testing.assert_close(pixels.column_gram(m, m[0]), m * m[0] @ m.mT)
    small = m[:10, :300]
    expected = {name: fit(small, small[:, :6]) for name, fit in FITS.items()}
    monkeypatch.setattr(abundances, "_BYTES", 1)
    for name, fit in FITS.items():
        torch.testing.assert_close(fit(small, small[:, :6]), expected[name])


def test_memory_stays_below_that_of_the_data():
    m = draw(50, 20000, dtype=torch.float32)
    size = m.numel() * 4
    assert peak_bytes(lambda: spa_indices(m, 5)) < 0.6 * size
    assert peak_bytes(lambda: spa(m[:, :2000], 3)) < size


# --- SPA without residuals -----------------------------------------------------------------------


def explicit(m, rank):
    """Successive projection on residuals that are formed."""
    rest, chosen = m.double(), []
    for _ in range(rank):
        chosen.append(int(rest.norm(dim=0).argmax()))
        u = rest[:, chosen[-1:]] / rest[:, chosen[-1]].norm()
        rest = rest - u @ (u.mT @ rest)
    return chosen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_survive_cancellation(dtype):
    """Residuals far below the root of the rounding unit, many pixels among the longest."""
    generator = torch.Generator().manual_seed(0)
    w = torch.linalg.qr(torch.randn(30, 6, generator=generator, dtype=torch.float64)).Q
    w = w * torch.logspace(0, -2.5 if dtype == torch.float32 else -9, 6, dtype=torch.float64)
    h = torch.cat([torch.eye(6).double(), 0.9 * draw(1000, 6) / 6])
    m = (w @ h.mT).to(dtype)
    assert spa_indices(m, 6).tolist() == [0, 1, 2, 3, 4, 5] == explicit(m, 6)


def test_projected_columns_are_those_of_the_formed_residual():
    m = draw(20, 500)
    left, rest = ProjectedColumns(m), m / m.norm(dim=0).max()
    for _ in range(4):
        torch.testing.assert_close(left.norms, rest.norm(dim=0))
        torch.testing.assert_close(
            left.squares.clamp_min(0).sqrt(), rest.norm(dim=0), atol=1e-6, rtol=0
        )
        index = int(rest.norm(dim=0).argmax())
        assert int(ProjectedColumns(rest).largest(1e-12)) == index
        left.project_out(m[:, [index]])
        left.squares[index] = 0
        u = rest[:, [index]] / rest[:, index].norm()
        rest = rest - u @ (u.mT @ rest)


def test_many_pixels_on_fake_cuda_without_synchronisation():
    with FakeTensorMode():
        m = torch.rand(2, 9, 300, device="cuda")
        assert successive_projection(m, 4).device.type == "cuda"


def test_the_same_indices_without_looking_at_the_candidates(monkeypatch):
    m = subspace_noise(scenes(3, mixed=500)[0], 0.05)
    expected = spa_indices(m, 8)
    # The function hides the module of its name.
    module = sys.modules["rlra_torch.initialization.spa"]
    monkeypatch.setattr(module, "waits_for_nothing", lambda x: False)
    assert torch.equal(spa_indices(m, 8), expected)


# --- Edges ---------------------------------------------------------------------------------------


@EACH
def test_zero_pixels_are_not_picked(name):
    m, pure = scenes(1)
    m = torch.cat([torch.zeros(20, 5).double(), m[0]], 1)
    found = ALL[name](m, 8)
    assert torch.equal(found.indices.sort().values, pure[0] + 5)
    assert (found.abundances[:5] == 0).all()


@EACH
def test_data_of_zeros(name):
    found = ALL[name](torch.zeros(4, 6), 2)
    assert found.indices.tolist() == [-1, -1]
    assert all(not x.any() for x in found[1:])


@EACH
def test_duplicates_and_a_rank_above_that_of_the_data(name):
    m, pure = scenes(1, bands=10, rank=3, mixed=30)
    m, pure = torch.cat([m[0], m[0]], 1), set(pure[0].tolist())
    found = ALL[name](m, 5)
    assert {i % 33 for i in found.indices[:3].tolist()} == pure
    assert found.indices[3:].tolist() == [-1, -1]
    assert not found.spectra[:, 3:].any() and not found.abundances[:, 3:].any()
    assert float(found.residual) < 1e-9
    # Of equals the first.
    if name in GREEDY:
        assert found.indices.max() < 33


@EACH
def test_more_than_there_are_pixels(name):
    m = torch.eye(4, 3, dtype=torch.float64)
    found = ALL[name](m, 4)
    assert sorted(found.indices.tolist()) == [-1, 0, 1, 2]
    assert found.abundances.shape == (3, 4)


def test_ties_go_to_the_longest_then_to_the_first():
    m = torch.tensor([[3.0, 0.0, 0.0, 2.0], [0.0, 2.0, 2.0, 2.0]])
    assert spa_indices(m, 2).tolist() == [0, 3]
    assert spa_indices(torch.eye(4), 4).tolist() == [0, 1, 2, 3]


@EACH
def test_bad_pixels_are_left_out(name):
    m, pure = scenes(1)
    m = torch.cat([m[0], 50 * draw(20, 3)], 1)
    m[4, -1], m[2, -2] = torch.nan, torch.inf
    mask = torch.zeros(m.shape[1], dtype=torch.bool)
    mask[-3] = True
    found = ALL[name](m, 8, mask=mask)
    assert torch.equal(found.indices.sort().values, pure[0])
    assert found.abundances[-3:].isnan().all() and found.abundances[:-3].isfinite().all()
    assert float(found.residual) < 1e-9
    assert all(x.isfinite().all() for x in found.factors)


@EACH
def test_normalized_pixels_are_compared(name):
    m, pure = scenes(1)
    bright = m[0] * (0.2 + 3 * draw(1, m.shape[-1]))
    found = ALL[name](bright, 8, normalize="l1")
    assert torch.equal(found.indices.sort().values, pure[0])
    assert float(found.residual) < 1e-9
    if not name.startswith("smoothed"):
        assert torch.equal(found.spectra, bright[:, found.indices])


BAD = {
    "kind": (lambda: spa(np.ones((2, 3)), 1), TypeError, "dense real tensor, got ndarray"),
    "integers": (lambda: xray(torch.ones(2, 3, dtype=int), 1), TypeError, "torch.int64"),
    "vector": (lambda: snpa(torch.ones(3), 1), ValueError, "snpa needs pixels"),
    "empty": (lambda: spa(torch.ones(3, 0), 1), ValueError, "shape \\(3, 0\\)"),
    "rank": (lambda: vca(torch.ones(3, 3), 0), ValueError, "at least 1, got 0"),
    "normalize": (lambda: spa(torch.ones(3, 3), 1, normalize="l2"), ValueError, "'l2'"),
    "mask": (lambda: spa(torch.ones(3, 3), 1, mask=torch.ones(2) > 0), ValueError, "shape"),
    "mask of numbers": (lambda: spa(torch.ones(3, 3), 1, mask=torch.ones(3)), ValueError, "float"),
    "restarts": (lambda: vca(torch.ones(3, 3), 1, restarts=0), ValueError, "restarts of vca"),
    "averaged": (lambda: smoothed_spa(torch.ones(3, 3), 1, 4), ValueError, "p = 4 pixels"),
    "bands": (lambda: nonnegative(torch.ones(3, 3), torch.ones(2, 3)), ValueError, "as many bands"),
    "start": (
        lambda: nonnegative(torch.ones(3, 3), torch.ones(3, 2), torch.ones(2, 2)),
        ValueError, "start has shape \\(2, 2\\), not \\(3, 2\\)",
    ),
    "fraction": (lambda: outlying(torch.ones(3, 3), 1, 1.0), ValueError, "got 1.0"),
    "dimension": (lambda: outlying(torch.ones(3, 3), 4, 0.1), ValueError, "got r = 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence(case):
    call, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        call()


# --- Abundances ----------------------------------------------------------------------------------


def test_nonnegative_abundances_are_those_of_scipy():
    m, w = draw(30, 60) - 0.3, draw(30, 7, seed=1)
    expected = np.stack([scipy.optimize.nnls(w.numpy(), x)[0] for x in m.mT.numpy()])
    torch.testing.assert_close(nonnegative(m, w), torch.from_numpy(expected))
    torch.testing.assert_close(
        nonnegative(m.float(), w.float()).double(), torch.from_numpy(expected), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("bands", [4, 30])
@pytest.mark.parametrize("name", FITS)
def test_no_other_abundances_are_better(name, bands):
    """The optimality conditions over the vertices of the set, with more spectra than bands too."""
    m, w = 2 * draw(3, bands, 50) - 0.3, draw(3, bands, 6, seed=1)
    h = FITS[name](m, w)
    gradient = (h @ w.mT - m.mT) @ w
    least = gradient.amin(-1)
    assert (h >= 0).all()
    if name == "free":
        assert least.min() > -1e-9 and (gradient * h).sum(-1).abs().max() < 1e-9
        return
    total = h.sum(-1)
    assert total.max() < 1 + 1e-9 and (name != "one" or total.min() > 1 - 1e-9)
    least = least if name == "one" else least.clamp_max(0)
    assert ((gradient * h).sum(-1) - least).max() < 1e-9


@pytest.mark.parametrize("name", FITS)
def test_the_start_of_abundances_does_not_matter(name):
    m, w = 2 * draw(12, 50) - 0.3, draw(12, 6, seed=1)
    expected = FITS[name](m, w)
    for start in (draw(50, 6, seed=2), expected, 10 * expected):
        torch.testing.assert_close(FITS[name](m, w, start), expected)


@pytest.mark.parametrize("name", FITS)
def test_abundances_of_bad_pixels_and_of_spectra_that_are_alike(name):
    m, w = draw(12, 9), draw(12, 3, seed=1)
    expected = FITS[name](m, w)
    m[3, 4] = torch.nan
    found = FITS[name](m, torch.cat([w, w[:, :1]], 1))
    assert found[4].isnan().all()
    kept = torch.arange(9) != 4
    merged = torch.cat([found[:, :1] + found[:, 3:], found[:, 1:3]], 1)
    torch.testing.assert_close(merged[kept], expected[kept], atol=1e-6, rtol=1e-6)


# --- Random directions, outliers, averages -------------------------------------------------------


def test_vca_is_reproducible_and_private():
    m = subspace_noise(scenes(1)[0][0], 0.2)
    state = torch.get_rng_state()
    first, again = vca(m, 8, seed=1, restarts=1), vca(m, 8, seed=1, restarts=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.indices, again.indices)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(vca(m, 8, seed=generator, restarts=1).indices, first.indices)
    others = [vca(m, 8, seed=generator, restarts=1) for _ in range(5)]
    assert any(not torch.equal(x.indices, first.indices) for x in others)
    assert vca(m, 8, seed=1, restarts=10).residual <= first.residual


@pytest.mark.parametrize("snr", [0.0, 100.0])
def test_both_projections_of_vca_find_pure_pixels(snr):
    m, pure = scenes(3)
    assert torch.equal(vca(m, 8, snr=snr, restarts=2).indices.sort(-1).values, pure)


def test_the_signal_to_noise_ratio():
    m, _ = scenes(1, bands=50, rank=4, mixed=2000)
    m, every = m[0], torch.ones(2004, dtype=torch.bool)
    assert signal_to_noise(m, 4, every) == torch.inf
    assert signal_to_noise(m.float(), 4, every) == torch.inf
    for decibel in (10, 20, 40):
        scale = m.norm() / m.numel() ** 0.5 * 10 ** (-decibel / 20)
        assert signal_to_noise(subspace_noise(m, scale), 4, every) == pytest.approx(decibel, abs=1)


def test_outliers_can_be_left_out():
    m, pure = scenes(1, bands=30, rank=4, mixed=300)
    m = subspace_noise(m[0], 1e-3)
    bad = [3, 77, 250]
    m[:, bad] += 5 * draw(30, 3, seed=5)
    mask = outlying(m, 4, 0.01)
    assert mask.nonzero()[:, 0].tolist() == bad
    assert set(spa(m, 4).indices.tolist()) & set(bad)
    kept = set(pure[0].tolist()) - set(bad)
    assert kept <= set(spa(m, 4, mask=mask).indices.tolist())
    m[2, 100] = torch.nan
    assert outlying(m, 4, 0.0).nonzero()[:, 0].tolist() == [100]


@pytest.mark.parametrize("median", [True, False])
def test_averages_beat_single_pixels_in_noise(median):
    generator = torch.Generator().manual_seed(0)
    w = torch.rand(40, 4, generator=generator, dtype=torch.float64)
    h = torch.cat([torch.eye(4).double().repeat(30, 1), draw(300, 4) ** 2])
    h = h / h.sum(-1, keepdim=True)
    m = subspace_noise(w @ h.mT, 0.1)

    def distance(spectra):
        return float(torch.cdist(w.mT, spectra.mT).amin(1).max())

    for found in (smoothed_spa(m, 4, 20, median=median), smoothed_vca(m, 4, 20, median=median)):
        assert distance(found.spectra) < 0.6 * distance(spa(m, 4).spectra)
        assert found.residual < spa(m, 4).residual


# --- As starts -----------------------------------------------------------------------------------


@EACH
def test_results_start_factorizations(name):
    m, _ = scenes(1)
    for iteration in ("hals", "fista", "mu"):
        fit = nmf(m[0], 8, iteration=iteration, init=ALL[name](m[0], 8).factors, max_iter=20)
        assert fit.relative_error < 1e-9


def test_named_starts_of_data_of_low_rank():
    m = draw(10, 2) @ draw(2, 20)
    for init in ("spa", "snpa", "xray", "vca"):
        assert nmf(m, 4, init=init, max_iter=50).relative_error < 1e-2
        with pytest.raises(ValueError, match=f"{init} was given rank 21"):
            nmf(m, 21, init=init)
