"""Turning hyperparameters into learned ones."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Module = TypeVar("Module", bound=nn.Module)


def learned(module: Module, *names: str) -> Module:
    """Make hyperparameters of a module learned; they stay positive by construction.

    The parameter that an optimizer sees is ``theta`` with ``value = exp(theta)``; it starts at the
    value that the module has.

    Args:
        module: an iteration or a regularizer; changed in place.
        names: which of its hyperparameters, such as ``gamma`` of mSOM or ``l1`` of a penalty.

    Returns:
        the module.

    Raises:
        ValueError: the module has no such hyperparameter, or its value is not positive.

    Example:
        >>> from rlra_torch.iterations import MSOM
        >>> step = learned(MSOM(1.5), "gamma")
        >>> step.gamma.item(), len(list(step.parameters()))
        (1.5, 1)
    """
    kind = type(module).__name__
    for name in names:
        value = _hyperparameter(module, name)
        if not bool((value > 0).all()):
            raise ValueError(
                f"{name} of {kind} must start above 0 to be learned, got {value.tolist()}"
            )
        delattr(module, name)
        module.register_parameter(name, nn.Parameter(value))
        parametrize.register_parametrization(module, name, Exponential())
    return module


def _hyperparameter(module: nn.Module, name: str) -> Tensor:
    """The value of a hyperparameter; 0 for a weight that is absent."""
    if name not in module._buffers:
        known = ", ".join(module._buffers) or "none"
        raise ValueError(
            f"{type(module).__name__} has no hyperparameter {name!r} that could be learned; "
            f"it has {known}"
        )
    value = module._buffers[name]
    return torch.zeros(()) if value is None else value


class Exponential(nn.Module):
    """``value = exp(theta)``, the parametrization of `learned`."""

    def forward(self, theta: Tensor) -> Tensor:
        return theta.exp()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The theta of a value."""
        return torch.log(value)
