"""``rlra deconvolve``: what repeats in traces or images, and where."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import (
    add_config,
    add_machine,
    add_out,
    add_resume,
    add_seed,
    add_stopping,
    count,
    device_named,
)


def add_deconvolve(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "deconvolve",
        usage="rlra deconvolve --data FILE --kernel-size N --out FOLDER [options]",
        help="find short kernels and the places where they occur, in traces or images",
        description=(
            "Short-and-sparse deconvolution: kernels of norm one and sparse maps whose\n"
            "convolutions add up to the data; neither is known. Writes both, a figure, a\n"
            "report and, of traces, a table of events."
        ),
        epilog=(
            "examples:\n"
            "  rlra deconvolve --config configs/calcium/traces.yaml --rate 30 \\\n"
            "      --data traces.csv --out runs/calcium\n"
            "  rlra deconvolve --data image.npy --kernel-size 20 20 --kernels 2 \\\n"
            "      --out runs/image"
        ),
    )
    parser.set_defaults(run=_run_deconvolve, configured=True)
    data = parser.add_argument_group("data and results")
    add_config(data)
    data.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="a trace in each row (.csv, .tsv, .npy), or images (.npy)",
    )
    data.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help="samples a second of traces: times are in seconds then",
    )
    data.add_argument(
        "--shared", action="store_true", help="all traces, or images, have the same kernels"
    )
    add_out(data)
    add_resume(data)
    _add_fit(parser.add_argument_group("fit"))
    add_machine(parser.add_argument_group("machine and messages"))


def _add_fit(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--kernel-size",
        type=count,
        nargs="+",
        metavar="N",
        help="samples of a kernel; two numbers for images",
    )
    group.add_argument(
        "--kernel-seconds",
        type=float,
        metavar="S",
        help="the same in seconds, with --rate, where samples are not given",
    )
    group.add_argument(
        "--kernels", type=count, default=1, metavar="K", help="how many (default: 1)"
    )
    group.add_argument(
        "--lam", type=float, metavar="X", help="weight of the maps (default: from the noise)"
    )
    group.add_argument("--nonnegative", action="store_true", help="maps are nonnegative")
    group.add_argument("--no-bias", action="store_true", help="no constant in each signal")
    group.add_argument(
        "--reweights",
        type=int,
        default=0,
        metavar="N",
        help="rounds that spare what is large (default: 0; 5 for spikes)",
    )
    group.add_argument(
        "--starts", type=count, default=1, metavar="N", help="keep the best of so many (default: 1)"
    )
    add_stopping(group, max_iter=1000, tol=1e-4)
    add_seed(group)


def _run_deconvolve(arguments: argparse.Namespace) -> None:
    import torch

    from ..applications.calcium import kernel_samples
    from ..applications.deconvolution import FILES, read_signals, write_deconvolution
    from ..applications.output import check_writable
    from ..estimators import deconvolve
    from .working import working

    check_writable(arguments.out, FILES)
    device = device_named(arguments.device)
    size, rate = arguments.kernel_size, arguments.rate
    if size is None:
        if arguments.kernel_seconds is None or rate is None:
            raise ValueError("give --kernel-size, or --kernel-seconds with --rate")
        size = kernel_samples(arguments.kernel_seconds, rate)
    y = read_signals(arguments.data, getattr(torch, arguments.dtype))
    with working(arguments, "deconvolving"):
        fit = deconvolve(
            y.to(device),
            size,
            arguments.kernels,
            lam=arguments.lam,
            nonnegative=arguments.nonnegative,
            bias=not arguments.no_bias,
            shared=arguments.shared,
            reweights=arguments.reweights,
            starts=arguments.starts,
            max_iter=arguments.max_iter,
            tol=arguments.tol,
            seed=arguments.seed,
        )
    names = ("data", "rate", "kernels", "nonnegative", "shared", "reweights", "seed")
    settings = {"kernel_size": size, **{name: getattr(arguments, name) for name in names}}
    written = [str(path) for path in write_deconvolution(fit, y, arguments.out, settings, rate)]
    if arguments.json:
        import numpy as np

        shown = {"converged": np.asarray(fit.converged).tolist(), "files": written}
        print(json.dumps({**shown, "kkt": np.asarray(fit.kkt).tolist()}))
    elif not arguments.quiet:
        print(fit.summary())
        print("\n".join(written))
