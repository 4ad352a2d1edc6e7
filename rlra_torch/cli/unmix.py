"""``rlra unmix``: materials in a hyperspectral image."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .options import (
    add_config,
    add_loss,
    add_machine,
    add_out,
    add_resume,
    add_seed,
    add_stopping,
    count,
    device_named,
)

if TYPE_CHECKING:
    from ..applications import Unmixing


def add_unmix(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "unmix",
        usage="rlra unmix --data DATA --rank RANK --out FOLDER [options]",
        help="find the materials in a hyperspectral image, and where they are",
        description=(
            "Unmix a hyperspectral image: nonnegative spectra and abundance maps whose\n"
            "products sum to it, by one or several methods. Writes figures and the factors\n"
            "of the best fit."
        ),
        epilog=(
            "examples:\n"
            "  rlra unmix --data scene.hdr --rank 4 --loss kl --method mu --out runs/scene\n"
            "  rlra unmix --data a.hdr --rank 4 --method mc-als --library b.sli --out runs/a\n"
            "  rlra unmix --data indian_pines --rank 6 --method spa snpa --out runs/pines"
        ),
    )
    parser.set_defaults(run=_run_unmix, configured=True)
    data = parser.add_argument_group("data and results")
    add_config(data)
    data.add_argument(
        "--data",
        required=True,
        help="indian_pines, or a file of rows x cols x bands: .npy, .mat, or an ENVI .hdr",
    )
    data.add_argument("--variable", metavar="NAME", help="which variable of a .mat file")
    data.add_argument(
        "--clip-negative", action="store_true", help="set negative values to 0, not refuse them"
    )
    add_out(data)
    add_resume(data)
    data.add_argument(
        "--envi", action="store_true", help="write the abundances as an ENVI image too"
    )
    _add_known(parser.add_argument_group("what is known"))
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"))


def _add_known(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--library",
        metavar="FILE",
        help="known spectra for mc-als: ENVI .sli or .hdr, .csv or .npz; brought to the bands "
        "of the image",
    )
    group.add_argument(
        "--regions",
        metavar="FILE",
        help="parts of the image for m2c-als, with how many materials to take from each: .json "
        "list of {name, count, rectangle: [row, col, rows, cols]} or {..., pixels: [[row, col], "
        "...]}, or .csv with columns name, count, row, col, rows, cols",
    )
    group.add_argument(
        "--truth",
        metavar="FILE",
        help="what to compare with: a file like a library, .npz with abundances too",
    )


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rank", type=count, help="number of components (default: what the regions ask for)"
    )
    group.add_argument(
        "--method",
        nargs="+",
        metavar="NAME",
        help="pixels as spectra: spa, snpa, vca, xray, h2nmf, fgnsr; known spectra: mc-als, "
        "m2c-als; a simplex of least volume: minvol; iterations: hals, msom, mu, amu, joint, ccd, "
        "sn, admm, burg, newton, fista, pg, als, active-set, pro-als (default: hals msom mu for "
        "frobenius, msom mu for other losses)",
    )
    add_loss(group)
    group.add_argument(
        "--init",
        default="nndsvda",
        metavar="NAME",
        help="of iterations: random, nndsvd, nndsvda, nndsvdar, spa, snpa, xray or vca "
        "(default: nndsvda)",
    )
    add_stopping(group, max_iter=500, tol=1e-5, check_every=10)
    add_seed(group)


def _run_unmix(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch

    from ..applications.output import check_writable
    from ..applications.unmixed import FILES
    from ..applications.unmixing import unmix
    from ..datasets import load_image, load_library, load_regions, load_truth
    from ..report import report
    from ..report.unmixing import FILES as REPORT_FILES
    from .working import working

    check_writable(arguments.out, FILES + REPORT_FILES)
    device = device_named(arguments.device)
    dtype = getattr(torch, arguments.dtype)
    image = load_image(arguments.data, arguments.variable, arguments.clip_negative, dtype)
    known = (image.wavelengths, image.unit, image.shape[2], dtype)
    library = load_library(arguments.library, dtype) if arguments.library else None
    regions = load_regions(arguments.regions, image.shape[:2]) if arguments.regions else None
    truth = load_truth(arguments.truth, *known) if arguments.truth else None

    def named(method: str) -> tuple[()]:
        shown.label = method
        return ()

    with working(arguments, "unmixing") as shown:
        result = unmix(
            replace(image, cube=image.cube.to(device)),
            arguments.rank,
            arguments.method,
            arguments.loss,
            library=library,
            regions=regions,
            init=arguments.init,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
            check_every=arguments.check_every,
            seed=arguments.seed,
            callbacks=named,
        )
    against = None if truth is None else report(result, truth)
    written = result.write(arguments.out, envi=arguments.envi)
    written += () if against is None else against.write(arguments.out)
    files = [str(path) for path in written]
    if arguments.json:
        scores = {} if against is None else {"truth": against.as_dict()}
        said = {"best": result.best, "methods": result.report, **scores, "files": files}
        print(json.dumps(said))
    elif not arguments.quiet:
        _print_table(result)
        print("\n".join([*([] if against is None else [against.table()]), *files]))


def _print_table(result: Unmixing) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..applications.methods import METHODS

    rows, cols, bands = result.image.shape
    rank, loss = result.settings["rank"], result.settings["loss"]
    missing = rows * cols - int(result.image.seen.sum())
    unseen = f" ({missing} not seen)" if missing else ""
    table = Table(
        title=f"{result.image.name}: {rows} x {cols} pixels{unseen}, {bands} bands; rank {rank}, "
        f"{loss}",
        caption=f"lowest objective, written below: {METHODS[result.best].label}",
        caption_justify="left",
    )
    table.add_column("method")
    for heading in ("seconds", "relative error", "KKT", "iterations", "converged"):
        table.add_column(heading, justify="right")
    for method, row in result.report.items():
        table.add_row(
            METHODS[method].label,
            f"{row['seconds']:.2f}",
            f"{row['relative_error']:.5f}",
            "-" if row["kkt"] is None else f"{row['kkt']:.1e}",
            "-" if row["iterations"] is None else str(row["iterations"]),
            {None: "-", True: "yes", False: "no"}[row["converged"]],
        )
    Console().print(table)
