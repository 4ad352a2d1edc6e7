"""Small linear algebra on grams, without host synchronisation, batched over leading dimensions."""

from __future__ import annotations

import torch
from torch import Tensor


def times_gram(x: Tensor, gram: Tensor) -> Tensor:
    """``X G`` for a symmetric ``G``, with the memory of the result rank-first.

    Args:
        x: (*, rows, rank).
        gram: (*, rank, rank), or (*, rows, rank, rank) when each row has its own; symmetric.

    Example:
        >>> x, g = torch.rand(4, 3), torch.eye(3)
        >>> bool((times_gram(x, g) == x).all())
        True
    """
    if gram.ndim > x.ndim:
        return (gram @ x[..., None])[..., 0]
    return (gram @ x.mT).mT


def spectral_bound(gram: Tensor, squarings: int = 8) -> Tensor:
    """An upper bound on the largest eigenvalue of a positive semidefinite matrix, tight within 1%.

    ``||G^p||_F^(1/p)`` with ``p = 2^squarings`` is at least ``lambda_max`` and at most
    ``rank^(1/(2p)) lambda_max``. It costs a few small products, no decomposition and no
    synchronisation, and is differentiable.

    Args:
        gram: (*, r, r), symmetric positive semidefinite.
        squarings: how often the matrix is squared.

    Returns:
        (*,) the bound; 0 for a zero matrix.

    Example:
        >>> g = torch.diag(torch.tensor([1.0, 3.0, 2.0]))
        >>> round(float(spectral_bound(g)), 3)
        3.0
    """
    tiny = torch.finfo(gram.dtype).tiny
    log_bound, power = torch.zeros_like(gram[..., 0, 0]), 1.0
    for _ in range(squarings + 1):
        norm = torch.linalg.vector_norm(gram, dim=(-2, -1)).clamp_min(tiny)
        log_bound = log_bound + norm.log() / power
        gram = gram / norm[..., None, None]
        gram, power = gram @ gram, 2 * power
    return log_bound.exp()


def masked_solve(gram: Tensor, cross: Tensor, mask: Tensor) -> Tensor:
    """Least squares on a support for each row: ``z_P = G_PP^-1 c_P`` and 0 elsewhere.

    The system is scaled to a unit diagonal, bordered by an identity off the support, solved by
    Cholesky with a jitter of a few rounding errors and refined twice in the true gram.

    Args:
        gram: (*, r, r), or (*, rows, r, r) when each row has its own.
        cross: (*, rows, r).
        mask: (*, rows, r) of bool, the support of each row.

    Returns:
        (*, rows, r).

    Example:
        >>> g, c = torch.eye(2), torch.tensor([[1.0, 2.0]])
        >>> masked_solve(g, c, torch.tensor([[True, False]]))
        tensor([[1., 0.]])
    """
    if gram.ndim <= cross.ndim:
        gram = gram.unsqueeze(-3)
    unit, scale, eye, jitter = _scaled(gram)
    both = mask[..., :, None] & mask[..., None, :]
    system = torch.where(both, unit, eye)
    root, _ = torch.linalg.cholesky_ex(system + jitter)
    right = torch.where(mask, cross * scale, 0)[..., None]
    z = torch.cholesky_solve(right, root)
    for _ in range(2):
        z = z + torch.cholesky_solve(right - system @ z, root)
    return torch.where(mask, z[..., 0] * scale, 0)


