"""Modules with other tensors in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def tensors(module: nn.Module) -> list[Tensor]:
    """The parameters and buffers of a module, those of its parts included."""
    return [*module.parameters(), *module.buffers()]


def exchanged(module: AnyModule, change: Callable[[Tensor], Tensor]) -> AnyModule:
    """A copy of a module with each parameter and buffer exchanged, and none copied.

    Args:
        module: the module, which stays as it is.
        change: gives the tensor that takes the place of another one.

    Example:
        >>> import torch
        >>> half = exchanged(nn.Linear(2, 1), lambda x: x[..., :1])
        >>> half.weight.shape
        torch.Size([1, 1])
    """
    return copy.deepcopy(module, {id(x): change(x) for x in tensors(module)})
