"""From what users hand in to data."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Data
from .dense import Dense
from .sparse import Sparse


def given(y: Tensor | Data, weights: Tensor | None = None) -> Data:
    """Tensors as data: `Sparse` where one of them is sparse, else `Dense`.

    Args:
        y: a tensor of any layout, or data, which stays as it is.
        weights: a tensor like ``y``, or None.

    Raises:
        ValueError: data with further weights, or shapes that do not match.

    Example:
        >>> type(given(torch.eye(2).to_sparse_csr())).__name__
        'Sparse'
    """
    if isinstance(y, Data):
        if weights is not None:
            raise ValueError("the data has weights of its own; give them to it")
        return y
    sparse = any(x is not None and x.layout != torch.strided for x in (y, weights))
    return Sparse.of(y, weights) if sparse else Dense(y, weights)
