"""Single-pixel imaging: what spectra the measurements show, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..estimators.results import checks, plain
from ..iterations import HALS, MU, Alternating
from ..losses import Frobenius, KullbackLeibler
from ..models import NMF, Sensed
from ..operators import Patterns
from ..problem import Problem
from ..regularizers import Box, ElasticNet, NonNegative
from ..separable import snpa
from ..solvers import Solution, solve
from .reconstruction import check_measurements, checked_spectra, reconstruct


@dataclass(frozen=True)
class SinglePixel:
    """A picture of each component and its spectrum.

    Args:
        maps: (r, rows, cols) abundances.
        spectra: (bands, r), of sum one where neither they nor a bound were given.
        start: the spectra of the pixels taken for pure, or those given.
        history: the checks, the first one at the start.
        converged: whether the optimality residual met the tolerance.
        n_iter: iterations done.
    """

    maps: Tensor
    spectra: Tensor
    start: Tensor
    history: tuple[Any, ...]
    converged: bool
    n_iter: int

    @property
    def cube(self) -> Tensor:
        """(rows, cols, bands) the pictures of all bands."""
        return self.maps.movedim(0, -1) @ self.spectra.mT


def unmix_measurements(
    y: Tensor,
    camera: Patterns,
    rank: int | None = None,
    *,
    spectra: Tensor | None = None,
    l1: float = 0.0,
    bound: float | None = None,
    start: str = "nnls",
    inner: int = 5,
    max_iter: int = 200,
    tol: float = 1e-5,
) -> SinglePixel:
    """Unmix what a single-pixel camera measured, without a reconstruction in between.

        min over 0 <= U <= bound, V >= 0 of  KL(Y, A U V^T) + l1 (|U|_1 + |V|_1)

    by alternating multiplicative updates, which never go up. They begin with the pixels that SNPA
    takes for pure in a reconstruction band by band, and a few rounds of nonnegative least squares
    of the pseudo-inverse. With known spectra V stays as given.

    Args:
        y: (m, bands), nonnegative: counts divided by their gain, without the dark current.
        camera: the patterns.
        rank: how many components; None: as many as the spectra given.
        spectra: V, (bands, r), where they are known.
        l1: weight of the entries of both factors (of U alone where the spectra are known).
        bound: of the abundances; None: none, and the spectra found have sum one.
        start: "nnls" or "pinv", the reconstruction to begin with.
        inner: updates of a factor before the other one's turn.
        max_iter: the largest number of rounds.
        tol: on the scale-free KKT residual.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Hariga, Cohen, Ducros, Joint reconstruction and spectral unmixing from single-pixel
        | acquisitions (2024)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 22.3

    Example:
        >>> from rlra_torch.operators import SplitHadamard
        >>> camera = SplitHadamard((2, 2))
        >>> u = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
        >>> found = unmix_measurements(camera(u @ torch.eye(3, 2).mT), camera, 2)
        >>> found.spectra.round(decimals=2).sum(0), tuple(found.maps.shape)
        (tensor([1., 1.]), (2, 2, 2))
    """
    check_measurements(y, camera, nonnegative=True)
    v, rank = _known(y, rank, spectra)
    if bound is not None and not bound > 0:
        raise ValueError(f"the bound of the abundances is positive, got {bound}")
    u, v, pure = _started(y, camera, rank, v, start, bound)
    upper = math.inf if bound is None else bound
    regs = ElasticNet(l1, lower=0.0, upper=upper), ElasticNet(l1, lower=0.0)
    free = (0, 1) if spectra is None else (0,)
    model = Sensed(NMF(), camera)
    problem = Problem(y, model, KullbackLeibler(), tuple(r.to(y.device) for r in regs), free=free)
    step = Alternating(MU(), inner=inner).to(y.device)
    found = solve(step, problem, (u, v), max_iter=max_iter, tol=tol)
    return _result(found, camera, pure, rescale=spectra is None and bound is None)


def _known(y: Tensor, rank: int | None, spectra: Tensor | None) -> tuple[Tensor | None, int]:
    if spectra is None:
        if rank is None or not 1 <= rank <= y.shape[1]:
            raise ValueError(f"rank is from 1 to {y.shape[1]}, the number of bands, got {rank}")
        return None, rank
    spectra = checked_spectra(y, spectra)
    if rank is not None and rank != spectra.shape[1]:
        raise ValueError(f"rank is {rank} but {spectra.shape[1]} spectra are given; leave rank out")
    return spectra, spectra.shape[1]


def _started(
    y: Tensor, camera: Patterns, rank: int, v: Tensor | None, method: str, bound: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Abundances and spectra, positive because zeros stay zeros; and those of the pure pixels.

    All measurements of a band are nearly as large, so that their likelihood is nearly the least
    squares of the picture. Its blocks are well conditioned, whereas a multiplicative update of A
    moves differences of pixels by a share of one over their number: it is left the last bit.
    """
    tiny = torch.finfo(y.dtype).tiny ** 0.5
    pixels = camera.pseudo_inverse(y)
    weights = y.mean(0).clamp_min(torch.finfo(y.dtype).eps * float(y.mean()) + tiny).rsqrt()
    if v is None:
        seen = pixels if method == "pinv" else reconstruct(y, camera, method)
        pure = snpa(seen.clamp_min(0).mT, rank).spectra
    else:
        pure = v
    regs = Box(0.0, math.inf if bound is None else bound), NonNegative()
    free = (0,) if v is not None else (0, 1)
    problem = Problem(weights * pixels, NMF(), Frobenius(), regs, free=free)
    factors = pixels.new_zeros(len(pixels), rank), weights[:, None] * pure
    step = Alternating(HALS(), inner=10).to(y.device)
    u, found = solve(step, problem, factors, max_iter=20, tol=0.0).factors
    found = pure if v is not None else found / weights[:, None]
    u, found = (x.clamp_min(1e-4 * x.mean().clamp_min(tiny)) for x in (u, found))
    u = u if bound is None else u.clamp_max(bound)
    return u.contiguous(), (found if v is None else v).contiguous(), pure


def _result(found: Solution, camera: Patterns, start: Tensor, rescale: bool) -> SinglePixel:
    u, v = found.factors
    if rescale:
        total = v.sum(0)
        alive = torch.where(total > 0, total, 1)
        u, v = u * alive, v / alive
    maps = u.mT.reshape(-1, *camera.shape)
    measured = plain(found.converged), plain(found.n_iter)
    return SinglePixel(maps, v, start, checks(found.history), *measured)
