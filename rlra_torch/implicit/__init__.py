"""Layers that solve a problem and differentiate its solution, not the way to it."""

from .factorization import ImplicitFactorization
from .regression import ImplicitNNKL, ImplicitNNLS, ImplicitRegression

__all__ = ["ImplicitFactorization", "ImplicitNNKL", "ImplicitNNLS", "ImplicitRegression"]
