"""rlra_torch: differentiable, GPU-ready regularized low-rank approximation in PyTorch.

A model is a map that is linear in each of its factors. Freeze all factors but one and you have a
block: a regression problem. An iteration is a torch module that improves a state and does nothing
else. A solver applies one iteration until nothing improves; an unrolled network applies a list of
them, with parameters that were learned.
"""

from .estimators import Factorization, Regression, cp, factorize, nmf, nnkl, nnls
from .problem import Problem
from .solvers import solve
from .unrolled import Unrolled

__version__ = "0.1.0"

__all__ = [
    "Factorization",
    "Problem",
    "Regression",
    "Unrolled",
    "__version__",
    "cp",
    "factorize",
    "nmf",
    "nnkl",
    "nnls",
    "solve",
]
