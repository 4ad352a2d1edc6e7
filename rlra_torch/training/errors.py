"""Errors of a factor with gradients: functions of estimate and truth, one value a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..metrics import nmse, rmse, spectral_angle


def squared_error(x: Tensor, truth: Tensor) -> Tensor:
    """``sum (x - truth)^2`` of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,).

    Example:
        >>> squared_error(torch.ones(2, 3), torch.zeros(2, 3)).item()
        6.0
    """
    return (x - truth).square().sum((-2, -1))


def mean_squared_error(x: Tensor, truth: Tensor) -> Tensor:
    """``mean (x - truth)^2`` of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,).

    Example:
        >>> mean_squared_error(torch.ones(2, 3), torch.zeros(2, 3)).item()
        1.0
    """
    return (x - truth).square().mean((-2, -1))


def root_mean_squared_error(x: Tensor, truth: Tensor) -> Tensor:
    """``sqrt(mean (x - truth)^2)`` of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,).

    Example:
        >>> root_mean_squared_error(torch.full((2, 3), 2.0), torch.zeros(2, 3)).item()
        2.0
    """
    return rmse(truth, x)


def normalized_error(x: Tensor, truth: Tensor) -> Tensor:
    """``||x - truth||^2 / ||truth||^2`` of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,).

    Example:
        >>> normalized_error(torch.ones(2, 3) / 2, torch.ones(2, 3)).item()
        0.25
    """
    return nmse(truth, x)


def angle(x: Tensor, truth: Tensor) -> Tensor:
    """The mean angle in radians between the columns of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,), from 0 to pi.

    Example:
        >>> x = torch.tensor([[1.0], [1.0]])
        >>> round(angle(x, torch.tensor([[1.0], [0.0]])).item(), 4)
        0.7854
    """
    return spectral_angle(x, truth, radians=True).mean(-1)


def cosine_distance(x: Tensor, truth: Tensor) -> Tensor:
    """One minus the mean cosine between the columns of each sample.

    Args:
        x: (*, rows, r).
        truth: the same shape.

    Returns:
        (*,), from 0 to 2.

    Example:
        >>> cosine_distance(torch.eye(2), torch.eye(2).flip(-1)).item()
        1.0
    """
    return 1 - torch.cosine_similarity(x, truth, dim=-2).mean(-1)


@dataclass(frozen=True)
class LogError:
    """``log(error + offset)`` of each sample, for errors that span decades.

    Its gradient is that of the error relative to its size: scenes that are hard do not outweigh
    those that are easy. Below the offset, an error counts as small enough.

    Args:
        error: a function of two factors (*, rows, r) with one value a sample, (*,).
        offset: positive, in the unit of the error.

    Raises:
        ValueError: an offset that is not positive.

    Example:
        >>> LogError(squared_error, offset=1.0)(torch.ones(2, 2), torch.ones(2, 2)).item()
        0.0
    """

    error: Callable[[Tensor, Tensor], Tensor]
    offset: float

    def __post_init__(self) -> None:
        if not self.offset > 0:
            raise ValueError(f"the offset of a logarithm is positive, not {self.offset}")

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        """(*,) of factors (*, rows, r)."""
        return (self.error(x, truth) + self.offset).log()
