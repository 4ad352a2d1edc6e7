"""Tensors of TensorLy, in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.tucker import multiplied


def is_decomposed(data: object) -> bool:
    """Whether something is a `CPTensor` or a `TuckerTensor`, by its attributes.

    Example:
        >>> from types import SimpleNamespace
        >>> is_decomposed(SimpleNamespace(weights=None, factors=[])), is_decomposed([1])
        (True, False)
    """
    return hasattr(data, "factors") and (hasattr(data, "weights") or hasattr(data, "core"))


def full(data: Any) -> Any:  # noqa: ANN401
    """The tensor that a `CPTensor` or a `TuckerTensor` stands for, of the kind of its factors.

    Example:
        >>> from types import SimpleNamespace
        >>> full(SimpleNamespace(weights=None, factors=[np.ones((2, 1)), np.ones((3, 1))])).shape
        (2, 3)
    """
    core, factors = parts(data)
    several = [torch.as_tensor(x) for x in factors]
    if core is None or core.ndim == 1:
        weights = torch.ones_like(several[0][0]) if core is None else torch.as_tensor(core)
        core = torch.zeros((len(weights),) * len(several), dtype=weights.dtype)
        core = core.to(weights.device)
        core[(torch.arange(len(weights)),) * len(several)] = weights
    found = multiplied(torch.as_tensor(core), several)
    return found if isinstance(factors[0], Tensor) else found.numpy()


def parts(data: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401
    """The weights, (r,) or None, or the core of a decomposition, and its factors."""
    if is_decomposed(data):
        first = data.core if hasattr(data, "core") else data.weights
        return first, list(data.factors)
    first, factors = data
    return first, list(factors)


def unpacked(start: Any) -> Any:  # noqa: ANN401
    """The factors of a decomposition, its core last; anything else as it is.

    A decomposition is a `CPTensor`, a `TuckerTensor`, or a pair of weights (or None, or a core) and
    factors. Weights are spread over all factors, which leaves them as equal as they are; a sign
    goes to the last one.

    Example:
        >>> a, b = unpacked((np.array([-4.0]), [np.ones((2, 1)), np.ones((1, 1))]))
        >>> a.ravel().tolist(), b.ravel().tolist()
        ([2.0, 2.0], [-2.0])
    """
    pair = isinstance(start, (list, tuple)) and len(start) == 2
    if not is_decomposed(start) and not (pair and isinstance(start[1], (list, tuple))):
        return start
    first, factors = parts(start)
    if first is None:
        return factors
    if first.ndim > 1:
        return [*factors, first]
    share = abs(first) ** (1 / len(factors))
    sign = torch.sign(first) if isinstance(first, Tensor) else np.sign(first)
    return [*(x * share for x in factors[:-1]), factors[-1] * share * sign]


def to_tensorly(model: str, factors: Sequence[Any]) -> Any:  # noqa: ANN401
    """A `CPTensor` (of a matrix too) or a `TuckerTensor` with these factors.

    Raises:
        TypeError: another model.
        ValueError: a batch of problems.
    """
    from tensorly.cp_tensor import CPTensor
    from tensorly.tucker_tensor import TuckerTensor

    if model not in ("CP", "NMF", "Tucker"):
        raise TypeError(f"TensorLy has no type for {model}; use the factors")
    if factors[0].ndim > 2:
        raise ValueError("TensorLy takes one problem; this fit holds a batch")
    if model == "Tucker":
        return TuckerTensor((factors[-1], list(factors[:-1])))
    ones = torch.ones_like if isinstance(factors[0], Tensor) else np.ones_like
    return CPTensor((ones(factors[0][0]), list(factors)))
