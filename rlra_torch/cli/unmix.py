"""``rlra unmix``: materials in a hyperspectral image."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .options import add_loss, add_machine, add_seed, add_stopping, count, device_named

if TYPE_CHECKING:
    from ..applications import Unmixing
    from ..solvers import ProgressBar


def add_unmix(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "unmix",
        usage="rlra unmix --data DATA --rank RANK --out FOLDER [options]",
        help="find the materials in a hyperspectral image, and where they are",
        description=(
            "Unmix a hyperspectral image: nonnegative spectra and abundance maps whose\n"
            "products sum to it, by several methods from one start. Writes three figures\n"
            "and the factors of the best fit."
        ),
        epilog=(
            "examples:\n"
            "  rlra unmix --data indian_pines --rank 6 --out runs/indian_pines\n"
            "  rlra unmix --data scene.hdr --rank 4 --loss kl --method mu --out runs/scene"
        ),
    )
    parser.set_defaults(run=_run_unmix)
    data = parser.add_argument_group("data and results")
    data.add_argument(
        "--data",
        required=True,
        help="indian_pines, or a file of rows x cols x bands: .npy, .mat, or an ENVI .hdr",
    )
    data.add_argument("--variable", metavar="NAME", help="which variable of a .mat file")
    data.add_argument(
        "--clip-negative", action="store_true", help="set negative values to 0, not refuse them"
    )
    data.add_argument(
        "--out", required=True, metavar="FOLDER", help="where to write; other files in it stay"
    )
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"))


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--rank", required=True, type=count, help="number of components")
    group.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="among hals, msom, mu, amu, joint, ccd, sn, admm, burg, newton, fista, pg, als, "
        "active_set, pro_als (default: hals msom mu for frobenius, msom mu for other losses)",
    )
    add_loss(group)
    group.add_argument(
        "--init",
        default="nndsvda",
        metavar="NAME",
        help="random, nndsvd, nndsvda, nndsvdar, spa, snpa, xray or vca (default: nndsvda)",
    )
    add_stopping(group, max_iter=500, tol=1e-5)
    group.add_argument(
        "--check-every",
        type=count,
        default=10,
        metavar="N",
        help="iterations between two checks (default: %(default)s)",
    )
    add_seed(group)


def _run_unmix(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch

    from ..applications.output import check_writable
    from ..applications.unmixing import FILES, unmix
    from ..datasets import load_image
    from ..solvers import ProgressBar

    check_writable(arguments.out, FILES)
    device = device_named(arguments.device)
    dtype = getattr(torch, arguments.dtype)
    image = load_image(arguments.data, arguments.variable, arguments.clip_negative, dtype)
    bars: list[ProgressBar] = []

    def watch(method: str) -> list[ProgressBar]:
        if not arguments.quiet:
            bars.append(ProgressBar(arguments.max_iter, method))
        return bars[len(bars) - 1 :]

    try:
        result = unmix(
            replace(image, cube=image.cube.to(device)),
            arguments.rank,
            arguments.method,
            arguments.loss,
            init=arguments.init,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
            check_every=arguments.check_every,
            seed=arguments.seed,
            callbacks=watch,
        )
    except torch.OutOfMemoryError as error:
        raise MemoryError from error
    finally:
        # A bar left running hides the cursor of the terminal.
        for bar in bars:
            bar.bars.stop()
    written = [str(path) for path in result.write(arguments.out)]
    if arguments.json:
        print(json.dumps({"best": result.best, "methods": result.report, "files": written}))
    elif not arguments.quiet:
        _print_table(result)
        print("\n".join(written))


def _print_table(result: Unmixing) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..applications.unmixing import LABELS

    rows, cols, bands = result.image.shape
    rank, loss = result.settings["rank"], result.settings["loss"]
    table = Table(
        title=f"{result.image.name}: {rows} x {cols} pixels, {bands} bands; rank {rank}, {loss}",
        caption=f"lowest objective, written below: {LABELS.get(result.best, result.best)}",
        caption_justify="left",
    )
    table.add_column("method")
    for heading in ("seconds", "relative error", "KKT", "iterations", "converged"):
        table.add_column(heading, justify="right")
    for method, row in result.report.items():
        table.add_row(
            LABELS.get(method, method),
            f"{row['seconds']:.2f}",
            f"{row['relative_error']:.5f}",
            f"{row['kkt']:.1e}",
            str(row["iterations"]),
            "yes" if row["converged"] else "no",
        )
    Console().print(table)
