"""``rlra benchmark``: which iteration is fast on this machine, for a matrix like yours."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from .options import (
    add_check_every,
    add_config,
    add_loss,
    add_machine,
    add_max_iter,
    add_seed,
    count,
    device_named,
)

if TYPE_CHECKING:
    from ..applications.timing import Timing


def add_benchmark(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "benchmark",
        usage="rlra benchmark [--data FILE] [--rank RANK] [options]",
        help="time iterations of ours, and of packages that are installed, on a matrix",
        description=(
            "Nonnegative matrix factorization against the clock: all methods begin with the\n"
            "same factors and take turns. Prints the time of an iteration, and the seconds\n"
            "until the objective is within a gap of the lowest that any of them found."
        ),
        epilog=(
            "examples:\n"
            "  rlra benchmark --rank 10\n"
            "  rlra benchmark --data counts.npz --rank 20 --loss kl --seconds 30"
        ),
    )
    parser.set_defaults(run=_run_benchmark, configured=True)
    data = parser.add_argument_group("data")
    add_config(data)
    data.add_argument(
        "--data",
        default="mixture",
        metavar="FILE",
        help="a matrix, as for rlra factorize; or mixture (default: 200 x 10000), topics (sparse, "
        "4000 x 2000)",
    )
    data.add_argument("--variable", metavar="NAME", help="the array of a file that holds several")
    race = parser.add_argument_group("race")
    race.add_argument("--rank", type=count, default=6, help="number of components (default: 6)")
    add_loss(race)
    race.add_argument(
        "--gap",
        type=float,
        default=1e-3,
        metavar="X",
        help="to the lowest objective, relative (default: %(default)s)",
    )
    race.add_argument(
        "--seconds", type=float, default=5.0, metavar="X", help="of each method (default: 5)"
    )
    add_max_iter(race, 500)
    add_check_every(race, 10)
    add_seed(race)
    add_machine(parser.add_argument_group("machine and messages"))


def _run_benchmark(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.timing import timed
    from ..estimators.inputs import check_values, to_tensor
    from ..estimators.names import loss_named
    from ..initialization import random_factors
    from ..models import NMF
    from ..problem import Problem
    from ..regularizers import NonNegative

    device, loss = device_named(arguments.device), loss_named(arguments.loss)
    found = _data(arguments).astype(arguments.dtype)
    y = to_tensor(found, "the data", compact=True)[0].to(device)
    problem = Problem(y, NMF(), loss, (NonNegative(), NonNegative()))
    check_values(problem.data, loss)
    if not all(bool((values >= 0).all()) for values, _ in problem.data.stored()):
        raise ValueError(f"'{arguments.data}' must be nonnegative, without missing entries")
    sizes = [(size, arguments.rank) for size in y.shape]
    like = torch.empty(0, dtype=y.dtype, device=device)
    start = problem.scaled(random_factors(sizes, like, arguments.seed))
    limits = (arguments.max_iter, arguments.check_every, arguments.seconds)
    timings, absent = timed(found, problem, start, *limits)
    lowest = min(timing.points[-1].objective for timing in timings.values())
    rows = {name: _row(timing, lowest, arguments.gap) for name, timing in timings.items()}
    if arguments.json:
        names = ("data", "rank", "loss", "gap", "device", "dtype", "seed")
        asked = {name: getattr(arguments, name) for name in names}
        said = {"shape": list(y.shape), "threads": torch.get_num_threads(), "lowest": lowest}
        print(json.dumps({**asked, **said, "methods": rows, "left_out": absent}))
    elif not arguments.quiet:
        shape = " x ".join(map(str, y.shape))
        _print_table(rows, absent, f"{arguments.data}: {shape}", arguments)


def _data(arguments: argparse.Namespace) -> Any:  # noqa: ANN401
    """The matrix as NumPy or SciPy hold it."""
    from scipy.sparse import csr_array

    from ..datasets import load_matrix, mixture, topics

    if arguments.data == "mixture":
        return mixture(200, 10_000, 6, snr_db=30.0, seed=0).Y.clamp(min=0).numpy()
    if arguments.data == "topics":
        counts = topics(4000, 2000, 6, seed=0).counts
        parts = (counts.values(), counts.col_indices(), counts.crow_indices())
        return csr_array(tuple(part.numpy() for part in parts), shape=tuple(counts.shape))
    return load_matrix(arguments.data, arguments.variable)


def _row(timing: Timing, lowest: float, gap: float) -> dict[str, Any]:
    last = timing.points[-1]
    return {
        "iterations": last.iterations,
        "seconds": last.seconds,
        "seconds_per_iteration": timing.step,
        "seconds_to_gap": timing.seconds_to(lowest + gap * abs(lowest)),
        "objective": last.objective,
    }


def _print_table(
    rows: dict[str, dict[str, Any]],
    absent: dict[str, str],
    title: str,
    arguments: argparse.Namespace,
) -> None:
    import torch
    from rich.console import Console
    from rich.table import Table

    where = f"{arguments.device}, {torch.get_num_threads()} threads, {arguments.dtype}"
    missing = [f"{name} ({reason})" for name, reason in absent.items()]
    table = Table(
        title=f"{title}; rank {arguments.rank}, {arguments.loss}; {where}",
        caption=f"left out: {', '.join(missing)}" if missing else None,
        caption_justify="left",
    )
    table.add_column("method")
    for heading in ("iterations", "ms/iteration", f"s to gap {arguments.gap:g}", "objective"):
        table.add_column(heading, justify="right")
    for name in sorted(rows, key=lambda name: rows[name]["seconds_to_gap"] or math.inf):
        row = rows[name]
        reached = row["seconds_to_gap"]
        table.add_row(
            name,
            str(row["iterations"]),
            f"{1e3 * row['seconds_per_iteration']:.3g}",
            "-" if reached is None else f"{reached:.3g}",
            f"{row['objective']:.6g}",
        )
    Console().print(table)
