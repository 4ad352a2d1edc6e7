"""Spectral unmixing: the result, and the files it writes all together or not at all."""

import json
import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from rlra_torch.applications import Unmixing, unmix
from rlra_torch.applications.output import check_writable, written_together
from rlra_torch.applications.unmixing import normalized
from rlra_torch.datasets import HyperspectralImage, mixture
from rlra_torch.losses import KullbackLeibler
from rlra_torch.metrics import match, spectral_angle

ROWS, COLS, BANDS, RANK = 8, 9, 20, 3
FILES = ("spectra.png", "abundances.png", "overlay.png", "convergence.png", "factors.npz")
SCENE = mixture(BANDS, ROWS * COLS, RANK, purity=0.2)


def scene(dtype=torch.float32, device="cpu", **known):
    cube = 500 * SCENE.Y.mT.reshape(ROWS, COLS, BANDS)
    return HyperspectralImage(cube.to(device, dtype), name="scene", **known)


@pytest.fixture(scope="module")
def result() -> Unmixing:
    image = scene(wavelengths=torch.linspace(400, 2500, BANDS), unit="nm")
    return unmix(image, RANK, max_iter=60, check_every=20)


class TestUnmix:
    def test_default_methods_share_one_start(self, result):
        assert list(result.fits) == ["hals", "msom", "mu"]
        assert len({fit.history[0].objective for fit in result.fits.values()}) == 1
        assert all(fit.history[0].iteration == 0 for fit in result.fits.values())

    def test_keeps_the_best(self, result):
        best = result.fits[result.best]
        assert best.objective == min(fit.objective for fit in result.fits.values())
        assert result.relative_error == best.relative_error
        torch.testing.assert_close(
            result.spectra @ result.abundances.mT, best.factors[0] @ best.factors[1].mT
        )

    def test_fits_the_scaled_image(self, result):
        truth = result.image.scaled().matrix
        error = (result.spectra @ result.abundances.mT - truth).norm() / truth.norm()
        assert error.item() == pytest.approx(result.relative_error, rel=1e-3)
        assert result.relative_error < 0.05
        assert result.settings["scale"] == pytest.approx(result.image.cube.max().item())

    def test_components_are_ready_to_show(self, result):
        W, H = result.spectra, result.abundances
        assert (W.shape, H.shape) == ((BANDS, RANK), (ROWS * COLS, RANK))
        assert torch.equal(H.amax(0), torch.ones(RANK)) and bool((H >= 0).all())
        energy = W.norm(dim=0) * H.norm(dim=0)
        assert torch.equal(energy, energy.sort(descending=True).values)
        assert torch.equal(result.maps[1, 2, 3], H[2 * COLS + 3, 1])

    def test_finds_the_spectra_of_a_scene_with_pure_pixels(self):
        found = unmix(scene(torch.float64), RANK, "hals", init="spa", max_iter=300, tol=1e-9)
        W = found.spectra[:, match(found.spectra, SCENE.W.double())]
        assert spectral_angle(W, SCENE.W.double()).max() < 1.0

    def test_is_reproducible(self, result):
        again = unmix(result.image, RANK, max_iter=60, check_every=20)
        assert torch.equal(again.spectra, result.spectra)
        assert torch.equal(again.abundances, result.abundances)

    @pytest.mark.parametrize("loss", ["kl", "is", 1.5, KullbackLeibler()])
    def test_other_losses_start_mu_and_msom_from_one_point(self, loss):
        found = unmix(scene(), RANK, loss=loss, max_iter=20)
        assert list(found.fits) == ["msom", "mu"]
        assert len({fit.history[0].objective for fit in found.fits.values()}) == 1
        for fit in found.fits.values():
            assert fit.objective < fit.history[0].objective

    @pytest.mark.parametrize(
        ("method", "expected"), [("mu", ["mu"]), (["mu", "hals", "mu"], ["mu", "hals"])]
    )
    def test_runs_the_methods_asked_for(self, method, expected):
        assert list(unmix(scene(), RANK, method, max_iter=2).fits) == expected

    def test_follows_the_data(self, device, dtype):
        found = unmix(scene(dtype, device), RANK, "mu", max_iter=2)
        assert found.spectra.dtype == found.abundances.dtype == dtype
        assert found.spectra.device.type == found.abundances.device.type == device.type
        assert found.settings["dtype"] == str(dtype).removeprefix("torch.")

    def test_callbacks_watch_each_method(self):
        seen = []

        def watch(name):
            return [lambda progress: seen.append((name, progress.history[-1].iteration))]

        unmix(scene(), RANK, ["hals", "mu"], tol=0.0, max_iter=4, check_every=2, callbacks=watch)
        assert seen == [(name, i) for name in ("hals", "mu") for i in (0, 2, 4)]

    def test_negative_data_suit_least_squares(self):
        noisy = replace(scene(), cube=scene().cube - 5)
        assert unmix(noisy, RANK, "hals", max_iter=20).relative_error < 0.2

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"rank": 0}, "rank must be an integer of at least 1, got 0"),
            ({"rank": BANDS + 1}, "needs a rank between 1 and 20"),
            ({"method": "gauss"}, "unknown method 'gauss'"),
            ({"method": []}, "method is a short name or several"),
            ({"method": ["mu", 3]}, "method is a short name or several"),
            ({"loss": "l1"}, "unknown loss 'l1'"),
            ({"init": "zeros"}, "unknown init 'zeros'"),
            ({"max_iter": 0}, "max_iter must be an integer of at least 1, got 0"),
            ({"tol": -1.0}, "tol must be .*-1"),
            ({"check_every": 0}, "check_every must be an integer of at least 1"),
        ],
    )
    def test_refuses_bad_settings(self, options, sentence):
        with pytest.raises(ValueError, match=sentence):
            unmix(scene(), **{"rank": RANK, **options}, callbacks=pytest.fail)

    def test_refuses_a_method_that_cannot_minimize_the_loss_before_any_runs(self):
        with pytest.raises(TypeError, match="HALS needs a least-squares block"):
            unmix(scene(), RANK, ["mu", "hals"], loss="kl", callbacks=pytest.fail)

    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            (float("nan"), "1 values that are not finite"),
            (float("inf"), "1 values that are not finite"),
            (-1.0, "1 of 1440 entries are negative"),
        ],
    )
    def test_refuses_bad_values(self, value, sentence):
        cube = scene().cube.clone()
        cube[1, 2, 3] = value
        with pytest.raises(ValueError, match=sentence):
            unmix(HyperspectralImage(cube), RANK, loss="kl")

    def test_refuses_an_image_of_zeros(self):
        with pytest.raises(ValueError, match="without a positive value"):
            unmix(HyperspectralImage(torch.zeros(2, 3, 4)), 1)


