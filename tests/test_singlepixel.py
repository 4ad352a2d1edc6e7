"""Pictures and spectra from the measurements of a single-pixel camera."""

from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.singlepixel import grey, two_colours
from torch.testing import assert_close

from rlra_torch.applications.reconstruction import METHODS, reconstruct
from rlra_torch.applications.singlepixel import unmix_measurements
from rlra_torch.cli import main
from rlra_torch.datasets import photon_counts
from rlra_torch.functional.divergences import kullback_leibler
from rlra_torch.losses import Anscombe
from rlra_torch.metrics import match, spectral_angle
from rlra_torch.operators import SMatrix, SplitHadamard

F64 = torch.float64
CONFIG = Path(__file__).parents[1] / "configs" / "imaging" / "singlepixel.yaml"


def blocks(size=16):
    """A piecewise constant picture, (n, 1)."""
    x = torch.full((size, size), 0.2, dtype=F64)
    x[size // 4 : size // 2, size // 4 :] = 0.9
    x[3 * size // 4 :, : size // 2] = 0.6
    return x.reshape(-1, 1)


def two_spectra(size=16, seed=0):
    draw = torch.Generator().manual_seed(seed)
    v = torch.zeros(10, 2, dtype=F64)
    v[:5, 0] = v[5:, 1] = 0.2
    u = torch.rand(size * size, 2, dtype=F64, generator=draw)
    u = u / u.sum(1, keepdim=True)
    u[:2] = torch.tensor([[0.99, 0.01], [0.01, 0.99]])
    return u, v


def error(x, truth):
    return float((x - truth).norm() / truth.norm())


def angle(v, truth):
    return float(spectral_angle(v[:, match(v, truth)], truth).mean())


@pytest.mark.parametrize("method", METHODS)
def test_without_noise_all_methods_find_the_picture(method):
    camera, x = SplitHadamard((16, 16)), blocks().repeat(1, 2)
    x[:, 1] = 3 * x[:, 1].flip(0)
    settings = {"tv": 1e-6, "denoiser": torch.nn.ReLU(), "max_iter": 50}
    assert error(reconstruct(camera(x), camera, method, **settings), x) < 1e-3
    v = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]], dtype=F64)
    assert error(reconstruct(camera(x @ v.mT), camera, method, spectra=v, **settings), x) < 1e-3


def test_estimates_at_few_photons():
    camera, x = SplitHadamard((16, 16)), blocks()
    y = photon_counts(camera(x), 100.0, seed=1) / 100
    found = {name: reconstruct(y, camera, name) for name in ("pinv", "nnls", "kl", "anscombe")}
    errors = {name: error(z, x) for name, z in found.items()}
    assert abs(errors["pinv"] - errors["nnls"]) < 0.1 * errors["pinv"]
    assert error(found["anscombe"], found["kl"]) < 0.1
    kl = {
        name: float(kullback_leibler(camera(z).clamp_min(1e-9), y).sum())
        for name, z in found.items()
    }
    assert kl["kl"] < kl["nnls"] and kl["kl"] < kl["pinv"]


def test_a_photograph():
    found = grey("china", None, methods=("pinv", "nnls", "kl"))
    errors, divergences = ({name: row[k] for name, row in found.items()} for k in (0, 1))
    assert abs(errors["pinv"] / errors["nnls"] - 1) < 0.03
    assert divergences["kl"] < divergences["nnls"] and divergences["kl"] < divergences["pinv"]
    half = grey("china", 2048, methods=("pinv", "tv"))
    assert half["tv"][0] < 0.75 * half["pinv"][0]


def test_a_photograph_of_two_colours():
    x, found = two_colours()
    assert error(found.cube, x) < 0.15
    petals, leaves = found.spectra[:, found.spectra[0].argsort(descending=True)].mT
    assert float(petals[0]) > 0.7 and float(leaves[0]) < 0.1 and float(petals[2]) < 0.1


