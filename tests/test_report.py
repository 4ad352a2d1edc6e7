"""Unmixing with pixels, libraries and regions, masked images, and the report against the truth."""

import json
import os

import numpy as np
import pytest
import torch

from rlra_torch import cli
from rlra_torch.applications import unmix
from rlra_torch.applications.methods import METHODS
from rlra_torch.datasets import (
    HyperspectralImage,
    ImageRegion,
    SpectralLibrary,
    Truth,
    mixture,
)
from rlra_torch.metrics import abundance_rmse, mrsa, spectral_angle
from rlra_torch.report import report

ROWS, COLS, BANDS, RANK = 8, 9, 20, 3
SCENE = mixture(BANDS, ROWS * COLS, RANK, purity=0.2, dtype=torch.float64)
PLACES = torch.linspace(400, 2500, BANDS)
OTHERS = mixture(BANDS, 9, 9, seed=7, dtype=torch.float64).W
LIBRARY = SpectralLibrary(
    torch.cat([OTHERS, SCENE.W], 1), PLACES / 1000, tuple("abcdefghijkl"), tuple("abcdefghijkl")
)
TRUTH = Truth(SCENE.W, SCENE.H, ("clay", "lime", "grass"))


def scene(missing=()):
    cube = 500 * SCENE.Y.mT.reshape(ROWS, COLS, BANDS).clone()
    for row, col in missing:
        cube[row, col] = torch.nan
    return HyperspectralImage(cube, PLACES.double(), "nm", "scene")


PIXELS = [name for name, method in METHODS.items() if method.picks == "pixels"]


class TestMethods:
    @pytest.mark.parametrize("name", PIXELS)
    def test_pure_pixels(self, name):
        found = unmix(scene(), RANK, name.replace("_", "-"))
        assert list(found.fits) == [name] and found.pixels is not None
        pure = found.image.scaled().matrix[:, found.pixels]
        assert spectral_angle(found.spectra, pure).max() < 1e-4
        # A pixel near the mean of a cluster is not pure.
        exact = name != "h2nmf"
        assert found.relative_error < (1e-4 if exact else 0.3)
        assert report(found, TRUTH).overall["sad"] < (0.1 if exact else 15)
        row = found.report[name]
        assert row["kkt"] is None and row["iterations"] is None and row["seconds"] > 0

    def test_library(self):
        found = unmix(scene(), RANK, "mc-als", library=LIBRARY)
        assert set(found.labels or ()) == set("jkl") and found.pixels is None
        assert found.relative_error < 1e-5

    def test_regions(self):
        pure = SCENE.H.argmax(1).tolist()
        where = [[p for p in SCENE.pure.tolist() if pure[p] == k] for k in range(RANK)]
        regions = [
            ImageRegion("field", torch.tensor(where[0] + where[1]), 2),
            ImageRegion("roof", torch.tensor(where[2]), 1),
        ]
        found = unmix(scene(), method="m2c_als", regions=regions)
        assert found.settings["rank"] == 3 and found.relative_error < 1e-5
        assert sorted(found.labels or ()) == ["field 1", "field 2", "roof"]
        for label, pixel in zip(found.labels, found.pixels.tolist(), strict=True):
            assert pixel in (where[2] if label == "roof" else where[0] + where[1])

    def test_least_volume(self):
        found = unmix(scene(), RANK, ["minvol", "spa"], max_iter=50)
        assert found.report["minvol"]["iterations"] <= 50 and found.plot_convergence() is None
        assert found.report["minvol"]["relative_error"] < 0.05

    def test_best_of_different_kinds(self):
        found = unmix(scene(), RANK, ["spa", "hals"], init="spa", max_iter=20)
        assert list(found.fits) == ["spa", "hals"]
        assert found.fits[found.best].objective == min(f.objective for f in found.fits.values())
        (curve,) = found.plot_convergence().legends[0].get_texts()
        assert curve.get_text() == "HALS"
        assert unmix(scene(), RANK, "spa").plot_convergence() is None

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"method": "mc-als"}, "mc_als chooses spectra from a library; pass library="),
            ({"method": "m2c-als"}, "m2c_als chooses spectra from regions .*; pass regions="),
            ({"method": "spa", "loss": "kl"}, "spa fits in least squares"),
            ({"rank": None}, "the number of components is missing; pass rank="),
            ({"library": LIBRARY._replace(wavelengths=PLACES)}, "none of the 12 spectra"),
            (
                {"regions": [ImageRegion("x", torch.tensor([0, 1]), 3)], "method": "m2c_als"},
                "region 'x' shows 2 pixels that were seen, fewer than the 3 materials",
            ),
            (
                {"regions": [ImageRegion("x", torch.tensor([0, 1]), 2)], "method": "m2c_als"},
                "the regions hold 2 materials, fewer than rank 3",
            ),
        ],
    )
    def test_refuses_what_does_not_suit(self, options, sentence):
        with pytest.raises(ValueError, match=sentence):
            unmix(scene(), **{"rank": RANK, **options}, callbacks=pytest.fail)


