"""Triton kernels for CUDA: launchers that take and give tensors, imported only where used."""

from __future__ import annotations

import importlib.util
from functools import cache

from .launch import MAX_RANK

__all__ = ["MAX_RANK", "available"]


@cache
def available() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None
