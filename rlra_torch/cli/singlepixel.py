"""``rlra singlepixel``: pictures and spectra from the measurements of a single-pixel camera."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import add_machine, add_stopping, count, device_named


def add_singlepixel(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "singlepixel",
        usage="rlra singlepixel --data FILE --shape N N --rank R --out FOLDER [options]",
        help="reconstruct and unmix what a single-pixel camera measured",
        description=(
            "Joint reconstruction and unmixing of single-pixel measurements through split\n"
            "Hadamard patterns, KL(Y, A U V'). Writes abundances, spectra, a figure and a\n"
            "report."
        ),
        epilog=(
            "example:\n"
            "  rlra singlepixel --data cat.npy --shape 64 64 --order sequency --pairs \\\n"
            "      --gain 100 --rank 2 --out runs/cat"
        ),
    )
    parser.set_defaults(run=_run_singlepixel)
    data = parser.add_argument_group("data and results")
    data.add_argument(
        "--data", required=True, metavar="FILE", help="counts (.npy, .csv): patterns x bands"
    )
    data.add_argument("--out", required=True, metavar="FOLDER", help="where to write")
    data.add_argument(
        "--shape", required=True, type=count, nargs=2, metavar="N", help="rows and columns"
    )
    data.add_argument(
        "--order",
        default="natural",
        metavar="NAME",
        help="natural (default), dyadic, sequency, cake_cutting or zigzag",
    )
    data.add_argument("--patterns", type=count, metavar="N", help="the first ones (default: all)")
    data.add_argument(
        "--pairs",
        action="store_true",
        help="each pattern is followed by its negative, else all negatives come last; the dark "
        "current is taken off",
    )
    data.add_argument("--gain", type=float, default=1.0, metavar="X", help="counts per unit")
    fit = parser.add_argument_group("fit")
    fit.add_argument("--rank", required=True, type=count, metavar="R", help="components")
    fit.add_argument("--l1", type=float, default=0.0, metavar="X", help="weight of both factors")
    fit.add_argument("--bound", type=float, metavar="X", help="of the abundances (default: none)")
    add_stopping(fit, max_iter=200, tol=1e-5)
    add_machine(parser.add_argument_group("machine and messages"))


def _run_singlepixel(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.deconvolution import read_signals
    from ..applications.output import check_writable
    from ..applications.singlepixel import FILES, counts_of, unmix_measurements, write_singlepixel
    from ..operators import SplitHadamard

    check_writable(arguments.out, FILES)
    device = device_named(arguments.device)
    camera = SplitHadamard(arguments.shape, arguments.order, arguments.patterns).to(device)
    y = read_signals(arguments.data, getattr(torch, arguments.dtype)).to(device)
    y = counts_of(y, camera, arguments.gain, arguments.pairs)
    found = unmix_measurements(
        y,
        camera,
        arguments.rank,
        l1=arguments.l1,
        bound=arguments.bound,
        max_iter=arguments.max_iter,
        tol=arguments.tol,
    )
    names = ("data", "shape", "order", "patterns", "pairs", "gain", "rank", "l1", "bound")
    settings = {name: getattr(arguments, name) for name in names}
    written = [str(path) for path in write_singlepixel(found, arguments.out, settings)]
    last = found.history[-1]
    if arguments.json:
        print(json.dumps({"converged": found.converged, "kkt": last.kkt, "files": written}))
    elif not arguments.quiet:
        print(f"{found.n_iter} rounds, KL {last.objective:.6g}, KKT residual {last.kkt:.2g}")
        print("\n".join(written))
