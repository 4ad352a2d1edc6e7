"""What readers of image files give back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Contents(NamedTuple):
    """What a file holds: an array, and its band centres where it has them.

    Args:
        array: rows x cols x bands, as stored but for a scale that the file declares.
        wavelengths: band centres.
        unit: "nm", "um" or "".
        labels: the class of each pixel, rows x cols.
        missing: the pixels without a value, rows x cols.
    """

    array: np.ndarray
    wavelengths: list[float] | None = None
    unit: str = ""
    labels: np.ndarray | None = None
    missing: np.ndarray | None = None
