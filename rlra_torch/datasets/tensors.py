"""Measured tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Kinetic(NamedTuple):
    """Fluorescence of catecholamines while they react: sample × emission × excitation × time.

    Attributes:
        tensor: Intensities, (samples, emissions, excitations, times); 0 where nothing was observed.
        observed: True where a value was observed, same shape.
        emission: Emission wavelengths in nm.
        excitation: Excitation wavelengths in nm.
        time: Minutes since the reaction began.
        outliers: Samples that the authors call outliers.
    """

    tensor: Tensor
    observed: Tensor
    emission: Tensor
    excitation: Tensor
    time: Tensor
    outliers: tuple[int, ...]


def load_kinetic(drop_outliers: bool = False, dtype: torch.dtype = torch.float32) -> Kinetic:
    """The kinetic fluorescence data, a 64 × 12 × 10 × 60 tensor with 0.4 % of missing values.

    Two to three nonnegative components explain it. Noise makes some of its values negative.

    Args:
        drop_outliers: Leave out the five samples that the authors call outliers.
        dtype: Floating-point type of the tensor and the axes.

    References:
        Quantifying catecholamines using multi-way kinetic modelling (Nikolajsen et al., 2003).

    Example:
        >>> kinetic = load_kinetic(drop_outliers=True)
        >>> tuple(kinetic.tensor.shape), round(kinetic.observed.double().mean().item(), 3)
        ((59, 12, 10, 60), 0.996)
    """
    from tensorly.datasets import load_kinetic as tensorly_kinetic

    bunch = tensorly_kinetic()
    # TensorLy hands out tensors of whichever backend is active.
    tensor, missing = torch.as_tensor(bunch.tensor), torch.as_tensor(bunch.missing_values_position)
    outliers = tuple(int(i) for i in bunch.outlier_measurements_idx)
    if drop_outliers:
        kept = np.setdiff1d(np.arange(len(tensor)), outliers)
        tensor, missing, outliers = tensor[kept], missing[kept], ()
    emission, excitation, time = (torch.tensor(ticks, dtype=dtype) for ticks in bunch.ticks[1:])
    return Kinetic(tensor.to(dtype), ~missing.bool(), emission, excitation, time, outliers)
