"""Angles between spectra."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def spectral_angle(W: Tensor, W_true: Tensor, radians: bool = False) -> Tensor:
    """Angle between each column of W and the same column of the truth.

    angle(a, b) = 2 atan2(‖a/‖a‖ - b/‖b‖‖, ‖a/‖a‖ + b/‖b‖‖), which equals arccos(aᵀb / ‖a‖‖b‖)
    but keeps its accuracy at small angles: it is exactly 0 for equal columns. Two zero columns
    have angle 0; a zero column and a nonzero one are counted as orthogonal (90 degrees).

    Args:
        W: Estimated spectra, (*, m, r), columns in the order of the truth (see ``match``).
        W_true: True spectra, same shape.
        radians: Return radians instead of degrees.

    Returns:
        One angle for each column, (*, r), from 0 to 180 degrees.

    Raises:
        ValueError: The shapes differ or are not those of matrices.

    References:
        How futile are mindless assessments of roundoff (Kahan, 2006), section 12.

    Example:
        >>> W = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        >>> [round(angle, 4) for angle in spectral_angle(W, torch.eye(2)).tolist()]
        [0.0, 45.0]
    """
    _check(W, W_true)
    angle = angle_between(W, W_true)
    return angle if radians else angle * (180 / math.pi)


def mrsa(W: Tensor, W_true: Tensor) -> Tensor:
    """Mean-removed spectral angle of each pair of columns, from 0 to 100.

    mrsa(a, b) = 100/π · angle(a - mean(a), b - mean(b)): 0 is equal up to an offset and a positive
    scale, 50 is uncorrelated, 100 is opposite. Two constant columns have 0; a constant column and
    one that is not have 50.

    Args:
        W: Estimated spectra, (*, m, r), columns in the order of the truth (see ``match``).
        W_true: True spectra, same shape.

    Returns:
        One value for each column, (*, r).

    Raises:
        ValueError: The shapes differ or are not those of matrices.

    References:
        Nonnegative Matrix Factorization (Gillis, 2020).

    Example:
        >>> W = torch.tensor([[1.0], [2.0], [4.0]])
        >>> mrsa(W, W).item(), round(mrsa(-W, W).item(), 4)
        (0.0, 100.0)
    """
    _check(W, W_true)
    return angle_between(_centred(W), _centred(W_true)) * (100 / math.pi)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angles in radians along dimension -2; the other dimensions broadcast."""
    u, v = unit_columns(a), unit_columns(b)
    chord = torch.linalg.vector_norm(u - v, dim=-2)
    cochord = torch.linalg.vector_norm(u + v, dim=-2)
    both_zero = (chord == 0) & (cochord == 0)
    # atan2 has no gradient at the origin: send two zero columns elsewhere first.
    return 2 * torch.atan2(chord, torch.where(both_zero, 1, cochord))


def unit_columns(x: Tensor) -> Tensor:
    """Columns divided by their norms; zero columns stay zero.

    Dividing by the largest magnitude first keeps squares of tiny and huge entries in range.
    """
    largest = x.abs().amax(dim=-2, keepdim=True).detach()
    x = x / torch.where(largest > 0, largest, 1)
    norm = torch.linalg.vector_norm(x, dim=-2, keepdim=True)
    return x / torch.where(norm > 0, norm, 1)


def _centred(x: Tensor) -> Tensor:
    """Columns less their means; constant columns become exactly zero in spite of rounding."""
    constant = x.amax(dim=-2, keepdim=True) == x.amin(dim=-2, keepdim=True)
    return torch.where(constant, 0, x - x.mean(dim=-2, keepdim=True))


def _check(W: Tensor, W_true: Tensor) -> None:
    if W.shape != W_true.shape or W.ndim < 2:
        raise ValueError(
            f"spectra and their truth need one shape (*, m, r), but have {tuple(W.shape)} and "
            f"{tuple(W_true.shape)}; choose the columns with match(W, W_true) first"
        )
