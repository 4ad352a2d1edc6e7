"""``rlra completion``: the scripts, and what bash does with one of them."""

import shutil
import subprocess
import sys

import pytest

from rlra_torch import cli
from rlra_torch.cli.completion import SHELLS

pytest.importorskip("shtab")


def script(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("shell", SHELLS)
def test_knows_every_command_and_is_a_script(shell, capsys, tmp_path):
    text = script(shell, capsys)
    for name in ("factorize", "learn-notes", "completion", "chunk-rows", "ckpt_path"):
        assert name in text
    (tmp_path / "script").write_text(text)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rlra", "un"], {"unmix"}),
        (["rlra", "unmix", "--clip"], {"--clip-negative"}),
        (["rlra", "rank", "--data", "cou"], {"counts.npy"}),
        (["rlra", "completion", "f"], {"fish"}),
    ],
)
def test_bash_completes(words, expected, capsys, tmp_path):
    (tmp_path / "script").write_text(script("bash", capsys))
    (tmp_path / "counts.npy").write_bytes(b"")
    code = (
        "source ./script\n"
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        "$(complete -p rlra | sed 's/.*-F \\([^ ]*\\) .*/\\1/') rlra\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = subprocess.run(
        ["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert {word.strip() for word in run.stdout.split()} == expected, run.stderr


def test_without_shtab(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "rlra: completion needs shtab; pip install 'rlra-torch[completion]'\n"
    )
