"""Single-pixel imaging: what spectra the measurements show, and where."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..estimators.results import checks, plain
from ..iterations import MU, Alternating
from ..losses import KullbackLeibler
from ..models import NMF, Sensed
from ..operators import Patterns, SplitHadamard
from ..plots import save
from ..plots.singlepixel import unmixed_pictures
from ..problem import Problem
from ..regularizers import ElasticNet
from ..separable import snpa
from ..solvers import Solution, solve
from .output import written_together
from .reconstruction import check_measurements, reconstruct

FILES = ("singlepixel.npz", "singlepixel.png", "report.json")


@dataclass(frozen=True)
class SinglePixel:
    """A picture of each component and its spectrum.

    Args:
        maps: (r, rows, cols) abundances.
        spectra: (bands, r), of sum one where neither they nor a bound were given.
        start: the spectra that it began with.
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

    by alternating multiplicative updates, which never go up. They begin with a reconstruction, band
    by band, and the pixels that SNPA takes for pure. With known spectra V stays as given.

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
    u, v = _started(y, camera, rank, v, start, bound)
    upper = math.inf if bound is None else bound
    regs = ElasticNet(l1, lower=0.0, upper=upper), ElasticNet(l1, lower=0.0)
    free = (0, 1) if spectra is None else (0,)
    model = Sensed(NMF(), camera)
    problem = Problem(y, model, KullbackLeibler(), tuple(r.to(y.device) for r in regs), free=free)
    step = Alternating(MU(), inner=inner).to(y.device)
    found = solve(step, problem, (u, v), max_iter=max_iter, tol=tol)
    return _result(found, camera, v, rescale=spectra is None and bound is None)


def _known(y: Tensor, rank: int | None, spectra: Tensor | None) -> tuple[Tensor | None, int]:
    if spectra is None:
        if rank is None or not 1 <= rank <= y.shape[1]:
            raise ValueError(f"rank is from 1 to {y.shape[1]}, the number of bands, got {rank}")
        return None, rank
    if spectra.ndim != 2 or len(spectra) != y.shape[1]:
        raise ValueError(
            f"spectra have shape {tuple(spectra.shape)} but the measurements have {y.shape[1]} "
            f"bands; give ({y.shape[1]}, r)"
        )
    if rank is not None and rank != spectra.shape[1]:
        raise ValueError(f"rank is {rank} but {spectra.shape[1]} spectra are given; leave rank out")
    return spectra.to(y), spectra.shape[1]


def _started(
    y: Tensor, camera: Patterns, rank: int, v: Tensor | None, method: str, bound: float | None
) -> tuple[Tensor, Tensor]:
    """Abundances and spectra, positive because zeros stay zeros."""
    tiny = torch.finfo(y.dtype).tiny ** 0.5
    if v is not None:
        total = reconstruct(y, camera, "pinv").mean().clamp_min(tiny)
        u = (total / v.mean().clamp_min(tiny)).expand(camera.pixels, rank) / rank
        return (u if bound is None else u.clamp_max(bound)).contiguous(), v
    pixels = reconstruct(y, camera, method).clamp_min(0)
    found = snpa(pixels.mT, rank)
    u, v = found.abundances, found.spectra
    u, v = (x.clamp_min(1e-4 * x.mean().clamp_min(tiny)) for x in (u, v))
    return (u if bound is None else u.clamp_max(bound)).contiguous(), v.contiguous()


def _result(found: Solution, camera: Patterns, start: Tensor, rescale: bool) -> SinglePixel:
    u, v = found.factors
    if rescale:
        total = v.sum(0)
        alive = torch.where(total > 0, total, 1)
        u, v = u * alive, v / alive
    maps = u.mT.reshape(-1, *camera.shape)
    measured = plain(found.converged), plain(found.n_iter)
    return SinglePixel(maps, v, start, checks(found.history), *measured)


def counts_of(y: Tensor, camera: SplitHadamard, gain: float = 1.0, pairs: bool = False) -> Tensor:
    """Measurements from the counts of a file.

    Args:
        y: (m,) or (m, bands) counts; or (2 k, bands) where ``pairs``.
        camera: the patterns.
        gain: counts per unit.
        pairs: whether each pattern is followed by its negative; the count of the pattern of zeros,
            the dark current, is then taken off, and what falls below zero set to zero.

    Raises:
        ValueError: a gain that is not positive, or what does not fit the camera.

    Example:
        >>> counts_of(torch.tensor([9.0, 1.0, 5.0, 5.0]), SplitHadamard((2,)), 2.0, True).flatten()
        tensor([4., 2., 2.])
    """
    if not gain > 0:
        raise ValueError(f"the gain is positive, got {gain}")
    y = y[:, None] if y.ndim == 1 else y
    if pairs:
        if bool((y < 0).any()):
            raise ValueError(f"{int((y < 0).sum())} of {y.numel()} counts are negative")
        y, dark = camera.from_pairs(y)
        y = (y - dark).clamp_min(0)
    check_measurements(y, camera, nonnegative=True)
    return y / gain


def write_singlepixel(found: SinglePixel, out: str | Path, settings: dict[str, Any]) -> list[Path]:
    """Maps and spectra, a figure, and a report; all of them or nothing.

    Args:
        found: what was found.
        out: the folder.
        settings: what it was asked with, for the report.

    Returns:
        the files.
    """
    last = found.history[-1]
    report = {
        **settings,
        "objective": last.objective,
        "kkt": last.kkt,
        "iterations": found.n_iter,
        "converged": found.converged,
        "seconds": last.seconds,
    }
    maps, spectra = (x.cpu().numpy() for x in (found.maps, found.spectra))
    with written_together(out, FILES) as folder:
        np.savez(folder / FILES[0], maps=maps, spectra=spectra)
        save(unmixed_pictures(found.maps, found.spectra), folder / FILES[1])
        (folder / FILES[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return [Path(out) / name for name in FILES]
