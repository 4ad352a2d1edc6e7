"""Linear systems that are known through products only, batched over leading dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Krylov(NamedTuple):
    """What `gmres` found.

    Args:
        x: (*, n), the solution.
        residual: (*,), ``||b - A x|| / ||b||``, 0 for ``b = 0``.
    """

    x: Tensor
    residual: Tensor


def gmres(
    product: Callable[[Tensor], Tensor], b: Tensor, tol: float, max_iter: int, restart: int = 50
) -> Krylov:
    """``A x = b`` by restarted minimal residuals; each problem of a batch on its own.

    From ``x = 0``, so that a singular but consistent system has a solution without a part that only
    rounding would determine. The host waits for the device once a restart.

    Args:
        product: ``x -> A x`` on (*, n), linear.
        b: (*, n).
        tol: on the relative residual of every problem.
        max_iter: products at most, besides one for each restart; 0: ``x = b``.
        restart: size of the Krylov space.

    References:
        | Saad, Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric
        | linear systems (1986)

    Example:
        >>> found = gmres(lambda x: 2 * x, torch.tensor([2.0, 4.0]), tol=1e-6, max_iter=10)
        >>> found.x, found.residual < 1e-6
        (tensor([1., 2.]), tensor(True))
    """
    size = torch.linalg.vector_norm(b, dim=-1)
    unit = size.clamp_min(torch.finfo(b.dtype).tiny)
    if max_iter == 0:
        return Krylov(b, torch.linalg.vector_norm(b - product(b), dim=-1) / unit)
    x, residual, done = torch.zeros_like(b), b, 0
    relative = torch.linalg.vector_norm(residual, dim=-1) / unit
    while done < max_iter and bool((relative > tol).any()):
        count = min(restart, max_iter - done, b.shape[-1])
        moved = x + _minimal(product, residual, count)
        residual = b - product(moved)
        found = torch.linalg.vector_norm(residual, dim=-1) / unit
        # At the level of rounding a restart can only do harm.
        better = found < relative
        if not bool(better.any()):
            break
        x = torch.where(better[..., None], moved, x)
        relative = torch.where(better, found, relative)
        residual = b - product(x)
        done += count
    return Krylov(x, relative)


def _minimal(product: Callable[[Tensor], Tensor], r: Tensor, count: int) -> Tensor:
    """The vector of the Krylov space of ``r`` whose residual is least, by Arnoldi's process."""
    tiny = torch.finfo(r.dtype).tiny
    norm = torch.linalg.vector_norm(r, dim=-1, keepdim=True)
    basis = [r / norm.clamp_min(tiny)]
    hessenberg = r.new_zeros(*r.shape[:-1], count + 1, count)
    for k in range(count):
        v = product(basis[k])
        scale = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        known = torch.stack(basis, -1)
        for _ in range(2):  # the second time against rounding
            along = (known.mT @ v[..., None])[..., 0]
            v = v - (known @ along[..., None])[..., 0]
            hessenberg[..., : k + 1, k] += along
        rest = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        # The space is exhausted: go on with zeros.
        alive = rest > 10 * torch.finfo(r.dtype).eps * scale
        hessenberg[..., k + 1, k] = torch.where(alive, rest, 0)[..., 0]
        basis.append(torch.where(alive, v / rest.clamp_min(tiny), 0))
    target = r.new_zeros(*r.shape[:-1], count + 1, 1)
    target[..., 0, 0] = norm[..., 0]
    weights = torch.linalg.pinv(hessenberg) @ target
    return (torch.stack(basis[:count], -1) @ weights)[..., 0]
