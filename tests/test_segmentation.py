"""Calcium movies: regions, spike trains, label maps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch import plots
from rlra_torch.applications.calcium_movies import read_movie
from rlra_torch.cli import main
from rlra_torch.datasets import calcium_movie
from rlra_torch.estimators import segment
from rlra_torch.estimators.segmentation import LOW_RANK_TV, _cosines, movie_problem, spikes_start
from rlra_torch.estimators.segmented import label_map, peaks, regions_of
from rlra_torch.iterations import Alternating, Nesterov, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.plots.segmentation import footprint_rows
from rlra_torch.problem import Problem

CONFIG = Path(__file__).parents[1] / "configs" / "calcium" / "movie.yaml"


@pytest.fixture(scope="module")
def phantom():
    return calcium_movie((60, 28, 28), regions=3, spikes=4, snr_db=-10)


@pytest.fixture(scope="module")
def fit(phantom):
    return segment(phantom.movie, phantom.decay, columns=30, max_iter=30)


def judged(phantom, fit):
    """The least cosine, how many true spikes are found within a frame, and the Rand index."""
    unit = torch.nn.functional.normalize(phantom.footprints.flatten(1), dim=1)
    cosines, own = (unit @ fit.footprints.flatten(1).T).max(1)
    events, hits = fit.events(0.2), 0
    for k, train in zip(own.tolist(), phantom.spikes, strict=True):
        hits += sum(int((abs(events[k] - int(t)) <= 1).any()) for t in train.nonzero())
    rand = adjusted_rand_score(phantom.labels.flatten(), fit.labels.flatten())
    return float(cosines.min()), hits, rand


def test_the_phantom_is_what_it_says():
    phantom = calcium_movie(dtype=torch.float64)
    assert phantom.movie.shape == (200, 64, 64) and phantom.labels.max() == 19
    assert (phantom.spikes.sum(1) == 5).all() and phantom.footprints.sum(0).max() == 1
    clean = phantom.movie.square().mean() - phantom.noise**2
    assert abs(10 * torch.log10(clean / phantom.noise**2) + 16) < 2
    for train in phantom.spikes:
        assert train.nonzero().flatten().diff().min() >= 4
    again = calcium_movie(dtype=torch.float64)
    assert torch.equal(again.movie, phantom.movie)
    with pytest.raises(ValueError, match="do not fit into 12 x 12"):
        calcium_movie((50, 12, 12), regions=19)
    with pytest.raises(ValueError, match="do not fit into 9 frames"):
        calcium_movie((9, 64, 64), regions=1)


def test_regions_spikes_and_labels_are_found(phantom, fit):
    cosine, hits, rand = judged(phantom, fit)
    assert len(fit.footprints) == 3 and hits == 12
    assert cosine > 0.97 and rand > 0.95
    assert abs(fit.noise / phantom.noise - 1) < 0.1


def test_a_background_costs_nothing(phantom):
    """What it can be is taken out of the movie, and leaves the regions as they are."""
    movie, time = phantom.movie[:, :16, :16].double(), torch.arange(60.0).double()[:, None, None]
    level = torch.linspace(0, 5, 16).double() + 0.5 * (torch.pi * (time + 0.5) / 60).cos()
    settings = {"decay": phantom.decay, "columns": 6, "max_iter": 4, "background": 2}
    plain, lifted = segment(movie, **settings), segment(movie + level, **settings)
    torch.testing.assert_close(
        lifted.background - plain.background, level.expand_as(movie), atol=0.02, rtol=0
    )
    torch.testing.assert_close(lifted.spikes, plain.spikes, atol=0.02, rtol=0)


def test_regions_are_found_over_a_background(phantom):
    time = torch.arange(60.0)[:, None, None] / 60
    drift = 3 + 0.5 * (torch.pi * time).cos()
    fit = segment(
        phantom.movie + drift, phantom.decay, lam=0.5, columns=30, background=2, max_iter=60
    )
    cosine, hits, rand = judged(phantom, fit)
    assert len(fit.footprints) == 3 and hits == 12
    assert cosine > 0.97 and rand > 0.95


def test_the_basis_of_the_background_is_orthogonal():
    basis = _cosines(20, 4)
    gram = basis.T @ basis
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-12, rtol=0)


def test_the_objective_is_the_formula(phantom):
    problem, _ = movie_problem(phantom.movie.double(), phantom.decay, 0.7, LOW_RANK_TV, 0)
    a, z = spikes_start(phantom.movie.double(), 5)
    z = z + torch.linspace(0, 1, z.numel(), dtype=z.dtype).reshape(z.shape)
    grid = z.T.reshape(5, 28, 28)
    tv = grid.diff(dim=1).abs().sum((1, 2)) + grid.diff(dim=2).abs().sum((1, 2))
    gauges = (a.sum(0) + a.norm(dim=0)) * (0.6 * z.sum(0) + tv + z.norm(dim=0))
    pole = np.exp(-1 / phantom.decay)
    lag = np.subtract.outer(np.arange(60), np.arange(60))
    decay = torch.from_numpy(np.where(lag >= 0, pole ** np.maximum(lag, 0), 0))
    left = phantom.movie.double().flatten(1) - decay @ a @ z.T
    expected = left.square().sum() / 2 + 0.7 * gauges.sum()
    torch.testing.assert_close(problem.objective((a, z)), expected, rtol=1e-6, atol=0)


def test_columns_of_one_region_are_joined():
    """In a chain too; and what is faint is left out."""
    z = torch.zeros(6, 4)
    z[0:2, 0] = z[1:3, 1] = z[4, 2] = 1
    z[1, 0] = z[1, 1] = 1.2
    z[5, 3] = 0.01
    footprints, spikes = regions_of(torch.eye(4), z)
    assert footprints.shape == (2, 6) and spikes.shape == (2, 4)
    assert (footprints[0, :3] > 0).all() and footprints[1, 4] == pytest.approx(1)
    labels = label_map(footprints.reshape(2, 2, 3))
    assert labels.tolist() == [[1, 1, 1], [0, 2, 0]]


def test_nothing_is_found_where_nothing_is():
    noise = torch.randn(30, 12, 12, generator=torch.Generator().manual_seed(0))
    found = segment(noise, 3.0, lam=5.0, columns=5, max_iter=10)
    assert len(found.footprints) == 0 and not found.labels.any() and found.events() == []
    assert "0 regions" in found.summary()


def test_peaks_at_the_ends():
    assert peaks(torch.tensor([3.0, 1.0, 2.0]), 0.5).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"movie": torch.ones(3, 4)}, "a movie is"),
        ({"movie": torch.full((3, 4, 4), torch.nan)}, "not finite"),
        ({"lam": 0.0}, "lam must be positive"),
        ({"columns": 0}, "number of columns"),
        ({"background": -1}, "background"),
        ({"decay": -1.0}, "time constant must be positive"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        segment(**{"movie": torch.ones(3, 4, 4), "decay": 2.0, **change})


@pytest.mark.parametrize("ending", ["npy", "tif"])
def test_command(ending, tmp_path, phantom, capsys):
    movie = phantom.movie[:20].numpy()
    if ending == "npy":
        np.save(tmp_path / "movie.npy", movie)
    else:
        pages = [Image.fromarray(frame) for frame in movie]
        pages[0].save(tmp_path / "movie.tif", save_all=True, append_images=pages[1:])
    path = tmp_path / f"movie.{ending}"
    np.testing.assert_array_equal(read_movie(path).numpy(), movie)
    options = ["--decay", "3.68", "--columns", "8", "--max-iter", "3", "--out", str(tmp_path / "o")]
    assert main(["segment", "--data", str(path), *options]) == 0
    assert "regions in 20 frames" in capsys.readouterr().out
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert report["shape"] == [20, 28, 28] and report["iterations"] <= 3
    with np.load(tmp_path / "o" / "segmentation.npz") as saved:
        assert saved["labels"].shape == (28, 28)


def test_a_config_comes_before_what_is_given(tmp_path, phantom):
    np.save(tmp_path / "movie.npy", phantom.movie[:20, :12, :12].numpy())
    asked = ["segment", "--config", str(CONFIG), "--data", str(tmp_path / "movie.npy"), "--quiet"]
    assert main([*asked, "--max-iter", "2", "--decay", "2", "--out", str(tmp_path / "o")]) == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    asked = [report[name] for name in ("decay", "lam", "background", "max_iter")]
    assert asked == [2, 0.5, 1, 2]


@pytest.mark.parametrize("background", [0, 2])
def test_no_step_waits_for_the_device(background):
    given, _ = movie_problem(torch.zeros(12, 6, 5), 3.0, 0.5, LOW_RANK_TV, background)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        movie = torch.empty(12, 6, 5, device="cuda")
        model, norm = given.model.to("cuda"), given.regs.to("cuda")
        problem = Problem(movie.flatten(1), model, Frobenius(), norm)
        step = Alternating(Nesterov(ProjectedGradient()), order=(1, 0))
        state = step.init(spikes_start(movie, 4), problem)
        for _ in range(2):
            state = step(state, problem)
        assert all(x.device.type == "cuda" and x.dtype == torch.float32 for x in state.factors)


def test_bad_files(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones(3))
    for name, error in (("a.mp4", ValueError), ("no.npy", FileNotFoundError)):
        with pytest.raises(error):
            read_movie(tmp_path / name)
    with pytest.raises(ValueError, match="a movie is"):
        read_movie(tmp_path / "flat.npy")


def test_figures(tmp_path, phantom, fit):
    path = plots.save(
        footprint_rows({"total variation": fit.footprints}, phantom.footprints), tmp_path / "r.png"
    )
    assert path.stat().st_size > 1000
