"""Nonnegative matrix factorization in one call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..data import Data, given
from ..data.rows import RowBlocks
from ..functional.arguments import whole_number
from ..iterations import BlockIteration, Iteration
from ..losses import Loss
from ..models import NMF, Factors
from ..regularizers import Regularizer
from ..solvers import Progress
from ..solvers.progress import Callback
from .factorize import factorize
from .inputs import Array, check_seed, given_factors, to_tensor, whole
from .names import RandomStart, matrix_start
from .results import Factorization


def nmf(
    Y: Array | Data,  # noqa: N803
    rank: int,
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: str | Sequence[Array] | None = None,
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
) -> Factorization:
    """Nonnegative matrix factorization, ``min loss(W H^T, Y) + reg(W) + reg(H)``.

    Args:
        Y: (*, m, n) data, leading dimensions for independent problems: a NumPy array, a SciPy
            sparse matrix or a torch tensor of any layout on any device; NaN marks a missing entry.
            Sparse data stays sparse; half precision is computed with in single precision. Or
            `Data`, such as `Chunks` of a file or `Shards` on several processes.
        rank: the number of components, at least 1.
        loss: "frobenius", "kl", "is", a real beta, or a `Loss`.
        iteration: "hals" (the default for Frobenius), "amu" (for all else), "msom", "fista", "pg",
            "active_set", "als", "burg", "newton", "mu", "ccd", "sn", "joint", or an `Iteration`.
        init: "random", "nndsvd", "nndsvda", "nndsvdar", pure pixels by "spa", "snpa", "xray" or
            "vca", or the pair (W, H); None: "nndsvda" where the rank and the data allow, else
            "random". Named starts are made feasible, scaled to the data, and balanced where there
            are penalties; factors are used as given.
        regs: a regularizer for W and one for H; None: nonnegative.
        weights: nonnegative weights or a boolean mask like Y; 0 or False marks a missing entry, and
            so does what a sparse mask does not store.
        max_iter: the largest number of iterations.
        tol: on the scale-free KKT residual.
        check_every: iterations between two checks.
        seed: of the random starts.
        callbacks: called with the progress at each check.
        resume: a progress to go on from, as `load_checkpoint` reads it.

    Returns:
        a `Factorization` with ``factors = (W, H)``, W (*, m, r) and H (*, n, r).

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 6.1.3 and 7.3

    Example:
        >>> import torch
        >>> Y = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) @ torch.ones(2, 20)
        >>> fit = nmf(Y, rank=2)
        >>> fit.relative_error < 1e-3
        True
    """
    y, back = (Y, whole) if isinstance(Y, Data) else to_tensor(Y, "Y", compact=True)
    if len(y.shape) < 2:
        raise ValueError(f"nmf needs a matrix, got shape {tuple(y.shape)}")
    rank, seed = whole_number("the rank", rank), check_seed(seed)
    name = _default_start(y, rank) if init is None else init

    def start(filled: Tensor) -> Factors:
        assert isinstance(name, str)
        return matrix_start(name, filled, rank, seed)

    begin = RandomStart(rank, seed) if name == "random" else start

    return factorize(
        y,
        NMF(),
        loss,
        iteration,
        start=begin if isinstance(name, str) else given_factors(name, given(y), rank),
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        resume=resume,
        back=back,
    )


def _default_start(y: Tensor | Data, rank: int) -> str:
    """NNDSVDa where the data can be read whole and the rank allows it."""
    whole = not isinstance(y, RowBlocks) and rank <= min(y.shape[-2:])
    return "nndsvda" if whole else "random"
