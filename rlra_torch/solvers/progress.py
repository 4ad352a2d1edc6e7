"""Where a solve stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..iterations import State
from .history import History


@dataclass(frozen=True)
class Progress:
    """Where a solve stands; also what it can be resumed from.

    Args:
        state: the factors and the memory of the iteration.
        done: (*,) which problems are frozen: they have converged, or their objective is lost.
        n_iter: (*,) after how many iterations each problem stopped, or stands.
        history: the checks so far; the first is the start.
    """

    state: State
    done: Tensor
    n_iter: Tensor
    history: History


Callback = Callable[[Progress], Any]
