"""Options that several commands share, and what their words mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def add_config(group: argparse._ArgumentGroup) -> None:
    """Add ``--config``, which `with_config` reads before all others."""
    group.add_argument(
        "--config",
        metavar="FILE",
        help="options by their long names, as .yaml; those given here come before them",
    )


def with_config(words: Sequence[str]) -> list[str]:
    """The words of a command line, after those in the file that ``--config`` names.

    Raises:
        ValueError: the file is not a list of options.
    """
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--config")
    path = reader.parse_known_args(words)[0].config
    if path is None:
        return list(words)
    import yaml

    with open(path, encoding="utf-8") as file:
        options = yaml.safe_load(file)
    if not isinstance(options, dict):
        raise ValueError(f"'{path}' must hold options as 'name: value', one a line")
    found: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [] if value is True else [value]
        if value is not False:
            found += [f"--{name}", *map(str, values)]
    return [*found, *words]


def add_loss(group: argparse._ArgumentGroup) -> None:
    """Add ``--loss``."""
    group.add_argument(
        "--loss",
        type=loss_of,
        default="frobenius",
        help="frobenius, kl, is, or the number beta of a beta-divergence (default: frobenius)",
    )


def add_stopping(group: argparse._ArgumentGroup, max_iter: int, tol: float) -> None:
    """Add ``--max-iter`` and ``--tol``."""
    group.add_argument(
        "--max-iter", type=count, default=max_iter, metavar="N", help="default: %(default)s"
    )
    group.add_argument(
        "--tol",
        type=float,
        default=tol,
        metavar="X",
        help="on the scale-free KKT residual (default: %(default)s)",
    )


def add_seed(group: argparse._ArgumentGroup) -> None:
    """Add ``--seed``."""
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of random starts (default: %(default)s)"
    )


def add_machine(group: argparse._ArgumentGroup) -> None:
    """Add where and how exactly to compute, and what to print."""
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    group.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="float32 (default) or float64",
        metavar="TYPE",
    )
    said = group.add_mutually_exclusive_group()
    said.add_argument("--json", action="store_true", help="print the results as JSON")
    said.add_argument("--quiet", action="store_true", help="print errors and warnings only")


def device_named(name: str) -> torch.device:
    """The device of this name.

    Raises:
        ValueError: it cannot be used.
    """
    import torch

    try:
        device = torch.device(name)
        # Reading a value back: a device may be known by name and still hold no data.
        torch.zeros(1, device=device).item()
    except (AssertionError, NotImplementedError, RuntimeError):
        raise ValueError(
            f"device {name!r} cannot be used on this machine; leave --device out for the CPU"
        ) from None
    return device


def count(text: str) -> int:
    """An integer of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not re.fullmatch("[0-9]+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs an integer of at least 1, got {text}")
    return int(text)


def loss_of(text: str) -> str | float:
    """A loss by name or by beta."""
    try:
        return float(text)
    except ValueError:
        return text
