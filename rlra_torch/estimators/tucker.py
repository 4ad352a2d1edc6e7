"""Tucker decompositions in one call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..data import given
from ..functional.arguments import whole_number
from ..functional.tucker import check_ranks, hosvd
from ..initialization import random_factors
from ..iterations import HALS, Alternating, BlockIteration, Iteration
from ..losses import Loss
from ..models import Factors, Tucker
from ..regularizers import Free, Regularizer
from ..solvers import Progress
from ..solvers.progress import Callback
from .factorize import factorize
from .inputs import Array, check_seed, given_factors, kind_of, to_tensor
from .names import iteration_named, loss_named
from .results import Factorization

STARTS = ("hosvd", "random")


def tucker(
    T: Array,  # noqa: N803
    ranks: Sequence[int],
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    init: str | Sequence[Array] = "hosvd",
    regs: Sequence[Regularizer] | None = None,
    weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    resume: Progress | None = None,
) -> Factorization:
    """Tucker decomposition: orthogonal by "hooi", nonnegative by the other iterations.

        min loss(G x_1 U_1 ... x_d U_d, T) + sum_n reg_n(U_n) + reg_{d+1}(G)

    Args:
        T: a tensor of order 2 or more, (n_1, ..., n_d), as in `cp`; NaN marks a missing entry.
        ranks: (r_1, ..., r_d), at most n_i each.
        loss: as in `nmf`.
        iteration: "hooi" (the default for least squares of complete data without ``regs``), or one
            of those of `nmf`; HALS (the default elsewhere for least squares, five sweeps each) and
            "als" form the gram of the core, of (r_1 ... r_d)^2 numbers.
        init: "hosvd", "random", or the factors and the core. For nonnegative factors "hosvd" takes
            absolute values.
        regs: one for each factor and one for the core; None: none for "hooi", else nonnegative.
        weights, max_iter, tol, check_every, seed, callbacks, resume: as in `nmf`.

    Returns:
        a `Factorization` with ``factors = (U_1, ..., U_d, G)``.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.3

    Example:
        >>> import torch
        >>> T = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0))
        >>> fit = tucker(T, (4, 5, 6))
        >>> [tuple(x.shape) for x in fit.factors], fit.relative_error < 1e-5
        ([(4, 4), (5, 5), (6, 6), (4, 5, 6)], True)
    """
    y, back = to_tensor(T, "T")
    y = y.contiguous()  # a sweep reads it as matrices of its first by its last modes
    ranks, seed = _checked(ranks, y), check_seed(seed)
    loss = loss_named(loss)
    complete = weights is None and not bool(y.isnan().any())
    if iteration is None and regs is None and loss.quadratic and complete:
        iteration = "hooi"
    # Many inner sweeps on one factor pay less than new products with the core.
    five = iteration is None and loss.quadratic
    step = Alternating(HALS(), 5) if five else iteration_named(iteration, loss)
    if regs is None and iteration == "hooi":
        regs = [Free() for _ in range(y.ndim + 1)]

    def start(filled: Tensor) -> Factors:
        assert isinstance(init, str)
        found = _start(init, filled, ranks, seed)
        return found if regs is not None else tuple(x.abs() for x in found)

    return factorize(
        y,
        Tucker(y.ndim),
        loss,
        step,
        start=start if isinstance(init, str) else given_factors(init, given(y)),
        regs=regs,
        weights=weights,
        max_iter=max_iter,
        tol=tol,
        check_every=check_every,
        callbacks=callbacks,
        resume=resume,
        back=back,
    )


def _checked(ranks: Sequence[int], y: Tensor) -> tuple[int, ...]:
    if y.ndim < 2:
        raise ValueError(f"tucker needs a tensor of order 2 or more, got shape {tuple(y.shape)}")
    if not isinstance(ranks, (list, tuple)) or len(ranks) != y.ndim:
        given = f"{len(ranks)} ranks" if isinstance(ranks, (list, tuple)) else kind_of(ranks)
        raise ValueError(f"tucker needs one rank for each of the {y.ndim} modes, got {given}")
    several = tuple(whole_number("a rank", rank) for rank in ranks)
    check_ranks(several, y.shape)
    return several


def _start(init: str, y: Tensor, ranks: tuple[int, ...], seed: int) -> Factors:
    if init == "hosvd":
        bases, core = hosvd(y, ranks)
        return (*bases, core)
    if init == "random":
        shapes = [*zip(y.shape, ranks, strict=True), ranks]
        return random_factors(shapes, y, seed)
    raise ValueError(f"unknown init {init!r}: use 'hosvd', 'random' or the factors")
