"""Scenes drawn from a law: their statistics, their reproducibility, their edges."""

import math

import pytest
import torch

from rlra_torch.datasets import SpectralLibrary, archive_path
from rlra_torch.datasets.scenes import (
    MixingLaw,
    SmoothSpectra,
    Specimens,
    draw_scenes,
    minerals,
    split,
)

SMOOTH = SmoothSpectra(30)


def snr_db(scenes):
    signal = scenes.W @ scenes.H.mT
    ratio = signal.norm(dim=(-2, -1)) / (scenes.Y - signal).norm(dim=(-2, -1))
    return 20 * ratio.log10()


class TestDraw:
    def test_abundances_follow_the_dirichlet_law(self):
        for alpha in (0.3, 1.0, 4.0):
            law = MixingLaw(pixels=400, rank=3, alpha=alpha)
            H = draw_scenes(law, SMOOTH, 50).H.flatten(0, 1)
            torch.testing.assert_close(H.sum(1), torch.ones(len(H)))
            variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
            assert H.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)
            assert H.var(0).tolist() == pytest.approx([variance] * 3, rel=0.05)

    def test_a_very_sparse_law_stays_on_the_simplex(self):
        H = draw_scenes(MixingLaw(alpha=1e-3), SMOOTH, 4).H
        assert bool(H.isfinite().all())
        torch.testing.assert_close(H.sum(-1), torch.ones(4, 256))

    def test_noise_has_the_ratio_that_each_scene_drew(self):
        # Loud enough spectra: hardly anything is clipped at zero.
        exact = snr_db(draw_scenes(MixingLaw(snr_db=(35.0, 35.0)), SMOOTH, 20))
        assert exact.tolist() == pytest.approx([35.0] * 20, abs=0.05)
        drawn = snr_db(draw_scenes(MixingLaw(snr_db=(20.0, 40.0)), SMOOTH, 400))
        assert 19.9 < drawn.min() < 20.5 and 39.5 < drawn.max() < 40.1
        assert drawn.mean().item() == pytest.approx(30, abs=1)
        # Of a uniform law.
        assert drawn.std().item() == pytest.approx(20 / math.sqrt(12), rel=0.1)

    def test_data_are_nonnegative_whatever_the_noise(self):
        Y = draw_scenes(MixingLaw(snr_db=(-10.0, 0.0)), SMOOTH, 4).Y
        assert Y.min() == 0 and bool((Y == 0).any())

    @pytest.mark.parametrize(("purity", "count"), [(0.0, 0), (0.001, 3), (0.25, 25)])
    def test_pure_pixels(self, purity, count):
        scenes = draw_scenes(MixingLaw(pixels=100, rank=3, purity=purity), SMOOTH, 20)
        pure = scenes.H == 1
        assert pure.any(-1).sum(-1).tolist() == [count] * 20
        if count:
            assert int(pure.sum(1).min()) == count // 3
            # At places of their own in each scene.
            assert not torch.equal(pure[0], pure[1])

    def test_brightness_is_one_number_a_scene(self):
        largest = draw_scenes(MixingLaw(brightness=0.2), SMOOTH, 300).W.amax(1)
        assert bool((largest.amax(1) - largest.amin(1) < 1e-6).all())
        assert 0.8 <= largest.min() < 0.82 and 1.18 < largest.max() <= 1.2
        assert draw_scenes(MixingLaw(brightness=0.0), SMOOTH, 3).W.amax(1).unique().tolist() == [1]

    def test_same_seed_same_bits(self):
        law = MixingLaw(purity=0.1)
        one, same = draw_scenes(law, SMOOTH, 3, seed=5), draw_scenes(law, SMOOTH, 3, seed=5)
        generator = torch.Generator().manual_seed(5)
        for other in (same, draw_scenes(law, SMOOTH, 3, generator)):
            assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
        # A generator goes on where it stands.
        assert not torch.equal(one.Y, draw_scenes(law, SMOOTH, 3, generator).Y)

    def test_types_and_shapes(self):
        scenes = draw_scenes(MixingLaw(pixels=7, rank=2), SMOOTH, 5)
        assert [tuple(x.shape) for x in scenes] == [(5, 30, 7), (5, 30, 2), (5, 7, 2)]
        assert {x.dtype for x in scenes} == {torch.float32}
        assert all(x.is_contiguous() for x in scenes)


