"""``rlra singlepixel``: pictures and spectra from the measurements of a single-pixel camera."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from .options import add_config, add_machine, add_out, add_resume, add_stopping, count, device_named

if TYPE_CHECKING:
    from torch import Tensor

    from ..operators import SplitHadamard


def add_singlepixel(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "singlepixel",
        usage="rlra singlepixel --data FILE --shape N N --out FOLDER [options]",
        help="reconstruct and unmix what a single-pixel camera measured",
        description=(
            "Pictures from measurements through split Hadamard patterns: spectra and their\n"
            "abundances at once (default), those of known spectra, or band by band.\n"
            "Writes pictures, spectra, a figure and a report."
        ),
        epilog=(
            "examples:\n"
            "  rlra singlepixel --config configs/imaging/singlepixel.yaml --data cat.npy \\\n"
            "      --rank 2 --out runs/cat\n"
            "  rlra singlepixel --data cat.npy --shape 64 64 --method kl+tv \\\n"
            "      --spectra filters.csv --out runs/known"
        ),
    )
    parser.set_defaults(run=_run_singlepixel, configured=True)
    _add_data(parser.add_argument_group("data and results"))
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"))


def _add_data(data: argparse._ArgumentGroup) -> None:
    add_config(data)
    data.add_argument(
        "--data", required=True, metavar="FILE", help="counts (.npy, .csv): patterns x bands"
    )
    add_out(data)
    add_resume(data)
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
    data.add_argument(
        "--spectra", metavar="FILE", help="known spectra, bands x components, any table"
    )


def _add_fit(fit: argparse._ArgumentGroup) -> None:
    fit.add_argument(
        "--method",
        default="joint",
        metavar="NAME",
        help="joint (default): spectra and abundances; or pinv, nnls, kl, anscombe, tv, kl+tv: "
        "abundances of known spectra, or a picture of each band",
    )
    fit.add_argument("--rank", type=count, metavar="R", help="components, where none is known")
    fit.add_argument("--l1", type=float, default=0.0, metavar="X", help="joint: of both factors")
    fit.add_argument("--bound", type=float, metavar="X", help="joint: of the abundances")
    fit.add_argument(
        "--tv",
        type=float,
        default=0.1,
        metavar="X",
        help="tv, kl+tv: weight of jumps, in the unit of the pictures (default: %(default)s)",
    )
    add_stopping(fit, max_iter=200, tol=1e-5)


def _run_singlepixel(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.deconvolution import read_signals
    from ..applications.output import check_writable
    from ..applications.singlepixel_files import FILES, counts_of, read_spectra, write_singlepixel
    from ..operators import SplitHadamard
    from .working import working

    check_writable(arguments.out, FILES)
    device = device_named(arguments.device)
    camera = SplitHadamard(arguments.shape, arguments.order, arguments.patterns).to(device)
    y = read_signals(arguments.data, getattr(torch, arguments.dtype)).to(device)
    y = counts_of(y, camera, arguments.gain, arguments.pairs)
    spectra = None if arguments.spectra is None else read_spectra(arguments.spectra)
    with working(arguments, "unmixing"):
        pictures, spectra, fit = _fitted(arguments, y, camera, spectra)
    names = ("data", "shape", "order", "patterns", "pairs", "gain", "spectra", "method", "rank")
    settings = {name: getattr(arguments, name) for name in (*names, "l1", "bound", "tv")}
    report = {**settings, **fit}
    written = write_singlepixel(pictures, camera, spectra, arguments.out, report)
    files = [str(path) for path in written]
    if arguments.json:
        print(json.dumps({**fit, "files": files}))
    elif not arguments.quiet:
        if fit:
            print(
                f"{fit['iterations']} rounds, KL {fit['objective']:.6g}, "
                f"KKT residual {fit['kkt']:.2g}"
            )
        print("\n".join(files))


def _fitted(
    arguments: argparse.Namespace, y: Tensor, camera: SplitHadamard, spectra: Tensor | None
) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """Pictures, their spectra, and how the fit went."""
    from ..applications.reconstruction import reconstruct
    from ..applications.singlepixel import unmix_measurements
    from ..applications.singlepixel_files import report_of

    stop = {"max_iter": arguments.max_iter, "tol": arguments.tol}
    if arguments.method == "joint":
        if arguments.rank is None and spectra is None:
            raise ValueError("give --rank, or --spectra, or a --method other than joint")
        bounds = {"l1": arguments.l1, "bound": arguments.bound}
        found = unmix_measurements(y, camera, arguments.rank, spectra=spectra, **bounds, **stop)
        return found.maps.flatten(1).mT, found.spectra, report_of(found)
    for name in ("rank", "bound"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is for --method joint, got --method {arguments.method}")
    if arguments.method in ("pnp", "kl+pnp"):
        raise ValueError("plug-and-play takes a module: use reconstruct(..., denoiser=) in Python")
    settings = {"spectra": spectra, "gain": arguments.gain, "tv": arguments.tv}
    return reconstruct(y, camera, arguments.method, **settings, **stop), spectra, {}
