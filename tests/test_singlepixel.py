"""Pictures and spectra from the measurements of a single-pixel camera."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rlra_torch.applications.reconstruction import reconstruct
from rlra_torch.applications.singlepixel import unmix_measurements
from rlra_torch.cli import main
from rlra_torch.datasets import photon_counts
from rlra_torch.functional.divergences import kullback_leibler
from rlra_torch.losses import Anscombe
from rlra_torch.metrics import match, spectral_angle
from rlra_torch.operators import SMatrix, SplitHadamard

F64 = torch.float64


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


@pytest.mark.parametrize("method", ["pinv", "nnls", "kl", "anscombe", "tv", "pnp"])
def test_without_noise_all_methods_find_the_picture(method):
    camera, x = SplitHadamard((16, 16)), blocks().repeat(1, 2)
    x[:, 1] *= 3
    settings = {"denoiser": torch.nn.ReLU()} if method == "pnp" else {}
    assert error(reconstruct(camera(x), camera, method, tv=1e-6, **settings), x) < 1e-3


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


def test_nnls_is_optimal():
    camera, draw = SMatrix((3, 5), "sequency", 8), torch.Generator().manual_seed(2)
    y = torch.rand(8, 1, dtype=F64, generator=draw)
    x = reconstruct(y, camera, "nnls", max_iter=3000, tol=1e-12)
    slope = camera.adjoint(camera(x) - y)
    assert float(x.min()) >= 0 and float(slope.min()) > -1e-8
    assert float((slope * x).abs().max()) < 1e-8


def test_total_variation_with_half_of_the_patterns():
    camera, x = SplitHadamard((32, 32), "cake_cutting", 512), blocks(32)
    y = photon_counts(camera(x), 100.0, seed=3) / 100
    plain = error(reconstruct(y, camera, "pinv"), x)
    assert error(reconstruct(y, camera, "tv", tv=0.1), x) < 0.75 * plain


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


def test_joint_unmixing_halves_the_angle():
    camera, before, after = SplitHadamard((16, 16)), [], []
    for seed in range(2):
        u, v = two_spectra(seed=seed)
        y = photon_counts(camera(u @ v.mT), 100.0, seed=seed) / 100
        found = unmix_measurements(y, camera, 2, inner=10, max_iter=40, tol=0.0)
        objective = torch.tensor([check.objective for check in found.history])
        assert bool((objective.diff() <= 1e-9 * objective[0]).all())
        assert_close(found.spectra.sum(0), torch.ones(2, dtype=F64))
        before.append(angle(found.start, v))
        after.append(angle(found.spectra, v))
    assert sum(after) < 0.8 * sum(before)


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


def test_command(tmp_path, capsys):
    camera, (u, v) = SplitHadamard((8, 8), "sequency"), two_spectra(8)
    y = photon_counts(camera(u @ v.mT), 1000.0, seed=7)
    np.save(tmp_path / "y.npy", y.numpy())
    asked = ["singlepixel", "--data", str(tmp_path / "y.npy"), "--shape", "8", "8", "--order"]
    asked += ["sequency", "--gain", "1000", "--out", str(tmp_path / "out"), "--max-iter", "20"]
    assert main([*asked, "--rank", "2"]) == 0
    assert np.load(tmp_path / "out" / "singlepixel.npz")["maps"].shape == (2, 8, 8)
    assert "KL" in capsys.readouterr().out
    assert main([*asked, "--rank", "2", "--patterns", "5"]) == 2
    assert "(9, bands)" in capsys.readouterr().err


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
        (lambda: photon_counts(-torch.ones(2)), ["2 of 2", "negative"]),
        (lambda: photon_counts(torch.ones(2), 0.0), ["gain"]),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)
