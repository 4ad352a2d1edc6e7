"""What a PARAFAC2 fit gives back."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..plots import convergence
from ..solvers import Traced
from .results import Check

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tensorly.parafac2_tensor import Parafac2Tensor


class Screening(NamedTuple):
    """What several starts reached before the best went on alone.

    Args:
        best: which one.
        iterations: how many.
        objectives: of each start.
        history: the checks of the best.
    """

    best: int
    iterations: int
    objectives: tuple[float, ...]
    history: tuple[Check, ...]


@dataclass(frozen=True)
class Parafac2Fit(Traced):
    """The factors of ``X_k = A D_k B_k^T``, ``B_k = P_k Delta``, and how honest they are.

    Args:
        A: (I, r).
        D: (K, r), row k is the diagonal of ``D_k``.
        B: K matrices (J_k, r), the ones that meet the constraints on them.
        P: K matrices (J_k, r) with orthonormal columns.
        delta: (r, r); ``P_k Delta`` is the point of the PARAFAC2 set nearest to the ``B_k``.
        slice_errors: (K,) ``||X_k - A D_k B_k^T|| / ||X_k||`` over observed entries.
        gap: ``||B - P Delta|| / ||B||``, how far the ``B_k`` are from the set.
        relative_error: the error of all slices together.
        history: the checks of the best start, the first one at the start.
        converged: whether the last optimality residual met the tolerance.
        n_iter: its iterations.
        objectives: that of each start, at the end of the best and where the others were left.
        description: what was solved.

    Example:
        >>> import numpy as np
        >>> from rlra_torch import parafac2
        >>> fit = parafac2([np.ones((4, 3)), np.ones((4, 5))], rank=1)
        >>> [b.shape for b in fit.B]
        [(3, 1), (5, 1)]
    """

    A: Any
    D: Any
    B: list[Any]
    P: list[Any]
    delta: Any
    slice_errors: Any
    gap: float
    relative_error: float
    history: tuple[Check, ...]
    converged: bool
    n_iter: int
    objectives: tuple[float, ...]
    description: dict[str, str]

    @property
    def slices(self) -> list[Any]:
        """The prediction, K matrices (I, J_k)."""
        return [(self.A * d) @ b.T for d, b in zip(self.D, self.B, strict=True)]

    def to_tensorly(self) -> Parafac2Tensor:
        """As TensorLy has it: slices J_k x I, ``P_k B diag(a_k) C^T``, so A there is D here.

        The ``B_k`` are those of the set, which a fit with constraints on them meets up to `gap`.

        Raises:
            ImportError: TensorLy is not installed.

        Example:
            >>> import numpy as np
            >>> from rlra_torch import parafac2
            >>> parafac2([np.ones((4, 3)), np.ones((4, 5))], rank=1).to_tensorly().shape
            ((3, 4), (5, 4))
        """
        try:
            from tensorly import get_backend  # pyright: ignore[reportAttributeAccessIssue]
            from tensorly.parafac2_tensor import Parafac2Tensor
        except ImportError as error:
            raise ImportError("to_tensorly needs TensorLy: pip install tensorly") from error
        numpy = get_backend() != "pytorch" and isinstance(self.A, Tensor)
        common, p = (
            [x.numpy(force=True) if numpy else x for x in part]
            for part in ((self.D, self.delta, self.A), self.P)
        )
        return Parafac2Tensor((common[0][0] * 0 + 1, common, p))

    def summary(self) -> str:
        """A few lines that fit a terminal of 80 columns.

        Example:
            >>> import numpy as np
            >>> from rlra_torch import parafac2
            >>> fit = parafac2([np.ones((4, 3)), np.ones((4, 5))], rank=1)
            >>> print(fit.summary().splitlines()[0])
            PARAFAC2 of rank 1, DirectFitting
        """
        lengths = sorted({len(b) for b in self.B})
        span = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        worst = float(torch.as_tensor(self.slice_errors).max())
        lines = [
            "PARAFAC2 of rank {rank}, {iteration}".format(**self.description),
            f"  slices          {len(self.B)} of {len(self.A)} x {span}",
            f"  relative error  {self.relative_error:.5f}, at most {worst:.5f} in a slice",
            f"  objective       {self.objective:.6g}, best of {len(self.objectives)}",
            f"  KKT residual    {self.kkt:.1e}",
            f"  PARAFAC2 gap    {self.gap:.1e}",
            f"  iterations      {self.n_iter}, {self.seconds:.2f} s",
            f"  converged       {self.converged}",
        ]
        return "\n".join(textwrap.fill(line, 80, subsequent_indent=" " * 18) for line in lines)

    def plot(self) -> Figure:
        """The objective and the optimality residual against time."""
        return convergence({self.description["iteration"]: self.history}, x="seconds")


def squared_norms(x: Tensor, weights: Tensor | None) -> Tensor:
    """(K,) of slices (I, J, K)."""
    squares = x.square() if weights is None else weights * x.square()
    return squares.sum((0, 1))


def of_start(history: Sequence[Any], best: int) -> tuple[Check, ...]:
    """The checks of one start of several."""
    return tuple(
        Check(r.iteration, r.seconds, float(r.objective[best]), float(r.kkt[best])) for r in history
    )


def joined(first: Screening | None, then: tuple[Check, ...]) -> tuple[Check, ...]:
    """The checks of the first iterations and of those that followed."""
    if first is None:
        return then
    last = first.history[-1]
    later = (
        c._replace(iteration=c.iteration + first.iterations, seconds=c.seconds + last.seconds)
        for c in then[1:]
    )
    return (*first.history, *later)
