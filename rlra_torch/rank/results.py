"""What the fits of each rank say, and which rank they choose."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from ..plots import rank_curves
from ..plots.ranks import STABILITY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RankFit:
    """All fits of one rank, as NumPy arrays.

    Args:
        rank: the number of components.
        held_out: (replicates, folds) mean loss of the entries that a fit did not see.
        objective: (replicates,) of the fits to all data, divided by the number of observed entries
            or by the sum of their weights.
        W: (m, r) of the fit to all data with the lowest objective.
        H: (n, r) of the same fit.
        samples: (k,) the columns of the data (or its rows) that the consensus is about.
        consensus: (k, k) how often two of them are in one cluster.
        cophenetic: the cophenetic correlation of the consensus.
        dispersion: how far the consensus is from undecided; 1 is clear, 0 undecided.
        congruence: (r,) how alike the components of different starts are, at most 1.
        silhouette: (r,) how much more alike than other components, at most 1.
        converged: (replicates, folds + 1) which fits met the tolerance, those to all data last.
        n_iter: (replicates, folds + 1) their iterations.
        seconds: wall-clock time.
    """

    rank: int
    held_out: np.ndarray
    objective: np.ndarray
    W: np.ndarray
    H: np.ndarray
    samples: np.ndarray
    consensus: np.ndarray
    cophenetic: float
    dispersion: float
    congruence: np.ndarray
    silhouette: np.ndarray
    converged: np.ndarray
    n_iter: np.ndarray
    seconds: float

    @property
    def mean(self) -> float:
        """The mean loss of held-out entries."""
        return float(self.held_out.mean())

    @property
    def error(self) -> float:
        """The standard error of the mean over folds, those of one fold averaged; NaN for one."""
        by_fold = self.held_out.mean(0)
        count = len(by_fold)
        return float(by_fold.std(ddof=1) / count**0.5) if count > 1 else float("nan")

    @property
    def row(self) -> dict[str, Any]:
        """One line of a table, as plain numbers; None where something is not defined."""
        values = {
            "rank": self.rank,
            "held_out": self.mean,
            "standard_error": self.error,
            "objective": float(self.objective.min()),
            "congruence": float(self.congruence.mean()),
            "silhouette": float(self.silhouette.mean()),
            "cophenetic": self.cophenetic,
            "dispersion": self.dispersion,
            "converged": float(self.converged.mean()),
            "iterations": float(self.n_iter.mean()),
            "seconds": self.seconds,
        }
        return {name: value if np.isfinite(value) else None for name, value in values.items()}

    def save(self, path: str | Path, settings: str = "") -> None:
        """Write everything to one ``.npz`` file, in one move.

        Args:
            path: the file.
            settings: a text that `load` compares.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        try:
            with open(partial, "wb") as file:
                values = {
                    field.name: np.asarray(getattr(self, field.name)) for field in fields(self)
                }
                values: dict[str, Any] = vars(self)
                np.savez_compressed(file, settings=np.array(settings), **values)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path, settings: str = "") -> RankFit | None:
        """Read what `save` wrote, or None where there is none of these settings.

        Args:
            path: the file.
            settings: what was given to `save`.
        """
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                if str(file["settings"]) != settings:
                    return None
                values = {field.name: file[field.name] for field in fields(cls)}
        except (KeyError, ValueError, OSError, EOFError, BadZipFile):
            return None
        return cls(**{name: x.item() if x.ndim == 0 else x for name, x in values.items()})


