"""Unrolled networks: iterations as layers."""

from .unrolled import Unrolled

__all__ = ["Unrolled"]
