"""What the checks of a solve have measured, kept in a few blocks of memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor

# Rows of the first block; it doubles whenever it is full.
ROWS = 64


class Record(NamedTuple):
    """What was measured at one check, on the CPU.

    Args:
        iteration: how many iterations had been done.
        seconds: since the start, checks included.
        objective: (*,) of each problem.
        kkt: (*,) the scale-free optimality residual of each problem.
    """

    iteration: int
    seconds: float
    objective: Tensor
    kkt: Tensor


class History(Sequence[Record]):
    """The records of a solve, one after the other; never changed, only followed by longer ones.

    The values lie in one block that the longer histories share. One small tensor a check would
    cost much more than its bytes: lying between the temporaries of two iterations, it keeps their
    freed memory from being used again, and a long solve grows without end.

    Args:
        records: the first ones.

    Example:
        >>> one = History().followed(Record(0, 0.0, torch.tensor(2.0), torch.tensor(1.0)))
        >>> two = one.followed(Record(10, 0.5, torch.tensor(1.5), torch.tensor(0.1)))
        >>> len(one), len(two), two[-1].iteration, float(two[-1].objective)
        (1, 2, 10, 1.5)
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._times: list[tuple[int, float]] = []
        self._values = torch.empty(0)
        self._length = 0
        for record in records:
            self._append(record)

    def followed(self, record: Record) -> History:
        """This history with one more record."""
        longer = History()
        # A second one that follows the same history begins a block of its own.
        if len(self._times) == self._length:
            longer._times, longer._values, longer._length = self._times, self._values, self._length
        else:
            longer = History(self)
        longer._append(record)
        return longer

    def replaced(self, record: Record) -> History:
        """This history with another last record."""
        return History((*self[:-1], record))

    def _append(self, record: Record) -> None:
        if self._length == len(self._values):
            room = record.objective.new_empty(max(ROWS, self._length), 2, *record.objective.shape)
            self._values = torch.cat([self._values, room]) if self._length else room
        self._times.append((record.iteration, record.seconds))
        self._values[self._length, 0] = record.objective
        self._values[self._length, 1] = record.kkt
        self._length += 1

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(self._length)))
        at = range(self._length)[index]
        return Record(*self._times[at], *self._values[at].unbind())


class Traced:
    """What the end of a history says, for results that have one."""

    history: Sequence[Any]

    @property
    def kkt(self) -> Any:  # noqa: ANN401
        """The scale-free optimality residual at the end, of each problem."""
        return self.history[-1].kkt

    @property
    def objective(self) -> Any:  # noqa: ANN401
        """The objective at the end, of each problem."""
        return self.history[-1].objective

    @property
    def seconds(self) -> float:
        """Wall-clock time, checks included."""
        return self.history[-1].seconds
