"""``--config``: the same in every command that has it."""

from pathlib import Path

import numpy as np
import pytest

from rlra_torch import cli

CUBE = np.random.default_rng(0).random((5, 4, 6), dtype=np.float32)
WORDS = ["unmix", "--config", "run.yaml", "--out", "out", "--quiet"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own, with one small scene in it."""
    monkeypatch.chdir(tmp_path)
    np.save("scene.npy", CUBE)


def parsed(text, *words):
    Path("run.yaml").write_text(text)
    return cli._parsed([*WORDS, *words])


def test_words_come_before_the_file():
    text = "data: scene.npy\nrank: 3\nmax-iter: 7\nmethod: [hals, mu]\nclip-negative: true\n"
    found = parsed(text, "--rank", "2")
    assert (found.data, found.rank, found.max_iter) == ("scene.npy", 2, 7)
    assert found.method == ["hals", "mu"] and found.clip_negative and not found.envi


def test_underscores_nothing_and_no():
    found = parsed("data: scene.npy\nmax_iter: 7\ntol: 1e-3\nlibrary:\nenvi: false\n")
    assert (found.max_iter, found.tol, found.library, found.envi) == (7, 1e-3, None, False)


def test_a_command_runs_from_it():
    Path("run.yaml").write_text("data: scene.npy\nrank: 2\nmax-iter: 3\nmethod: mu\n")
    assert cli.main(WORDS) == 0
    assert Path("out/factors.npz").is_file()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rnak: 3\n", "'run.yaml' has an option 'rnak', which this command has not"),
        ("config: other.yaml\n", "has an option 'config'"),
        ("- rank\n", "must hold options as 'name: value'"),
        ("rank: [\n", "must hold options as 'name: value'"),
        ("", "must hold options as 'name: value'"),
        ("rank: none\n", "--rank: needs an integer of at least 1, got none"),
        (None, "'run.yaml': No such file"),
    ],
)
def test_errors_are_one_sentence(text, sentence, capsys):
    if text is not None:
        Path("run.yaml").write_text(text)
    assert cli.main([*WORDS, "--data", "scene.npy"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


def test_later_files_come_before_earlier_ones():
    Path("more.yaml").write_text("rank: 4\nclip-negative: false\n")
    found = parsed("data: scene.npy\nrank: 3\nclip-negative: true\n", "--config", "more.yaml")
    assert (found.data, found.rank, found.clip_negative) == ("scene.npy", 4, False)
