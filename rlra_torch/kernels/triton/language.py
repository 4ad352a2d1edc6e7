"""Triton's decorator and language, or stand-ins that let the package import without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

triton: Any
tl: Any

try:
    import triton  # pyright: ignore[reportMissingImports]
    import triton.language as tl  # pyright: ignore[reportMissingImports]
except ImportError:
    triton = tl = None

if TYPE_CHECKING:
    constexpr = Any
else:
    constexpr = None if tl is None else tl.constexpr


def jit(function: Callable) -> Any:  # noqa: ANN401
    """``triton.jit`` for what kernels call, or the function itself where there is no Triton."""
    return function if triton is None else triton.jit(function)


def kernel(*varying: str) -> Callable[[Callable], Any]:
    """``triton.jit`` for what is launched, compiled once for all values of the named arguments.

    Args:
        varying: integers that say nothing about alignment, so need no kernel of their own.
    """
    if triton is None:
        return lambda function: function
    return triton.jit(do_not_specialize=varying)
