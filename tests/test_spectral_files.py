"""Files of spectra, truths and regions: what they give, or one sentence on why they cannot."""

import json

import numpy as np
import pytest
import torch

from rlra_torch.datasets import (
    SpectralLibrary,
    load_library,
    load_regions,
    load_truth,
    resampled,
    write_abundances,
)

RAMP = torch.stack([torch.linspace(0, 1, 11), torch.linspace(1, 0, 11)], 1)
BANDS = torch.linspace(1.0, 2.0, 11)
LIBRARY = SpectralLibrary(RAMP, BANDS, ("up", "down"), ("up", "down"))


class TestLibrary:
    def test_csv(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("wavelength (nm),clay,lime\n400,0.1,0.3\n500,,0.4\n600,0.2,0.5\n")
        found = load_library(path, torch.float64)
        assert found.labels == ("clay", "lime") and found.unit == "nm"
        assert found.wavelengths.tolist() == [400, 500, 600]
        assert found.spectra[:, 1].tolist() == [0.3, 0.4, 0.5] and found.spectra[1, 0].isnan()

    def test_npz_and_what_unmixing_writes(self, tmp_path):
        path = tmp_path / "a.npz"
        settings = np.array(json.dumps({"wavelength_unit": "nm"}))
        np.savez(path, spectra=RAMP, wavelengths=BANDS, settings=settings)
        found = load_library(path)
        assert found.unit == "nm" and found.labels == ("spectrum 1", "spectrum 2")
        torch.testing.assert_close(found.spectra, RAMP)

    def test_envi_scale_bad_bands_and_values_to_ignore(self, tmp_path):
        envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
        stored = np.array([[1000, 2000, 3000, 4000], [500, -1, 700, 800]], dtype=float)
        header = {"wavelength": [1, 2, 3, 4], "wavelength units": "Micrometers"}
        library = envi.SpectralLibrary(stored, {**header, "spectra names": ["a", "b"]})
        library.save(str(tmp_path / "lib"))
        text = (tmp_path / "lib.hdr").read_text().replace("data ignore value = NaN\n", "")
        extra = "reflectance scale factor = 10000\nbbl = { 1, 1, 0, 1 }\ndata ignore value = -1\n"
        (tmp_path / "lib.hdr").write_text(text + extra)
        for name in ("lib.sli", "lib.hdr"):
            found = load_library(tmp_path / name)
            assert found.labels == ("a", "b") and found.unit == "um"
            expected = torch.tensor([[0.1, 0.05], [0.2, torch.nan], [torch.nan] * 2, [0.4, 0.08]])
            torch.testing.assert_close(found.spectra, expected, equal_nan=True)
        wanted = resampled(found, torch.tensor([1000.0, 2000.0, 4000.0]), "nm")
        torch.testing.assert_close(wanted.spectra[1], torch.tensor([0.2, 0.06]))
        envi.save_image(str(tmp_path / "image.hdr"), np.ones((2, 3, 4)))
        with pytest.raises(ValueError, match="image.hdr is an image, not a library"):
            load_library(tmp_path / "image.hdr")
        (tmp_path / "b.sli").write_bytes(b"")
        with pytest.raises(FileNotFoundError, match="no ENVI header beside"):
            load_library(tmp_path / "b.sli")
        (tmp_path / "lib.sli").write_bytes(b"short")
        with pytest.raises(ValueError, match="not an ENVI spectral library that can be read"):
            load_library(tmp_path / "lib.sli")

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("a.txt", "", r"'.*a\.txt' is not a library .* \.csv, \.hdr, \.npz, \.sli"),
            ("a.csv", "", "is empty"),
            ("a.csv", "1,2\n3,4\n5\n", "does not fit"),
            ("a.csv", "400\n500\n", "wavelengths in the first column"),
            ("a.csv", "nm,a\n,1\n", "without a wavelength"),
            ("a.npz", "text", "not a .npz file"),
        ],
    )
    def test_refuses_other_files(self, tmp_path, name, content, sentence):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=sentence):
            load_library(tmp_path / name)

    def test_refuses_arrays_that_do_not_fit(self, tmp_path):
        path = tmp_path / "a.npz"
        for arrays, sentence in (
            ({"x": RAMP}, "has no 'spectra'; it holds x"),
            ({"spectra": RAMP[:, 0]}, r"shape \(11,\)"),
            ({"spectra": RAMP, "wavelengths": BANDS[1:]}, "11 bands but wavelengths"),
            ({"spectra": RAMP, "labels": ["a"]}, "2 spectra but 1 names"),
        ):
            np.savez(path, **arrays)
            with pytest.raises(ValueError, match=sentence):
                load_library(path)
        with pytest.raises(FileNotFoundError, match="there is no file"):
            load_library("nowhere.csv")


