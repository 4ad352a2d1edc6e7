"""Data as users have it, to tensors and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

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
        tensor, back = data, _same
        tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
    elif scipy.sparse.issparse(data):
        _check_dtype(str(data.dtype), data.dtype.kind, name)
        tensor, back = torch.from_numpy(data.toarray()), _numpy
    elif isinstance(data, np.ndarray):
        _check_dtype(str(data.dtype), data.dtype.kind, name)
        tensor, back = torch.from_numpy(np.require(data, requirements=["C", "W"])), _numpy
    else:
        raise TypeError(
            f"{name} must be a NumPy array, a SciPy sparse matrix or a torch tensor, "
            f"got {type(data).__name__}"
        )
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be real floating point, got {tensor.dtype}; convert it")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        raise TypeError(f"{name} is {tensor.dtype}, too coarse to solve in; convert to float32")
    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty: shape {tuple(tensor.shape)}")
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
