"""Beta-divergences, elementwise and exact at their edges."""

from __future__ import annotations

import torch
from torch import Tensor


def prediction_floor(dtype: torch.dtype, power: float) -> float:
    """The value below which a prediction ``p`` counts as zero where ``y / p^power`` is taken.

    Small enough never to matter beside data of a sane scale, and large enough for the quotient to
    stay finite for any such data.

    Example:
        >>> prediction_floor(torch.float64, 0.0)
        0.0
    """
    if -1 < power < 0:  # the power itself is finite at 0, its derivative is not
        return torch.finfo(dtype).tiny
    return 0.0 if power <= 0 else torch.finfo(dtype).tiny ** (1 / (1 + power))


def kullback_leibler(prediction: Tensor, y: Tensor) -> Tensor:
    """``y log(y / p) - y + p``, elementwise, with ``0 log 0 = 0``.

    Written as ``y (t - 1 - log t)`` with ``t = p / y``, whose rounding error is that of ``y`` and
    not of ``y log y``.

    Args:
        prediction: p, any shape, nonnegative.
        y: data, nonnegative, the same shape.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.2.1

    Example:
        >>> kullback_leibler(torch.tensor([2.0, 3.0]), torch.tensor([2.0, 0.0]))
        tensor([0., 3.])
    """
    floor = prediction_floor(prediction.dtype, 1.0)
    # A datum of 0 becomes next to nothing: to choose between entries costs as much as all the rest.
    data = y.clamp_min(floor)
    t = prediction.clamp_min(floor) / data
    return data * (t - 1 - t.log())


def itakura_saito(prediction: Tensor, y: Tensor) -> Tensor:
    """``y / p - log(y / p) - 1``, elementwise; infinite where ``y = 0``.

    Args:
        prediction: p, any shape, nonnegative.
        y: data, positive, the same shape.

    References:
        | Fevotte, Bertin, Durrieu, Nonnegative matrix factorization with the Itakura-Saito
        | divergence (2009), equation 9

    Example:
        >>> itakura_saito(torch.tensor([2.0]), torch.tensor([2.0]))
        tensor([0.])
    """
    ratio = y / prediction.clamp_min(prediction_floor(prediction.dtype, 2.0))
    return ratio - 1 - ratio.log()


def beta_divergence(prediction: Tensor, y: Tensor, beta: float) -> Tensor:
    """``(y^b + (b - 1) p^b - b y p^(b - 1)) / (b (b - 1))``, elementwise, by continuity at 0 and 1.

    ``beta = 2`` is half the squared error, 1 Kullback-Leibler, 0 Itakura-Saito.

    Args:
        prediction: p, any shape, nonnegative unless ``beta = 2``.
        y: data, the same shape; positive for ``beta <= 0``.
        beta: any real number.

    References:
        | Fevotte, Idier, Algorithms for nonnegative matrix factorization with the beta-divergence
        | (2011), equation 2

    Example:
        >>> beta_divergence(torch.tensor([1.0]), torch.tensor([3.0]), 2.0)
        tensor([2.])
    """
    if beta == 2:
        return 0.5 * (prediction - y).square()
    if beta == 1:
        return kullback_leibler(prediction, y)
    if beta == 0:
        return itakura_saito(prediction, y)
    p = prediction.clamp_min(prediction_floor(prediction.dtype, 2 - beta))
    mixed = p.pow(beta - 1) * ((beta - 1) * p - beta * y)
    return (y.pow(beta) + mixed) / (beta * (beta - 1))
