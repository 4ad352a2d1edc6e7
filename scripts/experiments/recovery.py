"""Compressed recovery of Indian Pines: relative errors over sampling ratios and noise.

    python scripts/experiments/recovery.py --out runs/recovery
    python scripts/experiments/recovery.py --out runs/recovery --cells 16:inf 16:20

Each cell is kept as soon as it is done, and not computed again. A cell is RATIO:SNR, and
nRATIO:SNR for the convex baseline. A figure is beside them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from rlra_torch.applications.recovery import recover, sampled
from rlra_torch.datasets import load_image
from rlra_torch.estimators.nuclear_tv import nuclear_tv
from rlra_torch.plots import save
from rlra_torch.plots.style import LABEL, TITLE, legend_below, line_style, new_figure, style_axes

RATIOS, SNRS = (4, 8, 16, 32, 64, 128), ("inf", "40", "20")
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5)
# Haeffele, Young, Vidal (2014), table 1, on another image: their method, and the baseline there.
PAPER = {
    4: ((0.0209, 0.0206, 0.0565), (0.01, 0.02, 0.06)),
    8: ((0.0223, 0.0226, 0.0589), (0.03, 0.04, 0.08)),
    16: ((0.0268, 0.0271, 0.0663), (0.09, 0.09, 0.13)),
    32: ((0.0393, 0.0453, 0.0743), (0.21, 0.21, 0.24)),
    64: ((0.0657, 0.0669, 0.1010), None),
    128: ((0.1140, 0.1186, 0.1400), None),
}


def pines(side: int = 128, bands: int = 180) -> Tensor:
    """(side, side, bands), of largest value one."""
    return load_image("indian_pines").scaled().cube[:side, :side, :bands].contiguous()


def floor(cube: Tensor, rank: int) -> float:
    """The relative error of the best approximation of a rank."""
    size = torch.linalg.svdvals(cube.flatten(0, 1).double())
    return float(size[rank:].norm() / size.norm())


def cell(
    cube: Tensor, name: str, rank: int, spare: int, sweeps: int, steps: int
) -> dict[str, float]:
    """The relative error of one cell, and its seconds."""
    ratio, _, snr = name.lstrip("n").partition(":")
    begin = time.perf_counter()
    y, phi, noise = sampled(cube, float(ratio), None if snr == "inf" else float(snr))
    if name.startswith("n"):
        misfit = noise / math.hypot(1, noise) * float(y.norm())
        x = nuclear_tv(y, phi, misfit=misfit, max_iter=steps).x
        found = x.mT.reshape(cube.shape)
    else:
        found = recover(y, phi, rank, spare=spare, noise=noise, max_iter=sweeps).cube
    error = float((found - cube).norm() / cube.norm())
    count = steps if name.startswith("n") else sweeps
    return {"error": error, "n_iter": count, "seconds": time.perf_counter() - begin}


def table(done: dict[str, dict[str, float]]) -> None:
    """All cells beside those of the paper; a dash where one is missing."""
    heads = " ".join(f"{snr:>6}" for snr in SNRS)
    print(f"{'':6} {'here':^20}  {'paper':^20}  {'NucTV, here':^20}")
    print(f"{'SNR':>6} {heads}  {heads}  {heads}")
    for ratio in RATIOS:
        ours = [done.get(f"{ratio}:{snr}") for snr in SNRS]
        base = [done.get(f"n{ratio}:{snr}") for snr in SNRS]
        parts = [
            " ".join(f"{x['error']:6.4f}" if x else f"{'-':>6}" for x in ours),
            " ".join(f"{x:6.4f}" for x in PAPER[ratio][0]),
            " ".join(f"{x['error']:6.4f}" if x else f"{'-':>6}" for x in base),
        ]
        print(f"{ratio:>4}:1 " + "  ".join(parts))


def curves(done: dict[str, dict[str, float]], least: float) -> Figure:
    """Relative errors over the ratio, ours and the baseline, one panel for each noise."""
    figure = new_figure(11, 4.6)
    panels = figure.subplots(1, len(SNRS), sharey=True)
    for axes, snr in zip(panels, SNRS, strict=True):
        for index, (kind, name) in enumerate((("", "factorization"), ("n", "nuclear norm and TV"))):
            cells = {r: done.get(f"{kind}{r}:{snr}", {"error": math.nan}) for r in RATIOS}
            errors = [found["error"] for found in cells.values()]
            axes.plot(RATIOS, errors, label=name, marker="os"[index], **line_style(index))
        axes.axhline(least, color="0.4", linestyle=":", label="best of this rank")
        style_axes(axes, "pixels for each sample", "relative error" if snr == SNRS[0] else "")
        axes.set(xscale="log", xticks=RATIOS, xticklabels=RATIOS, xlim=(3.5, 146))
        axes.set(yscale="log", yticks=LEVELS, yticklabels=LEVELS, ylim=(0.018, 0.6))
        axes.minorticks_off()
        axes.set_title("no noise" if snr == "inf" else f"{snr} dB", fontsize=LABEL)
    figure.suptitle("Indian Pines from few samples of each band", fontsize=TITLE)
    legend_below(figure, *panels)
    return figure


def main() -> None:
    everything = [f"{kind}{r}:{snr}" for kind in ("", "n") for r in RATIOS for snr in SNRS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--cells", nargs="*", default=everything, help="default: all of them")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--bands", type=int, default=180)
    parser.add_argument("--rank", type=int, default=15)
    parser.add_argument("--spare", type=int, default=30, help="columns beside it")
    parser.add_argument("--sweeps", type=int, default=400, help="of the factorization")
    parser.add_argument("--steps", type=int, default=100, help="of the baseline")
    arguments = parser.parse_args()
    if unknown := set(arguments.cells) - set(everything):
        parser.error(f"no such cells: {', '.join(sorted(unknown))}")
    cube = pines(arguments.side, arguments.bands)
    name = f"{arguments.side}x{arguments.bands}_rank{arguments.rank}+{arguments.spare}.json"
    path = arguments.out / name
    done = json.loads(path.read_text()) if path.exists() else {}
    for key in [key for key in arguments.cells if key not in done]:
        done[key] = cell(
            cube, key, arguments.rank, arguments.spare, arguments.sweeps, arguments.steps
        )
        print(f"{key:8} {done[key]['error']:.4f} {done[key]['seconds']:6.0f} s", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(done, indent=1) + "\n")
    table(done)
    least = floor(cube, arguments.rank)
    print(f"rank {arguments.rank} at best: {least:.4f}")
    save(curves(done, least), path.with_suffix(".png"))


if __name__ == "__main__":
    main()
