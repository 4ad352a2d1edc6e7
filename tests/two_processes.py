"""What the processes of a distributed run do: halves of a batch, or of the rows of a matrix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from zoo import COMPONENTS, mixture, trained

from rlra_torch.data import Data, given
from rlra_torch.iterations import (
    HALS,
    MSOM,
    MU,
    Alternating,
    BurgMirrorDescent,
    Iteration,
    JointMM,
)
from rlra_torch.losses import BetaDivergence, Frobenius, KullbackLeibler, Loss
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import Solution, solve
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


def counts() -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Counts of 11 rows, which two processes cannot share equally, and a start."""
    generator = torch.Generator().manual_seed(1)
    y = torch.poisson(3 * torch.rand(11, 7, generator=generator).double(), generator=generator)
    return y, tuple(torch.rand(n, 3, generator=generator).double() + 0.1 for n in y.shape)


def solvers() -> dict[str, tuple[Iteration, Loss]]:
    """What is solved by one process and by two."""
    return {
        "mu, kl": (Alternating(MU()), KullbackLeibler()),
        "joint, kl": (JointMM(), KullbackLeibler()),
        "burg, kl": (Alternating(BurgMirrorDescent()), KullbackLeibler()),
        "mu, beta": (Alternating(MU()), BetaDivergence(1.5)),
        "mu, frobenius": (Alternating(MU(), inner=2), Frobenius()),
        "hals, frobenius": (Alternating(HALS(), inner=2), Frobenius()),
        "msom, frobenius": (Alternating(MSOM()), Frobenius()),
    }


def fit(data: Data, start: tuple[Tensor, ...], name: str) -> Solution:
    iteration, loss = solvers()[name]
    problem = Problem(data, NMF(), loss, (NonNegative(), NonNegative(l1=0.1)))
    return solve(iteration, problem, start, max_iter=30, tol=0)


def share_rows(rank: int, folder: str, names: list[str]) -> None:
    """One of two processes, which hold 6 and 5 rows, dense and sparse; it writes what it found."""
    torch.set_num_threads(1)
    address = f"file://{folder}/meeting"
    dist.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    from rlra_torch.data.shards import Shards

    mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
    y, (w, h) = counts()
    rows = slice(0, 6) if rank == 0 else slice(6, 11)
    results = {}
    for name in names:
        for kind in ("dense", "sparse"):
            own = y[rows] if kind == "dense" else y[rows].to_sparse_csr()
            data = Shards.of(given(own), mesh)
            found = fit(data, data.share(w[rows], h), name)
            factors = [x.full_tensor() for x in found.factors]
            results[name, kind] = (factors, found.objective, found.kkt)
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
