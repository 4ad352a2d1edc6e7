"""Exactly sparse nonnegative least squares: which search, in which form, for how many rows."""

from __future__ import annotations

import torch
from torch import Tensor

from .branch_and_bound import Found, branch_and_bound
from .enumeration import enumerate_supports
from .subsets import subset_count
from .supports import Rows

# Rows that supports are tried on together.
ROWS = 2**16


def sparse_regression(
    root: Tensor,
    target: Tensor,
    k: Tensor,
    total: bool = False,
    branch: bool | None = None,
    max_nodes: int | None = None,
) -> Found:
    """``min ||R x - q||`` over ``x >= 0`` with at most k nonzeros, for each row and each of its k.

    Args:
        root: R, (*, p, r).
        target: q, (*, n, p).
        k: int64 (*, n, levels), the most nonzeros; at least 1 where entries sum to one.
        total: whether entries sum to one.
        branch: whether to search by branch and bound; None: if that takes fewer operations.
        max_nodes: of branch and bound, for each k of each row.

    Returns:
        what was found, x (*, n, levels, r) and all else (*, n, levels).

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 15

    Example:
        >>> target, k = torch.tensor([[3.0, -1.0, 4.0]]), torch.tensor([[1, 2]])
        >>> sparse_regression(torch.eye(3), target, k).x
        tensor([[[0., 0., 4.],
                 [3., 0., 4.]]])
    """
    n, levels = k.shape[-2:]
    if total:
        root, target = lifted(root, target)
    most = int(k.max())
    if branch is None:
        branch = max_nodes is not None or branching_is_cheaper(root.shape[-2:], n, most, levels)
    if not branch:
        return _enumerated(root, target, k, total)
    size = n * levels
    owner = torch.arange(root.shape[:-2].numel(), device=k.device).repeat_interleave(size)
    each = target.unsqueeze(-2).expand(*k.shape, -1).reshape(-1, target.shape[-1])
    rows = Rows(root.reshape(-1, *root.shape[-2:]), owner, each)
    found = branch_and_bound(rows, k.flatten().clamp_max(root.shape[-1]), total, max_nodes)
    return Found(*(part.unflatten(0, k.shape) for part in found))


def branching_is_cheaper(shape: tuple[int, ...], n: int, most: int, levels: int) -> bool:
    """Whether branch and bound takes fewer operations than enumeration, counted, not measured.

    Enumeration multiplies each row with a square matrix for each support. How many nodes branch and
    bound looks at is not known beforehand: one where all may be nonzero, else about ``2 * 1.2^r``
    on random nonnegative problems, of some 50 r^3 operations each.

    Args:
        shape: of R, (p, r).
        n: how many rows.
        most: the most nonzeros.
        levels: how many numbers of nonzeros are asked for.

    Example:
        >>> branching_is_cheaper((5, 5), 1000, 2, 1), branching_is_cheaper((30, 30), 1000, 8, 1)
        (False, True)
    """
    p, r = shape
    supports = subset_count(r, 0, min(most, p, r))
    nodes = 1.0 if most >= r and levels == 1 else min(supports, 2 * 1.2**r)
    return n * levels * nodes * 50 * r**3 < supports * (n * p * (2 * p + 64) + 4 * p**3)


def lifted(root: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """``R`` and ``q`` with one more row, constant and of the size of the others.

    On vectors that sum to one this changes no residual, and makes columns linearly independent
    where they were so as points only.

    Args:
        root: R, (*, p, r).
        target: q, (*, n, p).

    Example:
        >>> lifted(torch.tensor([[2.0, 2.0]]), torch.tensor([[1.0]]))[0]
        tensor([[2., 2.],
                [2., 2.]])
    """
    size = root.square().sum(-2).mean(-1).sqrt()
    size = torch.where(size > 0, size, 1)[..., None, None]
    row, column = size.expand_as(root[..., :1, :]), size.expand_as(target[..., :1])
    return torch.cat((root, row), -2), torch.cat((target, column), -1)


def reduced(matrix: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """``R`` and ``q`` of ``||A x - y||^2 = ||R x - q||^2 + const``, by QR where that is smaller.

    Args:
        matrix: A, (*, m, r).
        data: y, (*, m, n), one problem a column.

    Returns:
        R (*, p, r) and q (*, n, p), with p the smaller of m and r.

    Example:
        >>> root, target = reduced(torch.eye(4)[:, :2], torch.ones(4, 3))
        >>> root.shape, target.shape
        (torch.Size([2, 2]), torch.Size([3, 2]))
    """
    if matrix.shape[-2] <= matrix.shape[-1]:
        return matrix, data.mT.contiguous()
    q, root = torch.linalg.qr(matrix)
    return root, (q.mT @ data).mT.contiguous()


def reduced_gram(gram: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """``R`` and ``q`` with ``R^T R = G`` and ``R^T q = c``, also where the gram is singular.

    Args:
        gram: G, (*, r, r), positive semidefinite.
        cross: c, (*, n, r), in the range of G.

    Returns:
        R (*, r, r) and q (*, n, r).

    Example:
        >>> root, target = reduced_gram(4 * torch.eye(1), torch.tensor([[6.0]]))
        >>> (root.mT @ root).item(), (target @ root).item()
        (4.0, 6.0)
    """
    finfo = torch.finfo(gram.dtype)
    size = gram.diagonal(dim1=-2, dim2=-1).clamp_min(finfo.tiny).sqrt()
    unit = gram / size[..., :, None] / size[..., None, :]
    values, vectors = torch.linalg.eigh(unit)
    noise = gram.shape[-1] * finfo.eps * values[..., -1:]
    scale = torch.where(values > noise, values, 0).sqrt()
    inverse = torch.where(values > noise, values.clamp_min(finfo.tiny).rsqrt(), 0)
    root = scale[..., :, None] * vectors.mT * size[..., None, :]
    return root, (cross / size[..., None, :]) @ vectors * inverse[..., None, :]


def _enumerated(root: Tensor, target: Tensor, k: Tensor, total: bool) -> Found:
    p, r = root.shape[-2:]
    k, most = k.clamp_max(r), min(int(k.max()), r)
    x, squares = [], []
    for some, levels in zip(target.split(ROWS, -2), k.split(ROWS, -2), strict=True):
        path = enumerate_supports(root, some, most, total)
        place = levels[..., None].expand(*levels.shape, r)
        x.append(path.x.gather(-2, place))
        squares.append(path.squares.gather(-1, levels))
    nodes = torch.tensor([subset_count(r, 0, min(q, p)) for q in range(r + 1)], device=k.device)
    done = torch.ones_like(k, dtype=torch.bool)
    return Found(torch.cat(x, -3), torch.cat(squares, -2), nodes[k], done)
