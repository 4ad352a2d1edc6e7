"""Global optima of structured factorizations from twenty starts of one column each.

    python scripts/experiments/structured.py             both tables (some minutes)
    python scripts/experiments/structured.py nuclear
    python scripts/experiments/structured.py relu --trials 4

Nuclear: random 12 by 9 matrices, the weight just below the fifth singular value, against singular
value thresholding. ReLU: a network of one input, a constant and one output on six samples, against
the best of all starts; the polar is solved exactly, cone by cone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rlra_torch.estimators import Grown, grow
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF, ReLU
from rlra_torch.problem import Problem
from rlra_torch.regularizers import ProjectiveNorm, ReLUNorm

Trial = tuple[Grown, float | None]


def _normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def nuclear(seed: int) -> Trial:
    """A random matrix, and what thresholding its singular values gives."""
    draw = torch.Generator().manual_seed(seed)
    y = _normal(draw, 12, 9)
    values = torch.linalg.svdvals(y)
    weight = 0.95 * float(values[4])
    kept = (values - weight).clamp_min(0)
    best = float((values - kept).square().sum() / 2 + weight * kept.sum())
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(weight))
    start = (_normal(draw, 12, 1), _normal(draw, 9, 1))
    return grow(problem, start, tol=1e-9, kkt=1e-10), best


def relu(seed: int) -> Trial:
    """One network problem, another start for each seed."""
    draw = torch.Generator().manual_seed(seed)
    v = torch.stack([torch.linspace(-1, 1, 6), torch.ones(6)], 1).double()
    y = torch.tensor([[1.0], [-0.5], [0.8], [-1.0], [0.3], [1.2]], dtype=torch.float64)
    problem = Problem(y, ReLU(v), Frobenius(), ReLUNorm(0.3, v))
    return grow(problem, (_normal(draw, 2, 1), _normal(draw, 1, 1)), tol=1e-6, kkt=1e-8), None


EXPERIMENTS: dict[str, Callable[[int], Trial]] = {"nuclear": nuclear, "relu": relu}


def table(name: str, trials: int) -> None:
    """One line for each start."""
    print(f"\n{name}\nstart  columns  first polar  last polar  gap bound  above best  seconds")
    found = []
    for seed in range(trials):
        begin = time.perf_counter()
        grown, best = EXPERIMENTS[name](seed)
        found.append((grown, best, time.perf_counter() - begin))
    least = min(grown.objective for grown, _, _ in found)
    for seed, (grown, best, seconds) in enumerate(found):
        above = grown.objective - (least if best is None else best)
        print(
            f"{seed:5}  {grown.factors[0].shape[-1]:7}  "
            f"{float(grown.rounds[0].certificate.polar_lower):11.4f}  "
            f"{float(grown.certificate.polar_upper):10.8f}  "
            f"{float(grown.certificate.gap_upper):9.1e}  {above:10.1e}  {seconds:7.2f}"
        )
    optimal = sum(grown.verdict == "optimal" for grown, _, _ in found)
    print(f"proved optimal: {optimal} of {trials}")


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=sorted(EXPERIMENTS))
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    for name in [given.name] if given.name else EXPERIMENTS:
        table(name, given.trials)


if __name__ == "__main__":
    main()
