"""What can watch a solve: a progress bar, an early stop, a checkpoint to resume from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.files import replaced_file
from ..iterations import State
from .history import History, Record
from .progress import Progress


class Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        """As text."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s", style="progress.data.speed")


def bars(quiet: bool = False) -> Bars:
    """Bars with rate and time left on the terminal's standard error; none where that is piped."""
    console = Console(stderr=True)
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


class ProgressBar:
    """A bar with the objective, the residual and the time left; silent when output is piped.

    Args:
        max_iter: the iterations that make it full.
        label: what stands before it.

    Example:
        >>> bar = ProgressBar(100)
    """

    def __init__(self, max_iter: int, label: str = "solving") -> None:
        self.bars = bars()
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

    The file is replaced in one move: an interruption leaves the last one whole. Where the factors
    lie on several processes the first one writes them, whole.

    Args:
        path: where to write.
        every: checks between two writes.
        seconds: the least time between two writes.
        last: the iteration of the last check, at which it writes whatever the time; or None.

    Raises:
        ValueError: fewer than one check between writes, or a negative time.

    Example:
        >>> import tempfile
        >>> Checkpoint(Path(tempfile.gettempdir()) / "run.pt").every
        1
    """

    def __init__(
        self, path: str | Path, every: int = 1, seconds: float = 0.0, last: int | None = None
    ) -> None:
        self.path, self.last = Path(path), last
        self.every = whole_number("the checks between two writes", every)
        if real_number("the seconds between two writes", seconds) < 0:
            raise ValueError(f"the seconds between two writes must not be negative, got {seconds}")
        self.seconds, self.written = seconds, -float("inf")

    def __call__(self, progress: Progress) -> None:
        """Write, if it is time."""
        ended = bool(progress.done.all()) or progress.history[-1].iteration == self.last
        if not ended and (len(progress.history) - 1) % self.every:
            return
        first = progress.state.factors[0]
        if not ended and not _agreed(time.monotonic() - self.written >= self.seconds, first):
            return
        save_checkpoint(self.path, progress)
        self.written = time.monotonic()


def save_checkpoint(path: Path, progress: Progress) -> None:
    """Write a progress to a file in one move, as `load_checkpoint` reads it."""
    content = {
        "state": _whole(tuple(progress.state)),
        "done": progress.done,
        "n_iter": progress.n_iter,
        "history": [tuple(record) for record in progress.history],
    }
    if _leads(progress.state.factors[0]):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(path) as file:
            torch.save(content, file)


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
        history = History(Record(*entry) for entry in content["history"])
        return Progress(state, content["done"], content["n_iter"], history)
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint of a solve, or it is damaged") from error


def _shared(x: Tensor) -> bool:
    """Whether a tensor lies on several processes."""
    return hasattr(x, "full_tensor")


def _leads(x: Tensor) -> bool:
    return not _shared(x) or torch.distributed.get_rank() == 0


def _agreed(answer: bool, x: Tensor) -> bool:
    """What the first process answers, for a step that all must take together."""
    if not _shared(x):
        return answer
    said = torch.tensor(answer, device=x.device)
    torch.distributed.broadcast(said, src=0)
    return bool(said)


def _whole(tree: Any) -> Any:  # noqa: ANN401
    """The same nested tuple, of whole tensors."""
    if isinstance(tree, Tensor):
        return tree.full_tensor() if _shared(tree) else tree  # pyright: ignore
    return tuple(_whole(part) for part in tree) if isinstance(tree, tuple) else tree
