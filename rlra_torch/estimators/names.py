"""Short names of losses, iterations and starts: resolved here, at the face, and nowhere below."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data import Data, given
from ..functional.pixels import select_columns
from ..initialization import (
    hosvd_factors,
    hosvd_nonnegative,
    jennrich,
    nndsvd,
    random_factors,
    spa,
)
from ..initialization.nndsvd import Variant
from ..initialization.spa import check_columns, with_unused
from ..iterations import (
    ADMM,
    FISTA,
    HALS,
    HOOI,
    MSOM,
    MU,
    AcceleratedMU,
    ActiveSet,
    Alternating,
    BlockIteration,
    BurgMirrorDescent,
    CoordinateNewton,
    Counted,
    Iteration,
    JointMM,
    ProALS,
    ProjectedGradient,
    ProjectedLeastSquares,
    ProjectedNewton,
    ScalarNewton,
)
from ..kernels.pattern import with_values
from ..losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler, Loss
from ..models import Factors
from ..separable import Separable, snpa, vca, xray
from .inputs import kind_of

LOSSES: dict[str, Callable[[], Loss]] = {
    "frobenius": Frobenius,
    "kl": KullbackLeibler,
    "is": ItakuraSaito,
}
ITERATIONS: dict[str, Callable[[], BlockIteration]] = {
    "active_set": ActiveSet,
    "admm": ADMM,
    "als": ProjectedLeastSquares,
    "amu": AcceleratedMU,
    "burg": BurgMirrorDescent,
    "ccd": CoordinateNewton,
    "fista": FISTA,
    "hals": HALS,
    "msom": MSOM,
    "mu": MU,
    "newton": ProjectedNewton,
    "pg": ProjectedGradient,
    "pro_als": ProALS,
    "sn": ScalarNewton,
}
WHOLE_ITERATIONS: dict[str, Callable[[], Iteration]] = {
    "admm": lambda: Alternating(ADMM(), inner=5),
    "hooi": HOOI,
    "joint": JointMM,
}
PURE_PIXELS: dict[str, Callable[[Tensor, int, int], Separable]] = {
    "snpa": lambda y, rank, seed: snpa(y, rank),
    "xray": lambda y, rank, seed: xray(y, rank),
    "vca": lambda y, rank, seed: vca(y, rank, seed=seed),
}
MATRIX_STARTS = ("random", "nndsvd", "nndsvda", "nndsvdar", "spa", *PURE_PIXELS)
TENSOR_STARTS = ("random", "svd", "hosvd", "jennrich")


def loss_named(loss: str | float | Loss) -> Loss:
    """A loss from its short name, from beta, or itself.

    Args:
        loss: "frobenius", "kl", "is", a real beta, or a `Loss`.

    Raises:
        ValueError: an unknown name.
        TypeError: something else.

    Example:
        >>> loss_named(1.0)
        KullbackLeibler(beta=1)
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}: use {_listed(LOSSES)}, a beta or a Loss")
        return LOSSES[loss]()
    if isinstance(loss, numbers.Real) and not isinstance(loss, bool):
        named = {2: Frobenius, 1: KullbackLeibler, 0: ItakuraSaito}
        return named[int(loss)]() if loss in named else BetaDivergence(float(loss))
    raise TypeError(f"a loss is a name, a beta or a Loss, got {kind_of(loss)}")


def block_iteration_named(
    iteration: str | BlockIteration | None, loss: Loss, default: str
) -> BlockIteration:
    """A block iteration from its short name, the default where None, or itself.

    Raises:
        ValueError: an unknown name.
        TypeError: something else.
    """
    if iteration is None:
        iteration = default if loss.quadratic else "amu"
    if isinstance(iteration, BlockIteration):
        return iteration
    if not isinstance(iteration, str):
        raise TypeError(
            "an iteration is a name such as 'hals' or a block iteration such as HALS(), "
            f"got {kind_of(iteration)}"
        )
    if iteration not in ITERATIONS:
        raise ValueError(
            f"unknown iteration {iteration!r}: use {_listed(ITERATIONS)} or an Iteration"
        )
    return ITERATIONS[iteration]()