class TestSpecimens:
    def test_endmembers_are_different_specimens_of_the_list(self):
        W = Specimens(torch.eye(6)[:, :4])(200, 3, torch.Generator().manual_seed(0))
        assert bool((W.sum((1, 2)) == 3).all()) and int(W.sum(2).max()) == 1
        # Each of the four, about equally often, at every place.
        assert W.mean(0)[:4].flatten().tolist() == pytest.approx([0.25] * 12, abs=0.1)
        assert int(W[:, 4:].sum()) == 0

    def test_refusals(self):
        with pytest.raises(ValueError, match="2 specimens cannot make scenes of 3 endmembers"):
            draw_scenes(MixingLaw(rank=3), Specimens(torch.ones(5, 2)), 1)
        with pytest.raises(ValueError, match="have 1 values that are NaN or infinite"):
            Specimens(torch.tensor([[1.0, math.nan]]))
        with pytest.raises(ValueError, match=r"not \(5,\)"):
            Specimens(torch.ones(5))


class TestLaw:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"pixels": 0}, "pixels of a scene is an integer of at least 1, not 0"),
            ({"rank": 1.5}, "rank of a scene is an integer of at least 1, not 1.5"),
            ({"snr_db": (40, 20)}, r"\(least, largest\) in decibels, not \(40, 20\)"),
            ({"snr_db": (math.nan, 20)}, "in decibels"),
            ({"alpha": 0}, "positive, not 0"),
            ({"alpha": math.inf}, "positive, not inf"),
            ({"purity": 1.5}, "fraction of the pixels in"),
            ({"brightness": 1.0}, r"brightness is in \[0, 1\), not 1.0"),
            ({"pixels": 2, "purity": 0.5}, "2 pixels cannot show 3 endmembers pure"),
            ({"purty": 0.5}, "no 'purty'; it has pixels, rank"),
        ],
    )
    def test_refusals(self, changes, sentence):
        with pytest.raises(ValueError, match=sentence):
            MixingLaw().varied(changes)


class TestSplit:
    def test_disjoint_and_complete(self):
        for seed in range(5):
            seen, held_out = split(36, 12, seed)
            assert len(held_out) == 12 and sorted(seen + held_out) == list(range(36))
        assert split(36, 12, 0) == split(36, 12, 0) != split(36, 12, 1)

    @pytest.mark.parametrize("held_out", [0, 36, -1])
    def test_leaves_some_in_both(self, held_out):
        with pytest.raises(ValueError, match=f"{held_out} of 36 specimens"):
            split(36, held_out)


class TestMinerals:
    def test_bands_are_averages_and_mixtures_are_left_out(self, monkeypatch):
        labels = ("calcite", "water_sediment", "a+b_mix_intimate", "dry_veg_grass", "gypsum")
        spectra = torch.arange(500.0)[:, None] * torch.arange(1.0, 6.0)
        fake = SpectralLibrary(spectra, 2 + torch.arange(500.0) / 1000, labels, labels)
        monkeypatch.setattr("rlra_torch.datasets.scenes.load_usgs", lambda dtype: fake)
        found = minerals(bands=50)
        assert found.labels == ("calcite", "gypsum") == found.samples
        assert found.spectra.shape == (50, 2)
        assert found.spectra[1].tolist() == [14.5, 5 * 14.5]
        assert found.wavelengths[0].item() == pytest.approx(2.0045)
        with pytest.raises(ValueError, match="500 nanometres cannot be averaged into 49"):
            minerals(bands=49)

    def test_of_the_library(self):
        try:
            archive_path("usgs")
        except FileNotFoundError as error:
            pytest.skip(str(error))
        found = minerals()
        assert found.spectra.shape == (50, 36) and len(set(found.samples)) == 36
        assert bool((found.spectra > 0).all())
        assert not [name for name in found.labels if "mix" in name or "veg" in name]

    def test_a_library_that_was_not_fetched(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RLRA_DATA", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"scripts/fetch_data.py usgs"):
            minerals()
