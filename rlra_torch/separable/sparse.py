"""Sparse separable factorization: more sources than vertices, each pixel a mixture of few."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.sparse_regression import reduced, sparse_regression
from .result import Separable, fitted, pixels
from .snpa import snpa


def sparse_separable(
    M: Tensor,  # noqa: N803
    r: int,
    k: int,
    *,
    tol: float | None = None,
    normalize: str | None = "l1",
    mask: Tensor | None = None,
) -> Separable:
    """Pixels of which all others are mixtures of at most k: sources within the hull are found too.

    SNPA finds the vertices of the hull. While some pixel is not a mixture of k pixels picked, the
    farthest joins them; last, those that are mixtures of k others leave. So there may be more
    sources than bands. Exact without noise where every source is a pixel, none is a mixture of k
    others, and rows of H sum to one, which l1-normalization brings about. With noise, pixels that
    are nearly pure may stand in for sources within the hull.

    For one matrix, not a batch: how many pixels are tried depends on the data.

    Args:
        M: (m, n), m bands by n pixels.
        r: how many sources to pick.
        k: of how many each pixel is a mixture at most.
        tol: how far from a mixture a pixel may be, relative to the largest: the level of noise;
            None: rounding, eps^0.4.
        normalize: "l1" to divide each pixel by the sum of its magnitudes, or None.
        mask: True for pixels to leave out, (n,), or None.

    Returns:
        a `Separable` whose abundances have at most k nonzeros in each row; -1 where fewer than r
        sources explain all pixels. Of more, those nearest to mixtures of others are left out.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Nadisic, Vandaele, Cohen, Gillis, Sparse separable nonnegative matrix factorization
        | (2020)

    Example:
        >>> W = torch.tensor([[1.0, 0.0, 0.0, 0.4], [0.0, 1.0, 0.0, 0.3], [0.0, 0.0, 1.0, 0.3]])
        >>> M = torch.cat((W, (W[:, :1] + W[:, 3:]) / 2, (W[:, :1] + W[:, 1:2]) / 2), 1)
        >>> sparse_separable(M, 4, k=2).indices.sort().values
        tensor([0, 1, 2, 3])
    """
    k = whole_number("k", k)
    if isinstance(M, Tensor) and M.ndim > 2:
        raise ValueError(
            f"sparse_separable takes one matrix, got shape {tuple(M.shape)}; loop over the others"
        )
    known = pixels("sparse_separable", M, r, normalize, mask)
    # A pixel of zeros is a mixture of nothing, whatever the others sum to.
    live = (known.allowed & (known.norms > 0)).nonzero()[:, 0]
    data = known.data[:, live]
    level = torch.finfo(data.dtype).eps ** 0.4 if tol is None else real_number("tol", tol)
    chosen = live.new_zeros(0)
    if len(live):
        limit = level * float(known.norms[live].max())
        picked = snpa(data, r).indices
        chosen = _kept(data, _completed(data, picked[picked >= 0], k, limit), r, k, limit)
    found, spectra = live[chosen], M.detach()[:, live[chosen]]
    h = data.new_zeros(M.shape[1], r)
    if len(found):
        mixed, _ = _mixtures(data, data[:, chosen], k)
        h[live, : len(found)] = mixed * known.size[live, None] / known.size[found]
    rest = r - len(found)
    indices = torch.nn.functional.pad(found, (0, rest), value=-1)
    return fitted(M, indices, torch.nn.functional.pad(spectra, (0, rest)), h, known)


def _mixtures(data: Tensor, spectra: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The best mixtures of k spectra that sum to one, (*, n, r), and what they leave, (*, n)."""
    root, target = reduced(spectra, data)
    levels = torch.full((*target.shape[:-1], 1), k, device=data.device)
    h = sparse_regression(root, target, levels, total=True).x[..., 0, :]
    return h, torch.linalg.vector_norm(data - spectra @ h.mT, dim=-2)


def _completed(data: Tensor, chosen: Tensor, k: int, limit: float) -> Tensor:
    """With the farthest of the pixels that are no mixtures, until there are none."""
    open_ = torch.arange(data.shape[-1], device=data.device)
    while len(open_):
        _, left = _mixtures(data[:, open_], data[:, chosen], k)
        farthest = open_[left.argmax()]
        open_ = open_[left > limit]
        if len(open_):
            chosen = torch.cat((chosen, farthest[None]))
    return chosen


def _kept(data: Tensor, chosen: Tensor, r: int, k: int, limit: float) -> Tensor:
    """Without those that are mixtures of others, the nearest first, and at most r."""
    while len(chosen) > 1:
        each = torch.arange(len(chosen), device=chosen.device)
        others = chosen.expand(len(chosen), -1)[each != each[:, None]].reshape(len(chosen), -1)
        _, left = _mixtures(data[:, chosen].mT[..., None], data[:, others].movedim(1, 0), k)
        nearest = left[:, 0].argmin()
        if left[nearest] > limit and len(chosen) <= r:
            break
        chosen = chosen[each != nearest]
    return chosen
