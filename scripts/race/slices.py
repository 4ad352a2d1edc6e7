"""PARAFAC2 beside matcouply (nonnegative on all modes) and TensorLy (without constraints)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from rlra_torch import parafac2 as fit
from rlra_torch.regularizers import NonNegative

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIGNS = (NonNegative(), NonNegative(), NonNegative())


class Outcome(NamedTuple):
    """What a run reached, in half the squared relative error, and in how long."""

    loss: float
    seconds: float


def parafac2(rounds: int, device: str, out: Path) -> str:
    """PARAFAC2: nonnegative simulations against matcouply, 20 random problems against TensorLy."""
    return "\n".join((nonnegative(rounds, device), unconstrained(device)))


def nonnegative(rounds: int, device: str) -> str:
    """Six simulated problems, 20 slices 20 x 30, from one random start each."""
    lines = ["### Nonnegative PARAFAC2, 20 slices 20 x 30, rank 3: loss and least seconds", ""]
    lines += ["| data | ours | matcouply, 1e-8 | matcouply, 1e-10 |", "|---|---|---|---|"]
    ratios = []
    for name, y in simulations():
        slices = torch.from_numpy(y).to(device)
        runs: dict[str, Callable[[], float]] = {
            "ours": lambda slices=slices: fit(slices, 3, regs=SIGNS).relative_error,
            "1e-8": lambda y=y: matcouply(y, 1e-8),
            "1e-10": lambda y=y: matcouply(y, 1e-10),
        }
        found = {key: [timed(run) for _ in range(rounds)] for key, run in runs.items()}
        cells = [best(several) for several in found.values()]
        ratios.append(cells[1].seconds / cells[0].seconds)
        shown = " | ".join(f"{cell.loss:.6f} in {cell.seconds:.2f}" for cell in cells)
        lines.append(f"| {name} | {shown} |")
    if not ratios:
        return "### Nonnegative PARAFAC2: no data at ../shared/data, left out\n"
    least, middle = min(ratios), statistics.median(ratios)
    lines += ["", f"matcouply at 1e-8 takes {least:.1f} to {max(ratios):.1f} times the seconds"]
    return "\n".join(lines) + f" (median {middle:.1f}).\n"


def unconstrained(device: str) -> str:
    """Twenty random problems, ragged, our best of 32 starts."""
    from tensorly.decomposition import parafac2 as peer

    lines = ["### PARAFAC2 without constraints, 12 slices 10 x 15 to 25, rank 3, 20% noise", ""]
    lines += ["| problem | ours, 32 starts | TensorLy, 1 start | objective |", "|---|---|---|---|"]
    ours, theirs, ratios = [], [], []
    for seed in range(20):
        slices = ragged(seed)
        transposed = [x.T for x in slices]

        def reference(transposed: list[np.ndarray] = transposed, seed: int = seed) -> float:
            found = peer(transposed, 3, random_state=seed, return_errors=True)
            return float(found[1][-1])

        def own(slices: list[np.ndarray] = slices) -> float:
            there = [torch.from_numpy(x).to(device) for x in slices]
            return fit(there, 3, starts=32, tol=1e-4).relative_error

        mine, other = timed(own), timed(reference)
        ours.append(mine.seconds)
        theirs.append(other.seconds)
        ratios.append(mine.loss / other.loss)
        shown = f"{mine.seconds:.2f} s | {other.seconds:.2f} s | {ratios[-1]:.5f}"
        lines.append(f"| {seed} | {shown} |")
    text = (
        f"largest ratio of the objectives {max(ratios):.5f}, median {statistics.median(ratios):.5f}"
    )
    text += f"; {sum(ours):.1f} s against {sum(theirs):.1f} s in all"
    return "\n".join([*lines, "", text]) + "\n"


def matcouply(y: np.ndarray, tol: float) -> float:
    """The relative error that it reaches."""
    from matcouply.decomposition import parafac2_aoadmm

    mats = [x.T for x in y]
    found, info = parafac2_aoadmm(
        mats,
        3,
        non_negative=True,
        tol=tol,
        absolute_tol=1e-10,
        feasibility_tol=1e-4,
        n_iter_max=2000,
        random_state=0,
        return_errors=True,
    )
    return (2 * float(info.regularized_loss[-1])) ** 0.5


def simulations() -> list[tuple[str, np.ndarray]]:
    """The data of Roald et al. (2021), where it is, at two levels of noise."""
    paths = sorted(SHARED.glob("parafac2_nonnegative_*.h5"))
    if not paths:
        return []
    import h5py

    found = []
    for path in paths:
        with h5py.File(path) as file:
            clean, noise = (np.asarray(file[key]) for key in ("dataset/tensor", "noise"))
        for level in (0.33, 0.5):
            scale = level * np.linalg.norm(clean) / np.linalg.norm(noise)
            found.append((f"{path.stem[-3:]}, {level}", clean + scale * noise))
    return found


def ragged(seed: int) -> list[np.ndarray]:
    """Noisy slices of a random model."""
    state = np.random.RandomState(seed)
    a, common = state.randn(10, 3), state.randn(3, 3)
    found = []
    for length in state.randint(15, 26, size=12):
        p = np.linalg.qr(state.randn(length, 3))[0]
        clean = (a * (0.3 + state.rand(3))) @ (p @ common).T
        noise = state.randn(*clean.shape)
        found.append(clean + 0.2 * noise * np.linalg.norm(clean) / np.linalg.norm(noise))
    return found


def timed(run: Callable[[], float]) -> Outcome:
    begin = time.perf_counter()
    error = run()
    return Outcome(0.5 * error**2, time.perf_counter() - begin)


def best(several: list[Outcome]) -> Outcome:
    return min(several, key=lambda outcome: outcome.seconds)
