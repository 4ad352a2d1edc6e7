"""The curves of a training, kept in its checkpoints and drawn at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as lightning

from ..plots.style import save
from ..plots.training import Curve, learning_curves

QUANTITIES = {
    "loss": "loss",
    "spectral_angle": "spectral angle (degrees)",
    "abundance_rmse": "RMSE of the abundances",
    "relative_error": "relative error of the data",
}
STAGES = {"train": "training", "val": "validation"}


class LearningCurves(lightning.Callback):
    """Draws losses and metrics over the epochs as ``curves.png`` in the folder of the log.

    Validation begins at epoch 0, before any training, where Lightning checks the whole validation
    set first (``num_sanity_val_steps=-1``): a network whose gains are one is plain MU there. The
    history is part of every checkpoint, so that a training that is resumed has whole curves.

    Args:
        title: of the figure.

    Example:
        >>> LearningCurves("NALMU").history
        []
    """

    file = "curves.png"

    def __init__(self, title: str | None = None) -> None:
        self.title = title
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """The history."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a history."""
        self.history = list(state_dict["history"])

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keep what holds before any training."""
        if trainer.sanity_checking and trainer.global_step == 0:
            self._keep(trainer, epoch=0)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keep what holds after an epoch."""
        self._keep(trainer, epoch=trainer.current_epoch + 1)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw."""
        self._draw(trainer)

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """Draw what there is of an interrupted training."""
        if isinstance(exception, KeyboardInterrupt):
            self._draw(trainer)

    def panels(self) -> dict[str, dict[str, Curve]]:
        """The history as `learning_curves` draws it."""
        found: dict[str, dict[str, Curve]] = {}
        for name, quantity in QUANTITIES.items():
            for stage, word in STAGES.items():
                key = f"{stage}_{name}"
                curve = [(row["epoch"], row[key]) for row in self.history if key in row]
                if curve:
                    found.setdefault(quantity, {})[word] = curve
        return found

    def _keep(self, trainer: lightning.Trainer, epoch: int) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.history.append({"epoch": epoch, **values})

    def _draw(self, trainer: lightning.Trainer) -> None:
        # Every process has to ask for the folder: they agree on it.
        folder = trainer.log_dir
        if self.history and folder and trainer.is_global_zero:
            save(learning_curves(self.panels(), self.title), Path(folder) / self.file)
