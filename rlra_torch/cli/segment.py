"""``rlra segment``: the regions of a calcium movie, and when they fire."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import add_config, add_machine, add_out, add_resume, add_stopping, count, device_named


def add_segment(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "segment",
        usage="rlra segment --data FILE --decay FRAMES --out FOLDER [options]",
        help="find the regions of a calcium movie, and when each fires",
        description=(
            "A movie as spike trains, seen through exponential decay, times footprints:\n"
            "sparse, of low rank and of low total variation. Writes both, a map of the\n"
            "regions, a figure and a report."
        ),
        epilog=(
            "examples:\n"
            "  rlra segment --config configs/calcium/movie.yaml --data movie.tif \\\n"
            "      --out runs/movie\n"
            "  rlra segment --data movie.tif --decay 3.7 --background 3 --lam 0.5 \\\n"
            "      --out runs/movie"
        ),
    )
    parser.set_defaults(run=_run_segment, configured=True)
    data = parser.add_argument_group("data and results")
    add_config(data)
    data.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="frames x rows x columns (.npy), or a page a frame (.tif, .tiff)",
    )
    add_out(data)
    add_resume(data)
    fit = parser.add_argument_group("fit")
    fit.add_argument(
        "--decay", required=True, type=float, metavar="X", help="time constant, in frames"
    )
    fit.add_argument(
        "--lam",
        type=float,
        default=0.7,
        metavar="X",
        help="weight of the penalty, in units of the noise (default: %(default)s)",
    )
    fit.add_argument(
        "--columns",
        type=count,
        default=100,
        metavar="N",
        help="to begin with; more than regions (default: %(default)s)",
    )
    fit.add_argument(
        "--background",
        type=int,
        default=0,
        metavar="N",
        help="slow cosines in each pixel, 1: a constant; needs a smaller --lam (default: 0)",
    )
    add_stopping(fit, max_iter=60, tol=1e-4)
    add_machine(parser.add_argument_group("machine and messages"))


def _run_segment(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.calcium_movies import FILES, read_movie, write_segmentation
    from ..applications.output import check_writable
    from ..estimators import segment
    from .working import working

    check_writable(arguments.out, FILES)
    device = device_named(arguments.device)
    movie = read_movie(arguments.data, getattr(torch, arguments.dtype))
    names = ("decay", "lam", "columns", "background", "max_iter", "tol")
    settings = {name: getattr(arguments, name) for name in names}
    with working(arguments, "segmenting"):
        fit = segment(movie.to(device), **settings)
    settings = {"data": arguments.data, **settings}
    written = [str(path) for path in write_segmentation(fit, movie, arguments.out, settings)]
    if arguments.json:
        shown = {"regions": len(fit.footprints), "converged": fit.converged, "kkt": fit.kkt}
        print(json.dumps({**shown, "files": written}))
    elif not arguments.quiet:
        print(fit.summary())
        print("\n".join(written))
