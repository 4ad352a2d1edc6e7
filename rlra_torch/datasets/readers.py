"""One reader for each kind of image file: the array as stored, and its band centres."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Contents(NamedTuple):
    """What a file holds: an array, and its band centres where it has them."""

    array: np.ndarray
    wavelengths: list[float] | None = None
    unit: str = ""
    labels: np.ndarray | None = None


def read_npy(path: Path, variable: str | None) -> Contents:
    """Read a NumPy array; ``variable`` must be None."""
    _refuse_variable(path, variable)
    try:
        return Contents(np.load(path, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path.name} is not a .npy file of numbers ({error})") from error


def read_mat(path: Path, variable: str | None, ndim: int = 3) -> Contents:
    """Read a variable of a MATLAB file, of any version: by default its only one of 3 dimensions."""
    with path.open("rb") as stream:
        head = stream.read(520)
    signature = b"\x89HDF\r\n\x1a\n"
    if head.startswith(signature) or head[512:] == signature:
        return _read_hdf5(path, variable, ndim)
    from scipy.io import loadmat, whosmat
    from scipy.sparse import issparse

    try:
        shapes = {name: tuple(shape) for name, shape, _ in whosmat(path)}
        variable = choose_variable(path, shapes, variable, ndim)
        found = loadmat(path, variable_names=[variable])[variable]
        return Contents(found if issparse(found) else np.asarray(found))
    except WrongVariable:
        raise
    # SciPy answers a damaged file with whatever its parser stumbled over.
    except Exception as error:
        raise ValueError(f"{path.name} is not a MATLAB file that can be read ({error})") from error


def read_envi(path: Path, variable: str | None) -> Contents:
    """Read an ENVI image: scaled by the factor in its header, without the bands declared bad."""
    _refuse_variable(path, variable)
    try:
        from spectral.io import envi
        from spectral.utilities.errors import NaNValueWarning, SpyException
    except ImportError as error:
        raise ImportError(
            f"{path.name} is an ENVI image, which needs the spectral package; "
            "install rlra_torch[hsi]"
        ) from error
    try:
        image = envi.open(str(path))
        if isinstance(image, envi.SpectralLibrary):
            raise ValueError(f"{path.name} is a library of single spectra, not an image")
        stored = np.dtype(image.dtype)
        real = np.float64 if stored.kind == "f" and stored.itemsize > 4 else np.float32
        with warnings.catch_warnings():
            # Values that are not finite are counted and refused later, for all readers alike.
            warnings.simplefilter("ignore", NaNValueWarning)
            array = np.asarray(image.load(dtype=stored if stored.kind == "c" else real))
    except SpyException as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path.name} is not an ENVI image that can be read ({reason})") from error
    good = np.asarray(image.metadata.get("bbl", np.ones(array.shape[-1])), dtype=float) != 0
    if len(good) != array.shape[-1]:
        raise ValueError(
            f"the header {path.name} calls {len(good)} bands good or bad, but the image has "
            f"{array.shape[-1]}; correct its bbl entry"
        )
    centres = image.bands.centers
    wavelengths = None if centres is None else np.asarray(centres, dtype=float)[good].tolist()
    return Contents(array[:, :, good], wavelengths, _unit(image.bands.band_unit))


READERS: dict[str, Callable[[Path, str | None], Contents]] = {
    ".hdr": read_envi,
    ".mat": read_mat,
    ".npy": read_npy,
}


class WrongVariable(ValueError):
    """The variable that was asked for is not there, or it is not clear which one is meant."""


def _refuse_variable(path: Path, variable: str | None) -> None:
    if variable is not None:
        raise ValueError(
            f"only .mat files have variables, and {path.name} is none; leave variable out"
        )


def choose_variable(
    path: Path, shapes: dict[str, tuple[int, ...]], variable: str | None, ndim: int
) -> str:
    """The name of the variable to read: the given one, or the only one of so many dimensions.

    Raises:
        ValueError: there is no such variable, none of so many dimensions, or several.
    """
    present = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
    if variable is not None:
        if variable not in shapes:
            raise WrongVariable(f"{path.name} has no variable {variable!r}; it holds {present}")
        return variable
    fitting = [name for name, shape in shapes.items() if len(shape) == ndim]
    if len(fitting) != 1:
        found = f"no {ndim}-D variable" if not fitting else f"{len(fitting)} {ndim}-D variables"
        form = "rows x cols x bands" if ndim == 3 else "a matrix"
        advice = f"save it as {form}" if not fitting else "choose one with variable="
        raise WrongVariable(f"{path.name} has {found} (it holds {present}); {advice}")
    return fitting[0]


def _read_hdf5(path: Path, variable: str | None, ndim: int) -> Contents:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"{path.name} is a MATLAB 7.3 (HDF5) file, which needs the h5py package; install "
            "h5py, or save the file in MATLAB with the option '-v7'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            # MATLAB stores columns first, so HDF5 sees the dimensions in the opposite order.
            arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
            shapes = {name: item.shape[::-1] for name, item in arrays.items()}
            return Contents(arrays[choose_variable(path, shapes, variable, ndim)][()].T)
    except OSError as error:
        raise ValueError(f"{path.name} is not an HDF5 file that can be read ({error})") from error


def _unit(name: str | None) -> str:
    """The short name of a unit of wavelength, empty where it is not one of the two usual ones."""
    word = (name or "").strip().lower()
    if word in {"nm", "nanometer", "nanometers", "nanometre", "nanometres"}:
        return "nm"
    if word in {"um", "µm", "micron", "microns", "micrometer", "micrometers", "micrometre"}:
        return "um"
    return ""
