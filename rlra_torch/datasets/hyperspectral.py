"""Hyperspectral images: one record, and one function that reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlra_torch.datasets.contents import Contents
from rlra_torch.datasets.readers import READERS


@dataclass(frozen=True)
class HyperspectralImage:
    """A hyperspectral image and what is known of it.

    Args:
        cube: Intensities, (rows, cols, bands); NaN in all bands of a pixel that was not seen.
        wavelengths: Band centres, (bands,), where they are known.
        unit: Unit of the wavelengths, ``"nm"`` or ``"um"``; empty where it is not known.
        name: Where the image comes from.
        labels: Class of each pixel, (rows, cols), 0 for unlabelled, where they are known.

    Raises:
        ValueError: The parts do not fit together.

    Example:
        >>> image = HyperspectralImage(torch.arange(12.0).reshape(1, 4, 3))
        >>> image.shape, tuple(image.matrix.shape)
        ((1, 4, 3), (3, 4))
        >>> image.scaled().cube.max().item()
        1.0
    """

    cube: Tensor
    wavelengths: Tensor | None = None
    unit: str = ""
    name: str = ""
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.cube.ndim != 3 or self.cube.numel() == 0:
            raise ValueError(
                f"an image is (rows, cols, bands), not empty, but the shape is {self.shape}"
            )
        if self.wavelengths is not None and self.wavelengths.shape != self.cube.shape[2:]:
            raise ValueError(
                f"{self.shape[2]} bands need as many wavelengths, but their shape is "
                f"{tuple(self.wavelengths.shape)}"
            )
        if self.labels is not None and self.labels.shape != self.cube.shape[:2]:
            raise ValueError(
                f"the labels of {self.shape[0]} x {self.shape[1]} pixels have this shape, "
                f"not {tuple(self.labels.shape)}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of rows, columns and bands."""
        return tuple(self.cube.shape)

    @property
    def seen(self) -> Tensor:
        """(rows, cols) of bool: the pixels that have a value in some band."""
        return ~self.cube.isnan().all(-1)

    @property
    def matrix(self) -> Tensor:
        """The (bands, pixels) matrix; pixels are read row by row."""
        return self.cube.flatten(0, 1).mT

    def maps(self, H: Tensor) -> Tensor:
        """Lay the columns of an abundance matrix out as images.

        Args:
            H: Abundances, (*, pixels, r), pixels in the order of ``matrix``.

        Returns:
            One map an endmember, (*, r, rows, cols).

        Raises:
            ValueError: H does not have one row a pixel.
        """
        rows, cols = self.shape[:2]
        if H.ndim < 2 or H.shape[-2] != rows * cols:
            raise ValueError(
                f"maps of {rows} x {cols} pixels need abundances of shape ({rows * cols}, r), "
                f"not {tuple(H.shape)}"
            )
        return H.mT.unflatten(-1, (rows, cols))

    def scaled(self) -> HyperspectralImage:
        """The image divided by its largest value, that of the pixels that were seen.

        Raises:
            ValueError: No value is positive.
        """
        seen = self.seen
        largest = self.cube[seen].max() if bool(seen.any()) else self.cube.new_zeros(())
        if not largest > 0:
            raise ValueError("an image without a positive value cannot be scaled to maximum one")
        return replace(self, cube=self.cube / largest)


