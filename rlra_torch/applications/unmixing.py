"""Spectral unmixing: what materials a hyperspectral image shows, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..datasets import HyperspectralImage
from ..estimators import Factorization, iteration_named, loss_named, nmf
from ..losses import BetaDivergence, Loss
from ..models import NMF
from ..plots import abundance_maps, convergence, save, spectra
from ..problem import Problem
from ..regularizers import NonNegative
from ..solvers.solve import Callback
from .output import written_together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = ("spectra.png", "abundances.png", "convergence.png", "factors.npz")
"""What `Unmixing.write` writes."""

LABELS = {
    "active_set": "active set",
    "als": "ALS",
    "amu": "accelerated MU",
    "burg": "Burg",
    "ccd": "CCD",
    "fista": "FISTA",
    "hals": "HALS",
    "joint": "joint MM",
    "msom": "mSOM",
    "mu": "MU",
    "newton": "Newton",
    "pg": "PG",
    "sn": "scalar Newton",
}
"""How tables and figures write the short names of methods."""

# Of MU, from which mSOM converges for losses that are not quadratic.
WARM_STEPS = 20


@dataclass(frozen=True)
class Unmixing:
    """Endmembers and abundances of an image, and the fits that they were chosen from.

    ``image.scaled().matrix ~ spectra @ abundances.mT``. Components are sorted by their energy
    ``||w_k|| ||h_k||``, largest first; the largest abundance of each is 1, and its spectrum carries
    the scale: it is what the pixel richest in the component owes to it, as a fraction of the
    largest value of the image. Abundances need not sum to one.

    Args:
        image: what was unmixed, as it was given.
        spectra: (bands, r) of the best fit.
        abundances: (pixels, r) of the best fit, pixels row by row.
        fits: every method's own factorization of the scaled image, under its short name.
        best: the method with the lowest objective.
        settings: what was asked for, as plain numbers and strings.
    """

    image: HyperspectralImage
    spectra: Tensor
    abundances: Tensor
    fits: dict[str, Factorization]
    best: str
    settings: dict[str, Any]

    @property
    def maps(self) -> Tensor:
        """(r, rows, cols) the abundances as images."""
        return self.image.maps(self.abundances)

    @property
    def relative_error(self) -> float:
        """``||Y - W H^T|| / ||Y||`` of the best fit."""
        return self.fits[self.best].relative_error

    @property
    def report(self) -> dict[str, dict[str, Any]]:
        """How each method did, as plain numbers under its short name.

        Seconds are wall-clock time from the common start on, checks included.
        """
        return {
            method: {
                "seconds": fit.seconds,
                "objective": fit.objective,
                "relative_error": fit.relative_error,
                "kkt": fit.kkt,
                "iterations": fit.n_iter,
                "converged": fit.converged,
            }
            for method, fit in self.fits.items()
        }

    def plot_spectra(self) -> Figure:
        """The endmembers over the wavelength."""
        return spectra(
            self.spectra,
            self.image.wavelengths,
            self.image.unit,
            title=self._title("endmember spectra"),
        )

    def plot_maps(self) -> Figure:
        """The abundances, one picture a component, from 0 to 1."""
        return abundance_maps(self.maps, title=self._title("abundances"), limits=(0, 1))

    def plot_convergence(self) -> Figure:
        """Gap to the lowest objective and KKT residual of every method over its seconds."""
        histories = [fit.history for fit in self.fits.values()]
        return convergence(
            {LABELS.get(name, name): fit.history for name, fit in self.fits.items()},
            x="seconds",
            title=self._title("convergence"),
            offset=min(check.objective for history in histories for check in history),
            tol=self.settings["tol"] or None,
        )

    def write(self, out: str | Path) -> tuple[Path, ...]:
        """Write three figures and the factors, all of them or, on failure, none.

        ``factors.npz`` holds ``spectra`` (bands, r), ``abundances`` (pixels, r), ``shape`` (rows,
        cols, bands), ``wavelengths`` (bands,) where they are known, for each method
        ``history_<method>`` (checks, 4) with columns iteration, seconds, objective and KKT
        residual, and ``settings``, a JSON text that has the report of each method too.

        Args:
            out: a folder, made where it is missing; files of other names in it stay.

        Returns:
            the paths written, in the order of `FILES`.

        Raises:
            OSError: the folder cannot be written to.
        """
        figures = (self.plot_spectra(), self.plot_maps(), self.plot_convergence())
        with written_together(out, FILES) as folder:
            for figure, name in zip(figures, FILES, strict=False):
                save(figure, folder / name)
            self._save_factors(folder / FILES[-1])
        return tuple(Path(out) / name for name in FILES)

    def _title(self, what: str) -> str:
        return f"{self.image.name}: {what}" if self.image.name else what

    def _save_factors(self, path: Path) -> None:
        settings = {
            **self.settings,
            "image": self.image.name,
            "wavelength_unit": self.image.unit,
            "best": self.best,
            "methods": self.report,
        }
        arrays = {f"history_{name}": np.array(fit.history) for name, fit in self.fits.items()}
        if self.image.wavelengths is not None:
            arrays["wavelengths"] = self.image.wavelengths.cpu().numpy()
        np.savez(
            path,
            allow_pickle=False,
            spectra=self.spectra.cpu().numpy(),
            abundances=self.abundances.cpu().numpy(),
            shape=np.array(self.image.shape),
            settings=np.array(json.dumps(settings)),
            **arrays,
        )


def unmix(
    image: HyperspectralImage,
    rank: int,
    method: str | Sequence[str] | None = None,
    loss: str | float | Loss = "frobenius",
    *,
    init: str = "nndsvda",
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Callable[[str], Sequence[Callback]] = lambda method: (),
) -> Unmixing:
    """Unmix an image by several methods from one start, and keep the best.

    ``min over W, H >= 0 of loss(W H^T, Y)``, with Y (bands, pixels) the image divided by its
    largest value, W the spectra and H the abundances. For other losses than Frobenius the common
    start is reached by 20 steps of MU, because mSOM converges from near only.

    Args:
        image: what to unmix; its device and dtype are those of the computation.
        rank: the number of components.
        method: one short name or several, as in `nmf`; None: "hals", "msom" and "mu" for Frobenius,
            "msom" and "mu" for other losses.
        loss: "frobenius", "kl", "is", a real beta, or a `Loss`.
        init: "random", "nndsvd", "nndsvda", "nndsvdar", "spa", "snpa", "xray" or "vca".
        max_iter: the largest number of iterations of each method.
        tol: on the scale-free KKT residual.
        check_every: iterations between two checks.
        seed: of the random starts.
        callbacks: called with the short name of each method, gives what watches its solve.

    Returns:
        an `Unmixing`.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any iteration.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.1

    Example:
        >>> from rlra_torch.datasets import mixture
        >>> scene = mixture(m=30, n=48, rank=3)
        >>> image = HyperspectralImage(scene.Y.mT.reshape(6, 8, 30))
        >>> result = unmix(image, rank=3, method=["hals", "mu"])
        >>> sorted(result.fits), tuple(result.maps.shape), result.relative_error < 0.01
        (['hals', 'mu'], (3, 6, 8), True)
    """
    loss = loss_named(loss)
    methods = _methods(method, loss)
    bad = image.cube.numel() - int(image.cube.isfinite().sum())
    if bad:
        raise ValueError(f"the image has {bad} values that are not finite; replace them first")
    y = image.scaled().matrix.contiguous()
    problem = Problem(y, NMF(), loss, (NonNegative(), NonNegative()))
    for name in methods:
        iteration_named(name, loss).check(problem)
    stops = {"max_iter": max_iter, "tol": tol, "check_every": check_every}
    fits = _fits(y, rank, methods, loss, init, seed, stops, callbacks)
    best = min(fits, key=lambda name: fits[name].objective)
    settings = {
        "rank": rank,
        "loss": repr(loss) if type(loss) is BetaDivergence else type(loss).__name__,
        "init": init,
        "seed": seed,
        **stops,
        "scale": float(image.cube.max()),
        "dtype": str(y.dtype).removeprefix("torch."),
        "device": str(y.device),
    }
    W, H = normalized(*fits[best].factors)
    return Unmixing(image, W, H, fits, best, settings)


def normalized(W: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
    """The same product with columns of H of maximum 1, sorted by energy, largest first.

    Args:
        W: (*, m, r), nonnegative.
        H: (*, n, r), nonnegative; a column that is zero stays so.

    Returns:
        W and H.

    Example:
        >>> import torch
        >>> W, H = normalized(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 4.0], [1.0, 0.0]]))
        >>> W.tolist(), H.tolist()
        ([[12.0, 2.0]], [[1.0, 1.0], [0.0, 0.5]])
    """
    largest = H.amax(-2, keepdim=True)
    alive = largest > 0
    W, H = W * largest, H / largest.where(alive, 1)
    energy = W.square().sum(-2, keepdim=True) * H.square().sum(-2, keepdim=True)
    order = energy.argsort(dim=-1, descending=True, stable=True)
    return W.take_along_dim(order, -1), H.take_along_dim(order, -1)


def _fits(
    y: Tensor,
    rank: int,
    methods: Sequence[str],
    loss: Loss,
    start: Any,  # noqa: ANN401
    seed: int,
    stops: dict[str, Any],
    callbacks: Callable[[str], Sequence[Callback]],
) -> dict[str, Factorization]:
    """One fit for each method, all from the same start."""

    def fit(name: str, most: int, watched: Sequence[Callback] = ()) -> Factorization:
        few = {**stops, "max_iter": min(stops["max_iter"], most)}
        return nmf(y, rank, loss, name, init=start, seed=seed, callbacks=watched, **few)

    if not loss.quadratic:
        start = fit("mu", WARM_STEPS).factors
    for name in methods:
        # Thrown away: what the first call of an operator costs belongs to no method's clock.
        fit(name, 1)
    return {name: fit(name, stops["max_iter"], callbacks(name)) for name in methods}


def _methods(method: str | Sequence[str] | None, loss: Loss) -> list[str]:
    if method is None:
        return ["hals", "msom", "mu"] if loss.quadratic else ["msom", "mu"]
    names = [method] if isinstance(method, str) else list(dict.fromkeys(method))
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"method is a short name or several, such as 'hals', got {method!r}")
    return names
