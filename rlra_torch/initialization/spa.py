"""Successive projection: a start made of columns of the data."""

import torch
from torch import Tensor


def spa_indices(y: Tensor, rank: int) -> Tensor:
    """Indices of `rank` columns of Y chosen by successive projection.

    R = Y; repeat: k = argmax ||R[:, k]||, u = R[:, k] / ||R[:, k]||, R = R - u uᵀ R. Residual
    norms that differ by rounding only are ties; the lowest index wins, and none is chosen twice.
    So once the residual vanishes (rank-deficient data) the lowest unused indices follow.

    Args:
        y: Data, shape (*, m, n); the columns are the samples.
        rank: Number of indices, at most n.

    Returns:
        Indices, int64, shape (*, rank), in order of choice.

    Raises:
        ValueError: If rank is not between 1 and n.

    References:
        N. Gillis and S. A. Vavasis, Fast and robust recursive algorithms for separable
        nonnegative matrix factorization, IEEE TPAMI 36, 2014, algorithm 1.

    Example:
        >>> spa_indices(torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 3.0]]), 2)
        tensor([2, 1])
    """
    columns = y.shape[-1]
    if not 1 <= rank <= columns:
        raise ValueError(
            f"spa was given rank {rank} for data of shape {tuple(y.shape)}, whose columns it "
            f"selects; choose a rank between 1 and {columns}."
        )
    residual = _unit_scale(y.detach())
    norms = torch.linalg.vector_norm(residual, dim=-2)
    tolerance = 20 * rank * torch.finfo(y.dtype).eps * norms.amax(-1, keepdim=True)
    used = torch.zeros_like(norms, dtype=torch.bool)
    chosen = []
    for _ in range(rank):
        candidates = torch.where(used, -torch.inf, norms)
        near_best = candidates >= candidates.amax(-1, keepdim=True) - tolerance
        index = near_best.to(torch.uint8).argmax(-1, keepdim=True)
        chosen.append(index)
        used = used.scatter(-1, index, True)
        residual = _project_out(residual, index, norms, tolerance)
        norms = torch.linalg.vector_norm(residual, dim=-2)
    return torch.cat(chosen, -1)


def spa(y: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Columns of Y chosen by successive projection, with clamped least-squares coefficients.

    W = Y[:, K] with K from `spa_indices`, H = max((W⁺ Y)ᵀ, 0) with W⁺ the pseudo-inverse. Exact
    for separable data, where the columns of Y are conic combinations of `rank` of them that are
    linearly independent (the coefficients of each summing to at most one).

    Args:
        y: Nonnegative data, shape (*, m, n).
        rank: Number of components, at most n.

    Returns:
        W of shape (*, m, rank) and H of shape (*, n, rank).

    Raises:
        ValueError: If rank is not between 1 and n.

    References:
        N. Gillis and S. A. Vavasis, Fast and robust recursive algorithms for separable
        nonnegative matrix factorization, IEEE TPAMI 36, 2014.

    Example:
        >>> w, h = spa(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> h.round(decimals=4)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000],
                [0.0000, 1.0000]])
    """
    y = y.detach() if y.layout == torch.strided else y.detach().to_dense()
    w = _select(y, spa_indices(y, rank))
    return w, (torch.linalg.pinv(w) @ y).mT.clamp_min(0)


def _select(y: Tensor, indices: Tensor) -> Tensor:
    return y.gather(-1, indices.unsqueeze(-2).expand(*y.shape[:-1], indices.shape[-1]))


def _unit_scale(y: Tensor) -> Tensor:
    """Y over its largest magnitude, so that squared norms neither overflow nor underflow."""
    largest = y.abs().amax((-2, -1), keepdim=True)
    return y / torch.where(largest == 0, 1.0, largest)


def _project_out(residual: Tensor, index: Tensor, norms: Tensor, tolerance: Tensor) -> Tensor:
    """Make the residual orthogonal to its column `index`, in place: it is as large as the data.

    It is left alone where that column is rounding noise.
    """
    column = _select(residual, index)
    norm = norms.gather(-1, index)
    scale = torch.where(norm > tolerance, 1 / torch.where(norm == 0, 1.0, norm), 0.0)
    unit = column * scale.unsqueeze(-2)
    return residual.addcmul_(unit, unit.mT @ residual, value=-1)
