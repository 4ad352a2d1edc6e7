"""The volume that the columns of a factor span."""

from __future__ import annotations

import numbers

import torch
from torch import Tensor

from .base import Regularizer, hyperparameter

HALVINGS = 60  # of an interval: more than the bits of a double


class LogDet(Regularizer):
    """``weight / 2 logdet(X^T X + delta I)``: small where the columns span little volume.

    It acts on the singular values of X, ``weight / 2 sum log(s^2 + delta)``, and so does its prox,
    exactly. As a function of ``X^T X`` it is concave, so that ``tr(X A X^T) / 2`` with ``A = weight
    (X_0^T X_0 + delta I)^-1`` majorizes it up to a constant; `Majorized` uses that beside any other
    regularizer, ``Sum(NonNegative(), LogDet(...))``.

    Args:
        weight: a float or a tensor, nonnegative.
        delta: keeps the logarithm finite, positive; about the square of what counts as no length.

    Raises:
        ValueError: a delta that is not positive.

    References:
        | Leplat, Ang, Gillis, Minimum-volume rank-deficient nonnegative matrix factorizations
        | (2019), section 2

    Example:
        >>> round(float(LogDet(2.0, delta=1.0)(torch.zeros(3, 2))), 4)
        0.0
    """

    weight: Tensor
    delta: Tensor
    couples = (-2, -1)
    convex = False

    def __init__(self, weight: float | Tensor, delta: float | Tensor = 0.1) -> None:
        super().__init__()
        if isinstance(delta, numbers.Real) and not delta > 0:
            raise ValueError(f"delta of LogDet must be positive, got {delta}")
        hyperparameter(self, "weight", weight)
        hyperparameter(self, "delta", delta)

    def forward(self, x: Tensor) -> Tensor:
        """The value, (*,)."""
        return (self.weight * torch.linalg.slogdet(self._gram(x)).logabsdet / 2).to(x.dtype)

    def majorizer(self, x: Tensor) -> Tensor:
        """A, (*, rank, rank), tight at ``x``, where ``x A`` is the gradient.

        Args:
            x: (*, rows, rank).
        """
        root, _ = torch.linalg.cholesky_ex(self._gram(x))
        weight = self.weight.to(x.dtype)
        return weight[..., None, None] * torch.cholesky_inverse(root)

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        """The singular values s become the best z for ``(z - s)^2 / 2 + a / 2 log(z^2 + delta)``.

        With ``a = weight step``; the singular vectors stay.
        """
        gram = x.mT @ x
        v = torch.linalg.eigh(gram.detach()).eigenvectors
        inner = v.mT @ gram @ v
        squares = inner.diagonal(dim1=-2, dim2=-1)
        s = torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)
        step = torch.as_tensor(step, dtype=x.dtype, device=x.device)
        a = self.weight.to(x.dtype)[..., None] * (step[..., 0, :1] if step.ndim > 1 else step)
        delta = self.delta.to(x.dtype)[..., None]
        z = _shrunk(s, a, delta)
        ratio = torch.where(s > 0, z / torch.where(s > 0, s, 1), delta / (delta + a))
        # How the singular vectors turn, to first order: 0, but its derivative is not.
        turn = _turning(squares, s, z, ratio, a, delta) * (inner - inner.detach())
        return x @ (v @ (torch.diag_embed(ratio) + turn) @ v.mT)

    def extra_repr(self) -> str:
        return f"weight={self.weight.tolist()}, delta={self.delta.tolist()}"

    def _gram(self, x: Tensor) -> Tensor:
        delta = self.delta.to(x.dtype)[..., None, None]
        return x.mT @ x + delta * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)


def _shrunk(s: Tensor, a: Tensor, delta: Tensor) -> Tensor:
    """``argmin_z (z - s)^2 / 2 + a / 2 log(z^2 + delta)``, by the roots of a cubic in [0, s]."""

    def cubic(z: Tensor) -> Tensor:
        return ((z - s) * z + (delta + a)) * z - s * delta

    def root(low: Tensor, high: Tensor) -> Tensor:
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            right = cubic(middle) < 0
            low, high = torch.where(right, middle, low), torch.where(right, high, middle)
        z = (low + high) / 2
        slope = (3 * z - 2 * s) * z + delta + a
        # From a root on, one step of Newton's method changes nothing but the derivative.
        return z - cubic(z) / torch.where(slope.abs() > 0, slope, 1)

    turns = s.square() - 3 * (delta + a)
    left, right = ((s + sign * turns.clamp_min(0).sqrt()) / 3 for sign in (-1, 1))
    with torch.no_grad():
        high = torch.where((turns > 0) & (cubic(left) >= 0), left, s)
        low = torch.where((turns > 0) & (cubic(right) <= 0), right, 0)
    small, large = root(torch.zeros_like(s), high), root(low, s + 0 * low)
    values = [(z - s).square() + a * (z.square() + delta).log() for z in (small, large)]
    return torch.where(values[0] < values[1], small, large)


@torch.no_grad()
def _turning(
    squares: Tensor, s: Tensor, z: Tensor, ratio: Tensor, a: Tensor, delta: Tensor
) -> Tensor:
    """Differences of the ratios over those of the squares, or the derivative where these agree.

    By the formula of Daleckii and Krein it is what a change of the gram is multiplied by; the
    derivative of eigenvectors would be infinite for equal values. 0 on the diagonal.
    """
    gaps = squares.unsqueeze(-1) - squares.unsqueeze(-2)
    rises = ratio.unsqueeze(-1) - ratio.unsqueeze(-2)
    size = squares.amax(-1)[..., None, None]
    near = gaps.abs() <= torch.finfo(s.dtype).eps ** 0.5 * size
    moved = (z.square() + delta) / ((3 * z - 2 * s) * z + delta + a)
    cubes = 2 * s.square() * s
    slope = torch.where(cubes > 0, (s * moved - z) / torch.where(cubes > 0, cubes, 1), 0)
    slope = (slope.unsqueeze(-1) + slope.unsqueeze(-2)) / 2
    found = torch.where(near, slope, rises / torch.where(near, 1, gaps))
    return found * (1 - torch.eye(s.shape[-1], dtype=s.dtype, device=s.device))