def load_image(
    source: str | os.PathLike[str],
    variable: str | None = None,
    clip_negative: bool = False,
    dtype: torch.dtype = torch.float32,
) -> HyperspectralImage:
    """Read a hyperspectral image.

    Values come as stored: nothing is scaled (see ``HyperspectralImage.scaled``), except by the
    scale factor that an ENVI header declares. Bands that it declares bad are left out; pixels with
    the value that it says to ignore, or with NaN in an ENVI image, are NaN in all bands.

    Args:
        source: ``"indian_pines"`` (it comes with TensorLy; wavelengths in nm as recorded there,
            which overlap between spectrometers; two that are out of line are interpolated), or the
            path of an array of rows × cols × bands in a ``.npy`` file, a ``.mat`` file, or an ENVI
            ``.hdr`` file beside its data.
        variable: Which variable of a ``.mat`` file; not needed where only one is 3-D.
        clip_negative: Set negative values to zero instead of refusing them.
        dtype: Floating-point type of the cube.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, is not 3-D and real, or has values that are negative
            or not finite.
        TypeError: ``dtype`` is not a floating-point type.
        ImportError: A package that this kind of file needs is not installed.

    Example:
        >>> pines = load_image("indian_pines")
        >>> pines.shape, tuple(pines.matrix.shape), pines.unit
        ((145, 145, 200), (200, 21025), 'nm')
    """
    if not dtype.is_floating_point:
        raise TypeError(f"an image needs a floating-point dtype, not {dtype}")
    if source == "indian_pines":
        name, contents = "indian_pines", _indian_pines(variable)
    else:
        path = _existing(Path(source))
        name, contents = path.name, READERS[path.suffix.lower()](path, variable)
    cube = _checked(contents, name, clip_negative, dtype)
    wavelengths, labels = contents.wavelengths, contents.labels
    return HyperspectralImage(
        cube=cube,
        wavelengths=None if wavelengths is None else torch.tensor(wavelengths, dtype=dtype),
        unit=contents.unit,
        name=name,
        labels=None if labels is None else torch.from_numpy(labels.astype(np.int64)),
    )


def _indian_pines(variable: str | None) -> Contents:
    if variable is not None:
        raise ValueError("indian_pines has no variables to choose from; leave variable out")
    from tensorly.datasets import load_indian_pines

    bunch = load_indian_pines()
    labels, wavelengths = bunch.ticks[0], np.array(bunch.ticks[1], dtype=float)
    before, after = wavelengths[169], wavelengths[172]
    # Recorded as 2260.22 and 2270.15 between 2202.30 and 2232.07, on a grid of 9.9 nm.
    if wavelengths[170] > after:
        wavelengths[170:172] = before + (after - before) * np.array([1, 2]) / 3
    return Contents(np.asarray(bunch.tensor), wavelengths.tolist(), "nm", np.asarray(labels))


def _existing(path: Path) -> Path:
    known = ", ".join(sorted(READERS))
    if path.suffix.lower() not in READERS:
        raise ValueError(
            f"'{path}' is not an image that can be read; give 'indian_pines' or a file that ends "
            f"in one of {known}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'; check the path")
    return path


def _checked(contents: Contents, name: str, clip: bool, dtype: torch.dtype) -> Tensor:
    """A tensor of the array, or one sentence on what is wrong with its values."""
    cube = _numbers(contents.array, name).to(dtype)
    if contents.missing is None or not contents.missing.any():
        return _in_range(cube, name, clip)
    if contents.missing.all():
        raise ValueError(
            f"each pixel of {name} misses a value in some band; declare such bands bad in the bbl "
            "entry of the header"
        )
    missing = torch.from_numpy(contents.missing)[..., None]
    return _in_range(cube.masked_fill(missing, 0), name, clip).masked_fill(missing, torch.nan)


def _numbers(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind not in "uif":
        kind = "complex" if array.dtype.kind == "c" else f"of type {array.dtype}"
        raise ValueError(f"the values of {name} are {kind}, but an image holds real numbers")
    if array.ndim != 3 or array.size == 0:
        raise ValueError(
            f"{name} has shape {array.shape}, but an image is a 3-D array of rows x cols x bands, "
            f"not empty; reshape it and save it as .npy"
        )
    # Torch knows neither foreign byte orders nor read-only buffers.
    native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(native)


def _in_range(cube: Tensor, name: str, clip: bool) -> Tensor:
    bad = ~cube.isfinite()
    if bad.any():
        nans = int(cube.isnan().sum())
        row, col, band = (int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"{name} has {nans} NaN and {int(bad.sum()) - nans} infinite values in {cube.dtype}, "
            f"the first at row {row}, column {col}, band {band}; replace them first"
        )
    if clip:
        return cube.clamp(min=0)
    negative = int((cube < 0).sum())
    if negative:
        raise ValueError(
            f"{name} has {negative} negative values (the least is {cube.min().item():g}); "
            f"pass clip_negative=True to set them to zero"
        )
    return cube
