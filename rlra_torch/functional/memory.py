"""How much memory there is, and how much a computation on tensors takes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def available_bytes(device: torch.device) -> int | None:
    """How much memory can still be had on a device, or None where that is not known.

    On the CPU what the system can give without swapping, within the limit of the control group (the
    container) that the process runs in; on CUDA what is free, and what PyTorch holds but does not
    use.

    Args:
        device: where.

    Example:
        >>> (available_bytes(torch.device("cpu")) or 0) > 0
        True
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    free = psutil.virtual_memory().available
    group = _control_group()
    return free if group is None else min(free, group)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes of tensors alive during a call, its result included.

    What existed before does not count, and neither does what an operator allocates and frees within
    itself. On tensors of the meta device, which have a size and no values, this takes no memory.

    Args:
        run: what is called.

    Example:
        >>> peak_bytes(lambda: torch.ones(1000, device="meta") + 1)
        8000
    """
    with LiveBytes() as memory:
        run()
    return memory.peak


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operators make inside the ``with`` block, until they are freed.

    A storage counts once, however many views it has.

    Attributes:
        peak: the most bytes there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alive = self.peak = 0
        # Of each storage: a reference to it and its bytes. What dies notes its reference in a list,
        # by a call without any Python in which an interruption would be lost.
        self._known: dict[int, tuple[weakref.ref, int]] = {}
        self._gone: list[weakref.ref] = []
        self._keys: dict[int, int] = {}

    @property
    def live(self) -> int:
        """Bytes alive now."""
        self._settle()
        return self._alive

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        for x in _tensors((args, tuple(kwargs.values()))):
            self._meet(x, counted=False)
        found = func(*args, **kwargs)
        for x in _tensors((found,)):
            self._meet(x, counted=True)
        return found

    def _meet(self, x: Tensor, counted: bool) -> None:
        if x.layout is not torch.strided:
            return
        self._settle()
        storage = x.untyped_storage()
        if storage._cdata not in self._known:
            size = storage.nbytes() if counted else 0
            reference = weakref.ref(storage, self._gone.append)
            self._known[storage._cdata] = reference, size
            self._keys[id(reference)] = storage._cdata
            self._alive += size
            self.peak = max(self.peak, self._alive)

    def _settle(self) -> None:
        """Subtract what has died."""
        while self._gone:
            key = self._keys.pop(id(self._gone.pop()))
            self._alive -= self._known.pop(key)[1]


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    for x in values:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, (list, tuple)):
            yield from _tensors(x)


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What is left below the limit of the control group, which the system's figures leave out.

    Files that are cached and not in use count as free: they give way.
    """
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, now = (int((root / name).read_text()) for name in (limit, used))
            lines = (root / limit).with_name("memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        cached = (line.split()[1] for line in lines if line.startswith("inactive_file "))
        return max(0, most - now + int(next(cached, "0")))
    return None
