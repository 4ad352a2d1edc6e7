"""Scenes to train and test on: synthetic spectra, and minerals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..datasets.scenes import (
    Endmembers,
    MixingLaw,
    Scenes,
    SmoothSpectra,
    Specimens,
    draw_scenes,
    minerals,
    split,
)
from .streams import Stream, loader

# Of the streams of one seed.
TRAIN, VAL, TEST = 0, 1, 2


@dataclass(frozen=True)
class Sizes:
    """How many scenes there are, and how they are handed out.

    Args:
        train: of an epoch; each epoch draws new ones.
        val: drawn once.
        test: of each test set, drawn once.
        batch: of a batch.

    Raises:
        ValueError: a number below 1.

    Example:
        >>> Sizes(val=64).train
        960
    """

    train: int = 960
    val: int = 128
    test: int = 256
    batch: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"sizes are at least 1, but {field.name} is less")


class Mixtures(lightning.LightningDataModule, ABC):
    """Scenes of one law for training and validation, and of several for tests.

    Args:
        law: sizes, noise and abundances; None: `MixingLaw()`.
        sizes: numbers of scenes; None: `Sizes()`.
        shifts: test sets of other laws, each under its name the values that differ, as in
            ``{"SNR 10 to 20 dB": {"snr_db": (10, 20)}}``; None: no such sets.
        seed: of all draws.
        workers: processes that draw; 0: none but the one that trains.

    Raises:
        ValueError: a value that makes no sense.
    """

    same_law = "same law"
    other_spectra = "other spectra"

    def __init__(
        self,
        law: MixingLaw | None = None,
        sizes: Sizes | None = None,
        shifts: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.law = MixingLaw() if law is None else law
        self.sizes = Sizes() if sizes is None else sizes
        self.seed, self.workers = seed, workers
        # Here, so that a wrong name is said before any training.
        self.shifts = {name: self.law.varied(dict(new)) for name, new in (shifts or {}).items()}

    @abstractmethod
    def seen(self) -> Endmembers:
        """The spectra to train on."""

    @abstractmethod
    def held_out(self) -> Endmembers:
        """The spectra to test on."""

    @abstractmethod
    def others(self) -> Endmembers:
        """Spectra of another kind, of as many bands."""

    def stream(self, stage: tuple[int, ...], endmembers: Endmembers, law: MixingLaw) -> Stream:
        """The batches of a stage, the first number of which says which one."""
        count = (self.sizes.train, self.sizes.val, self.sizes.test)[stage[0]]
        draw = partial(_draw, law, endmembers)
        return Stream(draw, count, self.sizes.batch, (self.seed, *stage))

    def tests(self) -> dict[str, Stream]:
        """The test sets under their names, first the one of the law of training."""
        unseen = self.held_out()
        laws: dict[str, tuple[Endmembers, MixingLaw]] = {
            self.same_law: (unseen, self.law),
            self.other_spectra: (self.others(), self.law),
            **{name: (unseen, law) for name, law in self.shifts.items()},
        }
        return {
            name: self.stream((TEST, number), *parts)
            for number, (name, parts) in enumerate(laws.items())
        }

    def train_dataloader(self) -> DataLoader:
        """Scenes of the spectra that are seen, new ones every epoch."""
        return loader(self.stream((TRAIN,), self.seen(), self.law), self.workers, fresh=True)

    def val_dataloader(self) -> DataLoader:
        """Other scenes of the spectra that are seen, always the same."""
        return loader(self.stream((VAL,), self.seen(), self.law), self.workers)

    def test_dataloader(self) -> dict[str, DataLoader]:
        """Scenes of spectra that were never seen: of the law of training, and of others."""
        return {name: loader(stream, self.workers) for name, stream in self.tests().items()}

    def predict_dataloader(self) -> DataLoader:
        """The test set of the law of training."""
        return self.test_dataloader()[self.same_law]


class SyntheticMixtures(Mixtures):
    """Mixtures of smooth synthetic spectra; every scene has spectra of its own.

    The test set of other spectra has white noise for spectra.

    Args:
        bands: of a spectrum.
        law: sizes, noise and abundances; None: `MixingLaw()`.
        sizes: numbers of scenes; None: `Sizes()`.
        shifts: test sets of other laws, each under its name the values that differ.
        seed: of all draws.
        workers: processes that draw; 0: none but the one that trains.

    Raises:
        ValueError: a value that makes no sense.

    Example:
        >>> data = SyntheticMixtures(bands=30, sizes=Sizes(train=8, batch=4))
        >>> [tuple(batch.Y.shape) for batch in data.train_dataloader()]
        [(4, 30, 256), (4, 30, 256)]
        >>> list(data.test_dataloader())
        ['same law, other draws', 'white spectra']
    """

    same_law = "same law, other draws"
    other_spectra = "white spectra"

    def __init__(
        self,
        bands: int = 50,
        law: MixingLaw | None = None,
        sizes: Sizes | None = None,
        shifts: dict[str, dict[str, Any]] | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(law, sizes, shifts, seed, workers)
        if bands < 1:
            raise ValueError(f"a spectrum has at least 1 band, not {bands}")
        self.bands = bands

    def seen(self) -> Endmembers:
        """Smooth spectra."""
        return SmoothSpectra(self.bands)

    def held_out(self) -> Endmembers:
        """Smooth spectra; no two draws are the same."""
        return SmoothSpectra(self.bands)

    def others(self) -> Endmembers:
        """Spectra uniform in [0, 1] in each band."""
        return partial(_white, self.bands)


class SpectralMixtures(Mixtures):
    """Mixtures of measured minerals; those of the test sets were never seen in training.

    The 36 pure minerals of the USGS library, from 2.0 to 2.5 um, are divided once. The test set of
    other spectra has smooth synthetic ones.

    Args:
        bands: that the library is averaged into.
        held_out_minerals: how many are kept for the tests.
        law: sizes, noise and abundances; None: `MixingLaw()`.
        sizes: numbers of scenes; None: `Sizes()`.
        shifts: test sets of other laws, each under its name the values that differ.
        seed: of all draws, and of the division of the minerals.
        workers: processes that draw; 0: none but the one that trains.

    Raises:
        FileNotFoundError: the library was not fetched yet.
        ValueError: a value that makes no sense.
    """

    same_law = "unseen minerals"
    other_spectra = "synthetic spectra"

    def __init__(
        self,
        bands: int = 50,
        held_out_minerals: int = 10,
        law: MixingLaw | None = None,
        sizes: Sizes | None = None,
        shifts: dict[str, dict[str, Any]] | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__(law, sizes, shifts, seed, workers)
        self.library = minerals(bands)
        count = len(self.library.labels)
        self.train_specimens, self.test_specimens = split(count, held_out_minerals, seed)

    def seen(self) -> Endmembers:
        """The minerals to train on."""
        return Specimens(self.library.spectra[:, self.train_specimens])

    def held_out(self) -> Endmembers:
        """The minerals to test on."""
        return Specimens(self.library.spectra[:, self.test_specimens])

    def others(self) -> Endmembers:
        """Smooth spectra."""
        return SmoothSpectra(len(self.library.spectra))


def _draw(law: MixingLaw, endmembers: Endmembers, count: int, generator: torch.Generator) -> Scenes:
    return draw_scenes(law, endmembers, count, generator)


def _white(bands: int, count: int, rank: int, draw: torch.Generator) -> Tensor:
    return torch.rand(count, bands, rank, generator=draw, device=draw.device)
