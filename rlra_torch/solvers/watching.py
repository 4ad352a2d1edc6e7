"""What watches all solves of a block of code, wherever in it they are called."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from ..models import Factors
from .progress import Callback, Progress

Start = Factors | Progress

_OPEN: ContextVar[tuple[Watching, ...]] = ContextVar("watching", default=())


class Watching:
    """Watches each `solve` that is called inside ``with Watching():``, at any depth.

    A solve with callbacks of its own is left to these: they may have to see every check.

    Example:
        >>> with Watching():
        ...     watched((), (), 10)[0]
        ()
    """

    def __enter__(self) -> Self:
        """Begin."""
        self._token = _OPEN.set((*_OPEN.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        _OPEN.reset(self._token)

    def opened(self, start: Start, max_iter: int) -> tuple[Start, Callback]:
        """What a solve starts from in place of ``start``, and a callback for it."""
        return start, lambda progress: None


def watched(
    start: Start, callbacks: Sequence[Callback], max_iter: int
) -> tuple[Start, Sequence[Callback]]:
    """The start and the callbacks of a solve, if it has none those of all that watch."""
    if callbacks:
        return start, callbacks
    own = []
    for watching in _OPEN.get():
        start, callback = watching.opened(start, max_iter)
        own.append(callback)
    return start, own
