"""``rlra train``, ``rlra test`` and ``rlra predict``, and every configuration that is delivered."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rlra_torch import cli
from rlra_torch.datasets import archive_path, mixture
from rlra_torch.training import session

ROOT = Path(__file__).parents[1]
# Those without a network change the data of another one.
CONFIGS = sorted(
    path
    for path in (ROOT / "configs" / "unmixing").glob("*.yaml")
    if "\nmodel:" in path.read_text()
)
NALMU = str(ROOT / "configs" / "unmixing" / "nalmu.yaml")
# Over any of the configurations: little data without a file, little training.
TINY = """
data:
  class_path: rlra_torch.training.SyntheticMixtures
  init_args:
    bands: 50
    law: {pixels: 20}
    sizes: {train: 4, val: 4, test: 4, batch: 4}
    shifts: {one more: {rank: 4}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, default_root_dir: runs}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("tiny.yaml").write_text(TINY)
    return tmp_path


def words(verb, *more, config=NALMU):
    return [verb, "--config", str(config), "--config", "tiny.yaml", *more]


def shallow(config):
    """Options that make the network of a configuration small, where it has a depth."""
    deep = "depth" in config.read_text()
    return ["--model.network.init_args.depth", "2"] if deep else []


def files(folder="runs/version_0"):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_trains_and_is_tested(config, capsys):
    assert cli.main(words("train", *shallow(config), config=config)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0].endswith("learned parameters; writing to runs/version_0")
    for name in ("best.ckpt", "last.ckpt", "config.yaml", "curves.png", "metrics.csv"):
        assert name in files()
    assert any(name.startswith("events.out.tfevents") for name in files())
    assert cli.main(["test", "--ckpt_path", "runs"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and max(map(len, out.splitlines())) <= 80
    written = ("comparison.csv", "comparison.json", "iterations.png")
    assert out.splitlines()[-3:] == [f"runs/version_0/{name}" for name in written]
    assert set(written) <= set(files())
    rows = json.loads(Path("runs/version_0/comparison.json").read_text())["rows"]
    sets = {"same law, other draws", "white spectra", "one more"}
    assert {row["test"] for row in rows} == sets
    assert all(np.isfinite(row["abundance_rmse"]) for row in rows)


def test_the_configurations_work_on_the_minerals(capsys):
    try:
        archive_path("usgs")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    few = ["--data.init_args.sizes", "{train: 4, val: 4, test: 4, batch: 4}"]
    options = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu"]
    for config in CONFIGS[:1]:
        assert cli.main(["train", "--config", str(config), *few, *options, *shallow(config)]) == 0
        assert capsys.readouterr().err == ""


class TestTrain:
    def test_resumes_where_it_was(self, capsys):
        few = ["--model.network.init_args.depth", "2"]
        assert cli.main(words("train", *few, "--trainer.max_epochs", "2")) == 0
        more = [*few, "--trainer.max_epochs", "3", "--ckpt_path", "runs"]
        assert cli.main(words("train", *more)) == 0
        assert capsys.readouterr().err == ""
        checkpoints = [
            torch.load(f"runs/version_{k}/checkpoints/last.ckpt", weights_only=True) for k in (0, 1)
        ]
        assert [checkpoint["epoch"] for checkpoint in checkpoints] == [1, 2]
        history = checkpoints[1]["callbacks"]["LearningCurves"]["history"]
        assert [row["epoch"] for row in history] == [0, 1, 2, 3]
        with open("runs/version_1/metrics.csv") as file:
            assert {row["epoch"] for row in csv.DictReader(file)} == {"", "2"}

    def test_without_tensorboard_there_is_one_sentence(self, capsys, monkeypatch):
        monkeypatch.setattr(session, "find_spec", lambda name: None)
        assert cli.main(words("train", "--model.network.init_args.depth", "1")) == 0
        err = capsys.readouterr().err
        assert err == "TensorBoard is not installed, so that only metrics.csv is written.\n"
        assert "metrics.csv" in files()
        assert not [name for name in files() if "tfevents" in name]

    def test_an_interruption_says_how_to_go_on(self, capsys, monkeypatch):
        from rlra_torch.training import Factorizer

        step, calls = Factorizer.training_step, []

        def interrupted(self, scenes, index):
            calls.append(index)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return step(self, scenes, index)

        monkeypatch.setattr(Factorizer, "training_step", interrupted)
        few = ["--model.network.init_args.depth", "1", "--trainer.max_epochs", "9"]
        assert cli.main(words("train", *few)) == 130
        err = capsys.readouterr().err
        assert err == "rlra: interrupted; go on with --ckpt_path runs/version_0, or --resume\n"
        assert "curves.png" in files() and "last.ckpt" in files()

    @pytest.mark.slow
    @pytest.mark.skipif(os.name == "nt", reason="needs POSIX processes")
    def test_two_processes(self, here):
        few = ["--model.network.init_args.depth", "2", "--trainer.strategy", "ddp"]
        ask = words("train", *few, "--trainer.devices", "2", "--data.init_args.sizes.batch", "1")
        run = subprocess.run(
            [sys.executable, "-m", "rlra_torch", *ask],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0 and "Traceback" not in run.stderr
        assert run.stdout.count("learned parameters") == 1
        assert {"best.ckpt", "last.ckpt", "curves.png"} <= set(files())
        # Two batches for each of the two processes.
        checkpoint = torch.load("runs/version_0/checkpoints/last.ckpt", weights_only=True)
        assert checkpoint["global_step"] == 2

    def test_a_configuration_is_printed(self, capsys):
        assert cli.main(words("train", "--print_config")) == 0
        assert "class_path: rlra_torch.unrolled.nalmu" in capsys.readouterr().out
        assert not Path("runs").exists()


class TestPredict:
    def untrained(self, *more, config=NALMU):
        return words("predict", "--model.network.init_args.depth", "2", *more, config=config)

    def test_of_the_test_set(self, capsys):
        assert cli.main(self.untrained("--out", "out")) == 0
        assert capsys.readouterr().out == "out/factors.npz\n"
        with np.load("out/factors.npz") as found:
            assert found["spectra"].shape == (4, 50, 3) and found["abundances"].shape == (4, 20, 3)

    def test_of_an_image(self):
        scene = mixture(50, 42, 3)
        np.save("scene.npy", 7 * scene.Y.mT.reshape(6, 7, 50).numpy())
        assert cli.main(self.untrained("--data", "scene.npy", "--out", "out")) == 0
        with np.load("out/factors.npz") as found:
            W, H = found["spectra"], found["abundances"]
        assert W.shape == (50, 3) and H.shape == (42, 3)
        Y = (scene.Y / scene.Y.max()).numpy()
        assert np.linalg.norm(Y - W @ H.T) < 0.1 * np.linalg.norm(Y)
        assert H.sum(1) == pytest.approx(1, abs=0.1)

    def test_of_an_image_with_known_spectra(self, capsys):
        scene = mixture(50, 42, 3)
        np.save("scene.npy", 7 * scene.Y.mT.reshape(6, 7, 50).numpy())
        np.save("W.npy", 7 * scene.W.numpy())
        config = ROOT / "configs" / "unmixing" / "unrolled_nnls.yaml"
        data = ("--data", "scene.npy", "--out", "out")
        ask = self.untrained(*data, "--endmembers", "W.npy", config=config)
        assert cli.main([*ask, "--model.network.init_args.depth", "40"]) == 0
        with np.load("out/factors.npz") as found:
            assert np.abs(found["abundances"] - scene.H.numpy()).mean() < 0.1
        assert cli.main(self.untrained(*data, config=config)) == 2
        assert "regresses on a known W" in capsys.readouterr().err
        np.save("W.npy", np.ones((9, 3)))
        assert cli.main(ask) == 2
        assert "endmembers are (50 bands, r) and finite" in capsys.readouterr().err


class TestErrors:
    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ("--model.network.init_args.dpth 3", "nalmu: Option 'dpth' is not accepted"),
            ("--model.netwrk 3", "unrecognized arguments: --model.netwrk 3"),
            ("--model.network.init_args.depth 0", "integer of at least 1, got 0"),
            ("--model.network.init_args.depth x", "depth: expected int"),
            ("--model.network.class_path nowhere.Net", "No module named 'nowhere'"),
            ("--model.optimizer.init_args.lr x", "lr: expected float, got x"),
            ("--model.known [2]", "known factors are (), (0,) for W or (1,) for H"),
            ("--trainer.max_epochs x", "trainer.max_epochs: expected int, got x"),
            ("--trainer.accelerator abacus", "abacus"),
            ("--data.init_args.law.rnk 3", "MixingLaw: Option 'rnk' is not accepted"),
            ("--data.init_args.law.alpha -1", "alpha of a Dirichlet law is positive, not -1.0"),
            ("--config shifts.yaml", "no 'rnk'; it has pixels, rank"),
            ("--data.init_args.sizes.train 0", "sizes are at least 1, but train is less"),
            ("--model.network.init_args.gains [[40,1],[3]]", "a gain of shape (40, 1) does not"),
            ("--data.init_args.law.rank 4", "3 columns cannot stand for 4 true ones"),
            ("--ckpt_path nowhere", "there is no checkpoint 'nowhere'"),
            ("--ckpt_path .", "there is no last.ckpt below '.'; train first"),
            ("--ckpt_path tiny.yaml", "'tiny.yaml' is not a checkpoint"),
            ("--config nowhere.yaml", "there is no configuration 'nowhere.yaml'"),
            ("--config wrong.yaml", "Option 'modle' is not accepted"),
            ("--config nans.yaml", "nans.npy has 1 NaN"),
            ("--config missing.yaml", "there is no file 'nowhere.npy'"),
        ],
    )
    def test_one_sentence_and_status_2(self, capsys, more, sentence):
        Path("wrong.yaml").write_text("modle: 3\n")
        Path("shifts.yaml").write_text("data: {init_args: {shifts: {more: {rnk: 4}}}}\n")
        cube = np.ones((20, 20, 50), dtype=np.float32)
        cube[1, 2, 3] = np.nan
        np.save("nans.npy", cube)
        patches = (
            "data: {{class_path: rlra_torch.training.ImagePatches, init_args: {{image: {}}}}}\n"
        )
        for name, image in [("nans", "nans.npy"), ("missing", "nowhere.npy")]:
            Path(f"{name}.yaml").write_text(patches.format(image))
        assert cli.main(words("train", *more.split())) == 2
        err = capsys.readouterr().err
        assert err.startswith("rlra: ") and err.count("\n") == 1 and err.endswith("\n")
        assert sentence in err and len(err) < 300

    def test_a_checkpoint_of_another_shape(self, capsys):
        assert cli.main(words("train", "--model.network.init_args.depth", "2")) == 0
        capsys.readouterr()
        for other in (["depth", "3"], ["gains", "[[1],[3]]"]):
            more = [f"--model.network.init_args.{other[0]}", other[1], "--ckpt_path", "runs"]
            assert cli.main(words("test", *more)) == 2
            out, err = capsys.readouterr()
            assert out == "" and err.count("\n") == 1
            assert "rlra: the checkpoint is of another network: network.layers" in err

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["train"], "the following arguments are required: --config"),
            (["test"], "there is no configuration beside a checkpoint; give --config"),
            (["predict", "--endmembers", "W.npy"], "--endmembers goes with an image"),
            (["predict", "--data", "nowhere.npy"], "there is no file 'nowhere.npy'"),
            (["unmix", "--data", "x", "--rank", "3", "--out", "o", "--x", "1"], "--x 1"),
        ],
    )
    def test_of_the_commands(self, capsys, arguments, sentence):
        assert cli.main(arguments) == 2
        err = capsys.readouterr().err
        assert sentence in err and err.count("\n") == 1

    def test_a_library_that_was_not_fetched(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("RLRA_DATA", str(tmp_path / "empty"))
        assert cli.main(["train", "--config", NALMU]) == 2
        err = capsys.readouterr().err
        assert "fetch it with: python scripts/fetch_data.py usgs" in err and err.count("\n") == 1


class TestHelp:
    @pytest.mark.parametrize("verb", ["train", "test", "predict"])
    def test_fits_80_columns_and_ends_with_an_example(self, capsys, verb):
        assert cli.main([verb, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) < 80
        assert lines[-1].startswith(f"  rlra {verb} --c")

    @pytest.mark.slow
    def test_unmix_does_not_wait_for_lightning(self, tmp_path):
        np.save("scene.npy", mixture(12, 42, 3).Y.mT.reshape(6, 7, 12).numpy())
        code = (
            "import sys\n"
            "from rlra_torch.cli import main\n"
            "assert main(['unmix', '--data', 'scene.npy', '--rank', '2', '--out', 'o', '--quiet', "
            "'--max-iter', '2']) == 0\n"
            "heavy = {'pytorch_lightning', 'torchmetrics', 'jsonargparse'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
