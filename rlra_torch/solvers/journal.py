"""Solves that are kept in a folder, so that interrupted work goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from ..functional.files import replaced_file
from .callbacks import load_checkpoint, save_checkpoint
from .progress import Progress
from .watching import Start, Watching


class Journal(Watching):
    """Keeps every solve of ``with Journal(...):`` in a file of its number, until all work is done.

    The same work, begun again in the same folder, reads the solves that had ended and goes on with
    the one that was interrupted, from its last check: bit by bit the same result, if what lies
    between the solves depends on nothing but the settings. Solves shorter than ``seconds`` leave
    no file; they are done again. When the work is done the folder is removed.

    Args:
        folder: for the files alone; it is made when there is something to keep.
        settings: what makes the work what it is, as JSON has it.
        seconds: the least time between two writes.

    Raises:
        ValueError: the folder holds work with other settings.

    Example:
        >>> Journal("nowhere", {"rank": 3}).resumed
        False
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any], seconds: float = 5.0) -> None:
        self.folder, self.seconds = Path(folder), seconds
        self.settings = json.loads(json.dumps(settings))
        self.resumed = self._about.is_file()
        if self.resumed:
            before = json.loads(self._about.read_text(encoding="utf-8"))
            check_settings(self.folder, before, self.settings)
        self.count, self._page = 0, _Page(self, 0)

    def opened(self, start: Start, max_iter: int) -> tuple[Start, _Page]:
        """What a solve goes on from, and what watches it."""
        self._page.close(self.seconds)
        self.count += 1
        self._page = _Page(self, self.count)
        if not self._page.path.is_file():
            return start, self._page
        kept = load_checkpoint(self._page.path, _factors(start)[0].device)
        return kept, self._page

    def keep(self, progress: Progress, path: Path) -> None:
        """Write where a solve stands."""
        if not self._about.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced_file(self._about) as file:
                file.write(json.dumps(self.settings).encode())
        save_checkpoint(path, progress)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what an interruption would lose, or remove what is not needed any more."""
        super().__exit__(kind, error, trace)
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif issubclass(kind, KeyboardInterrupt):
            self._page.close(least=0.0)

    @property
    def _about(self) -> Path:
        return self.folder / "settings.json"


class _Page:
    """One solve."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal, self.path = journal, journal.folder / f"{number:05d}.pt"
        self.latest: Progress | None = None
        self.begin = self.written = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Keep it, if it is time."""
        self.latest = progress
        if time.monotonic() - self.written >= self.journal.seconds:
            self._write(progress)

    def close(self, least: float) -> None:
        """Keep what is not kept yet of a solve that took so many seconds."""
        if self.latest is not None and time.monotonic() - self.begin >= least:
            self._write(self.latest)

    def _write(self, progress: Progress) -> None:
        self.journal.keep(progress, self.path)
        self.latest, self.written = None, time.monotonic()


def check_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that work that was begun in a folder is the work that is asked for.

    Raises:
        ValueError: it is not; one sentence says what differs.
    """
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not other:
        return
    shown = ", ".join(
        name if "fingerprint" in name else f"{name} {before.get(name)}, not {now.get(name)}"
        for name in other
    )
    raise ValueError(
        f"'{folder}' holds a run with other settings ({shown}); "
        "give these, choose another folder, or remove it"
    )


def _factors(start: Start) -> Any:  # noqa: ANN401
    return start.state.factors if isinstance(start, Progress) else start
