"""``rlra report``: a page to look at a run, in one file that needs no network."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import add_said


def add_report(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "report",
        usage="rlra report RUN [options]",
        help="write the page of a run: figures to explore, settings, results",
        description=(
            "Write report.html into the folder of a run: components, maps with the spectrum\n"
            "of each pixel, convergence, settings. One file, which opens offline."
        ),
        epilog="example:\n  rlra report runs/indian_pines",
    )
    parser.set_defaults(run=_run_report)
    parser.add_argument("folder", metavar="RUN", help="the --out of a command")
    add_said(parser)


def _run_report(arguments: argparse.Namespace) -> None:
    from ..report.page import write_page

    page = write_page(arguments.folder)
    if arguments.json:
        print(json.dumps({"files": [str(page)], "bytes": page.stat().st_size}))
    elif not arguments.quiet:
        print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
