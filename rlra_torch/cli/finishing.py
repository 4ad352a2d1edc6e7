"""What every command that writes a folder leaves in it besides: how it was called, and a page."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..functional.files import replaced_file

# What says how to call a command, and nothing of the run.
_ASIDE = ("config", "configured", "json", "quiet", "reported", "resume", "run")


def finish(arguments: argparse.Namespace, words: Sequence[str], seconds: float) -> None:
    """Write how a run was called, and its page if plotly is there.

    Args:
        arguments: of the command, which has written its files.
        words: what was typed after ``rlra``.
        seconds: that it took.
    """
    from ..report.page import COMMAND, write_page

    if os.environ.get("RANK", "0") != "0":
        return  # one of several processes, and not the first
    folder = Path(arguments.out)
    record = _record(arguments, words, seconds)
    with replaced_file(folder / COMMAND) as file:
        file.write(json.dumps(record, indent=1, default=str).encode())
    said = not (arguments.json or arguments.quiet)
    if find_spec("plotly") is None:
        if said:
            print("pip install 'rlra-torch[report]' adds a page to explore each run")
        return
    page = write_page(folder)
    if said:
        print(page)


def _record(arguments: argparse.Namespace, words: Sequence[str], seconds: float) -> dict[str, Any]:
    options = {name: value for name, value in vars(arguments).items() if name not in _ASIDE}
    packages = {name: import_module(name).__version__ for name in ("rlra_torch", "torch", "numpy")}
    return {
        "command": shlex.join(["rlra", *words]),
        "seconds": round(seconds, 3),
        "options": options,
        "versions": packages | {"python": platform.python_version()},
        "system": platform.platform(),
    }
