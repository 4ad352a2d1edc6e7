"""Segment the movie in a file: regions, spike trains, and a figure of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..estimators import Segmentation
from ..plots import save
from ..plots.segmentation import segmentation
from .output import written_together

FILES = ("segmentation.npz", "segmentation.png", "report.json")


def read_movie(path: str | Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A movie from a file, (frames, rows, cols).

    Args:
        path: .npy, or .tif or .tiff with a page a frame, read by Pillow.
        dtype: what it is read as.

    Raises:
        ValueError: another ending, or another number of dimensions.
        FileNotFoundError: there is no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/movie.npy", np.ones((4, 2, 3)))
        ...     read_movie(f"{folder}/movie.npy").shape
        torch.Size([4, 2, 3])
    """
    path = Path(path)
    if path.suffix not in (".npy", ".tif", ".tiff"):
        raise ValueError(f"movies are read from .npy, .tif or .tiff, got '{path.name}'")
    if not path.is_file():
        raise FileNotFoundError(f"no file at '{path}'")
    frames = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _pages(path)
    if frames.ndim != 3:
        raise ValueError(f"a movie is (frames, rows, cols), got shape {frames.shape}")
    # Unsigned integers of more than one byte are not known to all of torch.
    real = np.ascontiguousarray(frames, np.float64 if dtype == torch.float64 else np.float32)
    return torch.from_numpy(real).to(dtype)


def _pages(path: Path) -> np.ndarray:
    # It comes with matplotlib, which draws the figure.
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        return np.stack([np.array(page) for page in ImageSequence.Iterator(image)])


def write_segmentation(
    fit: Segmentation, movie: torch.Tensor, out: str | Path, settings: dict[str, Any]
) -> list[Path]:
    """Regions and spike trains, a figure, and a report; all of them or nothing.

    Args:
        fit: what was found.
        movie: the data.
        out: the folder.
        settings: what it was asked with, for the report.

    Returns:
        the files.
    """
    report = {
        **settings,
        "shape": list(movie.shape),
        "regions": len(fit.footprints),
        "columns": fit.columns,
        "noise": fit.noise,
        "events": [times.tolist() for times in fit.events()],
        "kkt": fit.kkt,
        "iterations": fit.n_iter,
        "converged": fit.converged,
    }
    arrays = {
        name: torch.as_tensor(getattr(fit, name)).cpu().numpy()
        for name in ("footprints", "spikes", "labels")
    }
    with written_together(out, FILES) as folder:
        np.savez_compressed(folder / FILES[0], allow_pickle=False, **arrays)
        mean = movie.mean(0).cpu().numpy()
        figure = segmentation(mean, arrays["labels"], arrays["spikes"])
        save(figure, folder / FILES[1])
        (folder / FILES[2]).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return [Path(out) / name for name in FILES]