class TestMasked:
    missing = ((0, 0), (3, 4), (7, 8))

    def test_pixels_that_were_not_seen_take_no_part(self, tmp_path):
        found = unmix(scene(self.missing), RANK, ["snpa", "hals"], max_iter=20)
        assert found.maps.isnan().all(0).sum() == 3
        assert [tuple(p) for p in found.maps[0].isnan().nonzero().tolist()] == list(self.missing)
        whole = scene().matrix
        seen = found.image.seen.flatten()
        alone = HyperspectralImage(whole[:, seen].mT[None])
        same = unmix(alone, RANK, ["snpa", "hals"], max_iter=20)
        torch.testing.assert_close(found.abundances[seen], same.abundances)
        found.write(tmp_path, envi=bool(pytest.importorskip("spectral")))
        assert {"abundances.hdr", "abundances.img", "overlay.png"} <= set(os.listdir(tmp_path))

    def test_marks_are_in_the_coordinates_of_the_whole_image(self):
        found = unmix(scene(self.missing), RANK, "snpa")
        pure = found.image.scaled().matrix[:, found.pixels]
        assert spectral_angle(found.spectra, pure).max() < 1e-4
        figure = found.plot_pixels()
        marks = [line.get_data() for line in figure.axes[0].get_lines()]
        places = [int(y[0]) * COLS + int(x[0]) for x, y in marks]
        assert places == found.pixels.tolist()

    def test_grey_where_nothing_was_seen(self):
        found = unmix(scene(self.missing), RANK, "spa")
        picture = found.plot_maps().axes[0].get_images()[0]
        assert np.ma.getmaskarray(picture.get_array()).sum() == 3
        assert picture.get_cmap().get_bad().tolist() == pytest.approx([0.6, 0.6, 0.6, 1])
        overlay = found.plot_overlay().axes[0].get_images()[0].get_array()
        assert overlay[0, 0].tolist() == pytest.approx([0.6] * 3)


