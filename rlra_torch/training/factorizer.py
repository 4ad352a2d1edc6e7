"""The system that Lightning trains: a network, what it is trained to do, and how."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MetricCollection

from ..datasets.scenes import Scenes
from ..iterations import State
from ..metrics.shells import NMSE, AbundanceRMSE, FactorMetric, Reduction, SpectralAngle
from ..problem import Problem
from .scaling import MatrixFactors, sum_to_one
from .supervision import Supervision


class Network(Protocol):
    """What a network that factorizes matrices offers; `Unrolled` does."""

    init: Any  # from the data to the factors to start from

    def problem(self, y: Tensor, weights: Tensor | None = None) -> Problem:
        """The problem that it works on."""
        ...

    def iterates(
        self,
        y: Tensor,
        start: Sequence[Tensor] | None = None,
        weights: Tensor | None = None,
    ) -> Iterator[State]:
        """The start, then the state after each layer."""
        ...


class Found(NamedTuple):
    """What a network made of a batch.

    Attributes:
        start: the factors that it started from, as the network scales them.
        factors: (W, H) after the last layer, scaled.
        seconds: from the one to the other, before scaling.
    """

    start: MatrixFactors
    factors: MatrixFactors
    seconds: float


class Factorizer(lightning.LightningModule):
    """Trains a network that factorizes spectral mixtures, ``Y ~ W H^T``.

    Every batch is a `Scenes`. The factors of all layers are scaled before anything is compared,
    with gradients.

    Args:
        network: from data to factors, such as `rlra_torch.unrolled.nalmu`.
        supervision: the loss.
        optimizer: from parameters to an optimizer.
        scheduler: from the optimizer to a schedule that advances once an epoch, or None.
        known: which factors are given to the network, as in ``(0,)`` for one that regresses on W.
            It then starts from the true ones, and from uniform factors for the others.
        scale: from factors to factors of the same product, or None for networks that keep the
            scale of a known factor.

    Raises:
        TypeError: the network has no iterates.
        ValueError: ``known`` leaves nothing to seek.

    Example:
        >>> from rlra_torch.training import Reconstruction
        >>> from rlra_torch.unrolled import nalmu
        >>> system = Factorizer(nalmu(rank=2, depth=3), Reconstruction())
        >>> [tuple(x.shape) for x in system(torch.rand(4, 5, 8))]
        [(4, 5, 2), (4, 8, 2)]
    """

    def __init__(
        self,
        network: nn.Module,
        supervision: Supervision,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable | None = None,
        known: tuple[int, ...] = (),
        scale: Callable[[MatrixFactors], MatrixFactors] | None = sum_to_one,
    ) -> None:
        super().__init__()
        if not (hasattr(network, "iterates") and hasattr(network, "problem")):
            raise TypeError(
                f"a network has iterates(y, start) and problem(y), but {type(network).__name__} "
                "has not; give one of rlra_torch.unrolled"
            )
        if not set(known) < {0, 1}:
            raise ValueError(f"known factors are (), (0,) for W or (1,) for H, not {tuple(known)}")
        self.network, self.supervision = network, supervision
        self.optimizer, self.scheduler = optimizer, scheduler
        self.known, self.scale = tuple(known), scale
        self._ranks: dict[int, bool] = {}
        self.val_metrics = MetricCollection(
            dict(metrics(self.known)), prefix="val_", compute_groups=False
        )

    @property
    def unrolled(self) -> Network:
        """The network, as what has iterates."""
        return cast(Network, self.network)

    def forward(self, y: Tensor, start: MatrixFactors | None = None) -> MatrixFactors:
        """The factors of the data, scaled.

        Args:
            y: (*, m, n).
            start: factors to start from; None: those of the network.
        """
        return self.scaled(self.network(y, start))

    def scaled(self, factors: MatrixFactors) -> MatrixFactors:
        """The factors with the ambiguity of scale removed."""
        return factors if self.scale is None else self.scale(factors)

    def start(self, scenes: Scenes) -> MatrixFactors:
        """The factors to start from: of the network, or the known ones and uniform ones.

        Raises:
            ValueError: the data are not finite, or a known factor is not in the batch.
        """
        bad = int((~scenes.Y.isfinite()).sum())
        if bad:
            raise ValueError(f"the data have {bad} NaN or infinite values; replace them first")
        if not self.known:
            return self.unrolled.init(scenes.Y)
        given = (scenes.W, scenes.H)[self.known[0]]
        if given is None:
            raise ValueError(
                f"the network regresses on a known {'WH'[self.known[0]]}, which these data do not "
                "have; give data with their factors"
            )
        rows = scenes.Y.shape[-2:][1 - self.known[0]]
        uniform = given.new_full((*given.shape[:-2], rows, given.shape[-1]), 1 / given.shape[-1])
        return (given, uniform) if self.known == (0,) else (uniform, given)

    def iterates(self, scenes: Scenes) -> MatrixFactors:
        """The scaled factors after each layer, (depth, *, rows, r) each."""
        states = list(self.unrolled.iterates(scenes.Y, self.start(scenes)))[1:]
        W, H = (torch.stack(factors) for factors in zip(*(s.factors for s in states), strict=True))
        return self.scaled((W, H))

    def loss(self, scenes: Scenes) -> Tensor:
        """What training makes small, for a batch."""
        iterates = self.iterates(scenes)
        return self.supervision(self.unrolled.problem(scenes.Y), iterates, scenes)

    def training_step(self, scenes: Scenes, index: int) -> Tensor:
        """The loss of a batch, logged."""
        loss = self.loss(scenes)
        # Lightning averages over an epoch; a curve of single batches would mostly show their luck.
        size = len(scenes.Y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, scenes: Scenes, index: int) -> None:
        """Log the loss and the relative error; where the truth is known, the metrics too."""
        iterates = self.iterates(scenes)
        problem = self.unrolled.problem(scenes.Y)
        factors = (iterates[0][-1], iterates[1][-1])
        loss = self.supervision(problem, iterates, scenes)
        error = problem.relative_error(factors).mean()
        size = len(scenes.Y)
        self.log("val_loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        self.log("val_relative_error", error, batch_size=size, sync_dist=True)
        if scenes.W is not None and scenes.H is not None:
            self.val_metrics.update(factors, (scenes.W, scenes.H))
            self.log_dict(self.val_metrics, batch_size=size)

    def test_step(self, scenes: Scenes, index: int, dataloader_idx: int = 0) -> Found:
        """What the network finds; `Comparison` makes a table of it.

        Where the scenes have another rank than the network and its layers allow it, it seeks as
        many components as there are.
        """
        return self._found(scenes, self._test_start(scenes))

    def predict_step(self, scenes: Scenes, index: int, dataloader_idx: int = 0) -> Found:
        """What the network finds."""
        return self._found(scenes, self.start(scenes))

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """The optimizer and the schedule, as Lightning wants them."""
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        schedule = self.scheduler(optimizer)
        monitor = getattr(schedule, "monitor", "val_loss")
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": monitor},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another network, before anything is loaded.

        Raises:
            ValueError: a parameter is missing, left over, or of another shape.
        """
        own, other = self.state_dict(), checkpoint["state_dict"]
        for name in (*own, *other):
            shapes = [tuple(d[name].shape) if name in d else None for d in (other, own)]
            if shapes[0] != shapes[1]:
                there, here = ("no such parameter" if s is None else f"shape {s}" for s in shapes)
                raise ValueError(
                    f"the checkpoint is of another network: {name} has {there} there and {here} "
                    "here; use the configuration that it was trained with"
                )

    def _found(self, scenes: Scenes, start: MatrixFactors) -> Found:
        begin = seconds_now(scenes.Y.device)
        W, H = self.network(scenes.Y, start)
        seconds = seconds_now(scenes.Y.device) - begin
        return Found(start, self.scaled((W, H)), seconds)

    def _test_start(self, scenes: Scenes) -> MatrixFactors:
        """A start of the true rank, where the layers can work with one that is not their own."""
        start = self.start(scenes)
        rank = start[0].shape[-1] if scenes.W is None else scenes.W.shape[-1]
        if rank != start[0].shape[-1]:
            init = copy.copy(self.unrolled.init)
            init.rank = rank
            if rank not in self._ranks:
                self._ranks[rank] = self._works_from(scenes.Y[:1], init(scenes.Y[:1]))
            if self._ranks[rank]:
                return init(scenes.Y)
        return start

    def _works_from(self, y: Tensor, start: MatrixFactors) -> bool:
        try:
            self.network(y, start)
        # Gains of a shape that belongs to one rank.
        except ValueError:
            return False
        return True


def seconds_now(device: torch.device) -> float:
    """The clock, once the device has done what it was asked to."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


def metrics(known: Sequence[int], reduction: Reduction = "mean") -> dict[str, FactorMetric]:
    """What is measured of the factors that are sought.

    Args:
        known: the factors that are not.
        reduction: over samples.

    Example:
        >>> list(metrics(known=(0,)))
        ['abundance_rmse', 'nmse_h']
    """
    of_w = {"spectral_angle": SpectralAngle(reduction), "nmse_w": NMSE(0, reduction)}
    of_h = {"abundance_rmse": AbundanceRMSE(reduction), "nmse_h": NMSE(1, reduction)}
    return (of_w if 0 not in known else {}) | (of_h if 1 not in known else {})
