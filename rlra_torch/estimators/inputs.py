"""What users hand in: checked, as tensors, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from ..functional.arguments import whole_number
from ..losses import Loss
from ..models import Factors
from ..regularizers import Regularizer

Array = Any
"""A NumPy array, a SciPy sparse matrix or a torch tensor."""

Back = Callable[[Tensor], Any]
"""Gives a tensor back as the kind of array that came in."""


def to_tensor(data: Array, name: str) -> tuple[Tensor, Back]:
    """The data as a tensor, and the way back to its kind.

    Args:
        data: a NumPy array, a SciPy sparse matrix (made dense) or a torch tensor.
        name: what to call it in errors.

    Raises:
        TypeError: another kind, or a dtype that is not real floating point.
        ValueError: empty data.

    Example:
        >>> y, back = to_tensor(np.ones((2, 3)), "Y")
        >>> y.dtype, type(back(y)).__name__
        (torch.float64, 'ndarray')
    """
    if isinstance(data, Tensor):
        tensor, back = data.detach(), _same
        tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
    elif isinstance(data, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; mark what is missing with .filled(np.nan)")
    elif isinstance(data, np.ndarray) or scipy.sparse.issparse(data):
        _check_dtype(str(data.dtype), data.dtype.kind, name)
        dense = data if isinstance(data, np.ndarray) else data.toarray()
        # torch reads neither foreign byte orders, nor negative strides, nor read-only memory.
        dense = np.require(dense, data.dtype.newbyteorder("="), ["C", "W", "E"])
        tensor, back = torch.from_numpy(dense), _numpy
    else:
        raise TypeError(
            f"{name} must be a NumPy array, a SciPy sparse matrix or a torch tensor, "
            f"got {kind_of(data)}"
        )
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be real floating point, got {tensor.dtype}; convert it")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        raise TypeError(f"{name} is {tensor.dtype}, too coarse to solve in; convert to float32")
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty: shape {tuple(tensor.shape)}; it needs an entry")
    return tensor, back


def like(data: Array, name: str, y: Tensor) -> Tensor:
    """Further input (a start, weights) as a tensor, which must match the data in dtype and device.

    Raises:
        TypeError: it does not.
    """
    tensor, _ = to_tensor(data, name)
    if tensor.dtype != y.dtype or tensor.device != y.device:
        raise TypeError(
            f"{name} is {tensor.dtype} on {tensor.device} but the data is {y.dtype} on "
            f"{y.device}; convert one"
        )
    return tensor


def weights_like(weights: Array, y: Tensor) -> Tensor:
    """Weights or a boolean mask as a tensor that matches the data in dtype (or bool) and device.

    Raises:
        TypeError: they do not.
    """
    weights = weights.toarray() if scipy.sparse.issparse(weights) else weights
    if isinstance(weights, np.ndarray) and weights.dtype == bool:
        weights = torch.from_numpy(np.require(weights, requirements=["C", "W", "E"]))
    if not isinstance(weights, Tensor) or weights.dtype != torch.bool:
        return like(weights, "weights", y)
    if weights.device != y.device:
        raise TypeError(f"the mask is on {weights.device} but the data is on {y.device}; move one")
    return weights


def check_values(y: Tensor, loss: Loss, weights: Tensor | None) -> None:
    """Check that a loss can take the observed data.

    Raises:
        ValueError: infinite entries, or some outside of the domain of the loss.
    """
    infinite = int(y.isinf().sum())
    if infinite:
        raise ValueError(f"the data has {infinite} infinite entries; mark them as missing with NaN")
    wrong = loss.domain(y if weights is None else y[weights > 0])
    if wrong is not None:
        raise ValueError(
            f"{type(loss).__name__} cannot take this data: {wrong}; "
            "clip the data, mask those entries, or use Frobenius"
        )


def check_seed(seed: int) -> int:
    """The seed as a Python integer.

    Raises:
        ValueError: it is not an integer that a generator takes.
    """
    if whole_number("the seed", seed, least=0) >= 2**63:
        raise ValueError(f"the seed must be below 2^63, got {seed}")
    return int(seed)


def check_regs(regs: Sequence[Regularizer]) -> list[Regularizer]:
    """The regularizers as a list.

    Raises:
        TypeError: not a list or a tuple of regularizers.
    """
    if not isinstance(regs, (list, tuple, nn.ModuleList)):
        raise TypeError(f"regs must be a list with one regularizer per factor, got {kind_of(regs)}")
    for n, reg in enumerate(regs):
        if not isinstance(reg, Regularizer):
            raise TypeError(
                f"the regularizer of factor {n} must be an object such as NonNegative(), "
                f"got {kind_of(reg)}"
            )
    return list(regs)


def given_factors(factors: Sequence[Array], y: Tensor, rank: int | None = None) -> Factors:
    """Starting factors that the user gave, as tensors of their own.

    Args:
        factors: one array per factor.
        y: the data, which they must match in dtype and device.
        rank: the number of columns that they must have, or None.

    Raises:
        TypeError: not a list or a tuple of arrays like the data.
        ValueError: another number of columns.
    """
    if not isinstance(factors, (list, tuple)):
        raise TypeError(f"a start is a name or a list of factors, got {kind_of(factors)}")
    found = tuple(like(x, f"factor {n}", y).clone() for n, x in enumerate(factors))
    for n, x in enumerate(found):
        if rank is not None and x.ndim > 1 and x.shape[-1] != rank:
            raise ValueError(
                f"the rank is {rank} but factor {n} has {x.shape[-1]} columns: "
                f"shape {tuple(x.shape)}"
            )
    return found


def kind_of(value: object) -> str:
    """What something is, for errors."""
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}()"
    return type(value).__name__


def _check_dtype(dtype: str, kind: str, name: str) -> None:
    if kind != "f" or dtype in ("float16", "longdouble", "float128"):
        raise TypeError(
            f"{name} must be real floating point (float32 or float64), got {dtype}; convert it, "
            "for instance with .astype(float)"
        )


def _same(x: Tensor) -> Tensor:
    return x


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