def iteration_named(
    iteration: str | BlockIteration | Iteration | None, loss: Loss, default: str = "hals"
) -> Iteration:
    """An iteration over all factors, with inner steps by counted operations.

    Args:
        iteration: a short name, a block iteration, an `Iteration`, or None for the default.
        loss: what is minimized; where it is not quadratic the default is "amu".
        default: the name for quadratic losses.

    Raises:
        ValueError: an unknown name.
        TypeError: something else.

    Example:
        >>> type(iteration_named("hals", Frobenius())).__name__
        'Alternating'
    """
    if isinstance(iteration, Iteration):
        return iteration
    if isinstance(iteration, str) and iteration in WHOLE_ITERATIONS:
        return WHOLE_ITERATIONS[iteration]()
    return Alternating(block_iteration_named(iteration, loss, default), inner=Counted())


@dataclass(frozen=True)
class RandomStart:
    """Random factors (W, H), for which nothing of the data but its shape is needed.

    Args:
        rank: the number of components.
        seed: of the generator.
    """

    rank: int
    seed: int

    def __call__(self, data: Data) -> Factors:
        """The factors, whole."""
        *lead, m, n = data.shape
        like = torch.empty(0, dtype=data.dtype, device=data.device)
        shapes = [(*lead, m, self.rank), (*lead, n, self.rank)]
        return random_factors(shapes, like, self.seed)


def matrix_start(init: str, y: Tensor, rank: int, seed: int) -> Factors:
    """Starting factors (W, H) of a matrix, by name.

    Raises:
        ValueError: an unknown name.
    """
    if init == "random":
        return RandomStart(rank, seed)(given(y))
    if init in ("nndsvd", "nndsvda", "nndsvdar"):
        return _nndsvd(y, rank, init, seed)
    if init == "spa":
        return spa(y, rank)
    if init in PURE_PIXELS:
        return _pure_pixels(init, y, rank, seed)
    raise ValueError(
        f"unknown init {init!r}: use {', '.join(map(repr, MATRIX_STARTS))} or the factors"
    )


def _pure_pixels(init: str, y: Tensor, rank: int, seed: int) -> Factors:
    """Columns of the data and their abundances; the first unused ones where there are too few."""
    check_columns(init, y, rank)
    y = y if y.layout == torch.strided else y.to_dense()
    found = PURE_PIXELS[init](y, rank, seed)
    return select_columns(y, with_unused(found.indices, y.shape[-1])), found.factors[1]


def _nndsvd(y: Tensor, rank: int, variant: Variant, seed: int) -> Factors:
    """Of the nonnegative part of the data, the part that nonnegative factors can explain.

    What replaces zeros is the mean of the data in both factors, which is of the size of the factors
    only for data of order 1: so the largest entry is made 1, and the answer does not depend on the
    unit of the data.
    """
    tiny = torch.finfo(y.dtype).tiny
    if y.layout == torch.strided:
        largest = y.amax((-2, -1), keepdim=True).clamp_min(tiny)
        w, h = nndsvd((y / largest).clamp_min(0), rank, variant, seed)
    else:
        stored = y.values()
        largest = stored.max().clamp_min(tiny) if len(stored) else stored.new_ones(())
        w, h = nndsvd(with_values(y, (stored / largest).clamp_min(0)), rank, variant, seed)
    return w * largest.sqrt(), h * largest.sqrt()


def tensor_start(init: str, y: Tensor, rank: int, seed: int) -> Factors:
    """Starting factors of a CP model, by name.

    Raises:
        ValueError: an unknown name.
    """
    if init == "random":
        return random_factors([(size, rank) for size in y.shape], y, seed)
    if init == "svd":
        return hosvd_nonnegative(y, rank, seed)
    if init == "hosvd":
        return hosvd_factors(y, rank, seed)
    if init == "jennrich":
        return jennrich(y, rank, seed)
    raise ValueError(
        f"unknown init {init!r}: use {', '.join(map(repr, TENSOR_STARTS))} or the factors"
    )


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(repr(name) for name in names)