def test_nnls_is_optimal():
    camera, draw = SMatrix((3, 5), "sequency", 8), torch.Generator().manual_seed(2)
    y = torch.rand(8, 1, dtype=F64, generator=draw)
    x = reconstruct(y, camera, "nnls", max_iter=3000, tol=1e-12)
    slope = camera.adjoint(camera(x) - y)
    assert float(x.min()) >= 0 and float(slope.min()) > -1e-8
    assert float((slope * x).abs().max()) < 1e-8


@pytest.mark.parametrize("spectra", [None, torch.tensor([[1.0, 0.2], [0.3, 0.6], [0.0, 1.0]])])
def test_likelihood_is_optimal(spectra):
    camera, x = SplitHadamard((8, 8), "sequency", 40), blocks(8).repeat(1, 2)
    v = torch.eye(2, dtype=F64) if spectra is None else spectra.double()
    y = photon_counts(camera(x @ v.mT), 3.0, seed=8) / 3
    given = None if spectra is None else v
    x = reconstruct(y, camera, "kl", spectra=given, max_iter=3000, tol=1e-9)
    slope = camera.adjoint(1 - y / camera(x @ v.mT)) @ v
    assert float(x.min()) >= 0 and float(slope.min()) > -1e-5
    assert float((slope * x).abs().max()) < 1e-5


@pytest.mark.parametrize("method", ["tv", "kl+tv"])
def test_total_variation_with_half_of_the_patterns(method):
    camera, x = SplitHadamard((32, 32), "cake_cutting", 512), blocks(32)
    y = photon_counts(camera(x), 100.0, seed=3) / 100
    plain = error(reconstruct(y, camera, "pinv"), x)
    assert error(reconstruct(y, camera, method, tv=0.1), x) < 0.75 * plain


def test_prior_on_the_maps_of_known_spectra():
    camera, (_, v) = SplitHadamard((16, 16)), two_spectra()
    u = torch.cat([blocks(), 1 - blocks()], 1)
    y = photon_counts(camera(u @ v.mT), 30.0, seed=9) / 30
    alone = error(reconstruct(y, camera, "kl", spectra=v), u)
    assert error(reconstruct(y, camera, "kl+tv", spectra=v, tv=0.1), u) < 0.6 * alone
    mild = error(reconstruct(y, camera, "kl+pnp", spectra=v, denoiser=Mild()), u)
    assert mild < alone


class Mild(torch.nn.Module):
    """A tenth of the way to the mean of the neighbours."""

    def forward(self, x):
        return x.lerp(torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False), 0.1)


def test_any_denoiser_is_a_prior():
    camera, x = SplitHadamard((16, 16)), blocks()
    y = photon_counts(camera(x), 10.0, seed=4) / 10
    mean = Mild()
    plain = error(reconstruct(y, camera, "pinv"), x)
    assert error(reconstruct(y, camera, "pnp", denoiser=mean), x) < plain


@pytest.mark.parametrize("seed", range(2))
def test_joint_unmixing_halves_the_angle(seed):
    camera, (u, v) = SplitHadamard((32, 32)), two_spectra(32, seed)
    y = photon_counts(camera(u @ v.mT), 100.0, seed=seed) / 100
    found = unmix_measurements(y, camera, 2, max_iter=20, tol=0.0)
    objective = torch.tensor([check.objective for check in found.history])
    assert bool((objective.diff() <= 1e-9 * objective[0]).all())
    assert_close(found.spectra.sum(0), torch.ones(2, dtype=F64))
    assert angle(found.spectra, v) < 0.3 * angle(found.start, v)


def test_known_spectra_bound_and_l1():
    camera, (u, v) = SplitHadamard((16, 16)), two_spectra()
    y = camera(u @ v.mT)
    found = unmix_measurements(y, camera, spectra=v, bound=1.0, max_iter=500)
    assert_close(found.spectra, v)
    assert float(found.maps.max()) <= 1
    assert error(found.maps.flatten(1).mT, u) < 0.05
    assert error(found.cube.reshape(256, 10), u @ v.mT) < 0.05
    less = unmix_measurements(y, camera, spectra=v, l1=20.0, max_iter=100)
    assert float(less.maps.sum()) < float(found.maps.sum())


