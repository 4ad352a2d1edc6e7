"""Vertex component analysis."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.pixels import select_columns
from ..functional.randomized import as_generator
from ..initialization.spa import first_of_longest
from .abundances import nonnegative
from .result import Fit, Pixels, Separable, pixels, result
from .subspace import leading_subspace, signal_to_noise


def vca(
    M: Tensor,  # noqa: N803
    r: int,
    *,
    seed: int | torch.Generator = 0,
    restarts: int = 10,
    snr: float | None = None,
    normalize: str | None = None,
    mask: Tensor | None = None,
    fit: Fit = nonnegative,
) -> Separable:
    """Vertex component analysis (VCA): r pixels, each extreme in a random direction.

    The pixels are projected on the signal subspace: of r dimensions and from there on the plane
    ``u^T x = 1`` with u their mean where the signal-to-noise ratio exceeds 15 + 10 log10 r dB, else
    of r - 1 dimensions around their mean, with a constant as last coordinate. Then, repeated,

        f random, orthogonal to the pixels picked,   k = argmax_j |f^T y_j|,

    so that in noiseless data a pure pixel is picked each time. Of several runs the one of least
    residual is kept. The spectra are the pixels themselves, not their projections. Pixels whose
    u^T x is below a hundredth of its mean are not picked: there the projection is mostly noise.

    The problems of a batch are done one after another; restarts share the work on the data.

    Args:
        M, r, normalize, mask, fit: as in `spa`.
        seed: integer seed, or a generator, which advances.
        restarts: how many runs.
        snr: signal-to-noise ratio in dB; None: estimated from the data (without noise: infinite).

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Nascimento, Bioucas-Dias, Vertex component analysis: a fast algorithm to unmix
        | hyperspectral data (2005), algorithm 1

    Example:
        >>> import torch
        >>> found = vca(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
        >>> sorted(found.indices.tolist()), found.residual
        ([0, 2], tensor(0.))
    """
    known = pixels("vca", M, r, normalize, mask)
    whole_number("the restarts of vca", restarts)
    generator = as_generator(seed)

    def one(problem: Pixels, own: Tensor) -> Separable:
        points, allowed = _points(problem, r, snr)
        norms = problem.norms / problem.norms.where(allowed, 0).amax().clamp_min(1e-30)
        runs = _vertices(points, torch.where(allowed, norms, -1), r, restarts, generator)
        return best_of([result(own, indices, problem, fit) for indices in different(runs)])

    return each_problem(one, known, M)


def different(runs: Tensor) -> list[Tensor]:
    """Runs (restarts, r) without those that picked the same pixels in another order."""
    seen = {tuple(sorted(run.tolist())): run for run in runs.flip(0)}
    return list(seen.values())


def best_of(results: list[Separable]) -> Separable:
    """The one of least residual."""
    return min(results, key=lambda found: float(found.residual))


def each_problem(
    one: Callable[[Pixels, Tensor], Separable],
    known: Pixels,
    M: Tensor,  # noqa: N803
) -> Separable:
    """One problem of a batch after the other."""
    lead = M.shape[:-2]
    flat = [x.reshape(-1, *x.shape[len(lead) :]) for x in (*known, M.detach())]
    found = [one(Pixels(*parts[:-1]), parts[-1]) for parts in zip(*flat, strict=True)]
    several = (torch.stack(x).reshape((*lead, *x[0].shape)) for x in zip(*found, strict=True))
    return Separable(*several)


def _points(known: Pixels, r: int, snr: float | None) -> tuple[Tensor, Tensor]:
    """The pixels projected on a hyperplane, (d, n), and which of them may be picked."""
    data, allowed = known.data, known.allowed
    bands = data.shape[0]
    dims = min(r, bands)
    snr = signal_to_noise(data, dims, allowed) if snr is None else snr
    if snr < 15 + 10 * math.log10(r) and r > 1:
        x = leading_subspace(data, min(r - 1, bands), allowed, centred=True).coordinates
        x = torch.where(allowed, x, 0)
        farthest = torch.linalg.vector_norm(x, dim=0).amax()
        return torch.cat([x, farthest.expand(1, x.shape[1])]), allowed
    x = leading_subspace(data, dims, allowed).coordinates
    mean = torch.where(allowed, x, 0).sum(-1) / allowed.sum().clamp_min(1)
    height = mean @ x
    allowed = allowed & (height > 0.01 * mean.square().sum())
    return torch.where(allowed, x / height, 0), allowed


def _vertices(
    points: Tensor, norms: Tensor, r: int, restarts: int, generator: torch.Generator
) -> Tensor:
    """Indices (restarts, r): extreme points in random directions orthogonal to those before."""
    points = points / points.abs().amax().clamp_min(torch.finfo(points.dtype).tiny)
    d, n = points.shape
    tolerance = torch.finfo(points.dtype).eps ** 0.75
    norms = norms.expand(restarts, n)
    allowed = norms >= 0
    basis, chosen = points.new_zeros(restarts, d, 0), []
    for _ in range(r):
        draw = torch.randn(
            restarts, d, 1, generator=generator, dtype=points.dtype, device=generator.device
        )
        f = _complement(basis, _complement(basis, draw.to(points.device)))
        f = f if basis.shape[-1] < d else torch.zeros_like(f)
        f = torch.nn.functional.normalize(f, dim=-2)
        heights = torch.where(allowed, (f.mT @ points)[:, 0].abs(), -1)
        index, found = first_of_longest(None, heights, norms, tolerance)
        allowed = allowed.scatter(-1, index, False)
        chosen.append(torch.where(found, index, -1))
        new = select_columns(points.expand(restarts, d, n), chosen[-1])
        new = _complement(basis, _complement(basis, new))
        basis = torch.cat([basis, torch.nn.functional.normalize(new, dim=-2)], -1)
    return torch.cat(chosen, -1)


def _complement(basis: Tensor, x: Tensor) -> Tensor:
    return x - basis @ (basis.mT @ x)
