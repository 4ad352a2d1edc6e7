"""Comparing where factors are zero."""

from __future__ import annotations

import torch
from torch import Tensor


def support_score(found: Tensor, true: Tensor) -> Tensor:
    """F-measure of the nonzeros: 2 |S ∩ S*| / (|S| + |S*|), and 1 where both are empty.

    Args:
        found: Estimated factor, (*, n, r), its columns in the order of the truth.
        true: True factor, same shape.

    Returns:
        The score, (*,), in the floating-point type of ``found``.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> support_score(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])).round(decimals=3)
        tensor(0.6670)
    """
    if found.shape != true.shape:
        raise ValueError(
            f"supports are compared between equal shapes, got {tuple(found.shape)} and "
            f"{tuple(true.shape)}"
        )
    ours, theirs = found != 0, true != 0
    both, total = (x.sum((-2, -1)) for x in (ours & theirs, ours.long() + theirs.long()))
    score = 2 * both / total.clamp_min(1)
    return torch.where(total > 0, score, 1).to(found.dtype)