def test_noise_has_the_right_moments():
    light = torch.full((20000,), 5.0, dtype=F64)
    counts = photon_counts(light, 4.0, dark=3.0, readout=2.0, seed=5)
    assert abs(float(counts.mean()) - 23) < 0.2
    assert abs(float(counts.var()) - 27) < 1
    assert bool((counts == photon_counts(light, 4.0, dark=3.0, readout=2.0, seed=5)).all())


def test_stabilized_counts():
    loss, draw = Anscombe(0.4), torch.Generator().manual_seed(6)
    p, y, x = torch.rand(3, 50, dtype=F64, generator=draw).unbind(0)
    p.requires_grad_()
    (slope,) = torch.autograd.grad(loss(p, y).sum(), p, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), p)
    positive, negative = loss.split(p, y)
    assert_close(positive - negative, slope)
    assert_close(loss.curvature(p, y), bend)
    new = loss.majorized(p, positive, negative, None, None)
    assert bool((loss(new, y) <= loss(p, y)).all())


@pytest.mark.parametrize("light", [0.0, 1.0])
def test_darkness_and_a_dead_band(light):
    camera, x = SplitHadamard((4, 4), "sequency", 5), blocks(4).repeat(1, 3)
    y = light * camera(x) * torch.tensor([1, 0, 1], dtype=F64)
    for method in METHODS:
        for spectra in (None, torch.ones(3, 2)):
            found = reconstruct(y, camera, method, spectra=spectra, denoiser=torch.relu)
            assert bool(found.isfinite().all())
    for settings in ({"rank": 2}, {"spectra": torch.ones(3, 2)}):
        found = unmix_measurements(y, camera, max_iter=10, **settings)
        assert bool(found.cube.isfinite().all())


@pytest.fixture
def asked(tmp_path):
    """A command on counts of 8 x 8 pixels, and its spectra."""
    camera, (u, v) = SplitHadamard((8, 8), "sequency"), two_spectra(8)
    y = photon_counts(camera(u @ v.mT), 1000.0, seed=7)
    np.save(tmp_path / "y.npy", y.numpy())
    np.savetxt(tmp_path / "v.csv", v.numpy(), delimiter=",")
    words = ["singlepixel", "--data", str(tmp_path / "y.npy"), "--shape", "8", "8", "--order"]
    return [*words, "sequency", "--gain", "1000", "--out", str(tmp_path / "out")]


def refusal(asked, capsys):
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    return error


def test_command(asked, tmp_path, capsys):
    assert main([*asked, "--rank", "2", "--max-iter", "20"]) == 0
    assert np.load(tmp_path / "out" / "singlepixel.npz")["maps"].shape == (2, 8, 8)
    assert "KL" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["joint", "kl+tv", "nnls"])
def test_command_with_known_spectra(method, asked, tmp_path):
    words = [*asked, "--spectra", str(tmp_path / "v.csv"), "--method", method, "--tv", "0.01"]
    assert main([*words, "--max-iter", "50", "--quiet", "--dtype", "float64"]) == 0
    maps = np.load(tmp_path / "out" / "singlepixel.npz")["maps"]
    u, _ = two_spectra(8)
    assert error(torch.from_numpy(maps).flatten(1).mT, u) < 0.15


def test_command_band_by_band(asked, tmp_path):
    assert main([*asked, "--method", "kl", "--quiet"]) == 0
    cube = np.load(tmp_path / "out" / "singlepixel.npz")["cube"]
    u, v = two_spectra(8)
    assert error(torch.from_numpy(cube).flatten(0, 1), u @ v.mT) < 0.2


