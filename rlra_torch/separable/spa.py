"""Successive projection."""

from __future__ import annotations

from torch import Tensor

from ..initialization.spa import successive_projection
from .abundances import nonnegative
from .result import Fit, Separable, pixels, result


def spa(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    normalize: str | None = None,
    mask: Tensor | None = None,
    fit: Fit = nonnegative,
) -> Separable:
    """Successive projection algorithm (SPA): r pixels, each the farthest from the span of the last.

    R = M; repeat: k = argmax ||R[:, k]||, u = R[:, k] / ||R[:, k]||, R = R - u u^T R. Exact for
    ``M = W H^T`` with independent columns of W that are pixels and rows of H that sum to at most
    one; so it depends on the scale of the pixels. At most m pixels can be found.

    One product with the data a pixel; batched over leading dimensions.

    Args:
        M: pixels as columns, (*, m, n).
        r: how many to pick.
        normalize: None, or "l1": pixels are divided by the sum of their magnitudes before they are
            compared (spectra and abundances are those of M).
        mask: True for pixels to leave out, (n,) or (*, n); those that are not finite always are.
        fit: what gives the abundances, `nonnegative`, `sum_at_most_one` or `sum_to_one`.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Gillis, Vavasis, Fast and robust recursive algorithms for separable nonnegative matrix
        | factorization (2014), algorithm 1

    Example:
        >>> import torch
        >>> found = spa(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> found.indices, found.abundances.mT
        (tensor([0, 2]), tensor([[1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000]]))
    """
    known = pixels("spa", M, r, normalize, mask)
    indices = successive_projection(known.data, r, known.allowed, known.norms)
    return result(M, indices, known, fit)
