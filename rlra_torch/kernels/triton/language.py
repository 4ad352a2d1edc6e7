"""Triton's decorator and language, or stand-ins that let the package import without it."""

from __future__ import annotations

from typing import Any

triton: Any
tl: Any

try:
    import triton  # pyright: ignore[reportMissingImports]
    import triton.language as tl  # pyright: ignore[reportMissingImports]
except ImportError:
    triton = tl = None


def jit(function: Any) -> Any:  # noqa: ANN401
    """``triton.jit``, or the function itself where there is no Triton."""
    return function if triton is None else triton.jit(function)
