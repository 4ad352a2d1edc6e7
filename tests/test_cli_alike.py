"""The same options mean the same in every command, and every command keeps the same manners."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import made_up
import pytest

from rlra_torch import cli

ROOT = Path(__file__).parents[1]
(COMMANDS,) = (a.choices for a in cli._parser()._actions if isinstance(a.choices, dict))
SHARED = ("config", "device", "dtype", "json", "loss", "max-iter", "out", "quiet", "resume")
SHARED += ("seed", "tol", "check-every")
FITS = ("factorize", "unmix", "deconvolve", "recover", "segment", "singlepixel", "rank")
TINY = "--config tiny.yaml"
# A small run of each.
RUNS = {
    "factorize": "--data counts.npz --rank 2 --max-iter 5 --out runs/counts",
    "unmix": "--data scene.npy --rank 3 --method hals --max-iter 5 --out runs/scene",
    "deconvolve": "--data traces.csv --kernel-size 5 --max-iter 5 --out runs/traces",
    "recover": "--data scene.npy --ratio 2 --rank 2 --max-iter 5 --out runs/recovered",
    "segment": "--data movie.npy --decay 5 --columns 6 --max-iter 5 --out runs/movie",
    "singlepixel": "--data camera.npy --shape 4 4 --rank 2 --max-iter 5 --out runs/camera",
    "rank": "--data counts.npy --ranks 1:2 --folds 2 --max-iter 5 --out runs/ranks",
    "learn-notes": "piano -o piano.npz",
    "transcribe": "song.wav --notes piano.npz -o song.mid",
    "train": f"{TINY} --out runs/train",
    "test": f"{TINY} --ckpt_path runs/train",
    "predict": f"{TINY} --ckpt_path runs/train",
    "report": "runs/scene",
    "benchmark": "--data counts.npy --rank 2 --max-iter 4 --check-every 2",
    "doctor": "",
    "completion": "bash",
}
# What another command must have written before.
AFTER = {"transcribe": "learn-notes", "test": "train", "predict": "train", "report": "unmix"}
NEEDS = {
    "learn-notes": "soundfile",
    "transcribe": "pretty_midi",
    "report": "plotly",
    "train": "jsonargparse",
    "test": "jsonargparse",
    "predict": "jsonargparse",
}


def options(name):
    """The options of a command, by their long names."""
    return {
        word.removeprefix("--"): action
        for action in COMMANDS[name]._actions
        for word in action.option_strings
        if word.startswith("--")
    }


def ready(name):
    """Skip where a package is missing; run what comes before."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    before = AFTER.get(name)
    written = {"learn-notes": "piano.npz", "train": "runs/train", "unmix": "runs/scene"}
    if before and not Path(written[before]).exists():
        assert cli.main([before, *RUNS[before].split(), "--quiet"]) == 0


def without_default(text):
    return re.sub(r" \(default: .*\)$", "", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all commands."""
    with pytest.MonkeyPatch.context() as patch:
        where = tmp_path_factory.mktemp("commands")
        patch.chdir(where)
        made_up.made_up()
    return where


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    """Every test works in it, on a narrow screen."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("option", SHARED)
def test_a_shared_option_is_the_same_everywhere(option):
    seen = {name: options(name)[option] for name in COMMANDS if option in options(name)}
    assert len(seen) > 1
    described = {
        name: (without_default(action.help), action.metavar, action.type, type(action))
        for name, action in seen.items()
    }
    assert len(set(described.values())) == 1, described


def test_commands_have_the_options_that_suit_them():
    for name in FITS:
        wanted = {"config", "device", "dtype", "json", "max-iter", "out", "quiet", "resume"}
        assert wanted <= set(options(name)), name
        assert name == "recover" or "tol" in options(name)
    for name in ("train", "test", "predict"):
        assert {"config", "device", "dtype", "json", "out", "quiet", "seed"} <= set(options(name))
    assert "resume" in options("train")
    assert all("json" in options(name) for name in COMMANDS if name != "completion")


@pytest.mark.parametrize("name", COMMANDS)
class TestEach:
    def test_help_fits_and_has_examples_that_parse(self, name, capsys):
        assert cli.main([name, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) < 80
        examples = COMMANDS[name].epilog.replace("\\\n", " ").splitlines()[1:]
        assert examples
        for words in (example.split() for example in examples):
            words = words[words.index("rlra" if words[0] == "rlra" else "rlra_torch") + 1 :]
            assert words[0] == name
            if "configs/" not in " ".join(words):
                assert cli._parsed(words[: words.index(">")] if ">" in words else words).run

    def test_an_unknown_option_is_one_sentence(self, name, capsys):
        ready(name)
        words = RUNS[name].split()
        assert cli.main([name, *words, "--no-such-option", "3"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("rlra: ") and err.count("\n") == 1
        assert "--no-such-option" in err

    def test_a_missing_file_is_one_sentence(self, name, capsys):
        if name in ("completion", "doctor"):
            pytest.skip("reads no file")
        ready(name)
        files = r"\w+\.(np[yz]|csv|wav|yaml)|runs/scene$|piano(?= )"
        words = re.sub(files, "nowhere.npy", RUNS[name])
        assert cli.main([name, *words.split()]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("rlra: ") and err.count("\n") == 1
        assert "nowhere" in err

    def test_json_is_all_that_is_printed(self, name, capsys):
        if name == "completion":
            pytest.skip("prints a script")
        ready(name)
        assert cli.main([name, *RUNS[name].split(), "--json"]) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)

    def test_quiet_is_silent(self, name, capsys):
        ready(name)
        if "quiet" not in options(name):
            pytest.skip("only speaks")
        assert cli.main([name, *RUNS[name].split(), "--quiet"]) == 0
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", [name for name in COMMANDS if "resume" in options(name)])
def test_nothing_to_resume(name, capsys):
    words = re.sub("runs/[a-z]+", "runs/new", RUNS[name]).split()
    assert cli.main([name, *words, "--resume"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "runs/new" in err


def test_every_command_is_here():
    assert set(RUNS) == set(COMMANDS)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import rlra_torch", "torch numpy scipy rich"),
        ("from rlra_torch.cli import main; main(['--help'])", "torch numpy scipy rich"),
        ("import rlra_torch; rlra_torch.nmf, rlra_torch.cp", ""),
    ],
)
def test_what_is_heavy_is_imported_where_it_is_used(code, absent):
    heavy = "matplotlib pandas plotly pytorch_lightning sklearn tensorly torchmetrics torchvision"
    code += f"\nimport sys\nfound = set('{heavy} {absent}'.split()) & set(sys.modules)"
    run = [sys.executable, "-c", code + "\nassert not found, found"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(run, check=True, env=environment, stdout=subprocess.DEVNULL)