def solve_gram(gram: Tensor, cross: Tensor, near: Tensor | None = None) -> Tensor:
    """Least squares ``X = C G^-1`` through the gram, with a jitter of a few rounding errors.

    Of all solutions for a singular gram it is the one nearest to ``near``, in the metric of the
    diagonal of the gram: what the data does not determine stays as it is, up to a few percent of
    what the data moves.

    Args:
        gram: (*, r, r), or (*, rows, r, r) when each row has its own; positive semidefinite.
        cross: (*, rows, r).
        near: (*, rows, r), or None for zero.

    Returns:
        (*, rows, r).

    Example:
        >>> solve_gram(2 * torch.eye(2), torch.tensor([[2.0, 4.0]]))
        tensor([[1., 2.]])
    """
    if gram.ndim > cross.ndim:
        if near is not None:
            return near + solve_gram(gram, cross - times_gram(near, gram))
        return masked_solve(gram, cross, torch.ones_like(cross, dtype=torch.bool))
    finfo, right = torch.finfo(gram.dtype), cross.mT
    if near is not None:
        right = right - gram @ near.mT
    # Relative to the diagonal: Cholesky does not see how rows and columns are scaled.
    diagonal = gram.diagonal(dim1=-2, dim2=-1).clamp_min(finfo.tiny / finfo.eps)
    jitter = torch.diag_embed(4 * finfo.eps * gram.shape[-1] * diagonal)
    root, _ = torch.linalg.cholesky_ex(gram + jitter)
    z = torch.cholesky_solve(right, root)
    if near is not None:
        return near + z.mT  # which is a refinement, of the solution that is near
    return (z + torch.cholesky_solve(right - gram @ z, root)).mT


def damped_root(gram: Tensor, weight: Tensor) -> Tensor:
    """The Cholesky factor of ``G + weight I``, for `apply_root`.

    Args:
        gram: (*, r, r), or (*, rows, r, r) when each row has its own; positive semidefinite.
        weight: positive, (*, 1, 1); or (*, rows, 1) where each row has a gram.

    Example:
        >>> damped_root(torch.eye(1), torch.tensor([[3.0]]))
        tensor([[2.]])
    """
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    weight = weight[..., None] if weight.ndim < gram.ndim else weight
    root, _ = torch.linalg.cholesky_ex(gram + weight * eye)
    return root


def apply_root(root: Tensor, right: Tensor) -> Tensor:
    """``R (G + weight I)^-1`` from `damped_root`, row by row.

    Args:
        root: (*, r, r), or (*, rows, r, r).
        right: R, (*, rows, r).

    Example:
        >>> apply_root(damped_root(torch.eye(1), torch.tensor([[3.0]])), torch.tensor([[8.0]]))
        tensor([[2.]])
    """
    if root.ndim > right.ndim:
        return torch.cholesky_solve(right[..., None], root)[..., 0]
    return torch.cholesky_solve(right.mT, root).mT


def _scaled(gram: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A gram scaled to a unit diagonal, the scale, an identity, and a jitter for Cholesky."""
    finfo = torch.finfo(gram.dtype)
    scale = gram.diagonal(dim1=-2, dim2=-1).clamp_min(finfo.tiny).rsqrt()
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    unit = gram * scale[..., :, None] * scale[..., None, :]
    return unit, scale, eye, 4 * finfo.eps * gram.shape[-1] * eye


def masked_least_squares(root: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``argmin ||R z - q||`` over vectors on a support, for each row, by QR.

    Unlike `masked_solve` it does not square the condition number. Columns are scaled to unit norm;
    those off the support are exchanged for columns of an identity below.

    Args:
        root: R, (*, p, r).
        target: q, (*, rows, p).
        mask: (*, rows, r) of bool, the support of each row.

    Returns:
        (*, rows, r).

    Example:
        >>> r, q = torch.eye(2), torch.tensor([[1.0, 2.0]])
        >>> masked_least_squares(r, q, torch.tensor([[True, False]]))
        tensor([[1., 0.]])
    """
    norm = torch.linalg.vector_norm(root, dim=-2, keepdim=True)
    norm = torch.where(norm > 0, norm, 1)
    upper = torch.where(mask[..., None, :], (root / norm).unsqueeze(-3), 0)
    lower = torch.diag_embed((~mask).to(root.dtype))
    q, r = torch.linalg.qr(torch.cat((upper, lower), -2))
    right = torch.cat((target, torch.zeros_like(lower[..., 0])), -1)[..., None]
    z = torch.linalg.solve_triangular(r, q.mT @ right, upper=True)[..., 0]
    return torch.where(mask, z / norm, 0)
