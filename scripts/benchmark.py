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
import warnings
from pathlib import Path

# They choose slow NumPy kernels where a machine sets them for something else.
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)

import torch
from race import contests
from race.slices import parafac2
from race.tensors import tensors
from timing.columns import spa, sparse_regression
from timing.layers import unrolled
from timing.matrices import inner, pines, products
from timing.tensors import tensor_products, tensor_step

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
