"""``rlra completion``: what makes a shell complete commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

SHELLS = ("bash", "zsh", "fish")

_FILES = ("CUBE", "FILE", "PATH", "SOUND")
_FOLDERS = ("FOLDER", "RUN")


def add_completion(commands: Any) -> None:  # noqa: ANN401
    """Add the parser."""
    parser = commands.add_parser(
        "completion",
        usage="rlra completion {bash,zsh,fish}",
        help="print what makes a shell complete the words of rlra",
        description="Print a script for a shell: commands, options and files are completed.",
        epilog=(
            "examples:\n"
            "  rlra completion bash > ~/.local/share/bash-completion/completions/rlra\n"
            "  rlra completion zsh > ~/.zfunc/_rlra\n"
            "  rlra completion fish > ~/.config/fish/completions/rlra.fish"
        ),
    )
    parser.set_defaults(run=_run_completion)
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def _run_completion(arguments: argparse.Namespace) -> None:
    try:
        import shtab
    except ImportError:
        raise ImportError("completion needs shtab; pip install 'rlra-torch[completion]'") from None
    from . import _parser

    parser = _parser()
    for action in _actions(parser):
        if action.metavar in _FILES + _FOLDERS:
            kind = shtab.FILE if action.metavar in _FILES else shtab.DIRECTORY
            action.complete = kind  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _actions(command)
