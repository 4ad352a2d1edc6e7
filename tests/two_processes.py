"""What the processes of a distributed training run: halves of a batch, one network."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from zoo import COMPONENTS, mixture, trained

from rlra_torch.unrolled import nalmu


def made() -> tuple[nn.Module, Tensor, tuple[Tensor, ...]]:
    """A network, eight matrices, and the factors that it should find."""
    generator = torch.Generator().manual_seed(0)
    net = trained(nalmu(COMPONENTS, 3, ((COMPONENTS,), (COMPONENTS,))).double(), generator)
    y, factors = mixture(generator, 8)
    return net, y, factors


def descend(
    net: nn.Module, y: Tensor, targets: tuple[Tensor, ...], supervised: tuple[int, ...]
) -> list[Tensor | None]:
    """Three steps of training on some of the factors; the last gradients."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        found = net(y)
        sum((found[n] - targets[n]).square().mean() for n in supervised).backward()
        optimizer.step()
    return [p.grad for p in net.parameters()]


def worker(rank: int, folder: str, scenarios: list[tuple[tuple[int, ...], dict]]) -> None:
    """One of two processes; of each scenario it writes parameters and gradients, or the error."""
    torch.set_num_threads(1)
    address = f"file://{folder}/meeting"
    dist.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    results: list[object] = []
    for supervised, settings in scenarios:
        net, y, targets = made()
        half = slice(4 * rank, 4 * rank + 4)
        parallel = nn.parallel.DistributedDataParallel(net, **settings)
        try:
            gradients = descend(parallel, y[half], tuple(x[half] for x in targets), supervised)
            results.append(([p.detach() for p in net.parameters()], gradients))
        except RuntimeError as error:
            results.append(str(error))
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
