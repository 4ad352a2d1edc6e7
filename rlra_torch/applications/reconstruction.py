"""Pictures from the measurements of a single-pixel camera, band by band."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..functional.total_variation import Jumps, Lattice, denoise
from ..iterations import MU, Alternating
from ..losses import Anscombe
from ..models import NMF, Sensed
from ..operators import Patterns
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers import plug_and_play, solve

METHODS = ("pinv", "nnls", "kl", "anscombe", "tv", "kl+tv", "pnp", "kl+pnp")


def reconstruct(
    y: Tensor,
    camera: Patterns,
    method: str = "nnls",
    *,
    spectra: Tensor | None = None,
    gain: float = 1.0,
    tv: float = 0.1,
    denoiser: nn.Module | Callable[[Tensor], Tensor] | None = None,
    max_iter: int = 200,
    tol: float = 1e-4,
) -> Tensor:
    """A picture of each band, or of each known spectrum, from measurements through patterns.

        pinv          A^+ y, which may be negative
        nnls          min over x >= 0 of  ||A x - y||^2 / 2
        kl, anscombe  min over x >= 0 of  KL(y, A x), or least squares of stabilized counts
        tv            min over x >= 0 of  ||A x - y||^2 / 2 + c tv sum |jumps of x|
        pnp           a denoiser in the place of a proximal map
        kl+tv, kl+pnp the same with KL; c is then over the mean of the band

    With spectra V it is ``A X V^T`` that fits the measurements, and all bands are fitted together.

    Args:
        y: (m, bands), counts divided by the gain, without the dark current.
        camera: the patterns; c is their curvature.
        method: one of the above.
        spectra: V, (bands, r), of unit size; None: band by band.
        gain: counts per unit of y, for "anscombe".
        tv: weight of the jumps between neighbours, in the unit of the pictures.
        denoiser: for "pnp", of pictures (bands, 1, rows, cols), such as an ``nn.Module``.
        max_iter: the largest number of iterations.
        tol: where they stop, relative.

    Returns:
        (n, bands), or (n, r).

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
    base, _, prior = method.rpartition("+")
    if prior == "pnp" and denoiser is None:
        raise ValueError("plug-and-play needs a denoiser; pass denoiser=")
    likely = "kl" in (base, prior)
    check_measurements(y, camera, nonnegative=likely or prior == "anscombe")
    if spectra is not None:
        spectra = checked_spectra(y, spectra)
    if prior == "pinv":
        x = camera.pseudo_inverse(y)
        return x if spectra is None else x @ torch.linalg.pinv(spectra).mT
    if prior == "anscombe":
        return _stabilized(y, camera, spectra, gain, max_iter, tol)
    proximal = {"tv": _Variation(tv, camera.shape), "pnp": _pictured(denoiser)}.get(prior)
    settings = {"spectra": spectra, "counts": likely, "max_iter": max_iter, "tol": tol}
    return plug_and_play(camera, y, proximal or _positive, **settings).x


def checked_spectra(y: Tensor, spectra: Tensor) -> Tensor:
    """Known spectra, on the device of the measurements.

    Raises:
        ValueError: in one sentence.
    """
    if spectra.ndim != 2 or len(spectra) != y.shape[1] or spectra.shape[1] == 0:
        raise ValueError(
            f"spectra have shape {tuple(spectra.shape)} but the measurements have {y.shape[1]} "
            f"bands; give ({y.shape[1]}, r)"
        )
    bad = int((~(spectra.isfinite() & (spectra >= 0))).sum())
    if bad:
        raise ValueError(f"{bad} of {spectra.numel()} entries of spectra are negative or infinite")
    if bool((spectra.sum(0) == 0).any()):
        raise ValueError("a spectrum is zero in all bands; leave it out")
    return spectra.to(y)


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


def _stabilized(
    y: Tensor, camera: Patterns, spectra: Tensor | None, gain: float, max_iter: int, tol: float
) -> Tensor:
    """From the nonnegative least squares; without spectra each band is a problem of its own."""
    start = plug_and_play(camera, y, _positive, spectra=spectra).x
    if spectra is None:
        y, start, spectra = y.mT[..., None], start.mT[..., None], y.new_ones(y.shape[1], 1, 1)
    least = start.mean((-2, -1), keepdim=True).clamp_min(torch.finfo(y.dtype).tiny ** 0.5)
    start = torch.maximum(start, 1e-6 * least)
    free, model = (NonNegative(), NonNegative()), Sensed(NMF(), camera)
    problem = Problem(y, model, Anscombe(0.375 / gain), free, free=(0,))
    # The pattern of ones outweighs all others in the residual, so that it is small from the start.
    step, tol = Alternating(MU()).to(y.device), 1e-4 * tol
    x = solve(step, problem, (start, spectra), max_iter=max_iter, tol=tol).factors[0]
    return x[..., 0].mT if x.ndim == 3 else x


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
