"""What a detector counts: photons, dark current and the noise of reading out."""

from __future__ import annotations

import torch
from torch import Tensor


def photon_counts(
    intensity: Tensor,
    gain: float = 1.0,
    *,
    dark: float = 0.0,
    readout: float = 0.0,
    seed: int | torch.Generator = 0,
) -> Tensor:
    """``Poisson(gain intensity + dark) + readout Normal``, counts as a detector gives them.

    Divide by the gain for the unit of the intensity, after the mean of the dark is taken off.

    Args:
        intensity: (*), nonnegative.
        gain: counts per unit of intensity, such as the time of exposure.
        dark: mean count without light.
        readout: standard deviation of the readout noise, in counts.
        seed: an int, or a generator on the device of the intensity.

    Raises:
        ValueError: negative or infinite intensities, a gain that is not positive, negative noise.

    References:
        | EMVA Standard 1288, for the characterization of image sensors
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 22.1

    Example:
        >>> photon_counts(torch.tensor([0.0, 10.0]), gain=100.0).shape
        torch.Size([2])
    """
    bad = int((~(intensity.isfinite() & (intensity >= 0))).sum())
    if bad:
        raise ValueError(f"{bad} of {intensity.numel()} intensities are negative or not finite")
    if not gain > 0 or not dark >= 0 or not readout >= 0:
        raise ValueError(
            f"the gain is positive, dark and readout are nonnegative, got {gain}, {dark}, {readout}"
        )
    draw = seed
    if not isinstance(draw, torch.Generator):
        draw = torch.Generator(intensity.device).manual_seed(draw)
    counts = torch.poisson(gain * intensity + dark, generator=draw)
    if readout == 0:
        return counts
    like = {"dtype": counts.dtype, "device": counts.device}
    return counts + readout * torch.randn(counts.shape, generator=draw, **like)