class TestNormalized:
    def test_keeps_the_product(self, generator, dtype, device):
        W, H = (
            torch.rand(2, n, 4, generator=generator, dtype=dtype, device=device) for n in (5, 6)
        )
        w, h, _ = normalized(W, H)
        torch.testing.assert_close(w @ h.mT, W @ H.mT)
        torch.testing.assert_close(h.amax(-2), torch.ones(2, 4, dtype=dtype, device=device))

    def test_dead_components_come_last_and_stay_zero(self):
        w, h, order = normalized(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0], [0.0, 1.0]]))
        assert w.tolist() == [[6.0, 0.0]] and order.tolist() == [1, 0]
        assert h[:, 1].tolist() == [0.0, 0.0]


class TestWrite:
    def test_every_file_can_be_read(self, result, tmp_path):
        paths = result.write(tmp_path / "new" / "out")
        assert [path.name for path in paths] == list(FILES) == sorted(FILES, key=FILES.index)
        assert sorted(os.listdir(tmp_path / "new" / "out")) == sorted(FILES)
        for path in paths[:4]:
            assert path.read_bytes().startswith(b"\x89PNG")
        with np.load(paths[4], allow_pickle=False) as file:
            np.testing.assert_array_equal(file["spectra"], result.spectra)
            np.testing.assert_array_equal(file["abundances"], result.abundances)
            np.testing.assert_array_equal(file["wavelengths"], result.image.wavelengths)
            assert tuple(file["shape"]) == (ROWS, COLS, BANDS)
            assert file["history_mu"].shape == (len(result.fits["mu"].history), 4)
            settings = json.loads(str(file["settings"]))
        assert settings["rank"] == RANK and settings["loss"] == "Frobenius"
        assert settings["methods"] == result.report
        assert settings["best"] == result.best

    def test_wavelengths_may_be_unknown(self, tmp_path):
        path = unmix(scene(), RANK, "mu", max_iter=2, tol=0.0).write(tmp_path)[-1]
        with np.load(path) as file:
            assert "wavelengths" not in file.files

    def test_other_files_stay_and_own_ones_are_replaced(self, result, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "factors.npz").write_text("old")
        result.write(tmp_path)
        assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "notes.txt"])
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert np.load(tmp_path / "factors.npz")["spectra"].shape == (BANDS, RANK)

    def test_a_failure_leaves_no_trace(self, result, tmp_path, monkeypatch):
        def fail(self, path):
            path.write_text("half")
            raise OSError("no space left")

        monkeypatch.setattr(Unmixing, "_save_factors", fail)
        with pytest.raises(OSError, match="no space left"):
            result.write(tmp_path / "a" / "b")
        assert os.listdir(tmp_path) == []

    def test_figures_say_what_they_show(self, result):
        assert result.plot_spectra().axes[0].get_xlabel() == "wavelength (nm)"
        pictures = [image for axes in result.plot_maps().axes for image in axes.get_images()]
        assert [image.get_clim() for image in pictures] == [(0, 1)] * RANK
        names = [text.get_text() for text in result.plot_convergence().legends[0].get_texts()]
        assert names == ["HALS", "mSOM", "MU"]

    def test_figures_of_a_single_pixel_and_a_single_band(self, tmp_path):
        for shape in ((1, 1, 5), (4, 5, 1)):
            image = HyperspectralImage(torch.ones(shape))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                unmix(image, 1).write(tmp_path)


class TestOutput:
    def test_a_missing_file_leaves_the_old_ones(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(OSError), written_together(tmp_path, ["a", "b"]) as folder:
            (folder / "a").write_text("new")
        assert os.listdir(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "old"

    def test_an_interruption_leaves_no_trace(self, tmp_path):
        with pytest.raises(KeyboardInterrupt), written_together(tmp_path / "x", ["a"]) as folder:
            (folder / "a").write_text("new")
            raise KeyboardInterrupt
        assert os.listdir(tmp_path) == []

    def test_refuses_what_is_not_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        for out in (tmp_path / "file", tmp_path / "file" / "deep" / "er"):
            with pytest.raises(NotADirectoryError, match="'.*file' is not a folder"):
                check_writable(out)

    def test_refuses_a_folder_in_the_place_of_a_file(self, tmp_path):
        (tmp_path / "a").mkdir()
        with pytest.raises(IsADirectoryError, match="it is a folder"):
            check_writable(tmp_path, ["a"])

    def test_refuses_a_folder_without_permission(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(PermissionError, match="no permission to write in"):
            check_writable(tmp_path / "new")

    def test_relative_folders(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        check_writable("a/b")
        with written_together("a/b", ["c"]) as folder:
            (folder / "c").write_text("")
        assert os.listdir(tmp_path / "a" / "b") == ["c"]
