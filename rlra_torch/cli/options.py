"""Options that several commands share, and what their words mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def add_config(
    group: argparse._ActionsContainer, default: str | None = None, required: bool = False
) -> None:
    """Add ``--config``; the parser reads it where its default ``configured`` is set."""
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        required=required,
        help="options by their long names, as .yaml; later files win over earlier ones, and what "
        "is given here over all" + _otherwise(default),
    )


def with_config(words: Sequence[str], known: Collection[str]) -> list[str]:
    """The words of a command line, after those in the file that ``--config`` names.

    Args:
        words: of the command line.
        known: the options that there are, with their dashes.

    Raises:
        ValueError: the file is not a list of options, or has one that is not known.
    """
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--config", action="append", default=[])
    found: dict[str, list[str]] = {}
    for path in reader.parse_known_args(words)[0].config:
        for name, value in _read(path).items():
            option = "--" + str(name).replace("_", "-")
            if option not in known or option in ("--config", "--help"):
                raise ValueError(
                    f"'{path}' has an option {str(name)!r}, which this command has not"
                )
            values = value if isinstance(value, list) else [] if value is True else [value]
            absent = value is False or value is None
            found[option] = [] if absent else [option, *map(str, values)]
    return [*(word for option in found.values() for word in option), *words]


def _read(path: str) -> dict[str, Any]:
    import yaml

    with open(path, encoding="utf-8") as file:
        try:
            options = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError):
            options = None
    if not isinstance(options, dict):
        raise ValueError(f"'{path}' must hold options as 'name: value', one a line")
    return options


def add_out(group: argparse._ActionsContainer, default: str | None = None) -> None:
    """Add ``--out``; without a default, in words, it is required and gets the page of the run."""
    if default is None:
        group.set_defaults(reported=True)
    group.add_argument(
        "--out",
        required=default is None,
        metavar="FOLDER",
        help="where to write; other files in it stay" + _otherwise(default),
    )
    group.add_argument("--svg", action="store_true", help="figures as .svg too, beside the .png")


def add_resume(group: argparse._ActionsContainer) -> None:
    """Add ``--resume``."""
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on with what was interrupted; refuse to begin where there is nothing",
    )


def add_matrix(group: argparse._ActionsContainer) -> None:
    """Add ``--data`` and ``--variable`` of a matrix."""
    group.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="a matrix: .npy, .npz, .csv, .tsv, .mat, .mtx, .zarr or .h5; NaN is missing",
    )
    group.add_argument("--variable", metavar="NAME", help="the array of a file that holds several")


def add_loss(group: argparse._ActionsContainer) -> None:
    """Add ``--loss``."""
    group.add_argument(
        "--loss",
        type=loss_of,
        default="frobenius",
        help="frobenius, kl, is, or the number beta of a beta-divergence (default: frobenius)",
    )


def add_stopping(
    group: argparse._ActionsContainer, max_iter: int, tol: float, check_every: int | None = None
) -> None:
    """Add ``--max-iter``, ``--tol`` and, where it can be chosen, ``--check-every``."""
    add_max_iter(group, max_iter)
    group.add_argument(
        "--tol",
        type=float,
        default=tol,
        metavar="X",
        help="on the scale-free KKT residual (default: %(default)s)",
    )
    if check_every is not None:
        add_check_every(group, check_every)


def add_max_iter(group: argparse._ActionsContainer, most: int) -> None:
    """Add ``--max-iter``."""
    group.add_argument(
        "--max-iter",
        type=count,
        default=most,
        metavar="N",
        help="most iterations (default: %(default)s)",
    )


def add_check_every(group: argparse._ActionsContainer, default: int) -> None:
    """Add ``--check-every``."""
    group.add_argument(
        "--check-every",
        type=count,
        default=default,
        metavar="N",
        help="iterations between two checks (default: %(default)s)",
    )


def add_seed(group: argparse._ActionsContainer, default: str | None = None) -> None:
    """Add ``--seed``, 0 without a default in words."""
    group.add_argument(
        "--seed",
        type=int,
        default=0 if default is None else None,
        metavar="N",
        help="of all that is random" + _otherwise(default or "0"),
    )


def add_device(group: argparse._ActionsContainer, default: str | None = None) -> None:
    """Add ``--device``, the CPU without a default in words."""
    group.add_argument(
        "--device",
        default="cpu" if default is None else None,
        help="cpu, cuda, cuda:1, ..." + _otherwise(default or "cpu"),
    )


def add_dtype(
    group: argparse._ActionsContainer, default: str | None, otherwise: str | None = None
) -> None:
    """Add ``--dtype``, with what it is where nothing is given."""
    group.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default=default,
        help="float32 or float64" + _otherwise(otherwise or default),
        metavar="TYPE",
    )


def add_machine(group: argparse._ActionsContainer, dtype: str | None = "float32") -> None:
    """Add where and how exactly to compute, and what to print; None: as exactly as the data."""
    add_device(group)
    add_dtype(group, dtype, "that of the data, float32 for integers" if dtype is None else None)
    add_said(group)


def _otherwise(default: str | None) -> str:
    return "" if default is None else f" (default: {default})"


def add_said(group: argparse._ActionsContainer) -> None:
    """Add ``--json`` and ``--quiet``."""
    said = group.add_mutually_exclusive_group()
    add_json(said)
    said.add_argument("--quiet", action="store_true", help="print errors and warnings only")


def add_json(group: argparse._ActionsContainer) -> None:
    """Add ``--json``."""
    group.add_argument("--json", action="store_true", help="print the results as JSON")


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
