"""Timings, side by side with other packages: same data, same starts, errors recomputed in float64.

    python scripts/benchmark.py                    the short tasks
    python scripts/benchmark.py pines --rounds 7   one task
    python scripts/benchmark.py race               all races (two hours or so)
    python scripts/benchmark.py race-debian        one of them
    python scripts/benchmark.py step               one iteration of MU, on the data of each race
    python scripts/benchmark.py --list

Methods take turns within each round, so that what else the machine does falls on all of them;
minima and medians over the rounds are printed, and written as Markdown with a figure to --out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# They choose slow NumPy kernels where a machine sets them for something else.
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)

import numpy as np
import torch
from experiments import exactly_sparse
from matplotlib.figure import Figure
from race import contests
from race.slices import parafac2
from race.tensors import tensors

from rlra_torch.datasets import load_image
from rlra_torch.estimators import sparse_nnls
from rlra_torch.functional.tree import Kept
from rlra_torch.initialization import random_factors, spa_indices
from rlra_torch.iterations import HALS, Alternating, Counted, Extrapolated, Iteration
from rlra_torch.losses import Frobenius, KullbackLeibler
from rlra_torch.models import CP, NMF, Factors
from rlra_torch.plots import OKABE_ITO, save
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.unrolled import Unrolled, nalmu

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from memory import peak_bytes

Run = Callable[[Factors, int], Factors]
"""Start and iterations to factors: what is timed."""


@dataclass
class Row:
    """One line of a table."""

    name: str
    iterations: int | None
    seconds: list[float]
    note: str = ""


# ---- methods ------------------------------------------------------------------------------------


def ours(problem: Problem, iteration: Iteration) -> Run:
    @torch.no_grad()
    def run(start: Factors, count: int) -> Factors:
        state = iteration.init(start, problem)
        for _ in range(count):
            state = iteration(state, problem)
        if problem.y.is_cuda:
            torch.cuda.synchronize()
        return state.factors

    return run


def scikit_learn(y: np.ndarray) -> Run:
    from sklearn.decomposition import NMF as Peer

    def run(start: Factors, count: int) -> Factors:
        w, h = (x.numpy() for x in start)
        model = Peer(w.shape[1], init="custom", solver="cd", tol=0, max_iter=count)
        w = model.fit_transform(y, W=w.copy(), H=np.ascontiguousarray(h.T))
        return torch.from_numpy(w), torch.from_numpy(model.components_.T)

    return run


def tensorly_hals(y: np.ndarray) -> Run:
    from tensorly.cp_tensor import CPTensor
    from tensorly.decomposition import non_negative_parafac_hals

    def run(start: Factors, count: int) -> Factors:
        init = CPTensor((None, [x.numpy().copy() for x in start]))
        found = non_negative_parafac_hals(y, start[0].shape[1], n_iter_max=count, init=init, tol=0)
        return tuple(torch.from_numpy(x) for x in found[1])

    return run


def torchnmf_mu(y: torch.Tensor) -> Run:
    from torchnmf.nmf import NMF as Peer

    def run(start: Factors, count: int) -> Factors:
        w, h = start
        # There Y (N, C) ~ H (N, R) W (C, R)^T.
        model = Peer(W=h.clone(), H=w.clone())
        model.fit(y, beta=2, tol=0, max_iter=count)
        return model.H.detach(), model.W.detach()

    return run


def peers(y: torch.Tensor) -> dict[str, Run]:
    """Those that are installed (extra `bench`)."""
    found: dict[str, Run] = {}
    makers: dict[str, Callable[[], Run]] = {
        "scikit-learn CD": lambda: scikit_learn(y.numpy()),
        "TensorLy HALS": lambda: tensorly_hals(y.numpy()),
        "torchnmf MU": lambda: torchnmf_mu(y),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError:
            print(f"{name}: not installed, left out (pip install 'rlra-torch[bench]')")
    return found


# ---- measuring ----------------------------------------------------------------------------------


def error(y: torch.Tensor, factors: Factors) -> float:
    """Relative error in float64, through the grams."""
    w, h = (x.double() for x in factors)
    y = y.double()
    cross, energy = float((y @ h * w).sum()), float(y.square().sum())
    square = energy - 2 * cross + float(((w.T @ w) * (h.T @ h)).sum())
    return (max(square, 0.0) / energy) ** 0.5


def iterations_to(
    run: Run, y: torch.Tensor, start: Factors, target: float, most: int
) -> int | None:
    """A count that reaches the target, in steps of 5 (each goes on from the last); not timed."""
    factors = start
    for count in range(5, most + 1, 5):
        factors = tuple(x.contiguous() for x in run(factors, 5))
        if error(y, factors) <= target:
            # What has momentum loses it when it is cut into pieces: look on from there.
            while count > 5 and error(y, run(start, count - 5)) <= target:
                count -= 5
            return count
    return None


def paired(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


# ---- tasks --------------------------------------------------------------------------------------


def pines(rounds: int, device: str, out: Path) -> str:
    """Seconds to a relative error of 0.0315 on Indian Pines (200 x 21025), rank 6, float32."""
    y = load_image("indian_pines").scaled().matrix.contiguous().to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = problem.scaled(random_factors([(200, 6), (21025, 6)], y, seed=0))
    methods = {
        "HALS": ours(problem, Alternating(HALS(), Counted())),
        "HALS, 20 inner, extrapolated": ours(
            problem, Extrapolated(Alternating(HALS(), 20), gamma=1.01, gamma_limit=1.005)
        ),
        "HALS, 40 inner": ours(problem, Alternating(HALS(), 40)),
    }
    foreign = peers(y) if device == "cpu" else {}
    counts = {
        name: iterations_to(run, y, start, 0.0315, 400) for name, run in (methods | foreign).items()
    }
    reached = {name: run for name, run in (methods | foreign).items() if counts[name]}
    timed = {
        name: (lambda run=run, count=counts[name]: run(start, count or 0))
        for name, run in reached.items()
    }
    seconds = paired(timed, rounds)
    rows = [Row(name, counts[name], seconds.get(name, [])) for name in methods | foreign]
    text = table(pines.__doc__ or "", rows)
    best = min((row for row in rows if row.name in methods and row.seconds), key=fastest)
    rival = min(
        (row for row in rows if row.name in foreign and row.seconds), key=fastest, default=None
    )
    if rival is not None:
        ratios = [b / a for a, b in zip(best.seconds, rival.seconds, strict=True)]
        text += (
            f"\n{rival.name} takes {fastest(rival) / fastest(best):.1f} times the seconds of "
            f"{best.name} (ratio of minima; median of the paired ratios "
            f"{statistics.median(ratios):.1f}).\n"
        )
    return text


def products(rounds: int, device: str, out: Path) -> str:
    """One HALS outer iteration on Indian Pines, rank 6, beside its two data products alone."""
    y = load_image("indian_pines").scaled().matrix.contiguous().to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
    start = problem.scaled(random_factors([(200, 6), (21025, 6)], y, seed=0))
    iteration = Alternating(HALS())
    with torch.no_grad():
        state = iteration(iteration.init(start, problem), problem)
    w, h = state.factors

    def bare() -> None:
        for _ in range(20):
            h.mT @ y.mT
            w.mT @ y

    step = ours(problem, iteration)
    seconds = paired({"two products": bare, "HALS": lambda: step((w, h), 20)}, rounds)
    rows = [Row(name, 20, values) for name, values in seconds.items()]
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    return table(products.__doc__ or "", rows) + (
        f"\nratio of minima {fastest(rows[1]) / fastest(rows[0]):.2f}, "
        f"median of the paired ratios {statistics.median(ratios):.2f}\n"
    )


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


def spa(rounds: int, device: str, out: Path) -> str:
    """Ten pixels of 1,000,000 (200 bands, float32) by SPA, beside ten passes over the data."""
    draw = torch.Generator().manual_seed(0)
    spectra = torch.rand(200, 10, generator=draw)
    y = torch.empty(200, 1_000_000)
    for part in y.split(50_000, dim=1):
        mixed = torch.rand(part.shape[1], 10, generator=draw) ** 4
        part.copy_(spectra @ (mixed / mixed.sum(1, keepdim=True)).T)
        part.add_(torch.randn(part.shape, generator=draw), alpha=0.005)
    y, direction = y.to(device), torch.rand(200, generator=draw).to(device)

    def passes() -> float:
        for _ in range(10):
            image = direction @ y
        return float(image[0])

    runs = {"ten passes": passes, "SPA": lambda: spa_indices(y, 10).tolist()}
    rows = [Row(name, 10, values) for name, values in paired(runs, rounds).items()]
    ratios = [b / a for a, b in zip(rows[0].seconds, rows[1].seconds, strict=True)]
    return table(spa.__doc__ or "", rows) + (
        f"\nratio of minima {fastest(rows[1]) / fastest(rows[0]):.2f}, "
        f"median of the paired ratios {statistics.median(ratios):.2f}\n"
    )


def inner(rounds: int, device: str, out: Path) -> str:
    """The effect of 1 to 100 inner HALS iterations (2000 x 50, rank 3)."""
    state = np.random.RandomState(0)
    truth = [state.rand(size, 3) for size in (2000, 50)]
    start = tuple(torch.from_numpy(state.rand(size, 3)).to(device) for size in (2000, 50))
    y = torch.from_numpy(truth[0] @ truth[1].T).to(device)
    problem = Problem(y, NMF(), Frobenius(), (NonNegative(), NonNegative()), free=(1, 0))
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    rows = []
    for color, count in zip(OKABE_ITO, (1, 2, 3, 5, 10, 20, 100), strict=False):
        iteration = Alternating(HALS(), count)
        curve = [errors_of(iteration, problem, start) for _ in range(rounds)]
        best = [min(times) for times in zip(*(seconds for seconds, _ in curve), strict=True)]
        for panel, x in zip(panels, (range(1, 101), best), strict=True):
            panel.semilogy(x, curve[0][1], color=color, label=str(count))
        rows.append(Row(f"{count} inner", 100, [c[0][-1] for c in curve], f"{curve[0][1][-1]:.1e}"))
    panels[0].set(xlabel="outer iterations", ylabel="relative error")
    panels[1].set(xlabel="seconds", xscale="log")
    panels[1].legend(title="inner iterations", ncols=2)
    for panel in panels:
        panel.grid(alpha=0.3)
    figure.suptitle("HALS on a noiseless 2000 x 50 matrix of rank 3")
    save(figure, out / "inner.png")
    return table(inner.__doc__ or "", rows, "error after 100")


@torch.no_grad()
def errors_of(
    iteration: Iteration, problem: Problem, start: Factors
) -> tuple[list[float], list[float]]:
    state, spent, seconds, errors = iteration.init(start, problem), 0.0, [], []
    for _ in range(100):
        begin = time.perf_counter()
        state = iteration(state, problem)
        spent += time.perf_counter() - begin
        seconds.append(spent)
        errors.append(float(problem.relative_error(state.factors)))
    return seconds, errors


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


def sparse_regression(rounds: int, device: str, out: Path) -> str:
    """The best abundances of two spectra of five, all 21025 pixels of Indian Pines (float64)."""
    spectra, y = (x.to(device) for x in exactly_sparse.pines())
    few = slice(None, None, 200)
    sample = y[:, few].cpu().numpy()

    def search(name: str) -> Callable[[], object]:
        def run() -> torch.Tensor:
            found = sparse_nnls(spectra, y, 2, search=name).residuals
            return found.sum().cpu()

        return run

    names = ("enumeration", "branch and bound")
    runs = {name: search(name) for name in names}
    peer = "SciPy on every support, one pixel in 200"
    brute = exactly_sparse.brute_force(spectra.cpu().numpy(), sample, 2)
    runs[peer] = lambda: exactly_sparse.brute_force(spectra.cpu().numpy(), sample, 2)
    seconds = paired(runs, rounds)
    gaps = []
    for name in names:
        found = sparse_nnls(spectra, y[:, few], 2, search=name).residuals.cpu().numpy()
        gaps.append(float(np.abs(found - brute).max()))
    rows = [Row(name, None, values) for name, values in seconds.items()]
    share = y.shape[1] / sample.shape[1]
    ratios = [share * fastest(rows[-1]) / fastest(row) for row in rows[:-1]]
    return table(sparse_regression.__doc__ or "", rows) + (
        f"\nfor all pixels SciPy would take {ratios[0]:.0f} times the seconds of enumeration and "
        f"{ratios[1]:.0f} times those of branch and bound;\nthe residuals differ by at most "
        f"{max(gaps):.1e}\n"
    )


# ---- output -------------------------------------------------------------------------------------


def fastest(row: Row) -> float:
    return min(row.seconds)


def table(title: str, rows: list[Row], note: str = "") -> str:
    lines = [f"### {title}", "", f"| method | iterations | min s | median s | {note} |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        if row.seconds:
            timing = f"{min(row.seconds):.3f} | {statistics.median(row.seconds):.3f}"
            lines.append(f"| {row.name} | {row.iterations} | {timing} | {row.note} |")
        else:
            lines.append(f"| {row.name} | not within 400 | | | |")
    return "\n".join(lines) + "\n"


TASKS = {
    "pines": pines,
    "products": products,
    "tensor-products": tensor_products,
    "tensor-step": tensor_step,
    "spa": spa,
    "inner": inner,
    "unrolled": unrolled,
    "parafac2": parafac2,
    "tensors": tensors,
    "sparse-nnls": sparse_regression,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="see --list")
    parser.add_argument("--rounds", type=int, help="repetitions (default: 5, of races 3)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="folder")
    parser.add_argument("--list", action="store_true", help="name the tasks and stop")
    contests.add_options(parser)
    options = parser.parse_args()
    if options.list:
        for name, title in titles().items():
            print(f"{name:17}{title}")
        return
    wanted = [name for task in options.tasks or TASKS for name in contests.family(task)]
    unknown = [name for name in wanted if name not in titles()]
    if unknown:
        parser.error(f"unknown task {unknown[0]!r}: choose from {', '.join(titles())}, race, step")
    warnings.simplefilter("ignore")
    torch.set_flush_denormal(True)
    options.out.mkdir(parents=True, exist_ok=True)
    texts = []
    for name in wanted:
        if name in TASKS:
            texts.append(TASKS[name](options.rounds or 5, options.device, options.out))
        else:
            texts.append(contests.run(name, options))
        print(texts[-1], flush=True)
        (options.out / "benchmark.md").write_text("\n".join(texts))


def titles() -> dict[str, str]:
    return {name: task.__doc__ or "" for name, task in TASKS.items()} | contests.titles()


if __name__ == "__main__":
    main()
