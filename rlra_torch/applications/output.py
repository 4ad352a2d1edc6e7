"""Files that appear in a folder all together, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_together(out: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder to write into; on success its files move to ``out``, on failure nothing.

    Other files in ``out`` stay as they are; files of the same names are replaced. Figures that
    were also written as ``.svg`` move with them, see `plots.style.vector_too`.

    Args:
        out: the folder; it is made where it is missing.
        names: the files that will be written.

    Raises:
        OSError: ``out`` cannot be written to.

    Example:
        >>> with tempfile.TemporaryDirectory() as root:
        ...     with written_together(Path(root) / "out", ["a.txt"]) as folder:
        ...         _ = (folder / "a.txt").write_text("a")
        ...     os.listdir(Path(root) / "out")
        ['a.txt']
    """
    out = Path(out)
    check_writable(out, names)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Inside the folder itself, so that each move stays on one file system.
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as temporary:
            yield Path(temporary)
            parts = [(Path(temporary) / name).resolve(strict=True) for name in names]
            parts += sorted(Path(temporary).glob("*.svg"))
            for part in parts:
                os.replace(part, out / part.name)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def check_writable(out: str | Path, names: Sequence[str] = ()) -> None:
    """Check, without a trace, that files of these names can be written to a folder.

    Args:
        out: the folder, which need not exist.
        names: the files.

    Raises:
        OSError: they cannot.
    """
    out = Path(out)
    nearest = next(folder for folder in (out, *out.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        raise NotADirectoryError(f"cannot write to '{out}': '{nearest}' is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to '{out}': no permission to write in '{nearest}'")
    for name in names:
        if (out / name).is_dir():
            raise IsADirectoryError(f"cannot write '{out / name}': it is a folder")
