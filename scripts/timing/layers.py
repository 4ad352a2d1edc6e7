"""Unrolled networks: seconds forward and backward, and the memory of training."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.unrolled import Unrolled, nalmu

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from memory import peak_bytes


def unrolled(rounds: int, device: str, out: Path) -> str:
    """25 NALMU layers on a 156 x 9025 image, rank 3, float32: seconds, and peak MB of training."""
    generator = torch.Generator().manual_seed(0)
    w, h = (torch.rand(size, 3, generator=generator) for size in (156, 9025))
    y = (w @ h.T + 0.01 * torch.rand(156, 9025, generator=generator)).to(device)
    rows = ["| loss | | forward s | backward s | ratio | peak MB |", "|---|---|---|---|---|---|"]
    shapes = ((156, 3), (9025, 3))
    for loss in (Frobenius(), KullbackLeibler()):
        for checkpointed in (False, True):
            net = nalmu(3, gains=shapes, loss=loss, checkpointed=checkpointed).to(device)
            forward, backward = layer_seconds(net, y, rounds)
            peak = peak_bytes(lambda net=net: training_loss(net, y).backward()) / 1e6
            rows.append(
                f"| {type(loss).__name__} | {'checkpointed' if checkpointed else 'plain'} "
                f"| {forward:.3f} | {backward:.3f} | {backward / forward:.2f} | {peak:.1f} |"
            )
    return f"### {unrolled.__doc__}\n\n" + "\n".join(rows) + "\n"


def training_loss(net: Unrolled, y: torch.Tensor) -> torch.Tensor:
    return torch.stack([x.square().sum() for x in net(y)]).sum()


def now(y: torch.Tensor) -> float:
    if y.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def layer_seconds(net: Unrolled, y: torch.Tensor, rounds: int) -> tuple[float, float]:
    """The least seconds of a forward and of a backward pass, the forward ready for it."""
    spent = []
    for _ in range(rounds + 1):
        net.zero_grad()
        marks = [now(y)]
        loss = training_loss(net, y)
        marks.append(now(y))
        loss.backward()
        marks.append(now(y))
        spent.append([b - a for a, b in zip(marks, marks[1:], strict=False)])
    forward, backward = zip(*spent[1:], strict=True)
    return min(forward), min(backward)
