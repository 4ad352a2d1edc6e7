"""Proximal maps and projections: pure, batched, differentiable, without host synchronisation."""

import torch
from torch import Tensor


def soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """Proximal map of the l1 norm: argmin over u of 1/2 ||u - x||² + Σ t |u|.

    u = sign(x) max(|x| - t, 0), entry by entry.

    Args:
        x: Any shape.
        threshold: t >= 0, a number or a tensor that broadcasts against x.

    Returns:
        u, shaped like x.

    References:
        N. Parikh and S. Boyd, Proximal algorithms, 2014, section 6.5.2.

    Example:
        >>> soft_threshold(torch.tensor([-3.0, 0.5, 2.0]), 1.0)
        tensor([-2.,  0.,  1.])
    """
    # Written so that a zero threshold is the identity, its derivative included, even at x = 0.
    return torch.where(x.abs() < threshold, 0.0, x - threshold * x.sign())


def group_shrink(x: Tensor, threshold: Tensor | float, dim: int | tuple[int, ...] = -1) -> Tensor:
    """Proximal map of the l2 norm of each group: argmin over u of 1/2 ||u - x||² + t ||u||.

    u = max(1 - t / ||x||, 0) x; derivatives are finite at x = 0.

    Args:
        x: Any shape; the entries along `dim` form one group.
        threshold: t >= 0, a number or a tensor that broadcasts against the norms, which keep
            `dim` with size 1.
        dim: Dimension(s) of a group.

    Returns:
        u, shaped like x.

    References:
        N. Parikh and S. Boyd, Proximal algorithms, 2014, section 6.5.1.

    Example:
        >>> group_shrink(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 1.0)
        tensor([[2.4000, 3.2000],
                [0.0000, 0.0000]])
    """
    norm = _norm(x, dim)
    vanishes = norm < threshold
    # The branch that is not taken must stay finite, or its zero cotangent becomes NaN.
    divisor = torch.where(vanishes | (norm == 0), 1.0, norm)
    return torch.where(vanishes, 0.0, 1 - threshold / divisor) * x


def project_simplex(x: Tensor, dim: int = -1, radius: Tensor | float = 1.0) -> Tensor:
    """Projection onto the simplex {u >= 0, Σ u = radius}.

    u = max(x - θ, 0) with θ = (Σ over the k largest entries of x - radius) / k and k the largest
    count whose smallest entry exceeds θ: exact, by sorting.

    Args:
        x: Any shape.
        dim: Dimension whose entries sum to the radius.
        radius: Sum of the entries, >= 0, a number or a tensor that broadcasts against x with
            `dim` of size 1. A zero radius gives zeros.

    Returns:
        u, shaped like x.

    References:
        J. Duchi, S. Shalev-Shwartz, Y. Singer and T. Chandra, Efficient projections onto the
        l1-ball for learning in high dimensions, ICML 2008, figure 1.

    Example:
        >>> project_simplex(torch.tensor([0.5, 2.0, 1.5]))
        tensor([0.0000, 0.7500, 0.2500])
    """
    # A common shift changes nothing (so it needs no gradient), and an entry more than the radius
    # below the largest is never in the support: both keep the cumulative sums small and accurate.
    shifted = x - x.detach().amax(dim, keepdim=True)
    shifted = torch.where(shifted < -radius, -radius, shifted)
    ordered = shifted.sort(dim, descending=True).values
    excess = ordered.cumsum(dim) - radius
    count = _positions(x, dim) + 1
    support = (ordered * count > excess).sum(dim, keepdim=True).clamp_min(1)
    theta = excess.gather(dim, support - 1) / support
    # Not a clamp, whose derivative at 0 is not the same in all versions of torch.
    return torch.where(shifted <= theta, 0, shifted - theta)


