"""``rlra doctor``: what it says, here and where things are missing."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from rlra_torch import __version__, cli
from rlra_torch.cli import doctor

ROOT = Path(__file__).parents[1]


@pytest.fixture
def without(monkeypatch):
    """Make packages be missing."""

    def hide(*names):
        def version(name):
            if name in names:
                raise PackageNotFoundError(name)
            return "1.2.3"

        monkeypatch.setattr(doctor, "version", version)

    return hide


def told(capsys, *words):
    assert cli.main(["doctor", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_here(capsys):
    out = told(capsys)
    assert f"rlra_torch {__version__}, Python 3." in out and " threads, " in out
    assert "cuda" in out and "torch " in out
    assert max(map(len, out.splitlines())) < 80


def test_what_is_missing_and_the_command_that_adds_it(without, capsys):
    without("torch", "psutil", "triton", "plotly", "soundfile")
    out = told(capsys)
    assert "missing report     the page of rlra report: plotly MISSING" in out
    assert "ok      sklearn" in out and "no Triton" in out
    assert out.endswith("to add what is missing:\npip install 'rlra-torch[music,report]'\n")
    found = json.loads(told(capsys, "--json"))
    assert found["missing"] == {"needed": ["psutil", "torch"], "extras": ["music", "report"]}
    assert found["extras"]["music"]["packages"]["soundfile"] is None


def test_nothing_and_everything_missing(without, capsys):
    without("triton")
    assert told(capsys).endswith("all is there\n")
    without("scipy")
    assert told(capsys).endswith("pip install rlra-torch\n")
    without(*doctor.NEEDED, *(name for extra in doctor.EXTRAS.values() for name in extra.packages))
    assert max(map(len, told(capsys).splitlines())) < 80


def test_devices(capsys):
    machine = {"triton": "3", "devices": {"cuda:0": {"name": "A", "memory_gb": 140.1}}}
    assert doctor._devices(machine) == ["cuda:0: A, 140.1 GB", "Triton 3"]


def test_the_packages_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = lambda needs: tuple(sorted(need.split(">")[0].split("[")[0] for need in needs))  # noqa: E731
    assert names(project["dependencies"]) == doctor.NEEDED
    extras = {name: names(needs) for name, needs in project["optional-dependencies"].items()}
    del extras["dev"]
    assert extras == {name: extra.packages for name, extra in doctor.EXTRAS.items()}


def test_imports_nothing_to_look_at_it():
    code = (
        "import sys\n"
        "from rlra_torch.cli import main\n"
        "assert main(['doctor', '--json']) == 0\n"
        "heavy = {'matplotlib', 'plotly', 'pytorch_lightning', 'scipy', 'sklearn', 'tensorly'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
