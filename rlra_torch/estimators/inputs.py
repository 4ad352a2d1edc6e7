"""What users hand in: checked, as tensors, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor, nn

from ..data import Data, Dense, Sparse, given
from ..functional.arguments import whole_number
from ..functional.missing import observed
from ..kernels.pattern import from_scipy
from ..losses import Loss
from ..models import Factors
from ..regularizers import Regularizer
from ..validation import check_domain
from .tensorly import full, is_decomposed, unpacked

Array = Any
"""A NumPy array, a SciPy sparse matrix or a torch tensor."""

Back = Callable[[Tensor], Any]
"""Gives a tensor back as the kind of array that came in."""


def to_tensor(data: Array, name: str, compact: bool = False) -> tuple[Tensor, Back]:
    """The data as a tensor, and the way back to its kind.

    Args:
        data: a NumPy array, a SciPy sparse matrix, a torch tensor, or a `CPTensor` or
            `TuckerTensor` of TensorLy, which is multiplied out.
        name: what to call it in errors.
        compact: whether sparse data stays sparse, and half precision is taken; else it is made
            dense, and refused.

    Raises:
        TypeError: another kind, or a dtype that is not real floating point.
        ValueError: empty data.

    Example:
        >>> y, back = to_tensor(np.ones((2, 3)), "Y")
        >>> y.dtype, type(back(y)).__name__
        (torch.float64, 'ndarray')
    """
    if is_decomposed(data):
        data = full(data)
    if isinstance(data, Tensor):
        tensor, back = data.detach(), _same
    elif isinstance(data, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; mark what is missing with .filled(np.nan)")
    elif isinstance(data, np.ndarray):
        _check_dtype(str(data.dtype), data.dtype.kind, name)
        # torch reads neither foreign byte orders, nor negative strides, nor read-only memory.
        dense = np.require(data, data.dtype.newbyteorder("="), ["C", "W", "E"])
        tensor, back = torch.from_numpy(dense), _numpy
    elif _is_sparse(data):
        _check_dtype(str(data.dtype), data.dtype.kind, name)
        tensor, back = from_scipy(data), _numpy
    else:
        raise TypeError(
            f"{name} must be a NumPy array, a SciPy sparse matrix or a torch tensor, "
            f"got {kind_of(data)}"
        )
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be real floating point, got {tensor.dtype}; convert it")
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty: shape {tuple(tensor.shape)}; it needs an entry")
    if compact:
        return tensor, back
    if tensor.dtype in (torch.float16, torch.bfloat16):
        raise TypeError(f"{name} is {tensor.dtype}, too coarse to solve in; convert to float32")
    return (tensor if tensor.layout == torch.strided else tensor.to_dense()), back


def like(data: Array, name: str, y: Tensor | Data, compact: bool = False) -> Tensor:
    """Further input (a start, weights) as a tensor, which must match the data in dtype and device.

    Raises:
        TypeError: it does not.
    """
    tensor, _ = to_tensor(data, name, compact)
    if tensor.dtype != y.dtype or tensor.device != y.device:
        raise TypeError(
            f"{name} is {tensor.dtype} on {tensor.device} but the data is {y.dtype} on "
            f"{y.device}; convert one"
        )
    return tensor


def observations(y: Tensor, weights: Array, sparse: bool) -> Data:
    """The data of a fit: NaN, and what has no weight, is missing.

    Args:
        y: dense, or sparse with zeros where nothing is stored.
        weights: nonnegative weights or a boolean mask like ``y``, or None. What sparse weights do
            not store is missing.
        sparse: whether sparse weights stay sparse.

    Raises:
        TypeError: weights of another kind, dtype or device than the data.
        ValueError: weights that cannot weigh, or of another shape.
    """
    dtype = given(y).dtype
    if _is_sparse(weights) and weights.dtype == bool:
        weights = weights.astype(str(dtype).removeprefix("torch."))
    if isinstance(weights, np.ndarray) and weights.dtype == bool:
        weights = torch.from_numpy(np.require(weights, requirements=["C", "W", "E"]))
    if isinstance(weights, Tensor) and weights.dtype == torch.bool:
        weights = weights.to(dtype)
    if weights is not None:
        weights = like(weights, "weights", y.to(dtype) if y.dtype != dtype else y, sparse)
    if all(x is None or x.layout == torch.strided for x in (y, weights)):
        filled, mask = observed(y, weights)
        return Dense(filled, None if mask is None else mask.to(dtype))
    return Sparse.of(y, weights).without_nan()


def check_values(data: Data, loss: Loss) -> None:
    """Check that a loss can take the observed data.

    Raises:
        ValueError: infinite entries, or some outside of the domain of the loss.
    """
    for values, _ in data.stored():
        infinite = int(values.isinf().sum())
        if infinite:
            raise ValueError(
                f"the data has {infinite} infinite entries; mark them as missing with NaN"
            )
        check_domain(loss, values)


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


def given_factors(factors: Sequence[Array], y: Tensor | Data, rank: int | None = None) -> Factors:
    """Starting factors that the user gave, as tensors of their own.

    Args:
        factors: one array per factor, or a decomposition of TensorLy.
        y: the data, which they must match in dtype and device.
        rank: the number of columns that they must have, or None.

    Raises:
        TypeError: not a list or a tuple of arrays like the data.
        ValueError: another number of columns.
    """
    factors = unpacked(factors)
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
    if kind != "f" or dtype in ("longdouble", "float128"):
        raise TypeError(
            f"{name} must be real floating point (float32 or float64), got {dtype}; convert it, "
            "for instance with .astype(float)"
        )


def whole(x: Tensor) -> Tensor:
    """A tensor that several processes share, as one."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x  # pyright: ignore


def _same(x: Tensor) -> Tensor:
    return x


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _is_sparse(data: Any) -> bool:  # noqa: ANN401
    return scipy.sparse.issparse(data)
