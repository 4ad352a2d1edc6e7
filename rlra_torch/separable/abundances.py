"""Abundances of known spectra: least squares for each pixel, exact, with three kinds of sums."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import QuadraticBlock
from ..functional.linalg import solve_gram
from ..functional.pixels import pieces
from ..iterations import ActiveSet
from ..losses import Frobenius
from ..regularizers import NonNegative

_BYTES = 2**26


def nonnegative(M: Tensor, W: Tensor, start: Tensor | None = None) -> Tensor:  # noqa: N803
    """``argmin ||m - W h||`` over ``h >= 0``, for each pixel m.

    Exact: least squares where that is nonnegative, an active set elsewhere, in double precision
    from the gram. A pixel with a value that is not finite has abundances NaN. Leading dimensions
    are independent problems.

    Args:
        M: pixels, (*, m, n).
        W: spectra, (*, m, r).
        start: nonnegative abundances to start from, (*, n, r); they change the time it takes.

    Returns:
        H, (*, n, r).

    Raises:
        ValueError: the shapes do not fit.

    References:
        | Lawson, Hanson, Solving least squares problems (1974), chapter 23

    Example:
        >>> nonnegative(torch.tensor([[3.0], [-1.0]]), torch.eye(2))
        tensor([[3., 0.]])
    """
    return _by_pieces(M, W, start, None)


def sum_at_most_one(M: Tensor, W: Tensor, start: Tensor | None = None) -> Tensor:  # noqa: N803
    """``argmin ||m - W h||`` over ``h >= 0`` with ``sum h <= 1``, for each pixel m.

    The hull of the spectra and the origin: what is missing to a sum of one is shade. Exact, as
    `nonnegative`, which is the solution where its sum is at most one; elsewhere the sum is one.

    Args:
        M, W, start: as in `nonnegative`.

    Returns:
        H, (*, n, r).

    Raises:
        ValueError: the shapes do not fit.

    References:
        | Gillis, Successive nonnegative projection algorithm for robust nonnegative blind source
        | separation (2014), section 2

    Example:
        >>> sum_at_most_one(torch.tensor([[3.0, 0.5], [1.0, 0.0]]), torch.eye(2))
        tensor([[1.0000, 0.0000],
                [0.5000, 0.0000]])
    """
    return _by_pieces(M, W, start, False)


def sum_to_one(M: Tensor, W: Tensor, start: Tensor | None = None) -> Tensor:  # noqa: N803
    """``argmin ||m - W h||`` over ``h >= 0`` with ``sum h = 1``, for each pixel m.

    Exact: with ``K = (W - m 1^T)^T (W - m 1^T)`` the solution is ``x / sum x`` of the nonnegative
    least squares ``min x^T K x + d (1^T x - 1)^2`` over ``x >= 0``, for any ``d > 0``.

    Args:
        M, W, start: as in `nonnegative`.

    Returns:
        H, (*, n, r).

    Raises:
        ValueError: the shapes do not fit.

    References:
        | Heinz, Chang, Fully constrained least squares linear spectral mixture analysis method for
        | material quantification in hyperspectral imagery (2001)

    Example:
        >>> sum_to_one(torch.tensor([[3.0, 0.5], [1.0, 0.0]]), torch.eye(2))
        tensor([[1.0000, 0.0000],
                [0.7500, 0.2500]])
    """
    return _by_pieces(M, W, start, True)


def _by_pieces(pixels: Tensor, spectra: Tensor, start: Tensor | None, one: bool | None) -> Tensor:
    """A piece of the pixels at a time; the sum is free, at most one (False) or one (True)."""
    if pixels.ndim < 2 or pixels.shape[:-1] != spectra.shape[:-1]:
        raise ValueError(
            f"pixels (*, m, n) need spectra (*, m, r) with as many bands, got "
            f"{tuple(pixels.shape)} and {tuple(spectra.shape)}"
        )
    *lead, bands, count = pixels.shape
    rank = spectra.shape[-1]
    if start is not None and start.shape != (*lead, count, rank):
        raise ValueError(f"start has shape {tuple(start.shape)}, not {(*lead, count, rank)}")
    pixels = pixels.detach().reshape(-1, bands, count)
    spectra = spectra.detach().reshape(-1, bands, rank)
    out = pixels.new_zeros(len(pixels), count, rank)
    given = None if start is None else start.reshape(out.shape)
    for where in pieces(pixels, 1 + 40 * rank * rank / bands, _BYTES):
        begin = None if given is None else given[:, where]
        out[:, where] = _piece(pixels[..., where], spectra, begin, one)
    return out.reshape(*lead, count, rank)


def _piece(pixels: Tensor, spectra: Tensor, start: Tensor | None, one: bool | None) -> Tensor:
    cross = (pixels.mT @ spectra).double()
    bad = ~cross.isfinite().all(-1)
    cross = torch.where(bad[..., None], 0, cross)
    gram = spectra.double().mT @ spectra.double()
    x = torch.zeros_like(cross) if start is None else start.double()
    if not one:
        free = solve_gram(gram, cross)
        if start is None:
            # Not where the spectra are dependent: a support must not hold all of those.
            values = torch.linalg.eigvalsh(gram)
            solid = values[..., 0] > 1e-10 * values[..., -1]
            x = torch.where(solid[..., None, None], free.clamp_min(0), 0)
        feasible = (free >= 0).all(-1) & ((one is None) | (free.sum(-1) <= 1))
        x = torch.where(feasible[..., None], free, x)
    problem, row = torch.nonzero(~_optimal(gram, cross, x, one), as_tuple=True)
    right, z = cross[problem, row], x[problem, row]
    if not one:
        z = _pivoted(gram[0] if len(gram) == 1 else gram[problem], right, z)
    if one is not None:
        over = (z.sum(-1) > 1) | one
        own = gram[problem]
        energy = pixels[problem, :, row].double().square().sum(-1)
        energy = torch.where(bad[problem, row], 0, energy)
        z[over] = _on_simplex(own[over], right[over], energy[over], z[over])
    x[problem, row] = z
    return torch.where(bad[..., None], torch.nan, x).to(pixels.dtype)


def _optimal(gram: Tensor, cross: Tensor, x: Tensor, one: bool | None) -> Tensor:
    """Which rows (problems, rows) meet the optimality conditions up to rounding."""
    rounding = 1e-12
    dual, total = cross - x @ gram, x.sum(-1, keepdim=True)
    right = torch.ones_like(total, dtype=torch.bool)
    if one is not None:
        # The multiplier of the sum.
        price = (x * dual).sum(-1, keepdim=True) / total.clamp_min(rounding)
        tight = (total - 1).abs() <= rounding
        dual = dual - (price if one else torch.where(tight, price.clamp_min(0), 0))
        right = tight if one else total <= 1 + rounding
    noise = rounding * (cross.abs() + x @ gram.abs())
    return ((dual <= noise) & ((dual >= -noise) | (x == 0)) & right).all(-1)


def _on_simplex(gram: Tensor, cross: Tensor, energy: Tensor, start: Tensor) -> Tensor:
    """Rows with a gram of their own (rows, r, r): the minimizer whose sum is one."""
    # Any weight will do; that of the spectra themselves keeps the numbers alike.
    weight = gram.diagonal(dim1=-2, dim2=-1).amax(-1).clamp_min(torch.finfo(gram.dtype).tiny)
    shift = (energy + weight)[:, None, None] - cross[:, :, None] - cross[:, None, :]
    x = _pivoted(gram + shift, weight[:, None].expand_as(cross), start)
    return x / x.sum(-1, keepdim=True)


def _pivoted(gram: Tensor, cross: Tensor, x: Tensor) -> Tensor:
    """The active set on rows with one gram or with one each, each until its support stays."""
    shared = gram.ndim == 2 and gram.shape[-1] < 63
    step, reg, loss = (
        ActiveSet(on_support=_by_support if shared else None),
        NonNegative(),
        Frobenius(),
    )
    x, left = x.clone(), torch.arange(len(x), device=x.device)
    passive = x > 0
    # Rounding can make a support come back: then the best point so far is as good as it gets.
    for _ in range(10 * x.shape[-1] + 20):
        if not len(left):
            break
        before = passive[left]
        own = gram if gram.ndim == 2 else gram[left]
        block = QuadraticBlock(own, cross[left], loss)
        x[left], (after,) = step(x[left], (before,), block, reg)
        passive[left] = after
        left = left[(after != before).any(-1)]
    return x


def _by_support(block: QuadraticBlock, passive: Tensor) -> Tensor:
    """Least squares on the supports, of which there are few in an image: one inverse for each."""
    gram, place = block.gram, torch.arange(passive.shape[-1], device=passive.device)
    supports, which = (passive * 2**place).sum(-1).unique(return_inverse=True)
    masks = (supports[:, None] >> place) & 1 == 1
    both = masks[:, :, None] & masks[:, None, :]
    finfo = torch.finfo(gram.dtype)
    scale = gram.diagonal().clamp_min(finfo.tiny).rsqrt()
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    system = torch.where(both, gram * scale[:, None] * scale, eye)
    root, _ = torch.linalg.cholesky_ex(system + 4 * finfo.eps * len(gram) * eye)
    inverse = torch.where(both, torch.cholesky_inverse(root) * scale[:, None] * scale, 0)[which]
    z = torch.zeros_like(block.cross)
    for _ in range(3):
        rest = torch.where(passive, block.cross - z @ gram, 0)
        z = z + (inverse @ rest[..., None])[..., 0]
    return z
