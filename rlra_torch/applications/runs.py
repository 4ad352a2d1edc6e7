"""A folder in which a factorization is under way, or finished."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..estimators.results import Factorization
from ..functional.files import replaced_file
from ..solvers.journal import check_settings

FILES = ["factors.npz", "progress.pt", "run.json"]
"""What a run writes: the factors, where it stands, and its settings and report."""

_WHOLE, _PIECE, _PIECES = 2**28, 2**16, 256


@dataclass(frozen=True)
class Run:
    """A factorization that goes on where it was interrupted.

    Args:
        folder: where it lies.
        settings: what must not change between interruptions, as JSON has it.
    """

    folder: Path
    settings: dict[str, Any]

    @property
    def progress(self) -> Path:
        """Where it stands, as `Checkpoint` writes it."""
        return self.folder / "progress.pt"

    @property
    def factors(self) -> Path:
        """The result."""
        return self.folder / "factors.npz"

    def begin(self, max_iter: int) -> str:
        """Claim the folder.

        Args:
            max_iter: up to which iteration to go.

        Returns:
            "new", "resumed" or "finished".

        Raises:
            ValueError: the folder holds a run with other settings.
        """
        record = self._record()
        if record is not None and (self.progress.is_file() or self.factors.is_file()):
            check_settings(self.folder, record["settings"], self.settings)
            report = record["report"]
            if report and (report["converged"] or report["iterations"] >= max_iter):
                return "finished"
        if self.progress.is_file() and record is not None:
            return "resumed"
        self.progress.unlink(missing_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(None)
        return "new"

    def finish(self, fit: Factorization) -> dict[str, Any]:
        """Write the factors and the report, which it returns."""
        fit.save(self.factors)
        report = {
            "iterations": fit.history[-1].iteration,
            "converged": fit.converged,
            "seconds": fit.seconds,
            "objective": fit.objective,
            "relative_error": fit.relative_error,
            "kkt": fit.kkt,
        }
        self._write(report)
        return report

    def report(self) -> dict[str, Any]:
        """That of a finished run."""
        record = self._record()
        assert record is not None
        return record["report"]

    def _record(self) -> dict[str, Any] | None:
        path = self.folder / "run.json"
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return {"settings": record["settings"], "report": record["report"]}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not of a factorization; choose another folder") from error

    def _write(self, report: dict[str, Any] | None) -> None:
        record = {"settings": self.settings, "report": report}
        with replaced_file(self.folder / "run.json") as file:
            file.write(json.dumps(record, indent=2).encode())


def fingerprint(path: str | Path) -> str:
    """What tells the content of a file, or of a folder, from another one.

    Files up to 256 MB count byte by byte; of larger ones 256 pieces do, with the size and the time
    of the last change.

    Args:
        path: the file or the folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "a").write_text("1")
        ...     len(fingerprint(folder))
        64
    """
    path, seen = Path(path), hashlib.sha256()
    several = path.is_dir()
    for file in sorted(path.rglob("*")) if several else [path]:
        if not file.is_file():
            continue
        size = file.stat().st_size
        seen.update(f"{file.relative_to(path) if several else ''} {size} ".encode())
        large = size > _WHOLE
        if large:
            seen.update(str(file.stat().st_mtime_ns).encode())
        with open(file, "rb") as stream:
            if not large:
                seen.update(hashlib.file_digest(stream, "sha256").digest())
                continue
            for piece in range(_PIECES):
                stream.seek(piece * (size - _PIECE) // (_PIECES - 1), os.SEEK_SET)
                seen.update(stream.read(_PIECE))
    return seen.hexdigest()
