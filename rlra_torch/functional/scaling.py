"""The best common scale of the factors of a model."""

from __future__ import annotations

import numpy as np


def best_scale(powers: dict[float, float], log_weight: float = 0.0) -> float:
    """``argmin_{t >= 0} sum_e c_e t^e - log_weight log t``, from the roots of its derivative.

    Args:
        powers: the coefficient ``c_e`` of each exponent ``e``; integer exponents.
        log_weight: weight of ``-log t``, nonnegative.

    Returns:
        the minimizer; 1 when the cost does not depend on ``t``.

    Raises:
        ValueError: an exponent that is not an integer.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.2.3 and 10.4.1

    Example:
        >>> round(best_scale({2: 1.0, 1: -4.0}), 6)
        2.0
    """
    if any(e != int(e) for e in powers):
        raise ValueError(f"exponents must be integers, got {sorted(powers)}")
    slope = {int(e): e * c for e, c in powers.items() if e and c}
    if log_weight:
        slope[0] = slope.get(0, 0.0) - log_weight
    if not slope:
        return 1.0
    low, high = min(slope), max(slope)
    roots = np.roots([slope.get(e, 0.0) for e in range(high, low - 1, -1)])
    real = roots.real[np.abs(roots.imag) <= 1e-7 * np.abs(roots)]
    candidates = [float(t) for t in real if t > 0]
    if not log_weight and min(powers) >= 0:
        candidates.append(0.0)

    def cost(t: float) -> float:
        logarithm = log_weight * np.log(t) if log_weight else 0.0
        return sum(c * t**e for e, c in powers.items()) - logarithm

    return min(candidates, key=cost, default=1.0)
