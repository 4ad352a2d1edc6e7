"""Successive nonnegative projection."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.pixels import select_columns
from .abundances import sum_at_most_one
from .result import Farthest, Separable, fitted, pixels, residual_norms


def snpa(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    normalize: str | None = None,
    mask: Tensor | None = None,
) -> Separable:
    """Successive nonnegative projection algorithm (SNPA): the farthest from the hull so far.

    K = {}; repeat: k = argmax_j min ||m_j - M[:, K] h|| over h >= 0 with sum h <= 1, K = K + {k}.
    The hull of the pixels picked and the origin grows, so the residual never does. Exact for
    ``M = W H^T`` with rows of H that sum to at most one and columns of W that are vertices of their
    hull with the origin, which need not be independent: more than m pixels can be found.

    Batched over leading dimensions.

    Args:
        M, r, normalize, mask: as in `spa`.

    Returns:
        a `Separable` whose abundances sum to at most one (those of the normalized pixels, if any,
        in the unit of M).

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Gillis, Successive nonnegative projection algorithm for robust nonnegative blind source
        | separation (2014), algorithm SNPA

    Example:
        >>> import torch
        >>> found = snpa(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> found.indices, found.abundances.mT
        (tensor([0, 2]), tensor([[1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000]]))
    """
    known = pixels("snpa", M, r, normalize, mask)
    data, left, size = known.data, known.norms, known.size
    farthest = Farthest(known)
    chosen, h = farthest.none, data.new_zeros((*left.shape, 0))
    for _ in range(r):
        chosen = torch.cat([chosen, farthest(left)], -1)
        spectra = select_columns(data, chosen)
        h = sum_at_most_one(data, spectra, torch.nn.functional.pad(h, (0, 1)))
        left = residual_norms(data, spectra, h)
    h = h * size[..., :, None] / size.gather(-1, chosen.clamp_min(0)).unsqueeze(-2)
    return fitted(M, chosen, select_columns(M.detach(), chosen), h, known)
