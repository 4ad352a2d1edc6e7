"""``rlra factorize``: a matrix in a file, which may be larger than memory or on several devices."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import (
    add_config,
    add_loss,
    add_machine,
    add_matrix,
    add_out,
    add_resume,
    add_seed,
    add_stopping,
    count,
    device_named,
)

if TYPE_CHECKING:
    from ..applications.factorizing import Outcome
    from ..solvers import ProgressBar


def add_factorize(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "factorize",
        usage="rlra factorize --data FILE --rank RANK --out FOLDER [options]",
        help="factorize a nonnegative matrix, dense or sparse, of any size",
        description=(
            "Nonnegative matrix factorization of a matrix in a file. When it is\n"
            "interrupted, the same command goes on from the last checkpoint in the folder;\n"
            "with a larger --max-iter it goes on from where it ended. Started by torchrun,\n"
            "each process holds its share of the rows."
        ),
        epilog=(
            "examples:\n"
            "  rlra factorize --data counts.npz --rank 20 --loss kl --out runs/counts\n"
            "  rlra factorize --data huge.npy --rank 20 --chunk-rows 10000 --out runs/huge\n"
            "  torchrun --nproc-per-node=2 -m rlra_torch factorize --data counts.npz \\\n"
            "      --rank 20 --loss kl --out runs/counts"
        ),
    )
    parser.set_defaults(run=_run_factorize, configured=True)
    _add_data(parser.add_argument_group("data and results"))
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"), dtype=None)


def _add_data(group: argparse._ArgumentGroup) -> None:
    add_config(group)
    add_matrix(group)
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="nonnegative weights or a mask of the same shape; 0 is missing",
    )
    add_out(group)
    group.add_argument(
        "--chunk-rows",
        type=count,
        metavar="K",
        help="read so many rows at a time and never hold the matrix",
    )
    add_resume(group)
    group.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=10.0,
        metavar="X",
        help="least time between two checkpoints (default: %(default)s)",
    )


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rank", required=True, type=count, help="number of components")
    add_loss(group)
    group.add_argument(
        "--method",
        metavar="NAME",
        help="hals, amu, mu, joint, sn, msom, fista, pg, active_set, als, burg or newton "
        "(default: hals for frobenius, amu for other losses)",
    )
    group.add_argument(
        "--init",
        metavar="NAME",
        help="random, nndsvd, nndsvda, nndsvdar, spa, snpa, xray or vca (default: nndsvda; "
        "random with --chunk-rows and on several processes)",
    )
    add_stopping(group, max_iter=500, tol=1e-5, check_every=10)
    add_seed(group)


def _run_factorize(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.factorizing import Files, Settings, factorize_file
    from ..applications.output import check_writable
    from ..applications.processes import processes
    from ..applications.runs import FILES
    from ..solvers import ProgressBar

    check_writable(arguments.out, FILES)
    if arguments.resume and not (Path(arguments.out) / "progress.pt").is_file():
        raise ValueError(f"there is no checkpoint in '{arguments.out}' to resume from")
    files = Files(arguments.data, arguments.weights, arguments.variable, arguments.dtype)
    settings = Settings(
        arguments.rank,
        arguments.loss,
        arguments.method,
        arguments.init,
        arguments.tol,
        arguments.check_every,
        arguments.seed,
    )
    quiet = arguments.quiet or int(os.environ.get("RANK", "0")) > 0
    bars: list[ProgressBar] = []

    def watch(_: int) -> list[ProgressBar]:
        if not quiet:
            bars.append(ProgressBar(arguments.max_iter, "factorizing"))
        return bars

    try:
        with processes(device_named(arguments.device)) as team:
            outcome = factorize_file(
                files,
                settings,
                arguments.out,
                team,
                max_iter=arguments.max_iter,
                rows=arguments.chunk_rows,
                seconds=arguments.checkpoint_seconds,
                watch=watch,
            )
    except torch.OutOfMemoryError as error:
        raise MemoryError from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted; the same command goes on from the last checkpoint"
        ) from None
    finally:
        # A bar left running hides the cursor of the terminal.
        for bar in bars:
            bar.bars.stop()
    if not quiet:
        _print_outcome(outcome, arguments)


def _print_outcome(outcome: Outcome, arguments: argparse.Namespace) -> None:
    factors = str(Path(arguments.out) / "factors.npz")
    if arguments.json:
        resumed = outcome.resumed if outcome.how == "resumed" else None
        said = {"run": outcome.how, "resumed_from": resumed, "report": outcome.report}
        print(json.dumps({**said, "files": [factors]}))
        return
    _print_table(outcome, arguments)
    if outcome.how == "resumed":
        print(f"resumed from iteration {outcome.resumed}")
    if outcome.how == "finished":
        print("finished before, so nothing was done; give a larger --max-iter to go on")
    print(factors)


def _print_table(outcome: Outcome, arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    report, (m, n) = outcome.report, outcome.shape
    name = Path(arguments.data).name
    table = Table(title=f"{name}: {m} x {n}; rank {arguments.rank}, {arguments.loss}")
    row = {
        "seconds": f"{report['seconds']:.2f}",
        "objective": f"{report['objective']:.6g}",
        "relative error": f"{report['relative_error']:.5f}",
        "KKT": f"{report['kkt']:.1e}",
        "iterations": str(report["iterations"]),
        "converged": "yes" if report["converged"] else "no",
    }
    for heading in row:
        table.add_column(heading, justify="right")
    table.add_row(*row.values())
    Console().print(table)
