"""What long commands share: bars, and work that goes on where it was interrupted."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..applications.runs import fingerprint
from ..solvers import Journal, Progress, Watching
from ..solvers.callbacks import bars

UNFINISHED = "unfinished"
"""The folder in that of the results where interrupted work is kept."""

# What does not change the work.
_ASIDE = (
    *("config", "configured", "device", "envi", "json", "out", "quiet", "reported", "resume"),
    *("run", "svg"),
)


class Bars(Watching):
    """A bar for each label, of the solve that is under way; silent when piped.

    Args:
        label: of the solves to come; it may be changed.
        quiet: whether to say nothing.
    """

    def __init__(self, label: str, quiet: bool = False) -> None:
        self.label, self.bars, self.tasks = label, bars(quiet), {}

    def opened(self, start: Any, max_iter: int) -> tuple[Any, Callable[[Progress], None]]:  # noqa: ANN401
        """The start as it is, and what moves the bar."""
        if self.bars.disable:
            return start, lambda progress: None
        label = self.label
        if label not in self.tasks:
            self.tasks[label] = self.bars.add_task(label)
        task = self.tasks[label]
        self.bars.reset(task, total=max_iter)
        self.bars.start()

        def moved(progress: Progress) -> None:
            record = progress.history[-1]
            said = f"{label}  kkt {float(record.kkt.max()):.1e}"
            self.bars.update(task, completed=record.iteration, description=said)

        return start, moved

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        """A bar left running would hide the cursor of the terminal."""
        self.bars.stop()
        super().__exit__(*error)


@contextmanager
def working(arguments: argparse.Namespace, label: str) -> Iterator[Bars]:
    """A command whose work, once interrupted, the same command goes on with.

    Raises:
        KeyboardInterrupt: with a message that says how to go on.
        MemoryError: on the device.
        ValueError: the folder keeps work of other settings, or none that could be resumed.
    """
    folder = Path(arguments.out) / UNFINISHED
    journal = Journal(folder, _settings(arguments))
    if arguments.resume and not journal.resumed:
        raise ValueError(f"there is no interrupted work in '{arguments.out}' to resume")
    try:
        with Bars(label, arguments.quiet) as shown, journal:
            yield shown
    except torch.OutOfMemoryError as error:
        raise MemoryError from error
    except KeyboardInterrupt:
        if not folder.is_dir():
            raise
        raise KeyboardInterrupt(
            f"interrupted; the work is kept in '{folder}', and the same command goes on from there"
        ) from None


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    settings = {name: value for name, value in vars(arguments).items() if name not in _ASIDE}
    files = [name for name, value in settings.items() if isinstance(value, str) and _is_file(value)]
    return settings | {f"{name} fingerprint": fingerprint(settings[name]) for name in files}


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:
        return False
