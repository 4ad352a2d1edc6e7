"""What ``rlra train``, ``rlra test`` and ``rlra predict`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets import load_image
from ..datasets.scenes import Scenes
from .comparison import FILES
from .curves import LearningCurves
from .paths import ErrorPaths
from .session import Session, quiet
from .streams import Stream, loader


def train(
    configs: Sequence[str],
    overrides: Sequence[str],
    checkpoint: str | None,
    resume: bool = False,
    silent: bool = False,
) -> dict[str, Any]:
    """Fit a network, and say where its files are.

    Args:
        configs: YAML files, later ones over earlier ones.
        overrides: ``--key value`` over all of them.
        checkpoint: to resume from, or a folder of runs; None: from the beginning.
        resume: from the newest checkpoint below the folder of the configuration.
        silent: print nothing.

    Returns:
        the epochs, the last metrics and the files; nothing in other processes than the first.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
        KeyboardInterrupt: the user stopped it; the message says how to go on.
    """
    with quiet():
        session = Session(configs, overrides, fitting=True)
        trainer = session.trainer
        if resume and checkpoint is None:
            checkpoint = trainer.default_root_dir
        checkpoint = found_checkpoint(checkpoint, "last.ckpt")
        learned = sum(p.numel() for p in session.model.parameters() if p.requires_grad)
        if trainer.is_global_zero:
            _say(silent, f"{learned} learned parameters; writing to {trainer.log_dir}")
        try:
            trainer.fit(session.model, datamodule=session.datamodule, ckpt_path=checkpoint)
        except SystemExit:
            if not trainer.interrupted:
                raise
        if trainer.interrupted:
            raise KeyboardInterrupt(
                f"interrupted; go on with --ckpt_path {trainer.log_dir}, or --resume"
                if Path(trainer.log_dir or "", "checkpoints").is_dir()
                else "interrupted before the first checkpoint"
            )
        folder = trainer.log_dir  # all processes ask for it, or none may
        if not trainer.is_global_zero:
            return {}
        wanted = ("best.ckpt", "last.ckpt", "metrics.csv", LearningCurves.file)
        below = sorted(Path(folder or ".").rglob("*"))
        files = [str(path) for path in below if path.name in wanted]
        _say(silent, *files)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        return {"epochs": trainer.current_epoch, "metrics": metrics, "files": files}


def test(
    configs: Sequence[str],
    overrides: Sequence[str],
    checkpoint: str | None,
    out: str | None,
    silent: bool = False,
) -> dict[str, Any]:
    """Compare a network with its baselines on every test set, print and write the table.

    Args:
        configs: YAML files; none: the one that was saved with the checkpoint.
        overrides: ``--key value`` over all of them.
        checkpoint: of the network, or a folder of runs; None: the network as it is before training.
        out: folder for the table; None: the run of the checkpoint, else the folder of the config.
        silent: print nothing.

    Returns:
        the rows and the files.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
    """
    checkpoint = found_checkpoint(checkpoint, "best.ckpt")
    with quiet():
        session = Session(_configs(configs, checkpoint), overrides)
        folder = session.folder(out, checkpoint)
        session.comparison.out = session.paths.out = str(folder)
        session.comparison.silent = silent
        session.trainer.test(
            session.model, datamodule=session.datamodule, ckpt_path=checkpoint, verbose=False
        )
    several = [folder / name for name in (*FILES, ErrorPaths.file)]
    files = [str(path) for path in several if path.is_file()]
    _say(silent, *files)
    return {"rows": session.comparison.records(), "files": files}


def predict(
    configs: Sequence[str],
    overrides: Sequence[str],
    checkpoint: str | None,
    out: str | None,
    data: str | None,
    endmembers: str | None,
    silent: bool = False,
) -> dict[str, Any]:
    """Write the factors that a network finds in an image, or in its test set.

    Args:
        configs: YAML files; none: the one that was saved with the checkpoint.
        overrides: ``--key value`` over all of them.
        checkpoint: of the network, or a folder of runs; None: the network as it is before training.
        out: folder for ``factors.npz``; None: the run of the checkpoint, else that of the config.
        data: a file that `load_image` reads; None: the test set of the configuration.
        endmembers: ``.npy`` file (bands, r) in the unit of the image, for networks that know W.
        silent: print nothing.

    Returns:
        the files.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
    """
    checkpoint = found_checkpoint(checkpoint, "best.ckpt")
    if endmembers is not None and data is None:
        raise ValueError("--endmembers goes with an image; give --data too")
    scenes = None if data is None else _image(data, endmembers)
    with quiet():
        session = Session(_configs(configs, checkpoint), overrides)
        folder = session.folder(out, checkpoint)
        if scenes is None:
            source: dict[str, Any] = {"datamodule": session.datamodule}
        else:
            image = scenes
            source = {"dataloaders": loader(Stream(lambda n, g: image, 1, 1, (0,)), 0)}
        found = session.trainer.predict(session.model, ckpt_path=checkpoint, **source)
    parts = [[x.cpu() for x in batch.factors] for batch in found or ()]  # type: ignore[union-attr]
    W, H = (torch.cat(part) for part in zip(*parts, strict=True))
    if scenes is not None:
        W, H = W[0], H[0]
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "factors.npz", allow_pickle=False, spectra=W.numpy(), abundances=H.numpy())
    files = [str(folder / "factors.npz")]
    _say(silent, *files)
    return {"files": files}


def _say(silent: bool, *lines: str) -> None:
    for line in lines if not silent else ():
        print(line)


def found_checkpoint(path: str | None, name: str) -> str | None:
    """A checkpoint file that can be read; for a folder, the newest of this name below it.

    Args:
        path: a file, a folder, or None.
        name: ``best.ckpt`` or ``last.ckpt``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is no checkpoint.
    """
    if path is None:
        return None
    place = Path(path)
    if place.is_dir():
        below = sorted(place.rglob(name), key=lambda file: file.stat().st_mtime)
        if not below:
            raise FileNotFoundError(f"there is no {name} below '{path}'; train first")
        place = below[-1]
    if not place.is_file():
        raise FileNotFoundError(f"there is no checkpoint '{path}'; check the path")
    try:
        whole = "state_dict" in torch.load(place, map_location="cpu", weights_only=True)
    # Torch answers a file that it cannot read with whatever its readers stumbled over.
    except Exception:
        whole = False
    if not whole:
        raise ValueError(f"'{place}' is not a checkpoint of rlra train")
    return str(place)


def _configs(configs: Sequence[str], checkpoint: str | None) -> list[str]:
    if configs:
        return list(configs)
    saved = None if checkpoint is None else Path(checkpoint).parent.parent / "config.yaml"
    if saved is None or not saved.is_file():
        raise ValueError("there is no configuration beside a checkpoint; give --config")
    return [str(saved)]


def _image(data: str, endmembers: str | None) -> Scenes:
    """One scene, the pixels of an image divided by its largest value."""
    image = load_image(data)
    missing = int((~image.seen).sum())
    if missing:
        raise ValueError(f"{missing} pixels of '{data}' have no value; cut them off the image")
    Y = image.scaled().matrix.contiguous()
    if endmembers is None:
        return Scenes(Y[None])
    path = Path(endmembers)
    if path.suffix != ".npy" or not path.is_file():
        raise FileNotFoundError(f"there is no .npy file '{endmembers}' of endmembers")
    W = torch.from_numpy(np.load(path, allow_pickle=False)).to(Y)
    if W.ndim != 2 or len(W) != len(Y) or not bool(W.isfinite().all()):
        raise ValueError(
            f"endmembers are ({len(Y)} bands, r) and finite, but '{endmembers}' has shape "
            f"{tuple(W.shape)}"
        )
    return Scenes(Y[None], W[None] / image.cube.max())
