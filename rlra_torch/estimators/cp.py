"""Canonical polyadic decomposition in one call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..data import given
from ..functional.arguments import whole_number
from ..iterations import BlockIteration, Iteration
from ..losses import Loss
from ..models import CP, Factors
from ..regularizers import Regularizer
from ..solvers import Progress
from ..solvers.progress import Callback
from .factorize import factorize
from .inputs import Array, check_seed, given_factors, to_tensor
from .names import tensor_start
from .results import Factorization


def cp(
    T: Array,  # noqa: N803
    rank: int,
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: str | Sequence[Array] | None = "random",
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
) -> Factorization:
    """Canonical polyadic decomposition, nonnegative unless ``regs`` say otherwise.

    Args:
        T: a tensor of order 2 or more, (n_1, ..., n_d), of a kind that `nmf` takes, or a tensor
            of TensorLy; NaN marks a missing entry.
        rank: the number of components, at least 1.
        loss, iteration, regs, weights, max_iter, tol, check_every, seed, callbacks, resume: as in
            `nmf`, with one regularizer per mode.
        init: "random", "svd" (absolute singular vectors), "hosvd" (singular vectors), "jennrich"
            (algebraic, near the solution for data with little noise), one factor per mode, or a
            `CPTensor`. Named starts are made feasible and scaled to the data.

    Returns:
        a `Factorization` with one factor (n_i, r) per mode.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.2

    Example:
        >>> import torch
        >>> a = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
        >>> fit = cp(torch.einsum("ir,jr,kr->ijk", a, a, a), rank=2)
        >>> [tuple(x.shape) for x in fit.factors]
        [(6, 2), (6, 2), (6, 2)]
    """
    y, back = to_tensor(T, "T")
    y = y.contiguous()  # a sweep reads it as matrices of its first by its last modes
    if y.ndim < 2:
        raise ValueError(f"cp needs a tensor of order 2 or more, got shape {tuple(y.shape)}")
    rank, seed = whole_number("the rank", rank), check_seed(seed)

    def start(filled: Tensor) -> Factors:
        assert isinstance(init, str)
        return tensor_start(init, filled, rank, seed)

    if init is None:
        raise ValueError("cp needs an init: 'random', 'svd' or one factor per mode")
    return factorize(
        y,
        CP(y.ndim),
        loss,
        iteration,
        start=start if isinstance(init, str) else given_factors(init, given(y), rank),
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        resume=resume,
        back=back,
    )
