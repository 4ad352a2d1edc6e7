"""Pictures from the measurements of a single-pixel camera, band by band."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..functional.total_variation import Jumps, Lattice, denoise
from ..iterations import MU, Alternating
from ..losses import Anscombe, KullbackLeibler, Loss
from ..models import NMF, Sensed
from ..operators import Patterns
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import plug_and_play, solve

METHODS = ("pinv", "nnls", "kl", "anscombe", "tv", "pnp")


def reconstruct(
    y: Tensor,
    camera: Patterns,
    method: str = "nnls",
    *,
    gain: float = 1.0,
    tv: float = 0.1,
    denoiser: nn.Module | Callable[[Tensor], Tensor] | None = None,
    max_iter: int = 200,
    tol: float = 1e-4,
) -> Tensor:
    """A picture of each band from measurements through patterns.

        pinv          A^+ y, which may be negative
        nnls          min over x >= 0 of  ||A x - y||^2 / 2
        kl, anscombe  min over x >= 0 of  KL(y, A x), or least squares of stabilized counts
        tv            min over x >= 0 of  ||A x - y||^2 / 2 + c tv sum |jumps of x|
        pnp           a denoiser in the place of a proximal map

    Args:
        y: (m, bands), counts divided by the gain, without the dark current.
        camera: the patterns; c is their curvature.
        method: one of the above.
        gain: counts per unit of y, for "anscombe".
        tv: weight of the jumps between neighbours, in the unit of the pictures.
        denoiser: for "pnp", of pictures (bands, 1, rows, cols), such as an ``nn.Module``.
        max_iter: the largest number of iterations.
        tol: where they stop, relative.

    Returns:
        (n, bands).

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 22.2.2

    Example:
        >>> from rlra_torch.operators import SplitHadamard
        >>> camera = SplitHadamard((2, 2))
        >>> y = camera(torch.tensor([[0.0], [1.0], [2.0], [1.0]]))
        >>> reconstruct(y, camera, "pinv").flatten()
        tensor([0., 1., 2., 1.])
    """
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, got {method!r}")
    if method == "pnp" and denoiser is None:
        raise ValueError("plug-and-play needs a denoiser; pass denoiser=")
    check_measurements(y, camera, nonnegative=method in ("kl", "anscombe"))
    if method == "pinv":
        return camera.pseudo_inverse(y)
    stop = {"max_iter": max_iter, "tol": tol}
    if method in ("kl", "anscombe"):
        loss = KullbackLeibler() if method == "kl" else Anscombe(0.375 / gain)
        return _likely(y, camera, loss, max_iter, tol)
    prior = {"tv": _Variation(tv, camera.shape), "pnp": _pictured(denoiser)}.get(method)
    return plug_and_play(camera, y, prior or _positive, **stop).x


def check_measurements(y: Tensor, camera: Patterns, nonnegative: bool) -> None:
    """Check measurements against the camera that they are said to come from.

    Raises:
        ValueError: in one sentence.
    """
    if y.ndim != 2 or y.shape[0] != camera.measurements:
        raise ValueError(
            f"measurements of this camera have shape ({camera.measurements}, bands), "
            f"got {tuple(y.shape)}"
        )
    bad = int((~y.isfinite()).sum())
    if bad:
        raise ValueError(f"{bad} of {y.numel()} measurements are NaN or infinite; leave them out")
    negative = int((y < 0).sum())
    if negative and nonnegative:
        raise ValueError(
            f"{negative} of {y.numel()} measurements are negative, which counts cannot be; "
            "clip them at zero, or reconstruct by least squares"
        )


def _likely(y: Tensor, camera: Patterns, loss: Loss, max_iter: int, tol: float) -> Tensor:
    """Each band a problem of its own, from the nonnegative least squares."""
    bands, one = y.mT[..., None], y.new_ones(y.shape[1], 1, 1)
    start = plug_and_play(camera, y, _positive).x.mT[..., None]
    least = start.mean((-2, -1), keepdim=True).clamp_min(torch.finfo(y.dtype).tiny ** 0.5)
    start = torch.maximum(start, 1e-6 * least)
    free, model = (NonNegative(), NonNegative()), Sensed(NMF(), camera)
    problem = Problem(bands, model, loss, free, free=(0,))
    # The pattern of ones outweighs all others in the residual, so that it is small from the start.
    step, tol = Alternating(MU()).to(y.device), 1e-4 * tol
    found = solve(step, problem, (start, one), max_iter=max_iter, tol=tol)
    return found.factors[0][..., 0].mT


def _positive(x: Tensor) -> Tensor:
    return x.clamp_min(0)


def _pictured(denoiser: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
    if denoiser is None:
        return None
    return lambda x: denoiser(x.unsqueeze(-3)).squeeze(-3)


class _Variation:
    """The proximal map of total variation, which goes on from where it was left."""

    def __init__(self, weight: float, shape: tuple[int, ...]) -> None:
        if not weight >= 0:
            raise ValueError(f"the weight of the total variation is nonnegative, got {weight}")
        self.weight, self.lattice = weight, Lattice.of(shape)
        self.dual: Jumps | None = None

    def __call__(self, x: Tensor) -> Tensor:
        weight = x.new_full(x.shape[: x.ndim - len(self.lattice.shape)], self.weight)
        dual = self.lattice.still(x) if self.dual is None else self.dual
        found = denoise(x, weight, 0 * weight, self.lattice, dual, nonnegative=True, steps=10)
        self.dual = found.dual
        return found.x
