"""``rlra rank``: how many components a matrix has."""

from __future__ import annotations

import argparse
import csv
import re
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
    from torch import Tensor

    from ..rank import RankFit, RankSelection

FILES = ("ranks.csv", "ranks.json", "ranks.png")


def add_rank(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "rank",
        usage="rlra rank --data FILE --ranks RANKS --out FOLDER [options]",
        help="find how many components a matrix has",
        description=(
            "Choose the rank of a nonnegative factorization: for each rank, the loss of\n"
            "entries that the fit did not see, and how well random starts agree. Writes a\n"
            "table, a figure, and for each rank its consensus matrix and best factors.\n"
            "Interrupted work goes on where it was when the same command is run again."
        ),
        epilog=(
            "examples:\n"
            "  rlra rank --data counts.npz --ranks 2:12 --loss kl --out runs/counts\n"
            "  rlra rank --data table.csv --ranks 2,4,8,16 --folds 10 --out runs/table"
        ),
    )
    parser.set_defaults(run=_run_rank, configured=True)
    data = parser.add_argument_group("data and results")
    add_config(data)
    add_matrix(data)
    add_out(data)
    add_resume(data)
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"))


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ranks",
        required=True,
        type=_ranks,
        help="2:12 (both included), 2:20:3 (every third) or 2,4,8",
    )
    group.add_argument(
        "--method",
        metavar="NAME",
        help="hals, amu, mu, joint, sn, msom, fista, pg, active_set, als, burg or newton "
        "(default: hals for frobenius, amu for other losses)",
    )
    add_loss(group)
    group.add_argument(
        "--folds", type=count, default=5, metavar="N", help="of held-out entries (default: 5)"
    )
    group.add_argument(
        "--held-out",
        type=float,
        metavar="X",
        help="fraction of the entries in each fold (default: one over their number)",
    )
    group.add_argument(
        "--replicates",
        type=count,
        default=3,
        metavar="N",
        help="random starts of each fit (default: 3)",
    )
    group.add_argument(
        "--samples",
        choices=("columns", "rows"),
        default="columns",
        help="what the consensus clusters: columns (default) or rows",
        metavar="WHAT",
    )
    add_stopping(group, max_iter=200, tol=1e-4)
    add_seed(group)


def _run_rank(arguments: argparse.Namespace) -> None:
    from ..applications.output import check_writable
    from ..rank import select_rank

    check_writable(arguments.out, FILES)
    if arguments.resume and not any(Path(arguments.out).glob("rank_*.npz")):
        raise ValueError(f"there is no finished rank in '{arguments.out}' to go on from")
    y, watch = _data(arguments), _Watch(len(arguments.ranks), arguments.quiet)
    try:
        selection = select_rank(
            y,
            arguments.ranks,
            arguments.loss,
            arguments.method,
            folds=arguments.folds,
            held_out=arguments.held_out,
            replicates=arguments.replicates,
            samples=arguments.samples,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
            seed=arguments.seed,
            folder=arguments.out,
            watch=watch,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; finished ranks are kept in '{arguments.out}', and the same command goes "
            "on from there"
        ) from None
    finally:
        watch.bars.stop()
    written = _write(selection, arguments.out)
    if arguments.json:
        print(selection.to_json())
    elif not arguments.quiet:
        print(selection.summary())
        print("\n".join(str(path) for path in written))


def _data(arguments: argparse.Namespace) -> Tensor:
    from ..datasets import load_matrix
    from ..estimators.inputs import to_tensor

    device = device_named(arguments.device)
    found: Any = load_matrix(arguments.data, arguments.variable)
    return to_tensor(found.astype(arguments.dtype), "the data", compact=True)[0].to(device)


def _write(selection: RankSelection, out: str) -> list[Path]:
    from ..applications.output import written_together
    from ..plots import save

    with written_together(out, FILES) as folder:
        with (folder / FILES[0]).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(selection.table[0]))
            writer.writeheader()
            writer.writerows(selection.table)
        (folder / FILES[1]).write_text(selection.to_json(), encoding="utf-8")
        save(selection.plot(), folder / FILES[2])
    return [Path(out) / name for name in FILES]


class _Watch:
    """A bar over ranks; silent when output is piped."""

    def __init__(self, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self.bars = Progress(console=console, disable=quiet or not console.is_terminal)
        self.task = self.bars.add_task("ranks", total=total)
        self.bars.start()

    def __call__(self, fit: RankFit) -> None:
        """One more is done."""
        self.bars.update(self.task, advance=1, description=f"rank {fit.rank} done")


def _ranks(text: str) -> list[int]:
    if re.fullmatch(r"[0-9]+:[0-9]+(:[0-9]+)?", text):
        first, last, *step = (int(part) for part in text.split(":"))
        every = step[0] if step else 1
        found = list(range(first, last + 1, every)) if every else []
    elif re.fullmatch(r"[0-9]+(,[0-9]+)*", text):
        found = [int(part) for part in text.split(",")]
    else:
        found = []
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"needs ranks such as 2:12 or 2,4,8, got {text}")
    return sorted(set(found))
