"""The command line, in this process and as a program of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from rlra_torch import __version__, cli
from rlra_torch.datasets import mixture
from rlra_torch.report.page import COMMAND, PAGE

ROOT = Path(__file__).parents[1]
FILES = ["abundances.png", "convergence.png", "factors.npz", "overlay.png", "spectra.png"]
ROWS, COLS, BANDS = 6, 7, 12
CUBE = mixture(BANDS, ROWS * COLS, 3).Y.mT.reshape(ROWS, COLS, BANDS).numpy()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own, with one small scene in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    np.save("scene.npy", CUBE)
    return tmp_path


def arguments(**changes):
    """The words of a quick run; an option that is None is left out."""
    options = {"data": "scene.npy", "rank": 3, "out": "out", "max_iter": 20, **changes}
    words = ["unmix"]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else str(value).split())]
    return words


def program(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "rlra_torch", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


class TestUnmix:
    def test_prints_a_table_and_writes_the_files(self, capsys):
        assert cli.main(arguments()) == 0
        out, err = capsys.readouterr()
        lines = out.splitlines()
        assert err == ""
        assert max(len(line) for line in lines) <= 80
        assert f"scene.npy: {ROWS} x {COLS} pixels, {BANDS} bands; rank 3, Frobenius" in lines[0]
        for word in ("method", "seconds", "relative error", "KKT", "iterations", "converged"):
            assert word in lines[2]
        assert [name for name in ("HALS", "mSOM", "MU") if f" {name} " in out] == [
            "HALS",
            "mSOM",
            "MU",
        ]
        assert sorted(lines[-6:-1]) == [str(Path("out") / name) for name in FILES]
        assert lines[-1] == str(Path("out") / PAGE)
        assert sorted(os.listdir("out")) == sorted([*FILES, COMMAND, PAGE])

    def test_is_a_program(self):
        process = program(*arguments(method="mu hals"))
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert max(len(line) for line in out.splitlines()) <= 80
        assert np.load("out/factors.npz")["spectra"].shape == (BANDS, 3)
        assert sorted(os.listdir()) == ["out", "scene.npy"]

    def test_all_long_names_fit_80_columns(self, capsys):
        methods = "hals msom mu fista pg active_set als"
        assert cli.main(arguments(method=methods, max_iter=2)) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line) for line in lines) <= 80
        assert any("active set" in line for line in lines)

    def test_options_reach_the_fit(self):
        options = {"loss": 1.5, "init": "random", "seed": 3, "tol": 1e-3, "check_every": 4}
        assert cli.main(arguments(method="mu", dtype="float64", **options)) == 0
        with np.load("out/factors.npz") as file:
            assert file["spectra"].dtype == np.float64
            settings = json.loads(str(file["settings"]))
        assert settings["loss"] == "BetaDivergence(beta=1.5)"
        assert {name: settings[name] for name in options if name != "loss"} == {
            name: value for name, value in options.items() if name != "loss"
        }
        assert settings["max_iter"] == 20 and list(settings["methods"]) == ["mu"]

    def test_indian_pines_is_known_by_name(self, capsys):
        assert cli.main(arguments(data="indian_pines", rank=1, method="mu", max_iter=1)) == 0
        assert "145 x 145 pixels, 200 bands" in capsys.readouterr().out
        assert np.load("out/factors.npz")["wavelengths"].shape == (200,)

    def test_mat_and_envi_files(self):
        scipy.io.savemat("scene.mat", {"cube": CUBE, "other": CUBE[:2]})
        assert cli.main(arguments(data="scene.mat", variable="cube", method="mu")) == 0
        envi = pytest.importorskip("spectral.io.envi")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            envi.save_image("scene.hdr", CUBE, metadata={"wavelength": list(range(BANDS))})
        assert cli.main(arguments(data="scene.hdr", method="mu", out="envi")) == 0
        assert np.load("envi/factors.npz")["wavelengths"].tolist() == list(range(BANDS))

    def test_clip_negative(self):
        np.save("scene.npy", CUBE - 0.1)
        assert cli.main(arguments(clip_negative=True, method="mu")) == 0

    def test_json(self, capsys):
        assert cli.main(arguments(json=True, method="hals mu")) == 0
        printed = json.loads(capsys.readouterr().out)
        assert list(printed["methods"]) == ["hals", "mu"] and printed["best"] in ("hals", "mu")
        row = printed["methods"]["mu"]
        assert row["iterations"] <= 20 and 0 < row["relative_error"] < 1
        assert sorted(Path(path).name for path in printed["files"]) == FILES

    def test_quiet(self, capsys):
        assert cli.main(arguments(quiet=True, method="mu")) == 0
        assert capsys.readouterr() == ("", "")
        assert sorted(os.listdir("out")) == sorted([*FILES, COMMAND, PAGE])

    def test_other_files_stay(self):
        os.mkdir("out")
        Path("out/notes.txt").write_text("mine")
        for _ in range(2):
            assert cli.main(arguments(method="mu", max_iter=2)) == 0
        assert sorted(os.listdir("out")) == sorted([*FILES, COMMAND, PAGE, "notes.txt"])
        assert Path("out/notes.txt").read_text() == "mine"

    def test_warnings_are_one_sentence(self, capsys, monkeypatch):
        from rlra_torch.applications import methods

        def diverging(*arguments, **options):
            warnings.warn("the objective is not finite", RuntimeWarning, stacklevel=2)
            return fit(*arguments, **options)

        fit = methods.nmf
        monkeypatch.setattr(methods, "nmf", diverging)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            assert cli.main(arguments(method="mu")) == 0
        (line,) = set(capsys.readouterr().err.splitlines())
        assert line == "rlra: warning: the objective is not finite"


def nans():
    cube = CUBE.copy()
    cube[1, 2, 3] = np.nan
    return cube


class TestErrors:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"data": "nowhere.npy"}, "there is no file 'nowhere.npy'"),
            ({"data": "scene.tiff"}, "'scene.tiff' is not an image that can be read"),
            ({"data": "two.mat"}, "choose one with --variable"),
            ({"data": "two.mat", "variable": "x"}, "two.mat has no variable 'x'"),
            ({"variable": "x"}, "only .mat files have variables"),
            ({"data": "flat.npy"}, "flat.npy has shape (42, 12)"),
            ({"data": "nans.npy"}, "nans.npy has 1 NaN"),
            ({"data": "negative.npy"}, "pass --clip-negative to set them to zero"),
            ({"data": "zeros.npy"}, "without a positive value"),
            ({"data": "text.npy"}, "text.npy is not a .npy file"),
            ({"rank": 0}, "--rank: needs an integer of at least 1, got 0"),
            ({"rank": "two"}, "--rank: needs an integer of at least 1, got two"),
            ({"rank": 13}, "nndsvda was given rank 13"),
            ({"rank": 13, "init": "nndsvd"}, "use --init random instead"),
            ({"rank": 43, "init": "spa"}, "spa was given rank 43"),
            ({"rank": None}, "the number of components is missing; pass --rank"),
            ({"init": "zeros"}, "unknown init 'zeros'"),
            ({"method": "gauss"}, "unknown method 'gauss'"),
            ({"method": "mu hals", "loss": "kl"}, "HALS needs a least-squares block"),
            ({"loss": "l1"}, "unknown loss 'l1'"),
            ({"loss": "nan"}, "beta must be a finite real number"),
            ({"loss": "is", "data": "some_zeros.npy"}, "entries are zero"),
            ({"max_iter": -3}, "--max-iter: needs an integer of at least 1, got -3"),
            ({"check_every": 0}, "--check-every: needs an integer of at least 1"),
            ({"tol": -1}, "tol must be"),
            ({"tol": "nan"}, "tol must be"),
            ({"dtype": "float16"}, "--dtype: invalid choice"),
            ({"device": "abacus"}, "device 'abacus' cannot be used on this machine"),
            ({"device": "meta"}, "device 'meta' cannot be used on this machine"),
            ({"device": "cuda:77"}, "device 'cuda:77' cannot be used on this machine"),
            ({"out": "scene.npy"}, "'scene.npy' is not a folder"),
            ({"out": "scene.npy/deep"}, "scene.npy' is not a folder"),
            ({"json": True, "quiet": True}, "--quiet: not allowed with argument --json"),
            ({"rnak": 3}, "unrecognized arguments: --rnak 3"),
        ],
    )
    def test_one_sentence_status_2_and_nothing_written(self, here, capsys, changes, sentence):
        np.save("flat.npy", CUBE.reshape(-1, BANDS))
        np.save("nans.npy", nans())
        np.save("negative.npy", CUBE - 0.5)
        np.save("zeros.npy", np.zeros((2, 3, 4)))
        np.save("some_zeros.npy", np.maximum(CUBE - 0.2, 0))
        Path("text.npy").write_text("text")
        scipy.io.savemat("two.mat", {"a": CUBE, "b": CUBE})
        before = sorted(os.listdir())
        assert cli.main(arguments(**changes)) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("rlra: ") and err.count("\n") == 1 and err.endswith("\n")
        assert sentence in err
        assert sorted(os.listdir()) == before

    def test_a_program_leaves_no_traceback(self):
        process = program(*arguments(data="nowhere.npy"))
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (2, "")
        assert err == "rlra: there is no file 'nowhere.npy'; check the path\n"

    @pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write anywhere")
    def test_unwritable_folder(self, capsys):
        os.mkdir("locked", mode=0o500)
        assert cli.main(arguments(out="locked/out")) == 2
        assert "no permission to write" in capsys.readouterr().err

    def test_a_failure_to_write_is_one_sentence(self, here, capsys, monkeypatch):
        def full(*arguments, **options):
            raise OSError(28, "No space left on device", "out/factors.npz")

        monkeypatch.setattr(np, "savez", full)
        assert cli.main(arguments(method="mu")) == 2
        assert capsys.readouterr().err == "rlra: 'out/factors.npz': No space left on device\n"
        assert os.listdir() == ["scene.npy"]

    def test_no_command(self, capsys):
        assert cli.main([]) == 2
        assert capsys.readouterr().err == (
            "rlra: the following arguments are required: COMMAND; see rlra --help\n"
        )

    def test_too_little_memory(self, capsys, monkeypatch):
        def huge(*arguments, **options):
            raise MemoryError

        monkeypatch.setattr("rlra_torch.datasets.load_image", huge)
        assert cli.main(arguments()) == 2
        assert "not enough memory" in capsys.readouterr().err


class TestInterruption:
    def test_in_process(self, here, capsys, monkeypatch):
        def interrupted(*arguments, **options):
            raise KeyboardInterrupt

        monkeypatch.setattr("rlra_torch.applications.methods.nmf", interrupted)
        assert cli.main(arguments()) == 130
        err = capsys.readouterr().err
        assert err.startswith("rlra: interrupted") and err.count("\n") == 1
        assert os.listdir() == ["scene.npy"]

    @pytest.mark.slow
    @pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
    def test_of_a_program(self, here):
        np.save("large.npy", np.random.default_rng(0).random((100, 100, 50), dtype=np.float32))
        words = arguments(data="large.npy", max_iter=10**6, tol=0, check_every=5)
        code = (
            "import sys, rlra_torch.cli as cli, rlra_torch.applications.unmixing\n"
            "print('ready', flush=True)\n"
            "sys.exit(cli.main(sys.argv[1:]))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert err.startswith("rlra: interrupted") and err.count("\n") == 1
        assert "the same command goes on" in err
        assert sorted(os.listdir()) == ["large.npy", "out", "scene.npy"]
        assert os.listdir("out") == ["unfinished"]


class TestHelp:
    @pytest.mark.parametrize("words", [["--help"], ["unmix", "--help"]])
    @pytest.mark.parametrize("columns", ["80", "200"])
    def test_fits_80_columns_and_ends_with_an_example(self, capsys, monkeypatch, words, columns):
        monkeypatch.setenv("COLUMNS", columns)
        assert cli.main(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line) for line in lines) < 80
        assert lines[-1].startswith("  rlra unmix --data ")

    def test_every_option_says_what_it_does(self):
        (commands,) = [a for a in cli._parser()._actions if a.choices]
        for parser in commands.choices.values():
            assert all(action.help for action in parser._actions)

    def test_examples_parse(self, capsys):
        assert cli.main(["unmix", "--help"]) == 0
        text = capsys.readouterr().out
        examples = [line.split() for line in text.splitlines() if line.startswith("  rlra ")]
        assert len(examples) == 3
        for words in examples:
            assert cli._parser().parse_args(words[1:]).rank > 0

    def test_methods_losses_and_starts_are_those_of_the_library(self, capsys):
        from rlra_torch.applications.methods import METHODS
        from rlra_torch.estimators.names import LOSSES, MATRIX_STARTS

        assert cli.main(["unmix", "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        for name in (*LOSSES, *MATRIX_STARTS, *(m.replace("_", "-") for m in METHODS)):
            assert f" {name}" in text

    def test_version(self, capsys):
        assert cli.main(["--version"]) == 0
        assert capsys.readouterr().out == f"rlra {__version__}\n"

    def test_imports_nothing_heavy(self):
        code = (
            "import sys, types\n"
            "package = types.ModuleType('rlra_torch')\n"
            f"package.__path__ = [{str(ROOT / 'rlra_torch')!r}]\n"
            "package.__version__ = '0'\n"
            "sys.modules['rlra_torch'] = package\n"
            "import rlra_torch.cli\n"
            "assert rlra_torch.cli.main(['unmix', '--help']) == 0\n"
            "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'rich', 'pytorch_lightning'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
def test_a_terminal_shows_progress_and_gets_its_cursor_back():
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rlra_torch", *arguments(method="hals mu", tol=0)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        encoding="utf-8",
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # Linux says so when the other end is closed.
        pass
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0 and "KKT" in out
    text = shown.decode()
    assert "hals" in text and "mu" in text and "20/20" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")
