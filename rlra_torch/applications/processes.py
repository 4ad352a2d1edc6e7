"""The processes that `torchrun` starts, or the only one there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh


@dataclass(frozen=True)
class Team:
    """The processes that work together.

    Args:
        rank: which one this is; the first one prints and writes.
        size: how many there are.
        device: where this one computes.
        mesh: all of them, or None where there is one only.
    """

    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh | None

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def told(self, value: Any) -> Any:  # noqa: ANN401
        """What the first process holds, in every process; others may give anything."""
        if self.mesh is None:
            return value
        held = [value if self.leads else None]
        dist.broadcast_object_list(held, src=0, device=self.device)
        return held[0]

    def any(self, answer: bool) -> bool:
        """Whether one of the processes answers yes."""
        if self.mesh is None:
            return answer
        said = torch.tensor(int(answer), device=self.device)
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return bool(said)


@contextmanager
def processes(device: torch.device) -> Iterator[Team]:
    """The processes of which the environment speaks, for as long as they are needed.

    They talk through gloo on CPUs and NCCL on CUDA, where each takes the device of its local rank.

    Args:
        device: where to compute.

    Example:
        >>> with processes(torch.device("cpu")) as team:
        ...     team.size, team.leads
        (1, True)
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(0, 1, device, None)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), size, device, init_device_mesh(device.type, (size,)))
    finally:
        dist.destroy_process_group()
