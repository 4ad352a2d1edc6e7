"""``rlra train``, ``rlra test`` and ``rlra predict``: networks that factorize."""

from __future__ import annotations

import argparse
from typing import Any


def add_train(commands: Any) -> None:  # noqa: ANN401
    """Add the parser of ``rlra train``."""
    parser = _add_configured(
        commands,
        "train",
        "fit a network that factorizes matrices, as a configuration says",
        "Fit a network. Writes checkpoints, metrics, their curves and the configuration\n"
        "to a new version_N below trainer.default_root_dir.",
        "  rlra train --config configs/unmixing/nalmu.yaml\n"
        "  rlra train --config configs/unmixing/nalmu.yaml --trainer.max_epochs 5\n"
        "  rlra train --config configs/unmixing/nalmu.yaml --ckpt_path runs/nalmu",
        "resume from this checkpoint, or from the newest last.ckpt below a folder",
    )
    parser.set_defaults(run=_run_train)


def add_test(commands: Any) -> None:  # noqa: ANN401
    """Add the parser of ``rlra test``."""
    parser = _add_configured(
        commands,
        "test",
        "compare a trained network with the algorithms that it should beat",
        "Compare a network with its baselines on every test set of a configuration.\n"
        "Prints one table and writes it as comparison.csv and comparison.json.",
        "  rlra test --ckpt_path runs/nalmu\n"
        "  rlra test --config configs/unmixing/nalmu.yaml --ckpt_path last.ckpt",
        "a checkpoint, or a folder whose newest best.ckpt is taken; without one: the\n"
        "network as it is before training",
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: the run)")
    parser.set_defaults(run=_run_test)


def add_predict(commands: Any) -> None:  # noqa: ANN401
    """Add the parser of ``rlra predict``."""
    parser = _add_configured(
        commands,
        "predict",
        "apply a trained network to an image",
        "Write the spectra and abundances that a network finds, as factors.npz.",
        "  rlra predict --ckpt_path runs/nalmu --data scene.npy --out runs/scene",
        "a checkpoint, or a folder whose newest best.ckpt is taken",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="rows x cols x bands: .npy, .mat or an ENVI .hdr (default: the test set)",
    )
    parser.add_argument(
        "--endmembers", metavar="FILE", help=".npy, bands x r, for networks that know the spectra"
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write (default: the run)")
    parser.set_defaults(run=_run_predict)


def _add_configured(
    commands: Any,  # noqa: ANN401
    name: str,
    purpose: str,
    description: str,
    examples: str,
    checkpoint: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        usage=f"rlra {name} [--config FILE] [--ckpt_path PATH] [--KEY VALUE ...]",
        help=purpose,
        description=f"{description}\n\n"
        "Any key of a configuration is an option too, as --KEY VALUE; --print_config\n"
        "shows them all.",
        epilog=f"examples:\n{examples}",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a YAML file; given again, later ones over earlier ones"
        + ("" if name == "train" else " (default: the one saved with the checkpoint)"),
        required=name == "train",
    )
    parser.add_argument("--ckpt_path", metavar="PATH", help=checkpoint)
    parser.set_defaults(overrides=[])
    return parser


def _run_train(arguments: argparse.Namespace) -> None:
    from ..training.command import train

    train(arguments.config, arguments.overrides, arguments.ckpt_path)


def _run_test(arguments: argparse.Namespace) -> None:
    from ..training.command import test

    test(arguments.config, arguments.overrides, arguments.ckpt_path, arguments.out)


def _run_predict(arguments: argparse.Namespace) -> None:
    from ..training.command import predict

    predict(
        arguments.config,
        arguments.overrides,
        arguments.ckpt_path,
        arguments.out,
        arguments.data,
        arguments.endmembers,
    )
