"""Missing entries as weights."""

from __future__ import annotations

import torch
from torch import Tensor


def observed(y: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Data with NaN for missing entries, as finite data and weights.

    Args:
        y: (*, ...), NaN where missing.
        weights: nonnegative weights or a boolean mask (True: observed) like ``y``, or None.

    Returns:
        the data with 1 in the place of what is missing, and the weights (None: all observed).

    Raises:
        ValueError: weights that are negative, or of another shape.

    Example:
        >>> observed(torch.tensor([2.0, float("nan")]))
        (tensor([2., 1.]), tensor([1., 0.]))
    """
    missing = y.isnan()
    if weights is None and not bool(missing.any()):
        return y, None
    if weights is None:
        weights = torch.ones_like(y)
    if weights.shape != y.shape:
        raise ValueError(f"weights have shape {tuple(weights.shape)}, the data {tuple(y.shape)}")
    weights = weights.to(dtype=y.dtype, device=y.device).masked_fill(missing, 0)
    if bool((weights < 0).any()) or not bool(weights.isfinite().all()):
        raise ValueError("weights must be finite and nonnegative; 0 marks a missing entry")
    return torch.where(weights > 0, y, 1), weights
