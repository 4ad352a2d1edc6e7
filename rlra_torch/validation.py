"""What a problem checks of its parts and its data, each complaint in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .data import Data
from .functional.layouts import rank_dims
from .losses import Loss
from .models import Coupled, Factors, Model
from .regularizers import Coupling, Joint, Regularizer


def check_parts(
    y: Any,  # noqa: ANN401
    model: Model,
    loss: Loss,
    regs: Sequence[Regularizer],
    weights: Any,  # noqa: ANN401
) -> None:
    """Check the kinds of what a problem is made of, and that the weights lie with the data.

    Raises:
        TypeError: one is of another kind, or elsewhere.
    """
    if not isinstance(regs, (list, tuple, nn.ModuleList)):
        raise TypeError(f"regs must be a list of regularizers, got {type(regs).__name__}")
    if isinstance(y, (list, tuple)) and y:
        several = weights if isinstance(weights, (list, tuple)) else [None] * len(y)
        for own, weight in zip(y, several, strict=False):
            check_parts(own, model, loss, regs, weight)
        return
    parts = [("data", y, (Tensor, Data)), ("model", model, Model), ("loss", loss, Loss)]
    parts += [("regularizer", reg, Regularizer) for reg in regs]
    for name, part, kind in parts if weights is None else [*parts, ("weights", weights, Tensor)]:
        if not isinstance(part, kind):
            raise TypeError(
                f"the {name} of a Problem must be a {_name(kind)}, got {type(part).__name__}"
            )
    if not isinstance(y, Tensor) or weights is None:
        return
    if weights.dtype != y.dtype or weights.device != y.device:
        raise TypeError(
            f"the weights are {weights.dtype} on {weights.device} but the data is {y.dtype} on "
            f"{y.device}; convert one"
        )


def check_count(model: Model, regs: Sequence[Regularizer]) -> None:
    """Check that there is one regularizer for each factor.

    Raises:
        ValueError: there are more or fewer.
    """
    count = len(model.factor_ndims)
    if len(regs) != count:
        raise ValueError(
            f"{type(model).__name__} has {count} factors but {len(regs)} "
            "regularizers were given; give one each, NonNegative() or Free() for none"
        )


def check_cones(model: Model, regs: Sequence[Regularizer]) -> None:
    """Check that a model that is linear on cones only comes with a regularizer that keeps to them.

    Raises:
        TypeError: it does not, or the cones are those of other inputs.
    """
    needed, kept = model.cones, regs.cones if isinstance(regs, Joint) else None
    if needed is kept:
        return
    if needed is None:
        raise TypeError(f"{type(regs).__name__} is for a ReLU model, got {type(model).__name__}")
    if kept is None:
        raise TypeError(
            "a ReLU model is linear on cones only; give a ReLUNorm of the same inputs as regs"
        )
    if needed.shape != kept.shape or not torch.equal(needed, kept):
        raise TypeError("the inputs of the ReLU model and of the ReLUNorm must be the same")


def check_couplings(couplings: Sequence[Coupling], model: Model, free: tuple[int, ...]) -> None:
    """Check that couplings relate matrices that are sought, each once, of different data sets.

    Raises:
        TypeError: something that is not a coupling.
        ValueError: factors that cannot be coupled.
    """
    held: set[int] = set()
    for coupling in couplings:
        if not isinstance(coupling, Coupling):
            raise TypeError(f"a coupling is one such as Same(0, 3), got {type(coupling).__name__}")
        name = f"{type(coupling).__name__}({coupling.extra_repr()})"
        for n in coupling.factors:
            if n not in free:
                raise ValueError(f"{name} couples factor {n}, which is not among the free {free}")
            if n in held:
                raise ValueError(f"factor {n} is in two couplings; put them into one")
            if model.factor_ndims[n] != 2 or rank_dims(model.layout(n)) != (1,):
                raise ValueError(
                    f"{name} couples matrices with the components last, which factor {n} is not"
                )
            held.add(n)
        which = model.which if isinstance(model, Coupled) else (tuple(range(len(free))),)
        for own in which:
            both = set(own) & set(coupling.factors)
            if len(both) > 1:
                raise ValueError(
                    f"{name} couples the factors {sorted(both)} of one data set; "
                    "couple those of different ones"
                )


def check_factors(factors: Factors, dtype: torch.dtype, device: torch.device) -> None:
    """Check that factors are finite real tensors of one type in one place.

    Args:
        factors: the factors.
        dtype, device: of the data.

    Raises:
        TypeError: types or devices that do not match.
        ValueError: an empty tensor, or values that are not finite.
    """
    for n, x in enumerate(factors):
        name = f"factor {n}"
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a torch tensor, got {type(x).__name__}")
        if x.is_floating_point() and (x.dtype != dtype or x.device != device):
            raise TypeError(
                f"{name} is {x.dtype} on {x.device} but the data is {dtype} on {device}; "
                "convert one"
            )
        check_some(name, x.shape)
        check_finite(name, x)


def check_real(name: str, dtype: torch.dtype) -> None:
    """Check that something is real.

    Raises:
        TypeError: it is not real floating point.
    """
    if not dtype.is_floating_point:
        raise TypeError(f"{name} must be real floating point, got {dtype}; convert it")


def check_finite(name: str, x: Tensor) -> None:
    """Check that a tensor is real and finite.

    Raises:
        TypeError: it is not real floating point.
        ValueError: it has values that are not finite.
    """
    check_real(name, x.dtype)
    if not bool(x.isfinite().all()):
        bad = int((~x.isfinite()).sum())
        raise ValueError(f"{name} has {bad} NaN or infinite entries of {x.numel()}")


def check_some(name: str, shape: torch.Size) -> None:
    """Check that there is something.

    Raises:
        ValueError: a dimension is 0.
    """
    if 0 in shape:
        raise ValueError(f"{name} is empty: shape {tuple(shape)}")


def check_weights(weights: Tensor | None) -> None:
    """Check that weights can weigh.

    Raises:
        ValueError: a weight that is negative or not finite.
    """
    if weights is not None and not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError("weights must be finite and nonnegative; 0 marks a missing entry")


def check_regularizers(
    regs: Sequence[Regularizer], dtype: torch.dtype, device: torch.device
) -> None:
    """Check that tensors in regularizers are of the type of the data, where it is.

    Raises:
        TypeError: one is not.
    """
    for n, reg in enumerate(regs):
        for name, x in (*reg.named_parameters(), *reg.named_buffers()):
            alike = not x.is_floating_point() or x.dtype == dtype
            if x.ndim and not (alike and x.device == device):
                raise TypeError(
                    f"{name} of the regularizer of factor {n} is {x.dtype} on {x.device} but the "
                    f"data is {dtype} on {device}; convert one"
                )


def check_domain(loss: Loss, y: Tensor) -> None:
    """Check that a loss is defined on the observed data.

    Raises:
        ValueError: it is not.
    """
    wrong = loss.domain(y)
    if wrong is not None:
        raise ValueError(
            f"{type(loss).__name__} cannot take this data: {wrong}; "
            "clip the data, mask those entries, or use Frobenius"
        )


def check_signs(name: str, factors: Factors, instead: str) -> None:
    """Check that all factors are nonnegative, for a loss or an iteration that needs it.

    Args:
        name: who needs it.
        factors: the factors.
        instead: what to do otherwise, the end of the sentence.

    Raises:
        ValueError: one is not.
    """
    for n, x in enumerate(factors):
        negative = int((x < 0).sum())
        if negative:
            raise ValueError(
                f"{name} needs nonnegative factors but factor {n} has {negative} negative entries; "
                f"clip them, {instead}"
            )


def _name(kind: type | tuple[type, ...]) -> str:
    return (kind[0] if isinstance(kind, tuple) else kind).__name__