class TestReport:
    def test_aligns_and_scores(self):
        order, scale = torch.tensor([2, 0, 1]), torch.tensor([2.0, 0.5, 3.0])
        noise = 0.01 * torch.arange(BANDS * 3.0).sin().reshape(BANDS, 3)
        W = (SCENE.W + noise)[:, order] * scale
        H = (SCENE.H[:, order] + 0.01) / scale
        found = report((W, H), TRUTH)
        assert found.order.tolist() == [1, 2, 0] and found.labels == TRUTH.labels
        torch.testing.assert_close(found.scores["sad"], spectral_angle(SCENE.W + noise, SCENE.W))
        torch.testing.assert_close(found.scores["mrsa"], mrsa(SCENE.W + noise, SCENE.W))
        # The scale that fits the spectra best is that of the truth, up to the noise.
        torch.testing.assert_close(
            found.scores["abundance_rmse"],
            abundance_rmse(SCENE.H + 0.01, SCENE.H),
            atol=0.01,
            rtol=0,
        )
        assert found.overall["sad"] == pytest.approx(float(found.scores["sad"].mean()))
        raw = report((W, H), TRUTH, rescale=False)
        assert raw.scores["endmember_rmse"].max() > 0.1 > found.scores["endmember_rmse"].max()

    def test_matches_by_abundances_on_request(self):
        H = SCENE.H[:, [1, 2, 0]]
        assert report((SCENE.W, H), TRUTH).order.tolist() == [0, 1, 2]
        assert report((SCENE.W, H), TRUTH, by="abundances").order.tolist() == [2, 0, 1]

    def test_components_without_a_partner_are_said(self):
        more = report((OTHERS, torch.ones(ROWS * COLS, 9)), TRUTH)
        assert "6 of the 9 estimated components stand for no true one" in more.table()
        fewer = report((SCENE.W[:, [2, 0]], SCENE.H[:, [2, 0]]), TRUTH)
        assert fewer.labels == ("clay", "grass") and fewer.order.tolist() == [1, 0]
        assert "1 of the 3 true components have no estimate." in fewer.table()
        assert fewer.overall["sad"] == 0

    def test_table_fits_80_columns(self):
        long = TRUTH._replace(labels=("a" * 90, "b", "c"))
        for truth in (long, long._replace(abundances=None)):
            table = report((SCENE.W, SCENE.H), truth, image=scene()).table()
            assert max(len(line) for line in table.splitlines()) <= 80
            assert "SAD (deg)" in table and ("aRMSE" in table) == (truth.abundances is not None)

    def test_an_unmixing_brings_its_image_and_unit(self, tmp_path):
        truth = Truth(500 * SCENE.W, SCENE.H, TRUTH.labels)
        found = report(unmix(scene(((2, 2),)), RANK, "spa"), truth)
        assert found.scores["endmember_rmse"].max() < 0.1
        assert found.overall["relative_error"] < 1e-4 and found.overall["abundance_rmse"] < 1e-3
        paths = found.write(tmp_path)
        assert [path.name for path in paths] == [
            "spectra_truth.png",
            "abundances_truth.png",
            "overlay_truth.png",
            "pixels_truth.png",
            "scores.json",
        ]
        scores = json.loads(paths[-1].read_text())
        assert scores["components"] == list(TRUTH.labels) and len(scores["sad"]) == 3

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match="'spectra' or 'abundances', not by 'colour'"):
            report((SCENE.W, SCENE.H), TRUTH, by="colour")
        with pytest.raises(ValueError, match="the same bands, got shapes"):
            report((SCENE.W[1:], SCENE.H), TRUTH)
        with pytest.raises(ValueError, match=r"3 true spectra and 71 pixels need \(71, 3\)"):
            report((SCENE.W, SCENE.H[1:]), TRUTH)
        with pytest.raises(ValueError, match="no abundances to match by"):
            report((SCENE.W, SCENE.H), (SCENE.W, None), by="abundances")


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "80")
        image = scene()
        np.save("scene.npy", image.cube.numpy())
        np.savez("truth.npz", spectra=500 * SCENE.W, abundances=SCENE.H, labels=TRUTH.labels)
        np.savez("library.npz", spectra=LIBRARY.spectra, labels=LIBRARY.labels)
        regions = [{"name": "all", "count": 3, "rectangle": [0, 0, ROWS, COLS]}]
        (tmp_path / "regions.json").write_text(json.dumps(regions))

    def run(self, *words):
        return cli.main(["unmix", "--data", "scene.npy", "--out", "out", *words])

    def test_truth_and_envi(self, capsys):
        pytest.importorskip("spectral")
        assert self.run("--rank", "3", "--method", "spa", "--truth", "truth.npz", "--envi") == 0
        out, err = capsys.readouterr()
        assert err == "" and max(len(line) for line in out.splitlines()) <= 80
        assert "lime" in out and "SAD (deg)" in out and "out/abundances.hdr" in out
        assert {"scores.json", "abundances.img", "pixels.png"} <= set(os.listdir("out"))

    def test_library_and_regions(self, capsys):
        words = ("--method", "mc-als", "m2c-als", "--library", "library.npz")
        assert self.run(*words, "--regions", "regions.json", "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert list(printed["methods"]) == ["mc_als", "m2c_als"]
        assert printed["methods"]["mc_als"]["relative_error"] < 1e-4

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("--rank", "3", "--method", "mc-als"), "from a library; pass --library"),
            (("--rank", "3", "--method", "m2c-als"), "of the image; pass --regions"),
            (("--method", "spa"), "the number of components is missing; pass --rank"),
            (("--rank", "3", "--library", "no.csv"), "there is no file 'no.csv'"),
            (("--rank", "3", "--regions", "no.json"), "there is no file 'no.json'"),
            (("--rank", "3", "--truth", "scene.npy"), "'scene.npy' is not a library"),
        ],
    )
    def test_one_sentence(self, capsys, words, sentence):
        before = sorted(os.listdir())
        assert self.run(*words) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and sentence in err
        assert sorted(os.listdir()) == before
