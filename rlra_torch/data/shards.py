"""Data whose rows lie on several devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import (
    DTensor,
    Partial,
    Placement,
    Replicate,
    Shard,
    distribute_tensor,
)

from ..models import Factors
from .base import Data, Stored
from .rows import RowBlocks


@dataclass(frozen=True, eq=False)
class Shards(RowBlocks):
    """A matrix of which each process holds some rows, as data of any kind.

    The factors are `DTensor`s: W lies with the rows of the data, every process has all of H. What
    travels in an iteration is the sum of the parts of the gradient in H, n x r numbers each, and
    sums of r x r.

    Args:
        local: the rows of this process: those that `own_rows` gives, in the order of processes.
        mesh: the processes, a mesh of one dimension.
        rows: of all processes together.

    Example:
        >>> Shards.__name__
        'Shards'
    """

    local: Data
    mesh: DeviceMesh
    rows: int

    @classmethod
    def of(cls, local: Data, mesh: DeviceMesh) -> Shards:
        """Count the rows of all processes.

        Args:
            local: the rows of this process.
            mesh: the processes.
        """
        rows = torch.tensor(local.shape[-2], device=local.device)
        dist.all_reduce(rows, group=mesh.get_group())
        return cls(local, mesh, int(rows))

    def placed(self, factors: Factors) -> Factors:
        """Whole factors, the same in every process, as this data wants them; others stay.

        Raises:
            ValueError: factors of another number of rows than the data.
        """
        w, h = factors
        if isinstance(w, DTensor):
            return factors
        if len(w) != self.rows:
            raise ValueError(f"factor 0 has {len(w)} rows but the data has {self.rows}")
        rows = own_rows(self.rows, self.mesh.get_local_rank(), self.mesh.size())
        return self.share(w[rows], h)

    def placed_like(self, whole: Any, like: Any) -> Any:  # noqa: ANN401
        if isinstance(like, DTensor) and not isinstance(whole, DTensor):
            return distribute_tensor(whole, self.mesh, like.placements, src_data_rank=None)
        if isinstance(like, tuple):
            return tuple(self.placed_like(a, b) for a, b in zip(whole, like, strict=True))
        return whole

    def share(self, w: Tensor, h: Tensor) -> Factors:
        """Factors as this data wants them.

        Args:
            w: the rows of this process.
            h: all of H, the same in every process.
        """
        return self._placed(w, Shard(0)), self._placed(h, Replicate())

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.rows, self.local.shape[-1]))

    @property
    def dtype(self) -> torch.dtype:
        return self.local.dtype

    @property
    def device(self) -> torch.device:
        return self.local.device

    def stored(self) -> Iterator[Stored]:
        return self.local.stored()

    def each(self) -> Iterator[tuple[Data, Callable[[Factors], Factors]]]:
        yield self.local, lambda factors: tuple(_local(x) for x in factors)

    def stacked(self, found: list[Tensor]) -> Tensor:
        return self._placed(found[0], Shard(0))

    def added(self, found: list[Tensor]) -> Tensor:
        return self._placed(found[0], Partial()).redistribute(self.mesh, [Replicate()])

    def _placed(self, x: Tensor, placement: Placement) -> DTensor:
        shape = None
        if isinstance(placement, Shard):
            shape = torch.Size((self.rows, *x.shape[1:]))
            x = x.contiguous()
        stride = None if shape is None else x.stride()
        return DTensor.from_local(
            x, self.mesh, [placement], run_check=False, shape=shape, stride=stride
        )


def own_rows(rows: int, rank: int, processes: int) -> slice:
    """Which rows belong to a process: equal shares, as `torch.chunk` cuts them.

    Args:
        rows: how many there are.
        rank: of the process.
        processes: how many there are.

    Raises:
        ValueError: too few rows for every process to have one.

    Example:
        >>> own_rows(11, 1, 2)
        slice(6, 11, None)
    """
    share = -(-rows // processes)
    if share * (processes - 1) >= rows:
        raise ValueError(f"{rows} rows are too few for {processes} processes; start fewer")
    return slice(rank * share, min(rows, (rank + 1) * share))


def _local(x: Tensor) -> Tensor:
    return x.to_local() if isinstance(x, DTensor) else x
