"""Sums over what belongs to one problem."""

from __future__ import annotations

import torch
from torch import Tensor


def sum_each(entries: Tensor, lead: int, dtype: torch.dtype | None = None) -> Tensor:
    """The sum of all entries of each problem.

    Args:
        entries: (*, ...) with ``lead`` leading dimensions for independent problems.
        lead: how many.
        dtype: what is summed in, and the dtype of the result; None: that of the entries.

    Returns:
        (*,).

    Example:
        >>> sum_each(torch.ones(2, 3, 4), 1)
        tensor([12., 12.])
    """
    own = tuple(range(lead, entries.ndim))
    return entries.sum(own, dtype=dtype) if own else entries.to(dtype or entries.dtype)
