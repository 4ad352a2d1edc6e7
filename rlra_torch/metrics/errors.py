"""Errors between a tensor and its estimate."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def relative_error(y: Tensor, yhat: Tensor, order: int = 2) -> Tensor:
    """Relative error, ‖y - ŷ‖ / ‖y‖ (Euclidean norms over the last ``order`` dimensions).

    Where y is zero, it is 0 if ŷ is zero too and infinite if not.

    Args:
        y: Truth, (*, d_1, ..., d_order).
        yhat: Estimate, same shape.
        order: Number of modes of one sample: 2 for matrices, 3 for third-order tensors.

    Returns:
        One error for each sample, (*,).

    Raises:
        ValueError: The shapes differ, or have fewer than ``order`` dimensions.

    Example:
        >>> y = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        >>> relative_error(y, torch.zeros(2, 2)).item()
        1.0
    """
    dims = _dims(y, yhat, order)
    return _ratio(
        torch.linalg.vector_norm(y - yhat, dim=dims), torch.linalg.vector_norm(y, dim=dims)
    )


def nmse(y: Tensor, yhat: Tensor, order: int = 2) -> Tensor:
    """Normalized mean square error, ‖y - ŷ‖² / ‖y‖², the square of ``relative_error``.

    Args:
        y: Truth, (*, d_1, ..., d_order).
        yhat: Estimate, same shape.
        order: Number of modes of one sample.

    Returns:
        One error for each sample, (*,).

    Raises:
        ValueError: The shapes differ, or have fewer than ``order`` dimensions.

    Example:
        >>> nmse(torch.ones(2, 2), torch.full((2, 2), 0.5)).item()
        0.25
    """
    dims = _dims(y, yhat, order)
    return _ratio((y - yhat).square().sum(dims), y.square().sum(dims))


def rmse(y: Tensor, yhat: Tensor, order: int = 2) -> Tensor:
    """Root mean square error, sqrt(mean (y - ŷ)²) over the last ``order`` dimensions.

    Args:
        y: Truth, (*, d_1, ..., d_order).
        yhat: Estimate, same shape.
        order: Number of modes of one sample.

    Returns:
        One error for each sample, (*,), in the unit of y.

    Raises:
        ValueError: The shapes differ, or have fewer than ``order`` dimensions.

    Example:
        >>> rmse(torch.zeros(2, 2), torch.full((2, 2), -3.0)).item()
        3.0
    """
    dims = _dims(y, yhat, order)
    count = math.prod(y.shape[-order:])
    if count == 0:
        raise ValueError(f"an empty sample has no mean, and the shape is {tuple(y.shape)}")
    # The norm has a subgradient at zero, which the root of a mean has not.
    return torch.linalg.vector_norm(y - yhat, dim=dims) / count**0.5


def abundance_rmse(H: Tensor, H_true: Tensor) -> Tensor:
    """Root mean square error of each abundance, sqrt(Σ_n (h_nk - h*_nk)² / n).

    A fraction, as abundances are; some publish 100 times as much, in percent. Put the columns in
    the order of the truth first: ``H.index_select(-1, match(W, W_true))``.

    Args:
        H: Estimated abundances, (*, n, r).
        H_true: True abundances, same shape.

    Returns:
        One error for each column, (*, r).

    Raises:
        ValueError: The shapes differ or are not those of matrices.

    Example:
        >>> truth = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> abundance_rmse(truth + torch.tensor([0.25, 0.5]), truth).tolist()
        [0.25, 0.5]
    """
    _dims(H_true, H, order=2)
    return rmse(H_true.mT, H.mT, order=1)


def endmember_rmse(W: Tensor, W_true: Tensor) -> Tensor:
    """Root mean square error of each spectrum, sqrt(Σ_b (w_bk - w*_bk)² / m), in its unit.

    The scale of a spectrum counts, which a factorization fixes only together with its abundances.

    Args:
        W: Estimated spectra, (*, m, r), columns in the order of the truth (see ``match``).
        W_true: True spectra, same shape.

    Returns:
        One error for each column, (*, r).

    Raises:
        ValueError: The shapes differ or are not those of matrices.

    Example:
        >>> endmember_rmse(torch.zeros(4, 2), torch.tensor([[1.0, 2.0]] * 4)).tolist()
        [1.0, 2.0]
    """
    return abundance_rmse(W, W_true)


def sre(x: Tensor, x_true: Tensor, order: int = 2) -> Tensor:
    """Signal-to-reconstruction error in decibels, 20 log10(‖x*‖ / ‖x - x*‖).

    It is infinite where there is no error; where the truth is zero, minus infinity.

    Args:
        x: Estimate, (*, d_1, ..., d_order).
        x_true: Truth, same shape.
        order: Number of modes of one sample.

    Returns:
        One value for each sample, (*,).

    Raises:
        ValueError: The shapes differ, or have fewer than ``order`` dimensions.

    References:
        Sparse unmixing of hyperspectral data (Iordache, Bioucas-Dias and Plaza, 2011).

    Example:
        >>> sre(torch.full((2, 2), 0.9), torch.ones(2, 2)).round(decimals=2)
        tensor(20.)
    """
    return -20 * relative_error(x_true, x, order).log10()


def _dims(y: Tensor, yhat: Tensor, order: int) -> tuple[int, ...]:
    """The dimensions of one sample, checked against the shapes."""
    if y.shape != yhat.shape:
        raise ValueError(
            f"truth and estimate need one shape, but have {tuple(y.shape)} and {tuple(yhat.shape)}"
        )
    if not 1 <= order <= y.ndim:
        raise ValueError(f"order is {order}, but the tensors have {y.ndim} dimensions")
    return tuple(range(-order, 0))


def _ratio(error: Tensor, size: Tensor) -> Tensor:
    """error / size, with 0 / 0 = 0, and gradients free of NaN."""
    positive = size > 0
    quotient = error / torch.where(positive, size, 1)
    return torch.where(~positive & (error > 0), torch.inf, quotient)
