"""The command line: ``rlra factorize``, ``unmix``, ``deconvolve``, ``rank``, ``train`` and others.

A subcommand is two functions, one that adds its parser and one that runs it, and an entry in
``COMMANDS``. What is heavy to import is imported by the function that runs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, NoReturn

from .benchmark import add_benchmark
from .completion import add_completion
from .deconvolve import add_deconvolve
from .doctor import add_doctor
from .factorize import add_factorize
from .finishing import finish
from .networks import add_predict, add_test, add_train
from .options import with_config
from .rank import add_rank
from .recover import add_recover
from .report import add_report
from .segment import add_segment
from .singlepixel import add_singlepixel
from .transcribe import add_learn_notes, add_transcribe
from .unmix import add_unmix


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments after the program's name; None: those of the process.

    Returns:
        the exit status: 0, 2 after bad input, 130 after Ctrl-C.

    Example:
        >>> main(["unmix", "--data", "nowhere.npy", "--rank", "2", "--out", "runs/nowhere"])
        2
    """
    try:
        arguments = _parsed(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            begin = time.perf_counter()
            with _figures(arguments):
                arguments.run(arguments)
            if hasattr(arguments, "reported"):
                words = sys.argv[1:] if argv is None else argv
                finish(arguments, words, time.perf_counter() - begin)
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        reason = str(stop) or "interrupted; files are written at the end only, all together"
        return _fail(reason, status=130)
    except MemoryError as error:
        return _fail(str(error) or "there is not enough memory for this data at this rank")
    except OSError as error:
        reason = f"'{error.filename}': {error.strerror}" if error.filename else str(error)
        return _fail(reason)
    except (ImportError, TypeError, ValueError) as error:
        return _fail(_as_options(str(error)))
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose help fits 80 columns and whose errors are one sentence."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(formatter_class=_formatter, allow_abbrev=False, **options)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        if args and self.get_default("configured"):
            args = with_config(args, self._option_string_actions)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"rlra: {message.removeprefix('argument ')}; see {self.prog} --help\n")


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; what is unknown is for those commands whose configurations have more keys."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    if hasattr(arguments, "overrides"):
        arguments.overrides = overrides
    elif overrides:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    return arguments


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(79, shutil.get_terminal_size().columns - 1)
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=width)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rlra",
        description="Regularized low-rank approximations in PyTorch.",
        epilog="example:\n  rlra unmix --data indian_pines --rank 6 --out runs/indian_pines",
    )
    version = import_module("rlra_torch").__version__
    parser.add_argument("--version", action="version", version=f"rlra {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def _figures(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """In which the figures of a command are drawn."""
    if not getattr(arguments, "svg", False):
        return nullcontext()
    from ..plots.style import vector_too

    return vector_too()


def _as_options(message: str) -> str:
    """The sentence with the Python arguments that it advises written as options."""
    advice = r'(?<= )(clip_negative|init|library|rank|regions|variable)=(?:True|"(\w+)")?'

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")

    return re.sub(advice, option, message)


def _fail(sentence: str, status: int = 2) -> int:
    print(f"rlra: {' '.join(sentence.split())}", file=sys.stderr)
    return status


def _show_warning(message: Warning | str, *_: Any) -> None:  # noqa: ANN401
    _fail(f"warning: {message}")


COMMANDS = (
    add_factorize,
    add_unmix,
    add_deconvolve,
    add_recover,
    add_segment,
    add_singlepixel,
    add_rank,
    add_learn_notes,
    add_transcribe,
    add_train,
    add_test,
    add_predict,
    add_report,
    add_benchmark,
    add_doctor,
    add_completion,
)
