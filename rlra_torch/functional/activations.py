"""Which inputs a rectified linear unit lets through, and all the ways in which it can."""

from __future__ import annotations

import math
from itertools import combinations, product

import torch
from torch import Tensor


def gates(inputs: Tensor, u: Tensor) -> Tensor:
    """1 where ``v_i . u_k > 0`` beyond rounding, else 0.

    Args:
        inputs: V, (p, n).
        u: (*, n, r).

    Returns:
        (*, p, r).

    Example:
        >>> gates(torch.tensor([[1.0, 0.0], [-1.0, 2.0]]), torch.tensor([[2.0], [1.0]]))
        tensor([[1.],
                [0.]])
    """
    size = inputs.norm(dim=-1, keepdim=True) * u.norm(dim=-2, keepdim=True)
    return (inputs @ u > 16 * torch.finfo(u.dtype).eps * size).to(u.dtype)


def regions(inputs: Tensor, most: int = 2**14) -> Tensor | None:
    """The activations of every cone on which ``u -> relu(V u)`` is linear, or None for too many.

    The cones between p hyperplanes have rays on which all but one dimension is tight; around each
    of them the tight inputs take all signs. Where more inputs are tight than that, as when two are
    equal, they are moved by 1e-6 first: no cone that is wider gets lost, and those that come in
    addition are flat.

    Args:
        inputs: V, (p, n).
        most: how many rays, with their signs, are tried at most.

    Returns:
        (k, p), entries 0 and 1.

    References:
        | Cover, Geometrical and statistical properties of systems of linear inequalities (1965)
        | Pilanci, Ergen, Neural networks are convex regularizers (2020), section 2

    Example:
        >>> regions(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist()
        [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    eps = 100 * torch.finfo(inputs.dtype).eps
    lengths = inputs.norm(dim=-1)
    kept = (lengths > eps * lengths.amax()).nonzero().squeeze(-1)
    if not len(kept):
        return torch.zeros_like(inputs[:, 0])[None]
    # What is orthogonal to all inputs changes no activation.
    units = inputs[kept] / lengths[kept, None]
    _, values, right = torch.linalg.svd(units, full_matrices=False)
    units = units @ right[values > eps * values[0]].mT
    count, order = units.shape
    if math.comb(count, order - 1) * 2**order > most:
        return None
    tight = torch.tensor(list(combinations(range(count), order - 1)), device=inputs.device).long()
    products = _on_rays(units, tight)
    if bool(((products.abs() <= eps).sum(-1) > order - 1).any()):
        phase = torch.arange(units.numel(), dtype=units.dtype, device=units.device)
        products = _on_rays(units + 1e-6 * (phase.square() + 1).cos().reshape(units.shape), tight)
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=order - 1))).to(products)
    around = products[:, None, :].expand(-1, len(signs), -1)
    where = tight[:, None, :].expand(-1, len(signs), -1)
    around = around.scatter(-1, where, signs.expand(len(tight), -1, -1)).flatten(0, 1)
    found = torch.cat([around, -around]) > 0
    full = inputs.new_zeros(len(found), len(inputs))
    full[:, kept] = found.to(inputs.dtype)
    return full.unique(dim=0)


def _on_rays(units: Tensor, tight: Tensor) -> Tensor:
    """The products of all inputs with the ray on which some of them are tight, (rays, p)."""
    order = units.shape[-1]
    # A row of zeros, so that there is something to decompose in one dimension as well.
    rows = torch.cat([units[tight], units.new_zeros(len(tight), 1, order)], -2)
    return torch.linalg.svd(rows).Vh[:, -1] @ units.mT
