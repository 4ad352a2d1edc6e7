"""What a fit gives back."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from ..functional.files import replaced_file
from ..functional.normal_form import normal_form
from ..plots import convergence
from ..solvers import Traced
from .tensorly import to_tensorly

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Check(NamedTuple):
    """One line of a history: floats, or arrays for a batch of problems."""

    iteration: int
    seconds: float
    objective: Any
    kkt: Any


@dataclass(frozen=True)
class Factorization(Traced):
    """The factors and how honest they are.

    Args:
        factors: (W, H) with ``Y ~ W H^T``, or one factor per mode; the kind of array that came in.
        history: the checks, the first one at the start.
        converged: whether the KKT residual met the tolerance (an array for a batch).
        n_iter: iterations done (an array for a batch).
        relative_error: ``||model - Y|| / ||Y||`` over observed entries, in float64.
        description: what was solved: model, loss, iteration, rank.

    Example:
        >>> from rlra_torch import nmf
        >>> fit = nmf(np.ones((4, 3)), rank=1)
        >>> fit.converged, fit.factors[0].shape
        (True, (4, 1))
    """

    factors: tuple[Any, ...]
    history: tuple[Check, ...]
    converged: Any
    n_iter: Any
    relative_error: Any
    description: dict[str, str]
    measured: ClassVar[tuple[str, ...]] = ("converged", "n_iter", "relative_error")

    def normalized(self) -> tuple[Any, tuple[Any, ...]]:
        """The weights of the components and factors with unit columns, for CP and NMF.

        The largest weight comes first; the entry of largest magnitude is positive in each column,
        but in the last factor, which has the sign that is left.

        Returns:
            the weights (r,), and the factors, of the kind of `factors`.

        Raises:
            TypeError: another model.

        Example:
            >>> from rlra_torch import nmf
            >>> weights, factors = nmf(np.ones((4, 1)), rank=1).normalized()
            >>> weights.round(3), factors[0].ravel().round(3)
            (array([2.]), array([0.5, 0.5, 0.5, 0.5]))
        """
        if self.description["model"] not in ("CP", "NMF"):
            raise TypeError(f"{self.description['model']} has no components of one scale each")
        weights, found = normal_form(tuple(torch.as_tensor(x) for x in self.factors))
        if isinstance(self.factors[0], Tensor):
            return weights, found
        return weights.numpy(), tuple(x.numpy() for x in found)

    def to_tensorly(self) -> Any:  # noqa: ANN401
        """The same as a `CPTensor` or a `TuckerTensor` of TensorLy.

        Raises:
            TypeError: a model that TensorLy has no type for.
            ValueError: a batch of problems.

        Example:
            >>> from rlra_torch import nmf
            >>> nmf(np.ones((4, 3)), rank=1).to_tensorly().shape
            (4, 3)
        """
        return to_tensorly(self.description["model"], self.factors)

    def summary(self) -> str:
        """A few lines that fit a terminal of 80 columns.

        Example:
            >>> from rlra_torch import nmf
            >>> print(nmf(np.ones((4, 3)), rank=1).summary().splitlines()[0])
            NMF of rank 1, Frobenius, HALS
        """
        shapes = ", ".join("x".join(str(size) for size in x.shape) for x in self.factors)
        lines = [
            "{model} of rank {rank}, {loss}, {iteration}".format(**self.description),
            f"  factors         {shapes}",
            f"  relative error  {_show(self.relative_error, '.5f')}",
            f"  objective       {_show(self.objective, '.6g')}",
            f"  KKT residual    {_show(self.kkt, '.1e')}",
            f"  iterations      {_show(self.n_iter, 'd')}, {self.seconds:.2f} s",
            f"  converged       {_show(self.converged, '')}",
        ]
        return "\n".join(textwrap.fill(line, 80, subsequent_indent=" " * 18) for line in lines)

    def plot(self, x: Literal["iteration", "seconds"] = "seconds") -> Figure:
        """The objective and the KKT residual against time or iterations.

        Args:
            x: "seconds" or "iteration".

        Returns:
            a matplotlib figure.

        Raises:
            ValueError: a batch of problems, or another ``x``.
        """
        if np.ndim(self.objective):
            raise ValueError("plot draws one problem; this fit holds a batch")
        return convergence({self.description["iteration"]: self.history}, x=x)

    def save(self, path: str | Path) -> None:
        """Write everything to one ``.npz`` file, in one move.

        Args:
            path: the file; its ending must be ``.npz``.

        Raises:
            ValueError: another ending.
            FileNotFoundError: there is no such folder.
        """
        path = _npz(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in")
        arrays: dict[str, Any] = {f"factor_{n}": _array(x) for n, x in enumerate(self.factors)}
        columns: dict[str, Any] = {
            f"history_{k}": np.array([_array(v) for v in column])
            for k, column in zip(Check._fields, zip(*self.history, strict=True), strict=True)
        }
        meta = {"description": self.description, "torch": isinstance(self.factors[0], Tensor)}
        arrays |= {name: _array(getattr(self, name)) for name in self.measured}
        with replaced_file(path) as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays, **columns)

    @classmethod
    def load(cls, path: str | Path) -> Factorization:
        """Read what `save` wrote; torch factors come back on the CPU.

        Args:
            path: the file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not one that `save` wrote.
        """
        path = _npz(path)
        if not path.is_file():
            raise FileNotFoundError(f"no file at {path}")
        try:
            # np.load leaves a file that it opened itself open where it is damaged.
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                count = sum(name.startswith("factor_") for name in file.files)
                wrap: Callable[[np.ndarray], Any] = torch.from_numpy if meta["torch"] else _same
                columns = [file[f"history_{name}"] for name in Check._fields]
                return cls(
                    tuple(wrap(file[f"factor_{n}"]) for n in range(count)),
                    tuple(
                        Check(int(i), float(s), plain(o), plain(k))
                        for i, s, o, k in zip(*columns, strict=True)
                    ),
                    description=meta["description"],
                    **{name: plain(file[name]) for name in cls.measured},
                )
        except (KeyError, TypeError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path} is not a saved factorization, or it is damaged") from error


@dataclass(frozen=True)
class Regression(Traced):
    """The solution of a nonnegative regression, and how honest it is.

    Args:
        x: the solution, the kind of array that came in.
        history: the checks, the first one at the start.
        converged: whether a tolerance was met (an array for a batch).
        n_iter: iterations done (an array for a batch).
        gap: the objective is at most this much above its least (an array for a batch).
    """

    x: Any
    history: tuple[Check, ...]
    converged: Any
    n_iter: Any
    gap: Any


def plain(value: Tensor | np.ndarray) -> Any:  # noqa: ANN401
    """A Python number for a single problem, a NumPy array for a batch."""
    array = _array(value)
    return array.item() if array.ndim == 0 else array


def checks(history: Sequence[Any]) -> tuple[Check, ...]:
    """The records of a solve as plain numbers."""
    return tuple(Check(r.iteration, r.seconds, plain(r.objective), plain(r.kkt)) for r in history)


def _array(value: Any) -> np.ndarray:  # noqa: ANN401
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _show(value: Any, form: str) -> str:  # noqa: ANN401
    values = np.atleast_1d(value).reshape(-1).tolist()
    shown = ", ".join(format(v, form) for v in values[:4])
    return shown if len(values) <= 4 else f"{shown}, ... ({len(values)} problems)"


def _npz(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"factorizations are stored as .npz, got {path.name!r}")
    return path


def _same(x: np.ndarray) -> np.ndarray:
    return x
