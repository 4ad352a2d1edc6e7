"""Checks of single arguments, each with one sentence."""

from __future__ import annotations

import math
import numbers
from typing import Any


def whole_number(name: str, value: Any, least: int = 1) -> int:  # noqa: ANN401
    """An integer as Python's, NumPy's included.

    Args:
        name: what to call it in the error.
        value: what was given.
        least: the smallest allowed.

    Raises:
        ValueError: not an integer, a truth value, or too small.

    Example:
        >>> whole_number("the rank", 3)
        3
    """
    integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not integer or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def real_number(name: str, value: Any) -> float:  # noqa: ANN401
    """A real number as Python's, NaN and infinities refused.

    Args:
        name: what to call it in the error.
        value: what was given.

    Raises:
        TypeError: not a real number.
        ValueError: NaN or infinite.

    Example:
        >>> real_number("tol", 1)
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {_shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value)


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, (str, bool, type(None))) else type(value).__name__
