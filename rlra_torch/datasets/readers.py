"""One reader for each kind of image file: the array as stored, and its band centres."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rlra_torch.datasets.contents import Contents
from rlra_torch.datasets.envi import read_envi


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
        found = loadmat(path, variable_names=[variable], spmatrix=False)[variable]
        return Contents(found if issparse(found) else np.asarray(found))
    except WrongVariable:
        raise
    # SciPy answers a damaged file with whatever its parser stumbled over.
    except Exception as error:
        raise ValueError(f"{path.name} is not a MATLAB file that can be read ({error})") from error


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
