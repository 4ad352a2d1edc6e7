"""Products of a tensor with its factors, and an iteration of nonnegative CP beside them."""

from __future__ import annotations

from pathlib import Path

import torch

from rlra_torch.functional.tree import Kept
from rlra_torch.iterations import HALS, Alternating
from rlra_torch.losses import Frobenius
from rlra_torch.models import CP, Factors
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from timing.paired import Row, fastest, ours, paired, table


def tensor_products(rounds: int, device: str, out: Path) -> str:
    """The products of a tensor for all modes, as in a sweep, beside TensorLy's (float32)."""
    import tensorly
    from tensorly.tenalg import unfolding_dot_khatri_rao

    rows, ratios = [], []
    for shape, rank in (((200, 200, 200), 20), ((1000, 100, 50), 10)):
        y, factors = dense_tensor(shape, rank, device)
        model, modes = CP(len(shape)), range(len(shape))

        def tree(model: CP = model, y: torch.Tensor = y, factors: Factors = factors) -> None:
            kept = Kept()
            for n in range(len(factors)):
                model.cross(factors, n, y, kept)

        def peer(y: torch.Tensor = y, factors: Factors = factors, modes: range = modes) -> None:
            for n in modes:
                unfolding_dot_khatri_rao(y, (None, list(factors)), n)

        name = "x".join(map(str, shape)) + f", rank {rank}"
        with tensorly.backend_context("pytorch"):
            seconds = paired({f"{name}: tree": tree, f"{name}: TensorLy": peer}, rounds)
        rows += [Row(kind, 1, values) for kind, values in seconds.items()]
        ratios.append(f"{name}: {fastest(rows[-1]) / fastest(rows[-2]):.2f}")
    note = f"\nTensorLy's seconds over those of the tree: {'; '.join(ratios)}\n"
    return table(tensor_products.__doc__ or "", rows) + note


def tensor_step(rounds: int, device: str, out: Path) -> str:
    """One iteration of nonnegative CP of 200^3, rank 20, beside its products alone (float32)."""
    y, start = dense_tensor((200, 200, 200), 20, device)
    problem = Problem(y, CP(3), Frobenius(), tuple(NonNegative() for _ in start))
    model, step = CP(3), ours(problem, Alternating(HALS()))

    def bare() -> None:
        kept = Kept()
        for n in range(3):
            model.cross(start, n, y, kept)

    seconds = paired({"products": bare, "HALS": lambda: step(start, 1)}, rounds)
    rows = [Row(name, 1, values) for name, values in seconds.items()]
    return table(tensor_step.__doc__ or "", rows) + (
        f"\nratio of minima {fastest(rows[1]) / fastest(rows[0]):.2f}\n"
    )


def dense_tensor(shape: tuple[int, ...], rank: int, device: str) -> tuple[torch.Tensor, Factors]:
    draw = torch.Generator().manual_seed(0)
    y = torch.rand(shape, generator=draw).to(device)
    factors = (torch.rand(rank, size, generator=draw).to(device).mT for size in shape)
    return y, tuple(factors)
