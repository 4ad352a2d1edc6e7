"""Extreme rays of a cone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.pixels import column_sums, select_columns
from .abundances import nonnegative
from .result import Farthest, Separable, fitted, pixels, residual_norms


def xray(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    normalize: str | None = None,
    mask: Tensor | None = None,
) -> Separable:
    """XRAY: the next extreme ray of the cone of the pixels, in the direction least explained.

    R = M - M[:, K] H with H the nonnegative least squares; with i the pixel of largest residual,

        k = argmax_j  R[:, i]^T m_j / ||m_j||_1,   K = K + {k}.

    Exact for ``M = W H^T`` with W among the pixels and H nonnegative, whatever the sums of its
    rows: the answer does not depend on the brightness of the pixels, but for which i comes first.
    More than m pixels can be found.

    Batched over leading dimensions.

    Args:
        M, r, normalize, mask: as in `spa`.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Kumar, Sindhwani, Kambadur, Fast conical hull algorithms for near-separable non-negative
        | matrix factorization (2013), algorithm 1 with the rule "max"

    Example:
        >>> import torch
        >>> found = xray(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> found.indices, found.residual
        (tensor([0, 2]), tensor(0.))
    """
    known = pixels("xray", M, r, normalize, mask)
    data, left, size = known.data, known.norms, known.size
    sums = column_sums(data)
    worst, extreme = Farthest(known), Farthest(known)
    chosen, h = worst.none, data.new_zeros((*left.shape, 0))
    spectra = data[..., :0]
    for _ in range(r):
        # The pixel of largest residual may come again: it is only a direction.
        worst.allowed = known.allowed
        i = worst(left)
        rest = (
            select_columns(data, i)
            - spectra @ h.gather(-2, i.clamp_min(0)[..., None].expand(*i.shape, h.shape[-1])).mT
        )
        unit = torch.nn.functional.normalize(rest, dim=-2)
        scores = (data.mT @ unit)[..., 0] / sums
        chosen = torch.cat([chosen, extreme.best(scores, i >= 0)], -1)
        spectra = select_columns(data, chosen)
        h = nonnegative(data, spectra, torch.nn.functional.pad(h, (0, 1)))
        left = residual_norms(data, spectra, h)
    h = h * size[..., :, None] / size.gather(-1, chosen.clamp_min(0)).unsqueeze(-2)
    return fitted(M, chosen, select_columns(M.detach(), chosen), h, known)
