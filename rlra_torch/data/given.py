"""From what users hand in to data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Data
from .dense import Dense
from .sparse import Sparse
from .terms import Terms

Given = Tensor | Data | Sequence[Tensor | Data]


def given(y: Given, weights: Tensor | Sequence[Tensor | None] | None = None) -> Data:
    """Tensors as data: `Sparse` where one of them is sparse, else `Dense`; `Terms` for several.

    Args:
        y: a tensor of any layout, data, which stays as it is, or a tuple of these.
        weights: a tensor like ``y``, or None; for several, as many of those.

    Raises:
        ValueError: data with further weights, or shapes that do not match.

    Example:
        >>> type(given(torch.eye(2).to_sparse_csr())).__name__
        'Sparse'
    """
    if isinstance(y, (list, tuple)):
        several = [None] * len(y) if weights is None else weights
        if isinstance(several, Tensor) or len(several) != len(y):
            raise ValueError(
                f"{len(y)} data sets need a tuple of {len(y)} weights, None where all are 1"
            )
        return Terms(tuple(given(*pair) for pair in zip(y, several, strict=True)))
    if isinstance(y, Data):
        if weights is not None:
            raise ValueError("the data has weights of its own; give them to it")
        return y
    if not isinstance(weights, Tensor | None):
        raise TypeError("one data set takes one tensor of weights")
    assert isinstance(y, Tensor)
    sparse = any(x is not None and x.layout != torch.strided for x in (y, weights))
    return Sparse.of(y, weights) if sparse else Dense(y, weights)
