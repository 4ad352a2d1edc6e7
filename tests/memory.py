"""How many bytes of tensors are alive, and how many there were at most."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operators make inside the ``with`` block, until they are freed.

    A storage counts once, however many views it has. What existed before (data, parameters) does
    not count, and neither does what an operator allocates and frees within itself.

    Attributes:
        live: bytes alive now.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for x in _tensors((args, tuple(kwargs.values()))):
            self._meet(x, counted=False)
        found = func(*args, **kwargs)
        for x in _tensors((found,)):
            self._meet(x, counted=True)
        return found

    def _meet(self, x: torch.Tensor, counted: bool) -> None:
        if x.layout is not torch.strided:
            return
        storage = x.untyped_storage()
        if storage._cdata not in self._known:
            size = storage.nbytes() if counted else 0
            self._known[storage._cdata] = weakref.finalize(
                storage, self._forget, storage._cdata, size
            )
            self.live += size
            self.peak = max(self.peak, self.live)

    def _forget(self, key: int, size: int) -> None:
        self.live -= size
        del self._known[key]


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes alive during a call, its result included."""
    with LiveBytes() as memory:
        run()
    return memory.peak


def _tensors(values: Iterable[object]) -> Iterator[torch.Tensor]:
    for x in values:
        if isinstance(x, torch.Tensor):
            yield x
        elif isinstance(x, (list, tuple)):
            yield from _tensors(x)
