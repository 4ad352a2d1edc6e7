"""Every command that the README and the pages beside it print is run as printed, kept short."""

import re
import shlex
import warnings
from importlib.util import find_spec
from pathlib import Path

import made_up
import numpy as np
import pytest

from rlra_torch import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Of the same names, a page has files of its own.
COUNTS = {"imaging.md": lambda draw: draw.poisson(20, (8192, 5)).astype(np.float32)}


def commands(page):
    """The words of each command of ``rlra`` and of each script, comments left out."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = (shlex.split(line, comments=True) for line in lines)
    return [each for each in words if each and each[0] in ("rlra", "python", "torchrun")]


SAYING = [page for page in PAGES if commands(page)]


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A folder with files of the names in use, where commands take few iterations and epochs."""
    monkeypatch.chdir(tmp_path)
    made_up.made_up()
    (tmp_path / "overlay.yaml").write_text(made_up.LITTLE)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    parsed = cli._parsed

    def fewer(argv):
        arguments = parsed(argv)
        if hasattr(arguments, "max_iter"):
            arguments.max_iter = min(arguments.max_iter, 2)
        if argv[0] == "train":
            arguments.config.append("overlay.yaml")
        return arguments

    monkeypatch.setattr(cli, "_parsed", fewer)


def missing(words):
    """Why a command cannot be run here, or nothing."""
    text = " ".join(words)
    needs = {".wav": "soundfile", ".mid": "pretty_midi", ".hdr": "spectral", ".sli": "spectral"}
    needs |= {"rlra train": "jsonargparse", "rlra test": "jsonargparse", ".tif": "PIL"}
    needs |= {"rlra predict": "jsonargparse", "rlra report": "plotly", "completion": "shtab"}
    for word, package in needs.items():
        if word in text and find_spec(package) is None:
            return f"without {package}"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("page", SAYING, ids=lambda page: page.name)
def test_commands_run_as_printed(page, short, capsys):
    if page.name in COUNTS:
        np.save("counts.npy", COUNTS[page.name](np.random.default_rng(0)))
    for words in commands(page):
        if words[0] == "rlra" and not missing(words):
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                status = cli.main(words[1:])
            assert status == 0, (words, capsys.readouterr().err)


@pytest.mark.parametrize("page", SAYING, ids=lambda page: page.name)
def test_commands_parse(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        if words[0] == "python":
            assert words[1] == "-m" or (ROOT / words[1]).is_file(), words
        else:
            start = 1 if words[0] == "rlra" else words.index("rlra_torch") + 1
            assert cli._parsed(words[start:]).run


def test_there_are_commands():
    assert sum(len(commands(page)) for page in SAYING) >= 15
