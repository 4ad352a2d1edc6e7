"""Short-and-sparse deconvolution: recovery rates, the phase transition, calcium traces, speed.

python scripts/experiments/deconvolution.py rates
"""

from __future__ import annotations

import argparse
import math
import time
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.estimators import deconvolve
from rlra_torch.initialization import dropped_quadratic, windows_of
from rlra_torch.iterations import Homotopy, InertialDescent, Iteration
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import merged_spikes, shift_correlation, spike_score
from rlra_torch.models import Convolutive
from rlra_torch.problem import Problem
from rlra_torch.regularizers import L1, Sphere
from rlra_torch.solvers import Solution, solve

RECOVERED = 0.9999
SIZES = (50, 100, 200)
EXPONENTS = (-1.0, -0.875, -0.75, -0.625, -0.5, -0.4)


class Traces(NamedTuple):
    """Simulated traces: (b, m), their kernels (b, n) and their spikes (b, m)."""

    y: Tensor
    kernels: Tensor
    spikes: Tensor


def simulated(
    seeds: range, kernel: str, rate: float, size: int, length: int, noise: float = 0.0
) -> Traces:
    """Kernels of norm one, at places drawn at a rate, with signs unless they are of calcium."""
    found = []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        a = shape(kernel, size, draw)
        x = (torch.rand(length, generator=draw, dtype=torch.float64) < rate).double()
        if kernel != "calcium":
            x = x * (2 * torch.randint(0, 2, (length,), generator=draw) - 1)
        y = Convolutive()((a[:, None], x[:, None]))
        y = y + noise * torch.randn(length, generator=draw, dtype=torch.float64)
        found.append((y, a, x))
    return Traces(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def shape(kernel: str, size: int, draw: torch.Generator) -> Tensor:
    """A random kernel, a smooth one, or the response to a spike in one second of `size` frames."""
    if kernel == "random":
        a = torch.randn(size, generator=draw, dtype=torch.float64)
    elif kernel == "gaussian":
        a = (-(torch.linspace(-2, 2, size, dtype=torch.float64) ** 2)).exp()
    else:
        t = torch.arange(size, dtype=torch.float64) / size
        a = (-t / 0.2).exp() - (-t / 0.03).exp()
    return a / a.norm()


def recovered(
    traces: Traces, weights: Tensor, iteration: Iteration, max_iter: int, tol: float = 1e-6
) -> tuple[Solution, Tensor]:
    """A solution for each trace, all at once, and its correlation with the truth."""
    y, size = traces.y, traces.kernels.shape[-1]
    full = y[:, None, None]
    start = dropped_quadratic(windows_of(full, (size,), 1, seed=0), full)[:, :, 0].mT
    regs = (Sphere(), L1(weights[:, None, None]))
    problem = Problem(y, Convolutive(), Frobenius(), regs)
    empty = torch.zeros_like(y)[..., None]
    found = solve(iteration, problem, (start, empty), max_iter=max_iter, tol=tol, check_every=20)
    return found, shift_correlation(found.factors[0][..., 0], traces.kernels)[0]


def rates(trials: int = 20) -> None:
    """Twenty random kernels of length 100, lambda 0.01; and one smooth kernel, lambda 0.169."""
    methods = {
        "homotopy, inertia": (Homotopy(InertialDescent(), precision=0.5), 380),
        "homotopy, no inertia": (Homotopy(InertialDescent(0.0), precision=0.5), 380),
        "inertia": (InertialDescent(), 1000),
        "no inertia": (InertialDescent(0.0), 1000),
    }
    print(f"{'random kernels':22} {'recovered':>10} {'least corr.':>12} {'iterations':>16}")
    traces = simulated(range(trials), "random", 100**-0.75, 100, 10000)
    weights = torch.full((trials,), 0.01, dtype=torch.float64)
    for name, (iteration, most) in methods.items():
        found, corr = recovered(traces, weights, iteration, most)
        share, n = f"{int((corr > RECOVERED).sum())}/{trials}", found.n_iter
        print(f"{name:22} {share:>10} {float(corr.min()):12.6f} {int(n.min()):7} to {int(n.max())}")
    print(f"{'smooth kernels':22} {'objective':>10} {'mean corr.':>12}")
    traces = simulated(range(min(trials, 5)), "gaussian", 100**-0.75, 100, 10000)
    weights = torch.full((len(traces.y),), 0.169, dtype=torch.float64)
    for name in ("inertia", "no inertia"):
        found, corr = recovered(traces, weights, methods[name][0], 1000)
        print(f"{name:22} {float(found.objective.mean()):10.4f} {float(corr.mean()):12.4f}")


def transition(
    sizes: tuple[int, ...] = SIZES,
    exponents: tuple[float, ...] = EXPONENTS,
    trials: int = 10,
    starts: int = 3,
) -> Tensor:
    """How often random kernels are recovered (correlation above 0.99), (sizes, exponents).

    All trials of a length are one batch, in single precision; of several starts the lowest
    objective counts.
    """
    rows, step = [], Homotopy(InertialDescent(), precision=0.5)
    for size in sizes:
        several = [simulated(range(trials), "random", size**e, size, 100 * size) for e in exponents]
        traces = Traces(*(torch.cat(parts) for parts in zip(*several, strict=True)))
        traces = Traces(*(part.float().repeat(starts, 1) for part in traces))
        rate = torch.tensor([size**e for e in exponents])
        weights = (0.01 / (size * rate).sqrt()).repeat_interleave(trials).repeat(starts)
        begin = time.perf_counter()
        found, corr = recovered(traces, weights, step, 400, tol=1e-5)
        best = found.objective.reshape(starts, -1).argmin(0, keepdim=True)
        corr = corr.reshape(starts, -1).gather(0, best)
        rows.append((corr > 0.99).double().reshape(-1, trials).mean(-1))
        shares = " ".join(f"{float(x):5.2f}" for x in rows[-1])
        print(f"n = {size:4}: {shares}   {time.perf_counter() - begin:5.0f} s", flush=True)
    return torch.stack(rows)


def calcium(trials: int = 10, starts: int = 3, reweights: int = 5) -> None:
    """Calcium traces with kernels that are not known: kernels, and spikes within 0, 1, 2 frames."""
    traces = simulated(range(trials), "calcium", 100**-0.8, 100, 10000, noise=0.05)
    print(f"{'':26} {'kernel':>7} {'least':>7}   F within 0, 1, 2 frames   least at 2")
    for rounds in (0, reweights):
        fit = deconvolve(traces.y, 100, nonnegative=True, reweights=rounds, starts=starts)
        corr, shift = shift_correlation(fit.kernels[..., 0], traces.kernels)
        maps = fit.maps[..., 0]
        found = torch.stack([x.roll(int(s)) for x, s in zip(maps, shift, strict=True)])
        name = f"{rounds} reweightings" if rounds else "lasso"
        line = f"{name:26} {float(corr.mean()):7.4f} {float(corr.min()):7.4f}"
        print(f"{line}   {_scores(found, traces.spikes)}   ({fit.seconds:.0f} s)")
    for name, found in _oasis(traces).items():
        print(f"{name:26} {'':7} {'':7}   {_scores(found, traces.spikes)}")


def _scores(found: Tensor, spikes: Tensor) -> str:
    """F-measures at the threshold that serves each trace best within two frames."""
    rows = []
    for x, true in zip(found, spikes, strict=True):
        x = merged_spikes(x)
        levels = [share * float(x.max()) for share in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)]
        kept = [torch.where(x > level, x, 0) for level in levels]
        scores = [[float(spike_score(k, true, near)) for near in range(3)] for k in kept]
        rows.append(max(scores, key=lambda row: row[2]))
    scores = torch.tensor(rows)
    mean = " ".join(f"{float(x):.3f}" for x in scores.mean(0))
    return f"{mean:>24}   {float(scores[:, 2].min()):.3f}"