def project_l2_ball(
    x: Tensor, radius: Tensor | float = 1.0, dim: int | tuple[int, ...] = -1
) -> Tensor:
    """Projection onto the l2 ball {||u|| <= radius}: u = x min(1, radius / ||x||).

    Args:
        x: Any shape.
        radius: Radius >= 0, a number or a tensor that broadcasts against the norms, which keep
            `dim` with size 1.
        dim: Dimension(s) of a vector.

    Returns:
        u, shaped like x.

    References:
        N. Parikh and S. Boyd, Proximal algorithms, 2014, section 6.5.1.

    Example:
        >>> project_l2_ball(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """
    norm = _norm(x, dim)
    outside = norm > radius
    return torch.where(outside, radius / torch.where(outside, norm, 1.0), 1.0) * x


def normalize_l2(x: Tensor, dim: int = -1, *, nonnegative: bool = False) -> Tensor:
    """Projection onto the unit sphere, {||u|| = 1} or {u >= 0, ||u|| = 1}.

    u = x / ||x||, after max(x, 0) in the nonnegative case. Where this divides by zero the
    projection is a coordinate vector: that of the largest entry in the nonnegative case, which
    is the exact projection, and by convention the first one for x = 0. The first wins a tie.

    Args:
        x: Any shape.
        dim: Dimension of a vector.
        nonnegative: Whether the entries must be nonnegative.

    Returns:
        u, shaped like x.

    References:
        H. H. Bauschke, M. N. Bui and X. Wang, Projecting onto the intersection of a cone and a
        sphere, SIAM Journal on Optimization 28, 2018.

    Example:
        >>> normalize_l2(torch.tensor([[3.0, -4.0], [-2.0, -1.0]]), nonnegative=True)
        tensor([[1., 0.],
                [0., 1.]])
    """
    # With no positive entry the largest one decides; max(x, 0) would forget it.
    largest = x.detach().argmax(dim, keepdim=True)
    part = x.clamp_min(0) if nonnegative else x
    norm = _norm(part, dim)
    empty = norm == 0
    coordinate = (_positions(x, dim) == largest).to(x.dtype)
    return torch.where(empty, coordinate, part / torch.where(empty, 1.0, norm))


def keep_largest(x: Tensor, k: int, dim: int = -1) -> Tensor:
    """Projection onto the k-sparse vectors: keep the k entries of largest magnitude.

    argmin over u of ||u - x||² with at most k nonzeros; the lowest index wins a tie.

    Args:
        x: Any shape.
        k: Number of entries kept along `dim`, >= 0; from the size of `dim` on, all are kept.
        dim: Dimension of a vector.

    Returns:
        u, shaped like x.

    References:
        T. Blumensath and M. E. Davies, Iterative thresholding for sparse approximations,
        Journal of Fourier Analysis and Applications 14, 2008.

    Example:
        >>> keep_largest(torch.tensor([1.0, -3.0, 2.0, -2.0]), 2)
        tensor([ 0., -3.,  2.,  0.])
    """
    # A stable sort, for top-k leaves ties to chance.
    order = x.detach().abs().sort(dim=dim, descending=True, stable=True).indices
    kept = order.narrow(dim, 0, min(k, x.shape[dim]))
    mask = torch.zeros_like(x, dtype=torch.bool).scatter(dim, kept, True)
    return torch.where(mask, x, 0.0)


def _positions(x: Tensor, dim: int) -> Tensor:
    """0, 1, ... along `dim`, with size 1 elsewhere."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    return torch.arange(x.shape[dim], device=x.device).reshape(shape)


def _norm(x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """l2 norm that neither overflows nor underflows, with finite derivatives at zero."""
    # The norm is homogeneous, so the scale needs no gradient.
    largest = x.detach().abs().amax(dim, keepdim=True)
    zero = largest == 0
    scale = torch.where(zero, 1.0, largest)
    squares = (x / scale).square().sum(dim, keepdim=True)
    return torch.where(zero, 0.0, scale * torch.where(zero, 1.0, squares).sqrt())
