"""What a pure-pixel algorithm gives back, and how it is made from the pixels that were picked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.pixels import column_norms, column_sums, pieces, select_columns
from ..initialization.spa import first_of_longest
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
        norms: of the data, (*, n).
        size: what they were divided by, (*, n).
    """

    data: Tensor
    allowed: Tensor
    norms: Tensor
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
    norms = column_norms(data)
    allowed = norms.isfinite()
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape not in (shape, shape[-1:]):
            raise ValueError(
                f"mask is True for pixels to leave out, of shape {shape}, got {mask.dtype} of "
                f"shape {tuple(mask.shape)}"
            )
        allowed = allowed & ~mask
    size = data.new_ones(shape)
    if normalize == "l1":
        total = column_sums(data)
        size = torch.where(total > 0, total, 1)
        data, norms = data / size.unsqueeze(-2), norms / size
    return Pixels(data, allowed, norms, size)


def result(M: Tensor, indices: Tensor, known: Pixels, fit: Fit = nonnegative) -> Separable:  # noqa: N803
    """The spectra of the pixels that were picked, their abundances and what they leave over.

    Args:
        M: (*, m, n).
        indices: (*, r), -1 where there is none.
        known: what `pixels` gives.
        fit: what gives abundances.
    """
    missing = (indices < 0).unsqueeze(-2)
    # What is missing is a copy of the first for the fit, whatever that asks of the sum.
    filled = select_columns(M.detach(), torch.where(indices < 0, indices[..., :1], indices))
    h = fit(M, filled)
    h[..., 0] += torch.where(missing, h, 0).sum(-1)
    return fitted(M, indices, filled.masked_fill(missing, 0), h.masked_fill(missing, 0), known)


def fitted(M: Tensor, indices: Tensor, W: Tensor, H: Tensor, known: Pixels) -> Separable:  # noqa: N803
    """The same from spectra and abundances, which become NaN at pixels that do not count."""
    left = torch.where(known.allowed, residual_norms(M.detach(), W, H), 0)
    size = torch.where(known.allowed, known.norms * known.size, 0)
    size = torch.linalg.vector_norm(size, dim=-1)
    residual = torch.linalg.vector_norm(left, dim=-1) / torch.where(size > 0, size, 1)
    return Separable(indices, W, H.masked_fill(~known.allowed[..., None], torch.nan), residual)


def residual_norms(M: Tensor, W: Tensor, H: Tensor) -> Tensor:  # noqa: N803
    """``||m_j - W h_j||`` for each pixel, (*, n), in bounded memory.

    Example:
        >>> residual_norms(torch.tensor([[3.0], [4.0]]), torch.zeros(2, 1), torch.zeros(1, 1))
        tensor([5.])
    """
    parts = (M[..., at] - W @ H[..., at, :].mT for at in pieces(M, 4))
    return torch.cat([column_norms(part) for part in parts], -1)


class Farthest:
    """Picks the pixel that is farthest from what those picked before explain, again and again.

    Args:
        known: the pixels.
    """

    def __init__(self, known: Pixels) -> None:
        norms = torch.where(known.allowed, known.norms, 0)
        largest = norms.amax(-1, keepdim=True)
        self.scale = torch.where(largest > 0, largest, 1)
        self.original, self.allowed = norms / self.scale, known.allowed
        # A fit through the gram has more rounding than a projection.
        self.tolerance = torch.finfo(norms.dtype).eps ** 0.75

    @property
    def none(self) -> Tensor:
        """No index, (*, 0)."""
        return self.original[..., :0].long()

    def __call__(self, left: Tensor) -> Tensor:
        """The index (*, 1) of the largest residual norm, or -1 where all are rounding noise."""
        left = torch.where(self.allowed, left / self.scale, -1)
        index, found = first_of_longest(None, left, self.original, self.tolerance)
        return self.take(index, found)

    def best(self, scores: Tensor, wanted: Tensor) -> Tensor:
        """The same for the highest of other scores, of order 1, where a pixel is wanted, (*, 1)."""
        scores = torch.where(self.allowed & scores.isfinite(), scores, -torch.inf)
        index, _ = first_of_longest(None, scores, self.original, self.tolerance)
        return self.take(index, wanted & self.allowed.any(-1, keepdim=True))

    def take(self, index: Tensor, found: Tensor) -> Tensor:
        """The index, which is not picked again, or -1."""
        self.allowed = self.allowed.scatter(-1, index, False)
        return torch.where(found, index, -1)
