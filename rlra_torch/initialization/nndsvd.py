"""Nonnegative double singular value decomposition."""

from typing import Literal, get_args

import torch
from torch import Tensor

from rlra_torch.functional.randomized import as_generator, truncated_svd

Variant = Literal["nndsvd", "nndsvda", "nndsvdar"]


def nndsvd(
    y: Tensor, rank: int, variant: Variant = "nndsvd", seed: int | torch.Generator = 0
) -> tuple[Tensor, Tensor]:
    """Nonnegative start from the singular triplets of nonnegative data.

    Y ≈ Σ s u vᵀ. The first component is sqrt(s) |u|, sqrt(s) |v|. For each other one the pair
    (u₊, v₊) or (u₋, v₋) of positive or negative parts with the larger product of norms
    p = ||u±|| ||v±|| gives sqrt(s p) u± / ||u±|| and sqrt(s p) v± / ||v±||.

    "nndsvd" keeps the zeros, which a multiplicative update never leaves; "nndsvda" replaces them
    by the mean of Y, "nndsvdar" by small random numbers, mean(Y) |g| / 100 with g normal.
    Components beyond the numerical rank of Y are zero before the filling, so in "nndsvd" they
    stay zero, and in "nndsvda" they are all equal.

    Args:
        y: Nonnegative data, shape (*, m, n); a single matrix may be sparse.
        rank: Number of components, at most min(m, n).
        variant: What replaces zeros.
        seed: Integer seed or generator, for "nndsvdar" and for large data.

    Returns:
        W of shape (*, m, rank) and H of shape (*, n, rank).

    Raises:
        ValueError: If rank is not between 1 and min(m, n), or if the variant is unknown.

    References:
        C. Boutsidis and E. Gallopoulos, SVD based initialization: a head start for nonnegative
        matrix factorization, Pattern Recognition 41, 2008.

    Example:
        >>> w, h = nndsvd(torch.tensor([[4.0, 0.0], [0.0, 1.0]]), 2)
        >>> w @ h.mT
        tensor([[4., 0.],
                [0., 1.]])
    """
    _check(y, rank, variant)
    generator = as_generator(seed)
    left, values, right = truncated_svd(y, rank, generator)
    # Below this a value is rounding noise, and its vectors have no meaning.
    significant = values > 10 * torch.finfo(y.dtype).eps * values[..., :1]
    w, h = _nonnegative_pairs(left, torch.where(significant, values, 0.0), right)
    w, h = _drop_noise(w), _drop_noise(h)
    total = y.detach().sum((-2, -1), keepdim=True) if y.layout == torch.strided else y.sum()
    mean = total / (y.shape[-2] * y.shape[-1])
    if variant == "nndsvda":
        return torch.where(w == 0, mean, w), torch.where(h == 0, mean, h)
    if variant == "nndsvdar":
        return _fill_random(w, mean, generator), _fill_random(h, mean, generator)
    return w, h


def _check(y: Tensor, rank: int, variant: str) -> None:
    if variant not in get_args(Variant):
        raise ValueError(
            f"nndsvd was given variant {variant!r}; choose one of {', '.join(get_args(Variant))}."
        )
    smallest = min(y.shape[-2:])
    if not 1 <= rank <= smallest:
        raise ValueError(
            f"{variant} was given rank {rank} for data of shape {tuple(y.shape)} and needs a rank "
            f'between 1 and {smallest}; use init="random" instead.'
        )


def _nonnegative_pairs(left: Tensor, values: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    positive = (left.clamp_min(0), right.clamp_min(0))
    negative = ((-left).clamp_min(0), (-right).clamp_min(0))
    p_left, p_right = (torch.linalg.vector_norm(part, dim=-2) for part in positive)
    n_left, n_right = (torch.linalg.vector_norm(part, dim=-2) for part in negative)
    larger = p_left * p_right > n_left * n_right
    u_norm = torch.where(larger, p_left, n_left)
    v_norm = torch.where(larger, p_right, n_right)
    pick = larger.unsqueeze(-2)
    u = torch.where(pick, positive[0], negative[0])
    v = torch.where(pick, positive[1], negative[1])
    # sqrt(s ||u|| ||v||) u / ||u||, without a division by the norm of an empty part.
    u_scale = (values * v_norm / torch.where(u_norm > 0, u_norm, 1.0)).sqrt()
    v_scale = (values * u_norm / torch.where(v_norm > 0, v_norm, 1.0)).sqrt()
    w, h = u * u_scale.unsqueeze(-2), v * v_scale.unsqueeze(-2)
    # Perron-Frobenius: the leading pair needs no split.
    root = values[..., None, :1].sqrt()
    w = torch.cat([left[..., :1].abs() * root, w[..., 1:]], -1)
    return w, torch.cat([right[..., :1].abs() * root, h[..., 1:]], -1)


def _drop_noise(factor: Tensor) -> Tensor:
    """Zero the entries that are rounding noise of the singular vectors, column by column."""
    tolerance = 100 * torch.finfo(factor.dtype).eps * factor.amax(-2, keepdim=True)
    return torch.where(factor <= tolerance, 0.0, factor)


def _fill_random(factor: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(
        factor.shape, generator=generator, dtype=factor.dtype, device=generator.device
    )
    return torch.where(factor == 0, mean * noise.to(factor.device).abs() / 100, factor)
