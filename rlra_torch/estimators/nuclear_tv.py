"""Low rank and smooth bands at once, by proximal splitting: the convex baseline of recovery."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.total_variation import Jumps, Lattice, denoise
from ..operators import RandomPhase


class NuclearTV(NamedTuple):
    """What `nuclear_tv` found.

    Args:
        x: (bands, pixels).
        misfit: ``||Y - Phi X||``.
        n_iter: how many steps.
    """

    x: Tensor
    misfit: float
    n_iter: int


def nuclear_tv(
    y: Tensor,
    operator: RandomPhase,
    *,
    tv: float = 0.02,
    misfit: float = 0.0,
    max_iter: int = 100,
    steps: int = 10,
) -> NuclearTV:
    """An image of low rank whose bands vary little, by the parallel proximal algorithm.

        min ||X||_* + tv sum_b TV(X_b)   subject to   ||Y - Phi X||_F <= misfit

    All three proximal maps act on the whole image in each step: of the nuclear norm by a singular
    value decomposition, of each band by the dual of its total variation, and the projection on the
    misfit, in closed form since ``Phi Phi^T = I``.

    Args:
        y: (bands, samples).
        operator: that measured it.
        tv: weight against the nuclear norm.
        misfit: the largest distance to the data.
        max_iter: steps.
        steps: of the loop of total variation in each, which goes on where it has stopped.

    Raises:
        ValueError: weights that are negative, or samples that are not those of the operator.

    References:
        | Golbabaee, Vandergheynst, Joint trace/TV norm minimization: a new efficient approach for
        | spectral compressive imaging (2012)
        | Combettes, Pesquet, Proximal splitting methods in signal processing (2011), section 10.7

    Example:
        >>> x = torch.zeros(4, 8, 8)
        >>> x[:, 2:6, 2:6] = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
        >>> phi = RandomPhase((8, 8), bands=4, ratio=2)
        >>> found = nuclear_tv(phi(x.flatten(1)), phi, tv=0.2, max_iter=200)
        >>> bool((found.x - x.flatten(1)).norm() < 0.05 * x.norm())
        True
    """
    if y.shape != operator.pixels.shape:
        raise ValueError(
            f"the operator measures {tuple(operator.pixels.shape)}, got {tuple(y.shape)}"
        )
    for name, value in (("tv", tv), ("misfit", misfit)):
        if not real_number(name, value) >= 0:
            raise ValueError(f"{name} must be nonnegative, got {value}")
    whole_number("max_iter", max_iter)
    x = operator.adjoint(y)
    lattice, step = Lattice.of(operator.shape), _size(x)
    dual = lattice.still(x.unflatten(-1, operator.shape))
    points, width = [x, x, x], 3 * step
    for _ in range(max_iter):
        low = _low_rank(points[0], width)
        smooth, dual = _smooth(points[1], width * tv, lattice, dual, steps)
        near = _near(points[2], y, operator, misfit)
        mean = (low + smooth + near) / 3
        points = [
            p + (2 * mean - x - found) for p, found in zip(points, (low, smooth, near), strict=True)
        ]
        x = mean
    return NuclearTV(x, float((y - operator(x)).norm()), max_iter)


def _size(x: Tensor) -> Tensor:
    """A step in the unit of the data: a tenth of the largest singular value over the terms."""
    return 0.1 / 3 * torch.linalg.matrix_norm(x @ x.mT, 2).sqrt()


def _low_rank(x: Tensor, width: Tensor) -> Tensor:
    """Singular values less ``width``, by the smaller gram: bands are few."""
    energy, vectors = torch.linalg.eigh(x @ x.mT)
    size = energy.clamp_min(0).sqrt()
    kept = torch.where(size > width, 1 - width / size.clamp_min(torch.finfo(x.dtype).tiny), 0)
    return (vectors * kept) @ (vectors.mT @ x)


def _smooth(
    x: Tensor, width: Tensor, lattice: Lattice, dual: Jumps, steps: int
) -> tuple[Tensor, Jumps]:
    widths = width.expand(len(x))
    found = denoise(x.unflatten(-1, lattice.shape), widths, 0 * widths, lattice, dual, False, steps)
    return found.x.flatten(1), found.dual


def _near(x: Tensor, y: Tensor, operator: RandomPhase, misfit: float) -> Tensor:
    rest = y - operator(x)
    norm = rest.norm().clamp_min(torch.finfo(x.dtype).tiny)
    return x + operator.adjoint((1 - misfit / norm).clamp_min(0) * rest)