def _oasis(traces: Traces) -> dict[str, Tensor]:
    """OASIS with the time constants known and estimated, where it is installed."""
    try:
        from oasis.functions import deconvolve as oasis  # pyright: ignore
    except ImportError:
        print("oasis-deconv is not installed")
        return {}
    found = {}
    for name, taus in (("OASIS, known constants", (0.2, 0.03)), ("OASIS", (None, None))):
        rows = []
        for y in traces.y:
            s = torch.from_numpy(oasis(y.numpy(), *taus, framerate=100.0)[1])  # pyright: ignore
            best = max(range(-3, 4), key=lambda k, s=s: _aligned(s, k, traces, len(rows)))
            rows.append(s.roll(best))
        found[name] = torch.stack(rows)
    return found


def _aligned(s: Tensor, shift: int, traces: Traces, row: int) -> float:
    return float(spike_score(merged_spikes(s.roll(shift)), traces.spikes[row], 0))


def speed(batch: int = 256, steps: int = 40, rounds: int = 3) -> None:
    """Least milliseconds per trace and step of several rounds: one by one, and all at once."""
    traces = simulated(range(8), "random", 100**-0.75, 100, 10000)
    y, weights = traces.y.float().repeat(batch // 8, 1), torch.full((batch,), 0.01)
    least = {"one by one": math.inf, f"{batch} at once": math.inf}
    for _ in range(rounds):
        for (name, before), count in zip(least.items(), (1, batch), strict=True):
            few = Traces(y[:count], traces.kernels[:1], traces.spikes[:1])
            begin = time.perf_counter()
            recovered(few, weights[:count], Homotopy(InertialDescent()), steps, tol=0.0)
            least[name] = min(before, 1e3 * (time.perf_counter() - begin) / count / steps)
    for name, took in least.items():
        print(f"{name:16} {took:8.3f} ms per trace and iteration")
    alone, together = least.values()
    print(f"{'times faster':16} {alone / together:8.1f}")


def main() -> None:
    experiments = {f.__name__: f for f in (rates, transition, calcium, speed)}
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=experiments)
    experiments[parser.parse_args().name]()


if __name__ == "__main__":
    main()
