"""The table of a test: a trained network beside the algorithms that it should beat."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as lightning
import torch
from torch import Tensor

from ..datasets.scenes import Scenes
from ..iterations import MSOM, MU, Alternating, Iteration, iterates
from ..metrics.shells import FactorMetric
from ..problem import Problem
from .factorizer import Factorizer, Found, metrics, seconds_now
from .scaling import MatrixFactors
from .table import table, verdict

FILES = ("comparison.csv", "comparison.json")
"""What `Comparison` writes."""


@dataclass(frozen=True)
class Baseline:
    """An algorithm to compare with, run from the start of the network.

    Args:
        name: in the table.
        iteration: the algorithm.
        steps: how many iterations of it.

    Example:
        >>> Baseline("MU", Alternating(MU()), 250).steps
        250
    """

    name: str
    iteration: Iteration
    steps: int


@dataclass
class Row:
    """What was measured of one method on one test set."""

    test: str
    method: str
    steps: int
    scores: dict[str, FactorMetric]
    errors: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    ranks: set[tuple[int, int]] = field(default_factory=set)

    def take(
        self, problem: Problem, factors: MatrixFactors, scenes: Scenes, seconds: float
    ) -> None:
        """Measure a batch."""
        self.seconds += seconds
        self.errors.append(problem.relative_error(factors).cpu())
        if scenes.W is not None and scenes.H is not None:
            self.ranks.add((factors[0].shape[-1], scenes.W.shape[-1]))
            for score in self.scores.values():
                score.update([x.cpu() for x in factors], (scenes.W.cpu(), scenes.H.cpu()))

    def values(self) -> dict[str, float]:
        """The medians over scenes."""
        errors = torch.cat(self.errors)
        found = {name: float(s.compute()) for name, s in self.scores.items() if s.update_called}
        return {**found, "relative_error": float(errors.quantile(0.5))}

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
        count = len(torch.cat(self.errors))
        return {
            "test": self.test,
            "method": self.method,
            "steps": self.steps,
            **self.values(),
            "seconds_per_scene": self.seconds / count,
            "scenes": count,
        }


class Comparison(lightning.Callback):
    """Compares a network with baselines on every test set, and prints and writes the table.

    All methods start from the same factors, and all results are scaled alike. Values are medians
    over the scenes of a test set: of the mean angle between matched endmembers, and of the root
    mean square error of the abundances. Seconds are those of the iterations.

    Args:
        name: of the network, in the table.
        baselines: None: MU (for a known factor mSOM too) with as many iterations as the network has
            layers (25 where it has none), and with 250.
        out: folder for ``comparison.csv`` and ``comparison.json``; None: that of the trainer.

    Example:
        >>> Comparison("NALMU").name
        'NALMU'
    """

    def __init__(
        self,
        name: str = "network",
        baselines: Sequence[Baseline] | None = None,
        out: str | None = None,
    ) -> None:
        self.name, self.baselines, self.out = name, baselines, out
        self.silent = False
        self.rows: dict[tuple[str, str, int], Row] = {}

    def records(self) -> list[dict[str, Any]]:
        """One a row of the table, in its order."""
        return [row.record() for row in self.rows.values()]

    def on_test_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begin a new table.

        Raises:
            ValueError: there are several processes.
        """
        if trainer.world_size > 1:
            raise ValueError(
                f"methods are timed on one device, not on {trainer.world_size}; test with devices=1"
            )
        self.rows = {}

    def on_test_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Scenes,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure what the network found in a batch, and what each baseline does."""
        system, found = cast(Factorizer, pl_module), cast(Found, outputs)
        test = _names(trainer)[dataloader_idx]
        problem = system.unrolled.problem(batch.Y)
        depth = _depth(system)
        self._row(test, self.name, depth, system).take(problem, found.factors, batch, found.seconds)
        baselines = default_baselines(system) if self.baselines is None else self.baselines
        for baseline in baselines:
            begin = seconds_now(batch.Y.device)
            factors = run(baseline, problem, found.start)
            seconds = seconds_now(batch.Y.device) - begin
            row = self._row(test, baseline.name, baseline.steps, system)
            row.take(problem, system.scaled(factors), batch, seconds)

    def on_test_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Print the table and write it."""
        if not self.rows:
            return
        records = self.records()
        folder = Path(self.out or trainer.log_dir or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / FILES[0]).open("w", newline="", encoding="utf-8") as file:
            # Test sets without a truth have fewer values.
            names = dict.fromkeys(name for record in records for name in record)
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            writer.writerows(records)
        text = json.dumps({"network": self.name, "rows": records}, indent=1)
        (folder / FILES[1]).write_text(text + "\n", encoding="utf-8")
        if not self.silent:
            self._print(records)

    def verdicts(self) -> list[str]:
        """One sentence a baseline: on which test sets the network does not beat it."""
        others = dict.fromkeys((row.method, row.steps) for row in self.rows.values())
        records = self.records()
        return [verdict(records, self.name, *other) for other in others if other[0] != self.name]

    def _row(self, test: str, method: str, steps: int, system: Factorizer) -> Row:
        key = (test, method, steps)
        if key not in self.rows:
            self.rows[key] = Row(test, method, steps, metrics(system.known, "median"))
        return self.rows[key]

    def _print(self, records: list[dict[str, Any]]) -> None:
        from rich.console import Console

        console = Console(highlight=False)
        console.print(table(records))
        for sentence in (*self._misfits(), *self.verdicts()):
            console.print(sentence)

    def _misfits(self) -> Iterator[str]:
        for row in self.rows.values():
            for sought, true in sorted(row.ranks):
                if row.method == self.name and sought != true:
                    yield (
                        f"{row.test}: {sought} components are sought, as the network allows, and "
                        f"compared with those they match best of the {true}."
                    )


def default_baselines(system: Factorizer) -> list[Baseline]:
    """MU, and for a known factor mSOM, with the depth of the network and with 250 iterations."""
    algorithms: dict[str, Iteration] = {"MU": Alternating(MU())}
    if system.known:
        algorithms["mSOM"] = Alternating(MSOM())
    steps = dict.fromkeys((_depth(system) or 25, 250))
    return [Baseline(name, it, count) for name, it in algorithms.items() for count in steps]


def run(baseline: Baseline, problem: Problem, start: MatrixFactors) -> MatrixFactors:
    """The factors after the iterations of a baseline."""
    iteration = baseline.iteration
    state = iteration.init(start, problem)
    layers = (iteration for _ in range(baseline.steps))
    W, H = deque(iterates(layers, problem, state), maxlen=1).pop().factors
    return W, H


def _depth(system: Factorizer) -> int:
    """Layers of the network; 0 for one that has none, because it solves its problem."""
    return len(getattr(system.network, "layers", ()))


def _names(trainer: lightning.Trainer) -> list[str]:
    loaders = trainer.test_dataloaders
    return list(loaders) if isinstance(loaders, dict) else ["test"] * 1
