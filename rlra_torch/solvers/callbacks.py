"""What can watch a solve: a progress bar, an early stop, a checkpoint to resume from."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from ..functional.arguments import real_number, whole_number
from ..iterations import State
from .solve import Progress, Record


class ProgressBar:
    """A bar with the objective, the residual and the time left; silent when output is piped.

    Args:
        max_iter: the iterations that make it full.
        label: what stands before it.

    Example:
        >>> bar = ProgressBar(100)
    """

    def __init__(self, max_iter: int, label: str = "solving") -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        self.bars = Bars(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        )
        self.max_iter, self.label = max_iter, label
        self.task = self.bars.add_task(label, total=max_iter)

    def __call__(self, progress: Progress) -> None:
        """Show where the solve stands."""
        record = progress.history[-1]
        self.bars.start()
        self.bars.update(
            self.task,
            completed=record.iteration,
            description=f"{self.label}  kkt {float(record.kkt.max()):.1e}",
        )
        if record.iteration >= self.max_iter or bool(progress.done.all()):
            self.bars.stop()


class EarlyStop:
    """Stop when no problem's objective falls by more than a fraction between two checks.

    Args:
        decrease: the fraction, nonnegative.

    Raises:
        ValueError: a negative fraction.

    Example:
        >>> EarlyStop(1e-6).decrease
        1e-06
    """

    def __init__(self, decrease: float) -> None:
        if not real_number("the decrease", decrease) >= 0:
            raise ValueError(f"the decrease must be nonnegative, got {decrease}")
        self.decrease = decrease

    def __call__(self, progress: Progress) -> bool:
        """Whether to stop."""
        if len(progress.history) < 2:
            return False
        before, now = progress.history[-2].objective, progress.history[-1].objective
        return bool((before - now <= self.decrease * before.abs()).all())


class Checkpoint:
    """Write the progress to a file at each check, so that a solve can be resumed.

    The file is replaced in one move: an interruption leaves the last one whole.

    Args:
        path: where to write.
        every: checks between two writes.

    Raises:
        ValueError: fewer than one check between writes.

    Example:
        >>> import tempfile
        >>> Checkpoint(Path(tempfile.gettempdir()) / "run.pt").every
        1
    """

    def __init__(self, path: str | Path, every: int = 1) -> None:
        self.path = Path(path)
        self.every = whole_number("the checks between two writes", every)

    def __call__(self, progress: Progress) -> None:
        """Write, if it is time."""
        if (len(progress.history) - 1) % self.every and not bool(progress.done.all()):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".partial")
        content = {
            "state": tuple(progress.state),
            "done": progress.done,
            "n_iter": progress.n_iter,
            "history": [tuple(record) for record in progress.history],
        }
        torch.save(content, partial)
        os.replace(partial, self.path)


def load_checkpoint(path: str | Path, device: torch.device | str | None = None) -> Progress:
    """Read what `Checkpoint` wrote, to be passed to `solve` as its start.

    Args:
        path: the file.
        device: where the tensors go; None: where they were.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a checkpoint.

    Example:
        >>> load_checkpoint("missing.pt")
        Traceback (most recent call last):
        FileNotFoundError: no checkpoint at missing.pt
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        state = State(*content["state"])
        history = tuple(Record(*entry) for entry in content["history"])
        return Progress(state, content["done"], content["n_iter"], history)
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint of a solve, or it is damaged") from error
