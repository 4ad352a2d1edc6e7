"""Measurements of a single-pixel camera from a file, and what they show into files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..datasets.matrices import load_matrix
from ..operators import Patterns, SplitHadamard
from ..plots import save
from ..plots.singlepixel import band_pictures, unmixed_pictures
from .output import written_together
from .reconstruction import check_measurements
from .singlepixel import SinglePixel

FILES = ("singlepixel.npz", "singlepixel.png", "report.json")


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


def read_spectra(path: str | Path) -> Tensor:
    """Known spectra, (bands, r), from any file of a matrix: a column for each.

    Raises:
        FileNotFoundError, ValueError: as in `load_matrix`.
    """
    return torch.from_numpy(np.asarray(load_matrix(path), dtype=np.float64))


def report_of(found: SinglePixel) -> dict[str, Any]:
    """How the fit went, for the report."""
    last = found.history[-1]
    return {
        "objective": last.objective,
        "kkt": last.kkt,
        "iterations": found.n_iter,
        "converged": found.converged,
        "seconds": last.seconds,
    }


def write_singlepixel(
    pictures: Tensor,
    camera: Patterns,
    spectra: Tensor | None,
    out: str | Path,
    report: dict[str, Any],
) -> list[Path]:
    """Pictures, a figure, and a report; all of them or nothing.

    Args:
        pictures: (n, r) maps of the spectra; (n, bands) where there are none.
        camera: whose they are.
        spectra: (bands, r), or None.
        out: the folder.
        report: what was asked, and how it went.

    Returns:
        the files.
    """
    stack = pictures.mT.reshape(-1, *camera.shape).cpu().numpy()
    with written_together(out, FILES) as folder:
        if spectra is None:
            np.savez(folder / FILES[0], cube=np.moveaxis(stack, 0, -1))
            figure = band_pictures(stack)
        else:
            columns = spectra.cpu().numpy()
            np.savez(folder / FILES[0], maps=stack, spectra=columns)
            figure = unmixed_pictures(stack, columns)
        save(figure, folder / FILES[1])
        (folder / FILES[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return [Path(out) / name for name in FILES]
