"""Where unrolled networks start: modules from the data to the factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..functional.arguments import real_number, whole_number
from ..initialization import spa
from ..models import Factors


class Start(nn.Module, ABC):
    """``y -> (W, H)`` for a matrix ``y`` of shape (*, m, n); W may be of kernels."""

    @abstractmethod
    def forward(self, y: Tensor) -> Factors:
        """The factors to start from."""


class UniformStart(Start):
    """``W`` the mean of the data, ``H = 1 / rank``: all components alike.

    Where the updates of all components are alike as well they stay so: this is for networks that
    know a factor, or whose gains differ from component to component.

    Args:
        rank: the number of components.

    Example:
        >>> import torch
        >>> w, h = UniformStart(2)(torch.ones(3, 4))
        >>> w.shape, h.unique()
        (torch.Size([3, 2]), tensor([0.5000]))
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = whole_number("the rank of a start", rank)

    def forward(self, y: Tensor) -> Factors:
        w = y.mean((-2, -1), keepdim=True).expand(*y.shape[:-1], self.rank)
        shape = (*y.shape[:-2], y.shape[-1], self.rank)
        return w.contiguous(), y.new_full(shape, 1 / self.rank)


class SeparableStart(Start):
    """``W`` columns of the data chosen by successive projection, ``H`` their clamped least squares.

    Entries of H are at least ``floor``, because multiplicative updates never leave 0. The start is
    a constant: gradients in the data pass through the layers, not through the choice of columns.

    Args:
        rank: the number of components.
        floor: the smallest entry of H.

    Raises:
        ValueError: a negative floor, or a rank above the number of columns of the data.

    References:
        | Gillis, Vavasis, Fast and robust recursive algorithms for separable nonnegative matrix
        | factorization (2014), algorithm 1

    Example:
        >>> import torch
        >>> w, h = SeparableStart(2)(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
        >>> h
        tensor([[1.0000, 0.0010],
                [0.5000, 0.5000],
                [0.0010, 1.0000]])
    """

    def __init__(self, rank: int, floor: float = 1e-3) -> None:
        super().__init__()
        self.rank = whole_number("the rank of a start", rank)
        self.floor = real_number("the floor of a start", floor)
        if self.floor < 0:
            raise ValueError(f"the floor of a start must be nonnegative, got {floor}")

    def forward(self, y: Tensor) -> Factors:
        # In full precision: rounding would turn columns that differ into ties.
        kind = y.device.type
        lowered = torch.amp.is_autocast_available(kind)
        with torch.autocast(kind, enabled=False) if lowered else nullcontext():
            w, h = spa(y, self.rank)
        return w, h.clamp_min(self.floor)


class TemplateStart(Start):
    """Known templates, and activations that are all alike.

    ``learned(TemplateStart(A), "templates")`` trains them; else they stay frozen.

    Args:
        templates: (frequencies, notes), or (frequencies, window, notes) for `Convolutive`;
            nonnegative. Zeros, which no training leaves, become next to nothing.

    Raises:
        ValueError: templates of another shape, or with no positive entry.

    Example:
        >>> import torch
        >>> w, h = TemplateStart(torch.eye(2))(torch.ones(2, 3))
        >>> w.shape, h.unique()
        (torch.Size([2, 2]), tensor([1.]))
    """

    templates: Tensor

    def __init__(self, templates: Tensor) -> None:
        super().__init__()
        if templates.ndim not in (2, 3) or not bool((templates > 0).any()):
            raise ValueError(
                "templates are (frequencies, notes) or (frequencies, window, notes) with positive "
                f"entries, got shape {tuple(templates.shape)}"
            )
        least = torch.finfo(templates.dtype).eps * templates.max()
        self.register_buffer("templates", templates.detach().clamp_min(least))

    def forward(self, y: Tensor) -> Factors:
        templates, lead = self.templates, y.shape[:-2]
        ones = y.new_ones((*lead, y.shape[-1], templates.shape[-1]))
        return templates.expand(*lead, *templates.shape), ones


class GivenStart(Start):
    """No start of its own: for networks that know a factor, called as ``net(y, (W, H))``.

    Raises:
        ValueError: whenever it is asked.
    """

    def forward(self, y: Tensor) -> Factors:
        raise ValueError(
            "this network has to be given the factors that it starts from; "
            "call it as net(y, (W, H)) with the known W"
        )
