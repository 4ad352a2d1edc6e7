"""Leading dimensions as independent problems."""

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


def picked(x: Tensor, where: tuple[Tensor, ...]) -> Tensor:
    """Some problems of a batch; what is the same for all of them stays one tensor.

    Args:
        x: (*, ...).
        where: their indices along each leading dimension, (k,) each.

    Returns:
        (k, ...).

    Example:
        >>> picked(torch.tensor([5.0, 6.0, 7.0]), (torch.tensor([2, 0]),))
        tensor([7., 5.])
    """
    lead = len(where)
    if not any(x.stride()[:lead]):
        return x[(0,) * lead].expand(len(where[0]), *x.shape[lead:])
    return x[where]


def common(*shapes: torch.Size | tuple[int, ...]) -> torch.Size:
    """The shape that several broadcast to.

    That of torch imports a computer algebra system at its first call, which takes seconds.

    Raises:
        ValueError: they do not.

    Example:
        >>> common((3, 1), (2,), ())
        torch.Size([3, 2])
    """
    order = max(map(len, shapes))
    sizes = [1] * order
    for shape in shapes:
        for i, size in enumerate(shape, order - len(shape)):
            if size != 1:
                if sizes[i] not in (1, size):
                    raise ValueError(f"the shapes {', '.join(map(str, shapes))} do not broadcast")
                sizes[i] = size
    return torch.Size(sizes)
