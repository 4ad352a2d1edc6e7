"""Transcription to train and test on: recordings that are made up, and a loss of loudness."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..datasets.ensembles import Ensemble, draw_recordings
from ..datasets.scenes import Scenes
from ..problem import Problem
from ..unrolled import RowGain, TemplateStart, Unrolled, learned, unrolled_regression
from .mixtures import TEST, TRAIN, VAL, Sizes
from .scaling import MatrixFactors
from .streams import Stream, loader
from .supervision import Supervision


class Loudness(Supervision):
    """How far the activations after the last layer are from the true ones, notes in their order.

        L = D(H, H^K) / sum(H),    D the Kullback-Leibler divergence

    Templates have sum one; see `unit_sums`.

    Example:
        >>> H = torch.rand(1, 4, 2)
        >>> scenes = Scenes(torch.ones(1, 3, 4), torch.ones(1, 3, 2), H)
        >>> abs(Loudness()(None, (torch.ones(1, 1, 3, 2), H[None]), scenes).item()) < 1e-6
        True
    """

    def forward(self, problem: Problem, iterates: MatrixFactors, scenes: Scenes) -> Tensor:
        if scenes.H is None:
            raise ValueError("loudness is learned from scenes whose activations are known")
        found, true = iterates[1][-1], scenes.H
        # Mean one over all entries of the data: notes far below that are not heard.
        least = torch.finfo(true.dtype).eps
        divergence = torch.xlogy(true, true) - true * (found + least).log() - true + found
        return (divergence.sum((-2, -1)) / true.sum((-2, -1)).clamp_min(least)).mean()


class Recordings(lightning.LightningDataModule):
    """Recordings by the instruments of an ensemble for training, and by others for a test.

    Args:
        ensemble: to train on.
        others: of the same notes, for the second test set; None: no such set.
        seconds: of a recording.
        sizes: numbers of recordings; None: `Sizes()`.
        seed: of all draws.
        workers: processes that draw; 0: none but the one that trains.

    Raises:
        ValueError: other notes or another representation in the second ensemble.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        others: Ensemble | None = None,
        seconds: float = 2.4,
        sizes: Sizes | None = None,
        seed: int = 0,
        workers: int = 0,
    ) -> None:
        super().__init__()
        for name in ("pitches", "analysis"):
            if others is not None and getattr(others, name) != getattr(ensemble, name):
                raise ValueError(f"both ensembles need the same {name}")
        self.ensemble, self.others, self.seconds = ensemble, others, seconds
        self.sizes, self.seed, self.workers = sizes or Sizes(), seed, workers

    def stream(self, stage: tuple[int, ...], ensemble: Ensemble) -> Stream:
        """The batches of a stage, the first number of which says which one."""
        count = (self.sizes.train, self.sizes.val, self.sizes.test)[stage[0]]
        draw = partial(_draw, ensemble, self.seconds)
        return Stream(draw, count, self.sizes.batch, (self.seed, *stage))

    def train_dataloader(self) -> DataLoader:
        """New recordings every epoch."""
        return loader(self.stream((TRAIN,), self.ensemble), self.workers, fresh=True)

    def val_dataloader(self) -> DataLoader:
        """Other recordings, always the same."""
        return loader(self.stream((VAL,), self.ensemble), self.workers)

    def test_dataloader(self) -> dict[str, DataLoader]:
        """Recordings by the instruments of training, and by others."""
        both = {"same instruments": self.ensemble}
        if self.others is not None:
            both["other instruments"] = self.others
        return {
            name: loader(self.stream((TEST, number), ensemble), self.workers)
            for number, (name, ensemble) in enumerate(both.items())
        }

    def predict_dataloader(self) -> Any:  # noqa: ANN401
        """The test set of the instruments of training."""
        return self.test_dataloader()["same instruments"]


def transcriber(ensemble: Ensemble, depth: int = 12, hidden: int = 16) -> Unrolled:
    """Regression on the mean templates of an ensemble, as a network that learns them and its gains.

    The gains of each layer come from a `RowGain`: how loud a note is beside those that sound with
    it. Untrained it is as many multiplicative updates.

    Args:
        ensemble: whose notes are sought.
        depth: layers.
        hidden: units of the small networks.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 19.1.3 and 23.2.4
    """
    start = learned(TemplateStart(ensemble.templates), "templates")
    return unrolled_regression(start, depth, partial(_row_gain, hidden))


def _row_gain(hidden: int, _: int) -> RowGain:
    return RowGain(hidden)


def _draw(ensemble: Ensemble, seconds: float, count: int, generator: torch.Generator) -> Scenes:
    return draw_recordings(ensemble.instruments, ensemble.analysis, count, generator, seconds)
