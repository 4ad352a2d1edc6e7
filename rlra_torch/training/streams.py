"""Batches that are drawn when they are asked for, the same for the same number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ..datasets.scenes import Scenes

Draw = Callable[[int, torch.Generator], Scenes]


class Stream(Dataset[Scenes]):
    """An endless numbered sequence of batches; the first ``len(stream)`` make one epoch.

    Batch k is drawn from a generator seeded by ``(seed, k)`` alone: the same in every process, with
    any number of workers, after a resume.

    Args:
        draw: from a number of scenes and a generator to a batch.
        scenes: of an epoch.
        batch_size: the last batch of an epoch may be smaller.
        seed: the entropy of the stream, several integers that tell it from others.

    Raises:
        ValueError: nothing to draw.

    Example:
        >>> stream = Stream(lambda n, g: Scenes(torch.rand(n, 1, 1, generator=g)), 5, 2, (0,))
        >>> [len(stream[k].Y) for k in range(len(stream))]
        [2, 2, 1]
        >>> torch.equal(stream[0].Y, stream[0].Y), torch.equal(stream[0].Y, stream[3].Y)
        (True, False)
    """

    def __init__(self, draw: Draw, scenes: int, batch_size: int, seed: tuple[int, ...]) -> None:
        if scenes < 1 or batch_size < 1:
            raise ValueError(f"{scenes} scenes in batches of {batch_size}: both are at least 1")
        if min(seed) < 0:
            raise ValueError(f"the seed of data is a nonnegative integer, not {min(seed)}")
        self.draw, self.scenes, self.batch_size, self.seed = draw, scenes, batch_size, seed

    def __len__(self) -> int:
        return -(-self.scenes // self.batch_size)

    def __getitem__(self, k: int) -> Scenes:
        place = k % len(self)
        count = min(self.batch_size, self.scenes - place * self.batch_size)
        state = np.random.SeedSequence((*self.seed, k)).generate_state(1, np.uint64)
        return self.draw(count, torch.Generator().manual_seed(int(state[0])))


class FreshEveryEpoch(DistributedSampler):
    """The numbers of the batches of an epoch, never the same twice, shared among processes.

    Lightning tells it the epoch.

    Args:
        stream: what the numbers are for.

    Example:
        >>> sampler = FreshEveryEpoch(Stream(lambda n, g: Scenes(torch.ones(n, 1, 1)), 4, 2, (0,)))
        >>> sampler.set_epoch(3)
        >>> list(sampler)
        [6, 7]
    """

    def __init__(self, stream: Stream) -> None:
        together = dist.is_available() and dist.is_initialized()
        world = dist.get_world_size() if together else 1
        rank = dist.get_rank() if together else 0
        super().__init__(stream, num_replicas=world, rank=rank, shuffle=False)
        self.batches = len(stream)

    def __iter__(self) -> Iterator[int]:
        return (self.epoch * self.batches + k for k in super().__iter__())


def loader(stream: Stream, workers: int, fresh: bool = False) -> DataLoader:
    """A loader of the batches of one epoch.

    Args:
        stream: the batches.
        workers: processes that draw ahead; 0: the calling one.
        fresh: whether every epoch has batches of its own.
    """
    sampler = FreshEveryEpoch(stream) if fresh else None
    return DataLoader(
        stream,
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
