"""The wheel and the sdist hold what they should, and nothing else."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import rlra_torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel that was built from the sdist, and the sdist."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def tracked(*folders):
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: which files belong to it is not known")
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, check=True, capture_output=True, text=True
    )
    # What was removed and not yet committed is still listed.
    return {name for name in listed.stdout.split() if (ROOT / name).exists()}


def test_the_wheel_is_the_package(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        described = wheel.read(metadata).decode()
    assert names == tracked("rlra_torch") and "rlra_torch/py.typed" in names
    assert f"\nVersion: {rlra_torch.__version__}\n" in described


def test_the_sdist_is_the_repository(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    kept = ("rlra_torch", "tests", "scripts", "configs", "docs", "notebooks", "pyproject.toml")
    assert tracked(*kept, "*.md", "LICENSE", "CITATION.cff") <= names
    assert names <= tracked() | {"PKG-INFO", ".gitignore"}


def test_the_changelog_and_the_citation_name_the_version():
    version = rlra_torch.__version__
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