class TestResampled:
    def test_interpolates_in_any_unit_and_order(self):
        wanted = torch.tensor([1950.0, 1000.0, 1550.0])
        found = resampled(LIBRARY, wanted, "nm")
        torch.testing.assert_close(found.spectra[:, 0], torch.tensor([0.95, 0.0, 0.55]))
        backwards = LIBRARY._replace(spectra=RAMP.flip(0), wavelengths=BANDS.flip(0))
        torch.testing.assert_close(resampled(backwards, wanted, "nm").spectra, found.spectra)

    def test_leaves_out_what_does_not_cover_the_image(self):
        spectra = RAMP.clone()
        spectra[:3, 1] = torch.nan
        found = resampled(LIBRARY._replace(spectra=spectra), BANDS, "um")
        assert found.labels == ("up",) and found.spectra.shape == (11, 1)
        inner = resampled(LIBRARY._replace(spectra=spectra), BANDS[4:], "um")
        assert inner.labels == ("up", "down")

    def test_says_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"from 400 to 500 nm: the library goes from 1000 to"):
            resampled(LIBRARY, torch.tensor([400.0, 500.0]), "nm")
        with pytest.raises(ValueError, match="the image has no wavelengths, .* image of 7"):
            resampled(LIBRARY, None, bands=7)
        with pytest.raises(ValueError, match="the library has no wavelengths"):
            resampled(LIBRARY._replace(wavelengths=BANDS[:0]), BANDS[1:])
        assert torch.equal(resampled(LIBRARY, None, bands=11).spectra, RAMP)


def test_truth(tmp_path):
    path = tmp_path / "truth.npz"
    np.savez(path, spectra=RAMP, wavelengths=BANDS, abundances=np.ones((2, 3, 2)), unit="um")
    found = load_truth(path, BANDS * 1000, "nm")
    assert found.abundances is not None and found.abundances.shape == (6, 2)
    torch.testing.assert_close(found.spectra, RAMP, atol=1e-5, rtol=0)
    np.savez(path, spectra=RAMP, abundances=np.ones((6, 3)))
    with pytest.raises(ValueError, match=r"shape \(6, 3\), but 2 spectra need \(pixels, 2\)"):
        load_truth(path, bands=11)
    spectra = RAMP.clone()
    spectra[0, 0] = torch.nan
    np.savez(path, spectra=spectra)
    with pytest.raises(ValueError, match="some of the 2 spectra of truth.npz do not cover"):
        load_truth(path, bands=11)


class TestRegions:
    def test_json_and_csv_say_the_same(self, tmp_path):
        entries = [
            {"name": "roof", "count": 2, "rectangle": [0, 1, 2, 2]},
            {"name": "grass", "count": 1, "pixels": [[3, 0], [3, 1]]},
            {"name": "roof", "count": 2, "pixels": [[0, 0]]},
        ]
        (tmp_path / "a.json").write_text(json.dumps(entries))
        roof, grass = load_regions(tmp_path / "a.json", (4, 5))
        assert roof.pixels.tolist() == [0, 1, 2, 6, 7] and roof.count == 2
        assert grass.pixels.tolist() == [15, 16] and grass.name == "grass"
        table = "name,count,row,col,rows,cols\nroof,2,0,1,2,2\nroof,2,0,0,1,1\ngrass,1,3,0,1,2\n"
        (tmp_path / "a.csv").write_text(table)
        for one, other in zip(load_regions(tmp_path / "a.csv", (4, 5)), (roof, grass), strict=True):
            assert (one.name, one.count) == (other.name, other.count)
            assert torch.equal(one.pixels, other.pixels)

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            ("a.txt", "", "read from a .json or .csv file"),
            ("a.json", "{", "a.json is not JSON"),
            ("a.json", "{}", "needs a list of regions, not a dict"),
            ("a.json", "[]", "holds no region"),
            ("a.json", '[{"name": "x", "count": 1}]', "region 1 of a.json needs name, count and"),
            ("a.json", '[{"name": "x", "count": 0, "pixels": [[0, 0]]}]', "asks for 0 materials"),
            ("a.json", '[{"name": "x", "count": 1, "pixels": [[0, 5]]}]', r"holds pixel \(0, 5\)"),
            ("a.json", '[{"name": "x", "count": 1, "rectangle": [0, 0, 0, 1]}]', "no pixel"),
            ("a.csv", "name,count\nx,1\n", "needs the columns name, count, row, col, rows, cols"),
        ],
    )
    def test_refuses_other_files(self, tmp_path, name, content, sentence):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=sentence):
            load_regions(tmp_path / name, (4, 5))


def test_abundances_as_envi(tmp_path):
    envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
    maps = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    maps[:, 0, 0] = torch.nan
    write_abundances(tmp_path / "maps.hdr", maps, ["a, b", "c"])
    image = envi.open(str(tmp_path / "maps.hdr"))
    assert image.metadata["band names"] == ["a  b", "c"]
    np.testing.assert_array_equal(image.open_memmap(), maps.movedim(0, -1))
