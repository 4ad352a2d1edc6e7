"""Unmixing against the truth: aligned, scored, drawn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..applications import Unmixing
from ..applications.output import written_together
from ..datasets import HyperspectralImage, Truth
from ..metrics import (
    abundance_rmse,
    endmember_rmse,
    match,
    match_abundances,
    mrsa,
    relative_error,
    spectral_angle,
    sre,
)
from ..plots import abundance_overlay, maps_against_truth, pixels_on_image, save, spectra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    "spectra_truth.png",
    "abundances_truth.png",
    "overlay_truth.png",
    "pixels_truth.png",
    "scores.json",
)
"""What `UnmixingReport.write` may write."""


@dataclass(frozen=True)
class UnmixingReport:
    """Spectra and abundances in the order of the truth, and how far they are from it.

    Args:
        labels: the name of each true component that has an estimate.
        spectra: (bands, s) estimates.
        true_spectra: (bands, s).
        abundances: (pixels, s) estimates.
        true_abundances: (pixels, s), or None.
        order: (s,) which column of the estimate stands for each.
        scores: for each component ``sad`` (degrees), ``mrsa`` (0 to 100), ``endmember_rmse`` (in
            the unit of the true spectra) and, with true abundances, ``abundance_rmse`` (a fraction;
            some publish 100 times as much) and ``sre`` (dB), (s,) each.
        overall: numbers for the whole: the means of the scores, ``abundance_sre`` of all abundances
            together, and ``relative_error`` of the data, where they are known.
        image: for wavelengths and the places of pixels, or None.
        pixels: (s,) the pixel of each spectrum, where spectra were seen in pixels, or None.
        left_out: a sentence on components of one side without a partner, or "".
    """

    labels: tuple[str, ...]
    spectra: Tensor
    true_spectra: Tensor
    abundances: Tensor
    true_abundances: Tensor | None
    order: Tensor
    scores: dict[str, Tensor]
    overall: dict[str, float]
    image: HyperspectralImage | None = None
    pixels: Tensor | None = None
    left_out: str = ""

    def table(self) -> str:
        """The scores as text of at most 80 columns."""
        heads = {
            "sad": "SAD (deg)",
            "mrsa": "MRSA",
            "endmember_rmse": "eRMSE",
            "abundance_rmse": "aRMSE",
            "sre": "SRE (dB)",
        }
        names = [name for name in heads if name in self.scores]
        width = 78 - 11 * len(names)
        rule = "-" * (width + 11 * len(names))
        lines = [f"{'component':<{width}}" + "".join(f"{heads[n]:>11}" for n in names), rule]
        for k, label in enumerate(self.labels):
            shown = label if len(label) <= width - 1 else f"{label[: width - 2]}…"
            cells = [_cell(n, float(self.scores[n][k])) for n in names]
            lines.append(f"{shown:<{width}}" + "".join(f"{cell:>11}" for cell in cells))
        cells = [_cell(n, self.overall[n]) for n in names]
        lines += [rule, f"{'mean':<{width}}" + "".join(f"{cell:>11}" for cell in cells)]
        if "abundance_sre" in self.overall:
            lines.append(f"SRE of all abundances  {self.overall['abundance_sre']:.2f} dB")
        if "relative_error" in self.overall:
            lines.append(f"relative error         {100 * self.overall['relative_error']:.3f} %")
        return "\n".join([*lines, *([self.left_out] if self.left_out else [])])

    def plot_spectra(self) -> Figure:
        """Each estimate on the broad pale line of its truth."""
        image = self.image
        wavelengths, unit = (None, "") if image is None else (image.wavelengths, image.unit)
        title = f"Spectra, {self.overall['sad']:.2f} degrees from the truth on average"
        return spectra(self.spectra, wavelengths, unit, self.labels, self.true_spectra, title)

    def plot_maps(self) -> Figure | None:
        """Truth, estimate and difference of each map; None where there is no truth or no image."""
        if self.true_abundances is None or self.image is None:
            return None
        found, true = (self.image.maps(x) for x in (self.abundances, self.true_abundances))
        error = self.overall["abundance_rmse"]
        return maps_against_truth(found, true, self.labels, f"Abundances, RMSE {error:.3f}")

    def plot_overlay(self) -> Figure | None:
        """All abundances in one picture, in the colours of the spectra; None without an image."""
        if self.image is None:
            return None
        return abundance_overlay(
            self.image.maps(self.abundances), self.labels, "Abundances, overlaid"
        )

    def plot_pixels(self) -> Figure | None:
        """The pixels that spectra were seen in, on the brightness of the image; or None."""
        if self.image is None or self.pixels is None:
            return None
        grey = self.image.cube.mean(-1)
        return pixels_on_image(grey, self.pixels, self.labels, "Pixels of the endmembers")

    def write(self, out: str | Path) -> tuple[Path, ...]:
        """Write the figures and the scores, all of them or none.

        Args:
            out: a folder, made where it is missing.

        Returns:
            the paths written, among `FILES`.

        Raises:
            OSError: the folder cannot be written to.
        """
        plots = (self.plot_spectra, self.plot_maps, self.plot_overlay, self.plot_pixels)
        figures = {name: plot() for name, plot in zip(FILES, plots, strict=False)}
        drawn = {name: figure for name, figure in figures.items() if figure is not None}
        names = (*drawn, FILES[-1])
        with written_together(out, names) as folder:
            for name, figure in drawn.items():
                save(figure, folder / name)
            (folder / FILES[-1]).write_text(json.dumps(self.as_dict(), indent=2), "utf-8")
        return tuple(Path(out) / name for name in names)

    def as_dict(self) -> dict[str, Any]:
        """The scores as plain numbers."""
        each = {name: values.tolist() for name, values in self.scores.items()}
        return {"components": list(self.labels), **each, "overall": self.overall}


def report(
    result: Unmixing | tuple[Tensor, Tensor],
    truth: Truth | tuple[Tensor, Tensor | None],
    image: HyperspectralImage | None = None,
    *,
    by: str = "spectra",
    rescale: bool = True,
) -> UnmixingReport:
    """Align spectra and abundances with the truth and score them.

    Columns are matched by the assignment of least total spectral angle, or of least squared
    distance between abundances. A factorization fixes the scale of a spectrum only together with
    its abundances: each spectrum is multiplied by ``a_k = <w_k, w*_k> / <w_k, w_k>``, its
    abundances divided by it. Pixels with NaN on either side do not count.

    Args:
        result: what was found, or (W, H) with W (bands, r) and H (pixels, r).
        truth: a `Truth`, or (W, H) with H None where abundances are not known.
        image: of (W, H), for wavelengths and maps; an `Unmixing` brings its own.
        by: "spectra" or "abundances", what is matched.
        rescale: whether spectra are brought to the scale of the truth.

    Returns:
        an `UnmixingReport`: ``print(report(...).table())``.

    Raises:
        ValueError: shapes that do not fit, or another word than these two.

    References:
        | Rasti, Zouaoui, Mairal, Chanussot, Image processing and machine learning for hyperspectral
        | unmixing: an overview and the HySUPP Python package (2024)

    Example:
        >>> from rlra_torch.datasets import mixture
        >>> scene = mixture(m=30, n=48, rank=3)
        >>> W, H = 2 * scene.W[:, [1, 2, 0]], scene.H[:, [1, 2, 0]] / 2
        >>> found = report((W, H), (scene.W, scene.H))
        >>> found.order.tolist(), round(found.overall["sad"], 3), found.overall["abundance_rmse"]
        ([2, 0, 1], 0.0, 0.0)
    """
    if by not in ("spectra", "abundances"):
        raise ValueError(f"columns are matched by 'spectra' or 'abundances', not by {by!r}")
    pixels = None
    if isinstance(result, Unmixing):
        image, pixels = result.image, result.pixels
        result = (result.spectra * result.settings["scale"], result.abundances)
    W, H = (x.detach() for x in result)
    known = _known(truth, W, H)
    columns, partners, left_out = _paired(W, H, known, by)
    w, h = W[:, columns], H[:, columns]
    w_true = known.spectra[:, partners]
    h_true = None if known.abundances is None else known.abundances[:, partners]
    if rescale:
        energy = w.square().sum(0)
        scale = (w * w_true).sum(0) / torch.where(energy > 0, energy, 1)
        scale = torch.where(scale > 0, scale, 1)
        w, h = w * scale, h / scale
    scores = _scores(w, w_true, h, h_true)
    overall = {name: float(values.mean()) for name, values in scores.items()}
    if h_true is not None:
        seen = (h.isfinite() & h_true.isfinite()).all(1)
        overall["abundance_sre"] = float(sre(h[seen], h_true[seen]))
    if image is not None:
        seen = image.matrix.isfinite().all(0) & H.isfinite().all(1)
        overall["relative_error"] = float(relative_error(image.matrix[:, seen], W @ H[seen].mT))
    return UnmixingReport(
        labels=tuple(known.labels[k] for k in partners.tolist()),
        spectra=w,
        true_spectra=w_true,
        abundances=h,
        true_abundances=h_true,
        order=columns,
        scores=scores,
        overall=overall,
        image=image,
        pixels=None if pixels is None else pixels[columns],
        left_out=left_out,
    )


def _known(truth: Truth | tuple[Tensor, Tensor | None], W: Tensor, H: Tensor) -> Truth:
    """The truth beside the estimate, checked."""
    spectra, abundances = truth[0], truth[1]
    w, h = spectra.to(W), None if abundances is None else abundances.to(H)
    if isinstance(truth, Truth):
        labels = truth.labels
    else:
        labels = tuple(f"component {k + 1}" for k in range(w.shape[-1]))
    if w.ndim != 2 or len(w) != len(W) or W.ndim != 2:
        raise ValueError(
            f"spectra and true spectra need the same bands, got shapes {tuple(W.shape)} and "
            f"{tuple(w.shape)}"
        )
    if h is not None and (h.ndim != 2 or len(h) != len(H) or h.shape[1] != w.shape[1]):
        raise ValueError(
            f"true abundances have shape {tuple(h.shape)}, but {w.shape[1]} true spectra and "
            f"{len(H)} pixels need {(len(H), w.shape[1])}"
        )
    return Truth(w, h, labels)


def _paired(W: Tensor, H: Tensor, known: Truth, by: str) -> tuple[Tensor, Tensor, str]:
    """Columns of the estimate, those of the truth that they stand for, and who has no partner."""
    x, true, pair = W, known.spectra, match
    if by == "abundances":
        if known.abundances is None:
            raise ValueError("the truth has no abundances to match by; match by 'spectra'")
        seen = (H.isfinite().all(1) & known.abundances.isfinite().all(1)).nonzero().flatten()
        x, true, pair = H[seen], known.abundances[seen], match_abundances
    r, s = x.shape[1], true.shape[1]
    if r >= s:
        left = f"{r - s} of the {r} estimated components stand for no true one." if r > s else ""
        return pair(x, true), torch.arange(s, device=x.device), left
    partners = pair(true, x)
    order = partners.argsort()
    left = f"{s - r} of the {s} true components have no estimate."
    return order, partners[order], left


def _scores(w: Tensor, w_true: Tensor, h: Tensor, h_true: Tensor | None) -> dict[str, Tensor]:
    scores = {
        "sad": spectral_angle(w, w_true),
        "mrsa": mrsa(w, w_true),
        "endmember_rmse": endmember_rmse(w, w_true),
    }
    if h_true is None:
        return scores
    seen = (h.isfinite() & h_true.isfinite()).all(1)
    h, h_true = h[seen], h_true[seen]
    return {
        **scores,
        "abundance_rmse": abundance_rmse(h, h_true),
        "sre": sre(h.mT, h_true.mT, order=1),
    }


def _cell(name: str, value: float) -> str:
    return f"{value:.2f}" if name in ("sad", "mrsa", "sre") else f"{value:.4g}"
