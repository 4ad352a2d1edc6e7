"""Patches of one image to train and test on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..datasets import HyperspectralImage, load_image
from ..datasets.scenes import Scenes
from .mixtures import TEST, TRAIN, VAL, Sizes
from .streams import Stream, loader


class ImagePatches(lightning.LightningDataModule):
    """Rectangles cut out of a hyperspectral image at random, divided by its largest value.

    Training sees the upper rows of the image, validation and tests the lower ones.

    Args:
        image: a file that `load_image` reads, or ``indian_pines``; or the image itself.
        patch: (rows, cols) of a patch; its pixels are read row by row.
        truth: a ``.npz`` file with ``spectra`` (bands, r) and ``abundances`` (pixels of the image,
            r) of the image divided by its largest value, as ``rlra unmix`` writes it; None: the
            factors are not known.
        held_out: fraction of the rows of the image that training does not see.
        sizes: numbers of patches; None: `Sizes()`.
        seed: of all draws.
        workers: processes that draw; 0: none but the one that trains.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: patches do not fit, or a file is not what it should be.

    Example:
        >>> image = HyperspectralImage(torch.rand(20, 10, 4))
        >>> data = ImagePatches(image, patch=(3, 5), sizes=Sizes(train=2, batch=2))
        >>> [tuple(batch.Y.shape) for batch in data.train_dataloader()]
        [(2, 4, 15)]
    """

    def __init__(
        self,
        image: str | HyperspectralImage,
        patch: tuple[int, int] = (16, 16),
        truth: str | None = None,
        held_out: float = 0.3,
        sizes: Sizes | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        whole = load_image(image) if isinstance(image, str) else image
        if not bool(whole.cube.isfinite().all()):
            raise ValueError("the image has NaN or infinite values; replace them first")
        whole = whole.scaled()
        self.image, self.patch = whole, (patch[0], patch[1])
        self.sizes = Sizes() if sizes is None else sizes
        self.seed, self.workers = seed, workers
        rows, cols = whole.shape[:2]
        self.border = rows - round(held_out * rows)
        room = min(self.border, rows - self.border)
        if not (1 <= patch[0] <= room and 1 <= patch[1] <= cols):
            raise ValueError(
                f"patches of {patch[0]} x {patch[1]} pixels do not fit: training has "
                f"{self.border} x {cols} pixels of the image, the tests {rows - self.border} x "
                f"{cols}"
            )
        self.spectra, self.abundances = None, None
        if truth is not None:
            self.spectra, self.abundances = _truth(Path(truth), whole)

    def train_dataloader(self) -> DataLoader:
        """Patches of the upper rows, new ones every epoch."""
        return loader(self._stream(TRAIN), self.workers, fresh=True)

    def val_dataloader(self) -> DataLoader:
        """Patches of the lower rows, always the same."""
        return loader(self._stream(VAL), self.workers)

    def test_dataloader(self) -> dict[str, DataLoader]:
        """Other patches of the lower rows."""
        return {"unseen rows": loader(self._stream(TEST), self.workers)}

    def predict_dataloader(self) -> DataLoader:
        """The patches of the test."""
        return self.test_dataloader()["unseen rows"]

    def _stream(self, stage: int) -> Stream:
        count = (self.sizes.train, self.sizes.val, self.sizes.test)[stage]
        first, last = (0, self.border) if stage == TRAIN else (self.border, self.image.shape[0])
        abundances = None if self.abundances is None else self.abundances[first:last]
        cut = _Cut(self.image.cube[first:last], self.spectra, abundances, self.patch)
        return Stream(cut, count, self.sizes.batch, (self.seed, stage))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Patches at random places of a cube, with their factors where they are known."""

    cube: Tensor
    spectra: Tensor | None
    abundances: Tensor | None
    patch: tuple[int, int]

    def __call__(self, count: int, draw: torch.Generator) -> Scenes:
        (rows, cols), (height, width) = self.cube.shape[:2], self.patch
        top = torch.randint(0, rows - height + 1, (count, 1, 1), generator=draw)
        left = torch.randint(0, cols - width + 1, (count, 1, 1), generator=draw)
        row, col = top + torch.arange(height)[:, None], left + torch.arange(width)
        Y = self.cube[row, col].flatten(1, 2).mT.contiguous()
        if self.spectra is None or self.abundances is None:
            return Scenes(Y)
        W = self.spectra.expand(count, -1, -1)
        return Scenes(Y, W, self.abundances[row, col].flatten(1, 2))


def _truth(path: Path, image: HyperspectralImage) -> tuple[Tensor, Tensor]:
    """Spectra (bands, r) and abundances (rows, cols, r), checked against the image."""
    rows, cols, bands = image.shape
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}' with the factors of the image")
    with np.load(path, allow_pickle=False) as file:
        missing = {"spectra", "abundances"} - set(file)
        if missing:
            raise ValueError(f"{path.name} has no {missing.pop()!r}; rlra unmix writes such files")
        spectra = torch.from_numpy(file["spectra"]).to(image.cube)
        abundances = torch.from_numpy(file["abundances"]).to(image.cube)
    rank = spectra.shape[-1]
    if spectra.shape != (bands, rank) or abundances.shape != (rows * cols, rank):
        raise ValueError(
            f"{path.name} has spectra {tuple(spectra.shape)} and abundances "
            f"{tuple(abundances.shape)}, but the image needs ({bands}, r) and ({rows * cols}, r)"
        )
    if not bool(spectra.isfinite().all() and abundances.isfinite().all()):
        raise ValueError(f"{path.name} has NaN or infinite values; replace them first")
    return spectra, abundances.unflatten(0, (rows, cols))
