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


def read_mat(path: Path, variable: str | None) -> Contents:
    """Read a variable of a MATLAB file, of any version."""
    with path.open("rb") as stream:
        head = stream.read(520)
    signature = b"\x89HDF\r\n\x1a\n"
    if head.startswith(signature) or head[512:] == signature:
        return _read_hdf5(path, variable)
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: tuple(shape) for name, shape, _ in whosmat(path)}
        variable = _choose(path, shapes, variable)
        return Contents(np.asarray(loadmat(path, variable_names=[variable])[variable]))
    except _WrongVariable:
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


class _WrongVariable(ValueError):
    pass


def _refuse_variable(path: Path, variable: str | None) -> None:
    if variable is not None:
        raise ValueError(
            f"only .mat files have variables, and {path.name} is none; leave variable out"
        )


def _choose(path: Path, shapes: dict[str, tuple[int, ...]], variable: str | None) -> str:
    """The name of the variable to read: the given one, or the only one that is 3-D."""
    present = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
    if variable is not None:
        if variable not in shapes:
            raise _WrongVariable(f"{path.name} has no variable {variable!r}; it holds {present}")
        return variable
    cubes = [name for name, shape in shapes.items() if len(shape) == 3]
    if len(cubes) != 1:
        found = "no 3-D variable" if not cubes else f"{len(cubes)} 3-D variables"
        advice = "save it as rows x cols x bands" if not cubes else "choose one with variable="
        raise _WrongVariable(f"{path.name} has {found} (it holds {present}); {advice}")
    return cubes[0]


def _read_hdf5(path: Path, variable: str | None) -> Contents:
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
            return Contents(arrays[_choose(path, shapes, variable)][()].T)
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
