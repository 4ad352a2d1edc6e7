"""``rlra train``, ``rlra test`` and ``rlra predict``: networks that factorize."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .options import (
    add_config,
    add_device,
    add_dtype,
    add_out,
    add_resume,
    add_said,
    add_seed,
    device_named,
)


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
    add_out(parser, "trainer.default_root_dir")
    add_resume(parser)
    _add_shared(parser)
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
    add_out(parser, "the run")
    _add_shared(parser)
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
    add_out(parser, "the run")
    _add_shared(parser)
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
    saved = "the one saved with the checkpoint"
    add_config(parser, None if name == "train" else saved, required=name == "train")
    parser.add_argument("--ckpt_path", metavar="PATH", help=checkpoint)
    parser.set_defaults(overrides=[])
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    """Add what other commands call so, over the keys of the configuration."""
    group = parser.add_argument_group("machine and messages", "over the configuration")
    add_device(group, "trainer.accelerator and .devices")
    add_dtype(group, None, "trainer.precision")
    add_seed(group, "seed_everything")
    add_said(group)


def _overrides(arguments: argparse.Namespace) -> list[str]:
    """The words for Lightning, of which those that are no option of ours come last."""
    found: list[str] = []
    if arguments.device is not None:
        device = device_named(arguments.device)
        kind = "gpu" if device.type == "cuda" else device.type
        devices = "1" if device.index is None else f"[{device.index}]"
        found += ["--trainer.accelerator", kind, "--trainer.devices", devices]
    if arguments.dtype is not None:
        precision = "64-true" if arguments.dtype == "float64" else "32-true"
        found += ["--trainer.precision", precision]
    if arguments.seed is not None:
        found += ["--seed_everything", str(arguments.seed)]
    return [*found, *arguments.overrides]


def _tell(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json and result:
        print(json.dumps(result))


def _run_train(arguments: argparse.Namespace) -> None:
    from ..training.command import train

    where = [] if arguments.out is None else ["--trainer.default_root_dir", arguments.out]
    overrides = [*where, *_overrides(arguments)]
    silent = arguments.json or arguments.quiet
    result = train(arguments.config, overrides, arguments.ckpt_path, arguments.resume, silent)
    _tell(result, arguments)


def _run_test(arguments: argparse.Namespace) -> None:
    from ..training.command import test

    overrides, silent = _overrides(arguments), arguments.json or arguments.quiet
    result = test(arguments.config, overrides, arguments.ckpt_path, arguments.out, silent)
    _tell(result, arguments)


def _run_predict(arguments: argparse.Namespace) -> None:
    from ..training.command import predict

    result = predict(
        arguments.config,
        _overrides(arguments),
        arguments.ckpt_path,
        arguments.out,
        arguments.data,
        arguments.endmembers,
        arguments.json or arguments.quiet,
    )
    _tell(result, arguments)