def test_command_with_a_configuration(tmp_path, capsys):
    camera, x = SplitHadamard((64, 64), "sequency"), blocks(64).repeat(1, 2)
    both = camera(x)
    y = torch.zeros(8192, 2, dtype=F64)
    y[::2], y[3::2] = both[:4096], both[4096:]
    np.save(tmp_path / "y.npy", (100 * y + 7).numpy())
    words = ["singlepixel", "--config", str(CONFIG), "--data", str(tmp_path / "y.npy")]
    assert main([*words, "--method", "pinv", "--out", str(tmp_path / "out")]) == 0
    cube = np.load(tmp_path / "out" / "singlepixel.npz")["cube"]
    assert error(torch.from_numpy(cube).flatten(0, 1), x) < 1e-4
    capsys.readouterr()
    assert "--rank" in refusal([*words, "--out", str(tmp_path / "out")], capsys)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--rank", "2", "--patterns", "5"], ["(9, bands)", "(127, 10)"]),
        (["--method", "kl", "--rank", "2"], ["--rank", "joint", "kl"]),
        (["--method", "best"], ["kl+tv", "best"]),
        (["--method", "kl+pnp"], ["denoiser="]),
        (["--spectra", "nowhere.csv"], ["nowhere.csv"]),
    ],
)
def test_refused_options(more, words, asked, capsys):
    said = refusal([*asked, *more], capsys)
    assert all(word in said for word in words)


def test_refused_files(asked, tmp_path, capsys):
    data, rank = tmp_path / "y.npy", ["--rank", "2"]
    whole, counts = data.read_bytes(), np.load(data)
    for short in (whole[:-100], whole[:40], b""):
        data.write_bytes(short)
        assert "y.npy is not a whole .npy file" in refusal([*asked, *rank], capsys)
    np.save(data, counts[:-1])
    assert "(127, bands), got (126, 10)" in refusal([*asked, *rank], capsys)
    counts[3, 1] = -2
    np.save(data, counts)
    assert "1 of 1270 measurements are negative" in refusal([*asked, *rank], capsys)
    np.save(data, np.ones((128, 2)) - 2 * np.eye(128, 2))
    assert "2 of 256 counts are negative" in refusal([*asked, *rank, "--pairs"], capsys)
    assert not (tmp_path / "out").exists()


CAMERA = SplitHadamard((4, 4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: reconstruct(torch.ones(30, 2), CAMERA), ["(31, bands)", "(30, 2)"]),
        (lambda: reconstruct(-torch.ones(31, 2), CAMERA, "kl"), ["62 of 62", "negative", "clip"]),
        (lambda: reconstruct(torch.full((31, 1), torch.nan), CAMERA), ["31 of 31", "NaN"]),
        (lambda: reconstruct(torch.ones(31, 2), CAMERA, "best"), ["pinv", "best"]),
        (lambda: reconstruct(torch.ones(31, 2), CAMERA, "pnp"), ["denoiser="]),
        (lambda: unmix_measurements(torch.ones(31, 2), CAMERA), ["rank", "None"]),
        (lambda: unmix_measurements(torch.ones(31, 2), CAMERA, 3), ["1 to 2", "3"]),
        (lambda: unmix_measurements(-torch.ones(31, 2), CAMERA, 2), ["negative"]),
        (
            lambda: unmix_measurements(torch.ones(31, 2), CAMERA, spectra=torch.ones(3, 2)),
            ["(3, 2)", "2 bands"],
        ),
        (lambda: unmix_measurements(torch.ones(31, 2), CAMERA, 1, bound=0.0), ["bound"]),
        (
            lambda: reconstruct(torch.ones(31, 2), CAMERA, "kl", spectra=-torch.ones(2, 1)),
            ["2 of 2", "negative"],
        ),
        (
            lambda: reconstruct(torch.ones(31, 2), CAMERA, "kl", spectra=torch.zeros(2, 1)),
            ["zero in all bands"],
        ),
        (lambda: photon_counts(-torch.ones(2)), ["2 of 2", "negative"]),
        (lambda: photon_counts(torch.ones(2), 0.0), ["gain"]),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)
