"""How much the factors after each layer count in a loss."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class LayerWeights(ABC):
    """The weights ``nu`` of a network of any depth."""

    @abstractmethod
    def __call__(self, depth: int) -> Tensor:
        """One weight a layer, (depth,), the last layer's last."""


@dataclass(frozen=True)
class LogSpaced(LayerWeights):
    """``nu`` log-spaced from the first layer to the last.

    Args:
        first: weight of the first layer, positive.
        last: weight of the last layer, positive; a network of one layer has this one.

    Raises:
        ValueError: a weight that is not positive.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.2

    Example:
        >>> LogSpaced(0.01, 1.0)(3)
        tensor([0.0100, 0.1000, 1.0000])
    """

    first: float = 1e-7
    last: float = 1.0

    def __post_init__(self) -> None:
        if not (self.first > 0 and self.last > 0):
            raise ValueError(
                f"log-spaced weights are positive, not {self.first} to {self.last}; "
                "use LastLayer for the last layer alone"
            )

    def __call__(self, depth: int) -> Tensor:
        return torch.logspace(math.log10(self.last), math.log10(self.first), depth).flip(0)


@dataclass(frozen=True)
class LinearlySpaced(LayerWeights):
    """``nu`` evenly spaced from the first layer to the last.

    Args:
        first: weight of the first layer, nonnegative.
        last: weight of the last layer, positive; a network of one layer has this one.

    Raises:
        ValueError: a weight out of range.

    Example:
        >>> LinearlySpaced(0.0, 1.0)(3)
        tensor([0.0000, 0.5000, 1.0000])
    """

    first: float = 0.0
    last: float = 1.0

    def __post_init__(self) -> None:
        if not (self.first >= 0 and self.last > 0):
            raise ValueError(f"weights of layers are nonnegative, not {self.first} to {self.last}")

    def __call__(self, depth: int) -> Tensor:
        return torch.linspace(self.last, self.first, depth).flip(0)


@dataclass(frozen=True)
class LastLayer(LayerWeights):
    """``nu`` one for the last layer, zero for the others.

    Example:
        >>> LastLayer()(3)
        tensor([0., 0., 1.])
    """

    def __call__(self, depth: int) -> Tensor:
        return torch.cat([torch.zeros(depth - 1), torch.ones(1)])
