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


def train(configs: Sequence[str], overrides: Sequence[str], checkpoint: str | None) -> None:
    """Fit a network, and say where its files are.

    Args:
        configs: YAML files, later ones over earlier ones.
        overrides: ``--key value`` over all of them.
        checkpoint: to resume from, or a folder of runs; None: from the beginning.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
        KeyboardInterrupt: the user stopped it; the message says how to go on.
    """
    checkpoint = found_checkpoint(checkpoint, "last.ckpt")
    with quiet():
        session = Session(configs, overrides, fitting=True)
        trainer = session.trainer
        learned = sum(p.numel() for p in session.model.parameters() if p.requires_grad)
        if trainer.is_global_zero:
            print(f"{learned} learned parameters; writing to {trainer.log_dir}")
        try:
            trainer.fit(session.model, datamodule=session.datamodule, ckpt_path=checkpoint)
        except SystemExit:
            if not trainer.interrupted:
                raise
        if trainer.interrupted:
            raise KeyboardInterrupt(
                f"interrupted; go on with --ckpt_path {trainer.log_dir}"
                if Path(trainer.log_dir or "", "checkpoints").is_dir()
                else "interrupted before the first checkpoint"
            )
        folder = trainer.log_dir
        for path in sorted(Path(folder or ".").rglob("*")) if trainer.is_global_zero else ():
            if path.name in ("best.ckpt", "last.ckpt", "metrics.csv", LearningCurves.file):
                print(path)


def test(
    configs: Sequence[str], overrides: Sequence[str], checkpoint: str | None, out: str | None
) -> None:
    """Compare a network with its baselines on every test set, print and write the table.

    Args:
        configs: YAML files; none: the one that was saved with the checkpoint.
        overrides: ``--key value`` over all of them.
        checkpoint: of the network, or a folder of runs; None: the network as it is before training.
        out: folder for the table; None: the run of the checkpoint, else the folder of the config.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
    """
    checkpoint = found_checkpoint(checkpoint, "best.ckpt")
    with quiet():
        session = Session(_configs(configs, checkpoint), overrides)
        folder = session.folder(out, checkpoint)
        session.comparison.out = session.paths.out = str(folder)
        session.trainer.test(
            session.model, datamodule=session.datamodule, ckpt_path=checkpoint, verbose=False
        )
    for name in (*FILES, ErrorPaths.file):
        if (folder / name).is_file():
            print(folder / name)


def predict(
    configs: Sequence[str],
    overrides: Sequence[str],
    checkpoint: str | None,
    out: str | None,
    data: str | None,
    endmembers: str | None,
) -> None:
    """Write the factors that a network finds in an image, or in its test set.

    Args:
        configs: YAML files; none: the one that was saved with the checkpoint.
        overrides: ``--key value`` over all of them.
        checkpoint: of the network, or a folder of runs; None: the network as it is before training.
        out: folder for ``factors.npz``; None: the run of the checkpoint, else that of the config.
        data: a file that `load_image` reads; None: the test set of the configuration.
        endmembers: ``.npy`` file (bands, r) in the unit of the image, for networks that know W.

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
    print(folder / "factors.npz")


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
