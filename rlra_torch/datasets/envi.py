"""ENVI files: images, libraries of spectra, and abundance maps to be looked at elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlra_torch.datasets.contents import Contents

if TYPE_CHECKING:
    from torch import Tensor


class Header(NamedTuple):
    """What a header says of the values.

    Args:
        good: (bands,) of bool, the bands that are not declared bad.
        scale: what values are divided by.
        ignore: the stored value that stands for none, or None.
        wavelengths: (bands,), or None.
        unit: "nm", "um" or "".
    """

    good: np.ndarray
    scale: float
    ignore: float | None
    wavelengths: np.ndarray | None
    unit: str


def read_envi(path: Path, variable: str | None) -> Contents:
    """Read an ENVI image: scaled by the factor in its header, without the bands declared bad.

    Pixels with NaN, or with the value that the header says to ignore, are marked as missing.
    """
    if variable is not None:
        raise ValueError(
            f"only .mat files have variables, and {path.name} is none; leave variable out"
        )
    envi, errors = _spectral(path)
    try:
        image = envi.open(str(path))
        if isinstance(image, envi.SpectralLibrary):
            raise ValueError(f"{path.name} is a library of single spectra, not an image")
        stored = np.dtype(image.dtype)
        real = np.float64 if stored.kind == "f" and stored.itemsize > 4 else np.float32
        with warnings.catch_warnings():
            # NaN are masked below.
            warnings.simplefilter("ignore", errors.NaNValueWarning)
            kept = stored if stored.kind == "c" else real
            array = np.asarray(image.load(dtype=kept, scale=False))
    except errors.SpyException as error:
        raise _unreadable(path, "an ENVI image", error) from error
    header = _header(path, image.metadata, array.shape[-1])
    array = array[:, :, header.good]
    missing = None if stored.kind == "c" else np.any(_missing(array, header), axis=-1)
    array = array if header.scale == 1 else array / array.dtype.type(header.scale)
    centres = header.wavelengths
    kept = None if centres is None else centres[header.good].tolist()
    return Contents(array, kept, header.unit, missing=missing)


def read_envi_library(path: Path) -> tuple[np.ndarray, np.ndarray | None, str, list[str]]:
    """Read an ENVI spectral library.

    Args:
        path: the header, or the ``.sli`` file beside it.

    Returns:
        spectra (bands, materials) with NaN where there is no value, wavelengths, unit, and names.

    Raises:
        FileNotFoundError: there is no header.
        ValueError: it is not a library that can be read.
        ImportError: the spectral package is missing.
    """
    both = (path.with_suffix(".hdr"), path.with_name(f"{path.name}.hdr"))
    place = path if path.suffix.lower() == ".hdr" else next((p for p in both if p.is_file()), None)
    if place is None or not place.is_file():
        raise FileNotFoundError(f"there is no ENVI header beside '{path}'; check the path")
    envi, errors = _spectral(place)
    try:
        library = envi.open(str(place))
        metadata = envi.read_envi_header(str(place))
    # Too short a file is an error of NumPy's.
    except (errors.SpyException, ValueError) as error:
        raise _unreadable(place, "an ENVI spectral library", error) from error
    if not isinstance(library, envi.SpectralLibrary):
        raise ValueError(f"{place.name} is an image, not a library of single spectra")
    spectra = np.asarray(library.spectra, dtype=float)
    header = _header(place, metadata, spectra.shape[-1])
    missing = _missing(spectra, header) | ~header.good
    spectra = np.where(missing, np.nan, spectra / header.scale)
    return spectra.T, header.wavelengths, header.unit, list(library.names)


def write_abundances(path: Path, maps: Tensor, labels: Sequence[str]) -> None:
    """Write abundance maps as an ENVI image of one band each, NaN where there is no value.

    Args:
        path: of the header, ``.hdr``; the values go to the ``.img`` file beside it.
        maps: (r, rows, cols).
        labels: the name of each map.

    Raises:
        ImportError: the spectral package is missing.
    """
    envi, errors = _spectral(path)
    cube = np.ascontiguousarray(maps.detach().cpu().float().movedim(0, -1).numpy())
    # Commas and braces end entries of a header.
    names = ["".join(" " if c in ",{}" else c for c in label) for label in labels]
    metadata: dict[str, Any] = {"band names": names, "data ignore value": "nan"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.NaNValueWarning)
        envi.save_image(str(path), cube, metadata=metadata, interleave="bsq", force=True)


def _spectral(path: Path) -> tuple[Any, Any]:
    try:
        from spectral.io import envi
        from spectral.utilities import errors
    except ImportError as error:
        raise ImportError(
            f"{path.name} is an ENVI file, which needs the spectral package; "
            "install rlra_torch[hsi]"
        ) from error
    return envi, errors


def _unreadable(path: Path, kind: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    return ValueError(f"{path.name} is not {kind} that can be read ({reason})")


def _header(path: Path, metadata: dict[str, Any], bands: int) -> Header:
    good = np.asarray(metadata.get("bbl", np.ones(bands)), dtype=float) != 0
    if len(good) != bands:
        raise ValueError(
            f"the header {path.name} calls {len(good)} bands good or bad, but there are {bands}; "
            "correct its bbl entry"
        )
    if not good.any():
        raise ValueError(f"the header {path.name} calls all bands bad; correct its bbl entry")
    ignore = _number(path, metadata, "data ignore value")
    scale = _number(path, metadata, "reflectance scale factor")
    if scale == 0:
        raise ValueError(f"the header {path.name} has a scale factor of 0; correct it")
    centres = metadata.get("wavelength")
    wavelengths = None if centres is None else np.asarray(centres, dtype=float)
    unit = unit_named(metadata.get("wavelength units"))
    return Header(good, 1 if scale is None else scale, ignore, wavelengths, unit)


def _number(path: Path, metadata: dict[str, Any], name: str) -> float | None:
    if name not in metadata:
        return None
    try:
        return float(metadata[name])
    except ValueError:
        raise ValueError(
            f"the header {path.name} has {name} = {metadata[name]!r}, which is no number"
        ) from None


def _missing(array: np.ndarray, header: Header) -> np.ndarray:
    """Where a stored value stands for none."""
    missing = np.asarray(np.isnan(array))
    if header.ignore is not None and not np.isnan(header.ignore):
        missing |= array == array.dtype.type(header.ignore)
    return missing


def unit_named(name: str | None) -> str:
    """The short name of a unit of wavelength, empty where it is not one of the two usual ones."""
    word = (name or "").strip().lower()
    if word in {"nm", "nanometer", "nanometers", "nanometre", "nanometres"}:
        return "nm"
    if word in {"um", "µm", "micron", "microns", "micrometer", "micrometers", "micrometre"}:
        return "um"
    return ""
