"""What unmixing found: endmembers and abundance maps, and the files they are written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..datasets import HyperspectralImage, write_abundances
from ..plots import (
    abundance_maps,
    abundance_overlay,
    convergence,
    pixels_on_image,
    save,
    spectra,
)
from .methods import METHODS, Fit
from .output import written_together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    "spectra.png",
    "abundances.png",
    "overlay.png",
    "convergence.png",
    "pixels.png",
    "abundances.hdr",
    "abundances.img",
    "factors.npz",
)
"""What `Unmixing.write` may write."""
# Values of an image up to which it is kept beside its factors, for the spectrum of each pixel.
MEASURED = 2**25


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
        abundances: (pixels, r) of the best fit, pixels row by row; NaN where nothing was seen.
        fits: how each method did, under its short name, on the pixels that were seen.
        best: the method with the lowest objective.
        settings: what was asked for, as plain numbers and strings.
        labels: the name of each component where it is a known material or region, or None.
        pixels: (r,) the pixel, row by row, that each spectrum was seen in, -1 for none; or None.
    """

    image: HyperspectralImage
    spectra: Tensor
    abundances: Tensor
    fits: dict[str, Fit]
    best: str
    settings: dict[str, Any]
    labels: tuple[str, ...] | None = None
    pixels: Tensor | None = None

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

        Seconds are wall-clock time, of iterative methods from the common start on, checks included.
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
            self.labels,
            title=self._title("endmember spectra"),
        )

    def plot_maps(self) -> Figure:
        """The abundances, one picture a component, from 0 to 1."""
        title = self._title("abundances")
        return abundance_maps(self.maps, self.labels, title=title, limits=(0, 1))

    def plot_overlay(self) -> Figure:
        """All abundances in one picture, in the colours of the spectra."""
        return abundance_overlay(self.maps, self.labels, self._title("abundances, overlaid"))

    def plot_pixels(self) -> Figure | None:
        """The pixels that the spectra were seen in, on the brightness of the image; or None."""
        if self.pixels is None:
            return None
        title = self._title("pixels of the endmembers")
        return pixels_on_image(self.image.cube.mean(-1), self.pixels, self.labels, title)

    def plot_convergence(self) -> Figure | None:
        """Gap to the lowest objective and KKT residual of iterative methods over seconds; or None.

        None where there was no iterative method.
        """
        curves = {METHODS[m].label: fit.history for m, fit in self.fits.items() if fit.history}
        if not curves:
            return None
        return convergence(
            curves,
            x="seconds",
            title=self._title("convergence"),
            offset=min(check.objective for history in curves.values() for check in history),
            tol=self.settings["tol"] or None,
        )

    def write(self, out: str | Path, envi: bool = False) -> tuple[Path, ...]:
        """Write the figures and the factors, all of them or, on failure, none.

        ``factors.npz`` holds ``spectra`` (bands, r), ``abundances`` (pixels, r), ``shape`` (rows,
        cols, bands), where they are known ``wavelengths`` (bands,), ``labels`` (r,) and ``pixels``
        (r,), for each iterative method ``history_<method>`` (checks, 4) with columns iteration,
        seconds, objective and KKT residual, and ``settings``, a JSON text that has the report of
        each method too.

        Args:
            out: a folder, made where it is missing; files of other names in it stay.
            envi: whether to write the maps as an ENVI image too.

        Returns:
            the paths written, in the order of `FILES`.

        Raises:
            OSError: the folder cannot be written to.
            ImportError: ENVI was asked for and the spectral package is missing.
        """
        figures = {
            "spectra.png": self.plot_spectra(),
            "abundances.png": self.plot_maps(),
            "overlay.png": self.plot_overlay(),
            "convergence.png": self.plot_convergence(),
            "pixels.png": self.plot_pixels(),
        }
        drawn = {name: figure for name, figure in figures.items() if figure is not None}
        cubes = ("abundances.hdr", "abundances.img") if envi else ()
        names = (*drawn, *cubes, FILES[-1])
        with written_together(out, names) as folder:
            for name, figure in drawn.items():
                save(figure, folder / name)
            if envi:
                labels = self.labels or [f"component {k + 1}" for k in range(len(self.maps))]
                write_abundances(folder / "abundances.hdr", self.maps, labels)
            self._save_factors(folder / FILES[-1])
        return tuple(Path(out) / name for name in names)

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
        arrays = {
            f"history_{m}": np.array(fit.history) for m, fit in self.fits.items() if fit.history
        }
        if self.image.wavelengths is not None:
            arrays["wavelengths"] = self.image.wavelengths.cpu().numpy()
        if self.labels is not None:
            arrays["labels"] = np.array(self.labels)
        if self.image.cube.numel() <= MEASURED:
            pixels = self.image.matrix.mT / self.settings["scale"]
            arrays["measured"] = pixels.cpu().numpy().astype(np.float16)
        if self.pixels is not None:
            arrays["pixels"] = self.pixels.cpu().numpy()
        np.savez(
            path,
            allow_pickle=False,
            spectra=self.spectra.cpu().numpy(),
            abundances=self.abundances.cpu().numpy(),
            shape=np.array(self.image.shape),
            settings=np.array(json.dumps(settings)),
            **arrays,
        )
