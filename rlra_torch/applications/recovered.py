"""What is written of a recovered image: spectra and maps, a figure, and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..operators import RandomPhase
from ..plots import abundance_maps, save
from .output import written_together
from .recovery import Recovery

FILES = ("recovery.npz", "recovery.png", "report.json")


def write_recovery(
    fit: Recovery,
    cube: Tensor,
    y: Tensor,
    operator: RandomPhase,
    out: str | Path,
    settings: dict[str, Any],
) -> tuple[dict[str, Any], list[Path]]:
    """Spectra and maps, a figure of the middle band, and a report; all of them or nothing.

    Args:
        fit: what was recovered.
        cube: (rows, cols, bands) the truth.
        y, operator: the samples, and what took them.
        out: the folder.
        settings: what it was asked with, for the report.

    Returns:
        the report, and the files.
    """
    error = float((fit.cube - cube).norm() / cube.norm())
    report = {
        **settings,
        "shape": list(cube.shape),
        "relative_error": error,
        "kkt": fit.kkt,
        "iterations": fit.n_iter,
        "seconds": fit.seconds,
    }
    with written_together(out, FILES) as folder:
        np.savez(folder / FILES[0], spectra=fit.spectra.cpu(), maps=fit.maps.cpu())
        save(recovery_figure(fit, cube, y, operator), folder / FILES[1])
        (folder / FILES[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report, [Path(out) / name for name in FILES]


def recovery_figure(fit: Recovery, cube: Tensor, y: Tensor, operator: RandomPhase):  # noqa: ANN201
    """One band: the truth, what the adjoint makes of the samples, and what was recovered."""
    band = cube.shape[-1] // 2
    back = (operator.ratio * operator.adjoint(y))[band].unflatten(-1, operator.shape)
    images = torch.stack([cube[..., band], back, fit.cube[..., band]]).cpu()
    low, high = float(images[0].min()), float(images[0].max())
    error = float((fit.cube - cube).norm() / cube.norm())
    return abundance_maps(
        images,
        ["true", "from the adjoint", "recovered"],
        f"Band {band + 1}, 1 sample in {operator.ratio:g}: relative error {error:.3f}",
        (low, high if high > low else low + 1),
        quantity="intensity",
    )
