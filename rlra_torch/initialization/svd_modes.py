"""Nonnegative start of a tensor model from the singular vectors of its unfoldings."""

import torch
from torch import Tensor

from rlra_torch.functional.randomized import as_generator, truncated_svd


def hosvd_nonnegative(y: Tensor, rank: int, seed: int | torch.Generator = 0) -> tuple[Tensor, ...]:
    """Absolute leading left singular vectors of every unfolding of a tensor.

    Factor k is |U_k| with Y_(k) ≈ U_k diag(S) Vᵀ the unfolding of mode k. Columns beyond the
    numerical rank of an unfolding (so also those beyond its dimensions) are uniform random
    instead. Every column has unit norm.

    Args:
        y: Tensor of order d >= 2, shape (n_1, ..., n_d); it has no batch dimensions.
        rank: Number of columns of every factor, at least 1.
        seed: Integer seed or generator, for the random columns and for large data.

    Returns:
        d factors, of shapes (n_k, rank).

    Raises:
        ValueError: If y has fewer than two dimensions or if rank is below 1.

    References:
        L. De Lathauwer, B. De Moor and J. Vandewalle, A multilinear singular value
        decomposition, SIAM Journal on Matrix Analysis and Applications 21, 2000.
        T. G. Kolda and B. W. Bader, Tensor decompositions and applications, SIAM Review 51,
        2009, section 3.4.

    Example:
        >>> y = torch.zeros(2, 2, 2)
        >>> y[1, 0, 1] = 5.0
        >>> torch.cat(hosvd_nonnegative(y, 1), 1)
        tensor([[0., 1., 0.],
                [1., 0., 1.]])
    """
    if y.ndim < 2 or rank < 1:
        raise ValueError(
            f"hosvd_nonnegative was given rank {rank} for a tensor of shape {tuple(y.shape)}; "
            "it needs at least two dimensions and a rank of at least 1."
        )
    return tuple(x.abs() for x in hosvd_factors(y, rank, seed))


def hosvd_factors(y: Tensor, rank: int, seed: int | torch.Generator = 0) -> tuple[Tensor, ...]:
    """Leading left singular vectors of every unfolding of a tensor, with their signs.

    Columns beyond the numerical rank of an unfolding are uniform random instead, as in
    `hosvd_nonnegative`.

    Args:
        y: Tensor of order d >= 2, shape (n_1, ..., n_d).
        rank: Number of columns of every factor, at least 1.
        seed: Integer seed or generator, for the random columns and for large data.

    Returns:
        d factors, of shapes (n_k, rank).

    Example:
        >>> [tuple(x.shape) for x in hosvd_factors(torch.ones(2, 3, 4), 2)]
        [(2, 2), (3, 2), (4, 2)]
    """
    generator = as_generator(seed)
    unfoldings = (y.detach().movedim(mode, 0).flatten(1) for mode in range(y.ndim))
    return tuple(_mode_factor(unfolding, rank, generator) for unfolding in unfoldings)


def _mode_factor(unfolding: Tensor, rank: int, generator: torch.Generator) -> Tensor:
    size = unfolding.shape[0]
    available = min(rank, *unfolding.shape)
    left, values, _ = truncated_svd(unfolding, available, generator)
    noise = torch.rand(
        size, rank, generator=generator, dtype=unfolding.dtype, device=generator.device
    )
    # 1 - [0, 1) excludes zero, which a multiplicative update never leaves.
    random = torch.nn.functional.normalize(1 - noise, dim=0).to(unfolding.device)
    tolerance = 10 * torch.finfo(unfolding.dtype).eps * values[:1]
    leading = torch.where(values > tolerance, left, random[:, :available])
    return torch.cat([leading, random[:, available:]], 1)
