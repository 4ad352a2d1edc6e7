"""Files of single spectra, as a dictionary or as a truth, on the bands of an image."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlra_torch.datasets.envi import read_envi_library, unit_named
from rlra_torch.datasets.libraries import SpectralLibrary
from rlra_torch.datasets.tables import read_table


class Truth(NamedTuple):
    """What an unmixing is compared with.

    Attributes:
        spectra: (bands, r).
        abundances: (pixels, r), pixels row by row, or None where they are not known.
        labels: The name of each component.
    """

    spectra: Tensor
    abundances: Tensor | None
    labels: tuple[str, ...]


def load_library(
    source: str | os.PathLike[str], dtype: torch.dtype = torch.float32
) -> SpectralLibrary:
    """Read spectra of known materials.

    Args:
        source: An ENVI spectral library, ``.sli`` or its ``.hdr`` (scaled by the factor in the
            header; bands that it declares bad and values to ignore are NaN); a ``.csv`` table with
            a line of names, wavelengths in its first column (whose name may end in ``nm`` or
            ``um``) and a spectrum in each other one, empty where there is no value; or a ``.npz``
            file with ``spectra`` (bands, materials) and, where they are known, ``wavelengths``,
            ``labels`` and ``unit``, as ``rlra unmix`` writes them too.
        dtype: Floating-point type of the spectra.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or holds no spectra.
        ImportError: A package that this kind of file needs is not installed.
    """
    path = Path(source)
    if path.suffix.lower() not in LIBRARIES:
        raise ValueError(
            f"'{path}' is not a library that can be read; give a file that ends in one of "
            f"{', '.join(sorted(LIBRARIES))}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'; check the path")
    spectra, wavelengths, unit, names = LIBRARIES[path.suffix.lower()](path)
    if spectra.ndim != 2 or spectra.size == 0 or spectra.dtype.kind not in "fiu":
        raise ValueError(
            f"{path.name} holds spectra of shape {spectra.shape} and type {spectra.dtype}, but a "
            "library is real numbers of shape (bands, materials), not empty"
        )
    bands, count = spectra.shape
    if wavelengths is not None and wavelengths.shape != (bands,):
        raise ValueError(
            f"{path.name} has {bands} bands but wavelengths of shape {wavelengths.shape}"
        )
    if names and len(names) != count:
        raise ValueError(f"{path.name} has {count} spectra but {len(names)} names")
    labels = tuple(names) or tuple(f"spectrum {k + 1}" for k in range(count))
    places = torch.tensor([] if wavelengths is None else wavelengths, dtype=dtype)
    values = torch.from_numpy(np.ascontiguousarray(spectra, dtype=float)).to(dtype)
    return SpectralLibrary(values, places, labels, labels, unit)


def resampled(
    library: SpectralLibrary, wavelengths: Tensor | None, unit: str = "", bands: int | None = None
) -> SpectralLibrary:
    """A library on the bands of an image, by linear interpolation.

    Spectra that miss a value within the range of the image are interpolated over it; those that
    do not reach its ends, up to half a band, are left out.

    Args:
        library: What is known.
        wavelengths: Band centres of the image, in any order; None where they are not known.
        unit: Of these; where it, or that of the library, is not known, they are taken to be equal.
        bands: How many bands the image has, if wavelengths are None.

    Returns:
        The spectra that are left, in the dtype and on the device of ``wavelengths``.

    Raises:
        ValueError: Wavelengths are missing on one side and the numbers of bands differ, or no
            spectrum covers the range of the image.

    Example:
        >>> ramp = torch.tensor([[0.0], [2.0]])
        >>> library = SpectralLibrary(ramp, torch.tensor([1.0, 2.0]), ("a",), ("a",))
        >>> resampled(library, torch.tensor([1000.0, 1500.0]), "nm").spectra.T
        tensor([[0., 1.]])
    """
    if wavelengths is None or not len(library.wavelengths):
        needed = len(wavelengths) if wavelengths is not None else bands
        if needed is not None and len(library.spectra) != needed:
            side = "image" if wavelengths is None else "library"
            raise ValueError(
                f"the {side} has no wavelengths, and a library of {len(library.spectra)} bands "
                f"does not fit an image of {needed}; add the wavelengths, or resample it"
            )
        whole = library.spectra.isfinite().all(0)
        return _kept(library, library.spectra, whole, "has a value in each band")
    places = library.wavelengths.cpu().double().numpy() * _factor(library.unit, unit)
    wanted = wavelengths.detach().cpu().double().numpy()
    spectra = library.spectra.cpu().double().numpy()
    columns = [_interpolated(wanted, places, column) for column in spectra.T]
    values = torch.from_numpy(np.stack(columns, 1)).to(wavelengths)
    shown = unit or library.unit or "unknown unit"
    reason = (
        f"covers the image, from {wanted.min():g} to {wanted.max():g} {shown}: the library goes "
        f"from {places.min():g} to {places.max():g}; cut the image, or choose another library"
    )
    found = _kept(library, values, values.isfinite().all(0), reason)
    return found._replace(wavelengths=wavelengths, unit=unit)


def load_truth(
    source: str | os.PathLike[str],
    wavelengths: Tensor | None = None,
    unit: str = "",
    bands: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Truth:
    """Read true spectra, and abundances where a ``.npz`` file has them, on the bands of an image.

    Args:
        source: As in ``load_library``; a ``.npz`` file may also have ``abundances`` (pixels, r) or
            (rows, cols, r).
        wavelengths, unit, bands: As in ``resampled``.
        dtype: Floating-point type.

    Raises:
        FileNotFoundError, ImportError, ValueError: As in ``load_library`` and ``resampled``, and
            where a spectrum is not finite or abundances do not fit.
    """
    library = load_library(source, dtype)
    found = resampled(library, wavelengths, unit, bands)
    count, path = library.spectra.shape[1], Path(source)
    if found.spectra.shape[1] != count:
        raise ValueError(f"some of the {count} spectra of {path.name} do not cover the image")
    abundances = None
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as file:
            abundances = file["abundances"] if "abundances" in file.files else None
    if abundances is not None:
        if abundances.ndim not in (2, 3) or abundances.shape[-1] != count:
            raise ValueError(
                f"{path.name} has abundances of shape {abundances.shape}, but {count} spectra need "
                f"(pixels, {count}) or (rows, cols, {count})"
            )
        abundances = torch.from_numpy(abundances.reshape(-1, count)).to(dtype)
    return Truth(found.spectra, abundances, library.labels)


Raw = tuple[np.ndarray, np.ndarray | None, str, list[str]]


def _read_csv(path: Path) -> Raw:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        head = next((line for line in csv.reader(stream) if any(line)), [""])
    table = read_table(path)
    if table.shape[1] < 2 or table.shape[1] != len(head):
        raise ValueError(
            f"{path.name} needs a line of names, wavelengths in the first column and a spectrum in "
            f"each other one; it has {table.shape[1]} columns of numbers and {len(head)} names"
        )
    if not np.isfinite(table[:, 0]).all():
        raise ValueError(f"{path.name} has a line without a wavelength in its first column")
    words = head[0].replace("(", " ").replace(")", " ").split()
    unit = unit_named(words[-1] if words else None)
    return table[:, 1:], table[:, 0], unit, [name.strip() for name in head[1:]]


def _read_npz(path: Path) -> Raw:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if not name.startswith("history_")}
    # NumPy answers a damaged file with whatever its parser stumbled over.
    except Exception as error:
        raise ValueError(f"{path.name} is not a .npz file that can be read ({error})") from error
    if "spectra" not in arrays:
        raise ValueError(f"{path.name} has no 'spectra'; it holds {', '.join(arrays) or 'nothing'}")
    settings = json.loads(str(arrays["settings"])) if "settings" in arrays else {}
    unit = str(arrays.get("unit", settings.get("wavelength_unit", "")))
    labels = [str(label) for label in arrays.get("labels", ())]
    return arrays["spectra"], arrays.get("wavelengths"), unit_named(unit), labels


LIBRARIES: dict[str, Callable[[Path], Raw]] = {
    ".csv": _read_csv,
    ".hdr": read_envi_library,
    ".npz": _read_npz,
    ".sli": read_envi_library,
}


def _factor(unit: str, wanted: str) -> float:
    """What wavelengths in a unit are multiplied by."""
    size = {"nm": 1.0, "um": 1000.0}
    return size[unit] / size[wanted] if unit in size and wanted in size else 1.0


def _interpolated(wanted: np.ndarray, places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values at the places wanted, or NaN throughout where they do not reach the ends."""
    known = np.isfinite(values)
    if not known.any():
        return np.full_like(wanted, np.nan)
    order = places[known].argsort(kind="stable")
    x, y = places[known][order], values[known][order]
    steps = np.diff(np.sort(wanted))
    half = 0.5 * float(np.median(steps)) if len(steps) else 0.0
    if wanted.min() < x[0] - half or wanted.max() > x[-1] + half:
        return np.full_like(wanted, np.nan)
    return np.interp(wanted, x, y)


def _kept(library: SpectralLibrary, values: Tensor, whole: Tensor, what: str) -> SpectralLibrary:
    kept = whole.nonzero().flatten().tolist()
    if not kept:
        raise ValueError(f"none of the {len(whole)} spectra of the library {what}")
    labels, samples = (tuple(names[k] for k in kept) for names in (library.labels, library.samples))
    return library._replace(spectra=values[:, kept], labels=labels, samples=samples)
