"""Causal recursive filters: exponential decay and its kin, from spikes to traces and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..functional.recurrence import causal, impulse_response
from .base import Operator

LONGEST = 2**20  # samples of an impulse response that are added up


class Autoregressive(Operator):
    """``y_t = x_t + a_1 y_{t-1} + ... + a_p y_{t-p}`` from ``y = 0`` on: an AR(p) filter.

    It is the inverse of ``x_t = y_t - sum_i a_i y_{t-i}``, and is applied as a causal convolution
    with its impulse response by Fourier transforms of padded series: nothing runs over time step by
    step. The adjoint is the same filter backwards in time.

    Args:
        coefficients: a_1, ..., a_p, (p,); or (*, p), for leading dimensions of predictions.
        dim: along which of the last dimensions of a prediction time runs, counted from the end.
        ndim: how many dimensions a prediction has.

    Raises:
        ValueError: a filter that is not stable, or no such dimension.

    References:
        | Vogelstein et al., Fast nonnegative deconvolution for spike train inference from
        | population calcium imaging (2010)
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 5.1

    Example:
        >>> decay = Autoregressive(torch.tensor([0.5]), dim=-1, ndim=1)
        >>> decay(torch.tensor([1.0, 0.0, 0.0])).round(decimals=4)
        tensor([1.0000, 0.5000, 0.2500])
        >>> decay.inverse(torch.tensor([1.0, 0.5, 0.25]))
        tensor([1., 0., 0.])
    """

    coefficients: Tensor
    gain: Tensor

    def __init__(self, coefficients: Tensor, dim: int = -2, ndim: int = 2) -> None:
        super().__init__()
        if not coefficients.ndim or not coefficients.shape[-1]:
            raise ValueError(
                f"a filter needs one coefficient at least, got shape {tuple(coefficients.shape)}"
            )
        if not -ndim <= dim < 0:
            raise ValueError(f"time must run along -1 to {-ndim} of {ndim} dimensions, got {dim}")
        largest = float(_poles(coefficients).max())
        if not largest < 1:
            raise ValueError(
                f"the filter is not stable: its largest pole is {largest:.4g}, which must be below "
                "1"
            )
        self.register_buffer("coefficients", coefficients)
        self.register_buffer("gain", _gain(coefficients, largest))
        self.dim, self.input_ndim, self.output_ndim = dim, ndim, ndim

    @classmethod
    def decay(
        cls, frames: float | Tensor, dim: int = -2, ndim: int = 2, dtype: torch.dtype | None = None
    ) -> Autoregressive:
        """``exp(-t / frames)``: exponential decay.

        Args:
            frames: the time constant, in samples; a number or a tensor (*,).
            dim, ndim: as above.
            dtype: of the filter.

        Example:
            >>> Autoregressive.decay(2.0).coefficients
            tensor([0.6065])
        """
        poles = torch.exp(-1 / torch.as_tensor(_positive(frames), dtype=dtype))
        return cls(poles[..., None], dim, ndim)

    @classmethod
    def rise_and_decay(
        cls,
        rise: float | Tensor,
        decay: float | Tensor,
        dim: int = -2,
        ndim: int = 2,
        dtype: torch.dtype | None = None,
    ) -> Autoregressive:
        """Proportional to ``exp(-t / decay) - exp(-t / rise)``, delayed by a sample: AR(2).

        Args:
            rise, decay: the time constants, in samples; numbers or tensors (*,).
            dim, ndim: as above.
            dtype: of the filter.

        Example:
            >>> Autoregressive.rise_and_decay(1.0, 10.0).coefficients
            tensor([ 1.2727, -0.3329])
        """
        slow, fast = (
            torch.exp(-1 / torch.as_tensor(_positive(x), dtype=dtype)) for x in (decay, rise)
        )
        return cls(torch.stack([slow + fast, -slow * fast], -1), dim, ndim)

    def forward(self, x: Tensor) -> Tensor:
        return self._over_time(x, flipped=False)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._over_time(y, flipped=True)

    def inverse(self, y: Tensor) -> Tensor:
        """``x_t = y_t - sum_i a_i y_{t-i}``."""
        y = y.movedim(self.dim, -1)
        a, x = self._spread(self.coefficients, y), y
        for lag in range(1, min(self.coefficients.shape[-1], y.shape[-1] - 1) + 1):
            late = torch.nn.functional.pad(y[..., :-lag], (lag, 0))
            x = x - a[..., lag - 1 : lag] * late
        return x.movedim(-1, self.dim)

    def squared_norm(self) -> Tensor:
        """``(sum |h_t|)^2``, with h the impulse response: for positive decays it is approached."""
        return self.gain.square()

    def _over_time(self, x: Tensor, flipped: bool) -> Tensor:
        x = x.movedim(self.dim, -1)
        x = x.flip(-1) if flipped else x
        h = impulse_response(self.coefficients, x.shape[-1])
        y = causal(self._spread(h, x), x, x.shape[-1])
        return (y.flip(-1) if flipped else y).movedim(-1, self.dim)

    def _spread(self, h: Tensor, x: Tensor) -> Tensor:
        """What is (*, t), among the other dimensions of a prediction whose time is the last."""
        lead = h.shape[:-1]
        return h.reshape(*lead, *(1,) * (self.input_ndim - 1), h.shape[-1]) if lead else h


def _poles(coefficients: Tensor) -> Tensor:
    """The sizes of the eigenvalues of the companion matrix, (*, p)."""
    below = torch.eye(coefficients.shape[-1], dtype=coefficients.dtype, device=coefficients.device)
    below = below[:-1].expand(*coefficients.shape[:-1], -1, -1)
    return torch.linalg.eigvals(torch.cat([coefficients[..., None, :], below], -2)).abs()


def _gain(coefficients: Tensor, pole: float) -> Tensor:
    """The l1 norm of the impulse response, up to what is below rounding, (*,)."""
    eps = torch.finfo(coefficients.dtype).eps
    decades = math.ceil(math.log(eps) / math.log(max(pole, eps))) + 1
    # Poles of a higher order decay later.
    length = min(decades * (1 + coefficients.shape[-1]), LONGEST)
    return impulse_response(coefficients, length).abs().sum(-1)


def _positive(frames: float | Tensor) -> float | Tensor:
    if not bool((torch.as_tensor(frames) > 0).all()):
        raise ValueError(f"a time constant must be positive, got {frames}")
    return frames
