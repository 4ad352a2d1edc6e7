"""``rlra recover``: an image of many bands from few samples of each."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import (
    add_config,
    add_machine,
    add_max_iter,
    add_out,
    add_resume,
    add_seed,
    count,
    device_named,
)


def add_recover(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "recover",
        usage="rlra recover --data CUBE --ratio N --out FOLDER [options]",
        help="recover a hyperspectral image from few samples of each band",
        description=(
            "Compressed sampling of a hyperspectral image, and its recovery: each band is\n"
            "convolved at random and a share of its pixels is kept; an image of low rank\n"
            "with maps that vary little is fitted to these. Writes spectra and maps, a\n"
            "figure and a report with the error."
        ),
        epilog=(
            "examples:\n"
            "  rlra recover --config configs/imaging/recover.yaml --out runs/recovered\n"
            "  rlra recover --data indian_pines --crop 64 --ratio 8 --snr 40 \\\n"
            "      --out runs/recovered"
        ),
    )
    parser.set_defaults(run=_run_recover, configured=True)
    data = parser.add_argument_group("data and results")
    add_config(data)
    data.add_argument(
        "--data",
        required=True,
        metavar="CUBE",
        help="indian_pines, or a file of rows x cols x bands: .npy, .mat, or an ENVI .hdr",
    )
    data.add_argument("--variable", metavar="NAME", help="which variable of a .mat file")
    data.add_argument("--crop", type=count, metavar="N", help="only the first N rows and columns")
    add_out(data)
    add_resume(data)
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--ratio", required=True, type=float, metavar="N", help="pixels for each sample"
    )
    sampling.add_argument(
        "--snr", type=float, metavar="DB", help="signal to noise of the samples (default: none)"
    )
    add_seed(sampling)
    fit = parser.add_argument_group("fit")
    fit.add_argument("--rank", type=count, default=15, metavar="R", help="spectra (default: 15)")
    fit.add_argument(
        "--spare",
        type=int,
        metavar="N",
        help="spectra that are fitted besides and dropped in the end (default: twice\nthe rank)",
    )
    fit.add_argument(
        "--tv", type=float, metavar="X", help="weight of the variation (default: from the noise)"
    )
    add_max_iter(fit, 320)
    add_machine(parser.add_argument_group("machine and messages"))


def _run_recover(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.output import check_writable
    from ..applications.recovered import FILES, write_recovery
    from ..applications.recovery import recover, sampled
    from ..datasets import load_image
    from .working import working

    check_writable(arguments.out, FILES)
    device, dtype = device_named(arguments.device), getattr(torch, arguments.dtype)
    cube = load_image(arguments.data, arguments.variable, dtype=dtype).cube.to(device)
    cube = cube[: arguments.crop, : arguments.crop]
    y, operator, noise = sampled(cube, arguments.ratio, arguments.snr, arguments.seed)
    with working(arguments, "recovering"):
        fit = recover(
            y,
            operator,
            arguments.rank,
            spare=arguments.spare,
            tv=arguments.tv,
            noise=noise,
            max_iter=arguments.max_iter,
        )
    settings = {
        name: getattr(arguments, name) for name in ("data", "ratio", "snr", "rank", "spare", "seed")
    }
    report, files = write_recovery(fit, cube, y, operator, arguments.out, settings)
    written = [str(path) for path in files]
    if arguments.json:
        print(json.dumps({**report, "files": written}))
    elif not arguments.quiet:
        print(f"relative error {report['relative_error']:.4f} from 1 sample in {arguments.ratio:g}")
        print("\n".join(written))
