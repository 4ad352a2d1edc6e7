"""What a pure-pixel algorithm gives back, and how it is made from the pixels that were picked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.pixels import column_norms, pieces, select_columns
from .abundances import nonnegative

Fit = Callable[[Tensor, Tensor], Tensor]
"""Pixels (*, m, n) and spectra (*, m, r) to abundances (*, n, r)."""


class Separable(NamedTuple):
    """``M ≈ W H^T`` whose spectra W are pixels of M.

    Where fewer than r pixels could be told apart from noise (data of lower rank, fewer pixels) the
    last indices are -1, with spectra and abundances of zero.

    Args:
        indices: of the pixels, in the order in which they were picked, (*, r), int64.
        spectra: W, (*, m, r).
        abundances: H, (*, n, r); NaN at pixels that were left out.
        residual: ``||M - W H^T||_F / ||M||_F`` over the other pixels, (*,).
    """

    indices: Tensor
    spectra: Tensor
    abundances: Tensor
    residual: Tensor

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """``(W, H)`` to start a factorization from, with 0 where an abundance is NaN.

        Example:
            >>> from rlra_torch.separable import spa
            >>> from rlra_torch import nmf
            >>> M = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
            >>> nmf(M, 2, init=spa(M, 2).factors).converged
            True
        """
        return self.spectra, self.abundances.nan_to_num(0.0)


class Pixels(NamedTuple):
    """The pixels to pick from.

    Args:
        data: what is compared, (*, m, n).
        allowed: which may be picked, (*, n).
        size: what they were divided by, (*, n).
    """

    data: Tensor
    allowed: Tensor
    size: Tensor


def pixels(
    name: str,
    M: Tensor,  # noqa: N803
    r: int,
    normalize: str | None,
    mask: Tensor | None,
) -> Pixels:
    """The data that an algorithm works on: checked, normalized if wanted, pixels left out.

    Args:
        name: of the algorithm, for errors.
        M: (*, m, n), real.
        r: how many pixels to pick.
        normalize: None, or "l1" to divide each pixel by the sum of its magnitudes.
        mask: True for pixels to leave out, (n,) or (*, n), or None.

    Raises:
        TypeError, ValueError: bad input.
    """
    if not isinstance(M, Tensor) or not M.is_floating_point() or M.layout != torch.strided:
        given = f"{M.layout} of {M.dtype}" if isinstance(M, Tensor) else type(M).__name__
        raise TypeError(f"{name} picks columns of a dense real tensor, got {given}")
    if M.ndim < 2 or 0 in M.shape:
        raise ValueError(f"{name} needs pixels (*, m, n), got shape {tuple(M.shape)}")
    if normalize not in (None, "l1"):
        raise ValueError(f"normalize is None or 'l1', got {normalize!r}")
    whole_number("the number of pixels to pick", r)
    data, shape = M.detach(), (*M.shape[:-2], M.shape[-1])
    allowed = column_norms(data).isfinite()
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape not in (shape, shape[-1:]):
            raise ValueError(
                f"mask is True for pixels to leave out, of shape {shape}, got {mask.dtype} of "
                f"shape {tuple(mask.shape)}"
            )
        allowed = allowed & ~mask
    size = data.new_ones(shape)
    if normalize == "l1":
        total = data.abs().sum(-2)
        size = torch.where(total > 0, total, 1)
        data = data / size.unsqueeze(-2)
    return Pixels(data, allowed, size)


def result(M: Tensor, indices: Tensor, allowed: Tensor, fit: Fit = nonnegative) -> Separable:  # noqa: N803
    """The spectra of the pixels that were picked, their abundances and what they leave over.

    Args:
        M: (*, m, n).
        indices: (*, r), -1 where there is none.
        allowed: which pixels count, (*, n).
        fit: what gives abundances.
    """
    missing = (indices < 0).unsqueeze(-2)
    # What is missing is a copy of the first for the fit, whatever that asks of the sum.
    filled = select_columns(M.detach(), torch.where(indices < 0, indices[..., :1], indices))
    h = fit(M, filled)
    h[..., 0] += torch.where(missing, h, 0).sum(-1)
    h = h.masked_fill(missing, 0)
    return fitted(M, indices, filled.masked_fill(missing, 0), h, allowed)


def fitted(
    M: Tensor,  # noqa: N803
    indices: Tensor,
    spectra: Tensor,
    abundances: Tensor,
    allowed: Tensor,
) -> Separable:
    """The same from spectra and abundances, which become NaN at pixels that do not count."""
    left = residual_norms(M.detach(), spectra, abundances)
    norms = column_norms(M.detach())
    left, norms = (torch.where(allowed, x, 0) for x in (left, norms))
    size = torch.linalg.vector_norm(norms, dim=-1)
    residual = torch.linalg.vector_norm(left, dim=-1) / torch.where(size > 0, size, 1)
    abundances = torch.where(allowed[..., None], abundances, torch.nan)
    return Separable(indices, spectra, abundances, residual)


def residual_norms(M: Tensor, W: Tensor, H: Tensor) -> Tensor:  # noqa: N803
    """``||m_j - W h_j||`` for each pixel, (*, n), in bounded memory.

    Example:
        >>> residual_norms(torch.tensor([[3.0], [4.0]]), torch.zeros(2, 1), torch.zeros(1, 1))
        tensor([5.])
    """
    parts = (M[..., at] - W @ H[..., at, :].mT for at in pieces(M, 4))
    return torch.cat([column_norms(part) for part in parts], -1)