@dataclass(frozen=True)
class RankSelection:
    """Held-out loss and stability by rank, and the ranks that they choose.

    Args:
        fits: one for each rank, increasing.
        description: what was done, as plain numbers and strings.

    Example:
        >>> from rlra_torch.rank import select_rank
        >>> Y = np.outer(np.arange(1.0, 31.0), np.arange(1.0, 21.0))
        >>> Y *= np.random.default_rng(0).uniform(0.8, 1.2, Y.shape)
        >>> selection = select_rank(Y, [1, 2], "kl", folds=3, replicates=2, max_iter=40)
        >>> selection.one_standard_error
        1
    """

    fits: tuple[RankFit, ...]
    description: dict[str, Any]

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that were tried."""
        return tuple(fit.rank for fit in self.fits)

    @property
    def minimum(self) -> int:
        """The rank of least mean held-out loss."""
        return self._best.rank

    @property
    def one_standard_error(self) -> int:
        """The smallest rank whose mean is within one standard error of the least.

        References:
            | Breiman, Friedman, Olshen, Stone, Classification and regression trees (1984),
            | section 3.4.3
        """
        best = self._best
        within = best.mean + (best.error if np.isfinite(best.error) else 0.0)
        return next(fit.rank for fit in self.fits if fit.mean <= within)

    @property
    def _best(self) -> RankFit:
        return min(self.fits, key=lambda fit: fit.mean)

    def __getitem__(self, rank: int) -> RankFit:
        """The fits of a rank.

        Raises:
            KeyError: it was not tried.
        """
        for fit in self.fits:
            if fit.rank == rank:
                return fit
        raise KeyError(f"rank {rank} was not tried; there are {', '.join(map(str, self.ranks))}")

    @property
    def table(self) -> list[dict[str, Any]]:
        """One line for each rank, as plain numbers."""
        return [fit.row for fit in self.fits]

    def summary(self) -> str:
        """A table that fits a terminal of 80 columns.

        Example:
            >>> from rlra_torch.rank import select_rank
            >>> Y = np.outer(np.arange(1.0, 31.0), np.arange(1.0, 21.0))
            >>> Y *= np.random.default_rng(0).uniform(0.8, 1.2, Y.shape)
            >>> text = select_rank(Y, [1, 2], "kl", folds=3, replicates=2, max_iter=40).summary()
            >>> max(len(line) for line in text.splitlines()) <= 80
            True
        """
        said = "{shape[0]} x {shape[1]}, {loss}, {iteration}; {folds} folds, {replicates} starts"
        lines = [
            said.format(**self.description),
            f"{'rank':>6} {'held-out loss':>13} {'+-':>9} {'fit':>10} {'congr.':>7} "
            f"{'silh.':>7} {'coph.':>7} {'disp.':>7}",
        ]
        for fit in self.fits:
            mark = "*" if fit.rank == self.minimum else " "
            mark += "<" if fit.rank == self.one_standard_error else " "
            row = fit.row
            stable = (row[name] for name in STABILITY)
            lines.append(
                f"{fit.rank:>6} {fit.mean:>13.5g} {_number(row['standard_error'], '9.2g')} "
                f"{row['objective']:>10.4g} {' '.join(_number(x, '7.3f') for x in stable)} {mark}"
            )
        lines.append("* least held-out loss   < smallest rank within one standard error of it")
        return "\n".join(line.rstrip() for line in lines)

    def plot(self) -> Figure:
        """Held-out loss with error bars, and stability, against the rank."""
        return rank_curves(self.table, self.minimum, self.one_standard_error)

    def to_json(self) -> str:
        """Everything but matrices."""
        chosen = {"minimum": self.minimum, "one_standard_error": self.one_standard_error}
        details = [
            {"rank": fit.rank, "held_out": fit.held_out.tolist(), "fit": fit.objective.tolist()}
            for fit in self.fits
        ]
        content = {**self.description, "chosen": chosen, "table": self.table, "details": details}
        return json.dumps(content, indent=1)


def _number(value: float | None, form: str) -> str:
    width = int(form.split(".")[0])
    return "-".rjust(width) if value is None else format(value, form)


def ordered(fits: Sequence[RankFit]) -> tuple[RankFit, ...]:
    """The fits by increasing rank."""
    return tuple(sorted(fits, key=lambda fit: fit.rank))
