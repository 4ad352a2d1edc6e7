"""How fast a trained network gets where algorithms go: errors over their iterations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as lightning

from ..datasets.scenes import Scenes
from ..iterations import MSOM, MU, Alternating, Iteration, State, iterates
from ..metrics.shells import FactorMetric
from ..plots.style import save
from ..plots.training import learning_curves
from .factorizer import Factorizer, Found, metrics

QUANTITIES = {
    "spectral_angle": "spectral angle (degrees)",
    "abundance_rmse": "RMSE of the abundances",
}


class ErrorPaths(lightning.Callback):
    """Draws errors over iterations, of the network and of MU and mSOM from the same start.

    Medians over the scenes of the first test set, as ``iterations.png``. A layer of the network is
    an iteration. It needs scenes whose factors are known.

    Args:
        name: of the network, in the legend.
        out: folder; None: that of the trainer.
        steps: iterations of the algorithms.

    Example:
        >>> ErrorPaths("NALMU").steps
        100
    """

    file = "iterations.png"

    def __init__(self, name: str = "network", out: str | None = None, steps: int = 100) -> None:
        self.name, self.out, self.steps = name, out, steps
        self.errors: dict[tuple[str, int], dict[str, FactorMetric]] = {}

    def on_test_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin anew."""
        self.errors = {}

    def on_test_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Scenes,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure a batch after each layer and after many of the iterations."""
        system, found = cast(Factorizer, pl_module), cast(Found, outputs)
        if dataloader_idx > 0 or batch.W is None or batch.H is None:
            return
        truth = (batch.W.cpu(), batch.H.cpu())
        for name, states in self._paths(system, batch, found).items():
            for step, state in enumerate(states):
                if step > 25 and step % 5:
                    continue
                scores = self.errors.setdefault((name, step), metrics(system.known, "median"))
                W, H = system.scaled((state.factors[0], state.factors[1]))
                for quantity in QUANTITIES.keys() & scores.keys():
                    scores[quantity].update((W.cpu(), H.cpu()), truth)

    def on_test_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Draw the curves."""
        if not self.errors:
            return
        panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for (name, step), scores in self.errors.items():
            for quantity in QUANTITIES.keys() & scores.keys():
                curves = panels.setdefault(QUANTITIES[quantity], {})
                curves.setdefault(name, []).append((step, float(scores[quantity].compute())))
        ordered = {label: panels[label] for label in QUANTITIES.values() if label in panels}
        title = "Median errors on spectra that were never seen"
        figure = learning_curves(ordered, title, "iterations, or layers of the network")
        save(figure, Path(self.out or trainer.default_root_dir) / self.file)

    def _paths(self, system: Factorizer, batch: Scenes, found: Found) -> dict[str, Iterator[State]]:
        problem = system.unrolled.problem(batch.Y)

        def path(iteration: Iteration) -> Iterator[State]:
            state = iteration.init(found.start, problem)
            return islice(iterates(repeat(iteration), problem, state), self.steps + 1)

        return {
            self.name: system.unrolled.iterates(batch.Y, found.start),
            "MU": path(Alternating(MU())),
            "mSOM": path(Alternating(MSOM())),
        }
