"""rlra_torch: differentiable, GPU-ready regularized low-rank approximation in PyTorch.

A model is a map that is linear in each of its factors. Freeze all factors but one and you have a
block: a regression problem. An iteration is a torch module that improves a state and does nothing
else. A solver applies one iteration until nothing improves; an unrolled network applies a list of
them, with parameters that were learned.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .estimators import (
        ConvolutiveFactorization,
        CoupledFactorization,
        Deconvolution,
        Factorization,
        Parafac2Fit,
        Regression,
        cnmf,
        compress,
        convolutive_regression,
        coupled,
        cp,
        decompress,
        deconvolve,
        factorize,
        minvol,
        nmf,
        nnkl,
        nnls,
        parafac2,
        proco_als,
        sparse_nnls,
        tucker,
    )
    from .problem import Problem
    from .rank import RankSelection, select_rank
    from .solvers import solve
    from .unrolled import Unrolled

__version__ = "0.1.0"

# Imported at first use: `rlra --help` needs no torch.
_HOMES = {
    "estimators": (
        "ConvolutiveFactorization",
        "cnmf",
        "convolutive_regression",
        "CoupledFactorization",
        "Deconvolution",
        "Factorization",
        "Parafac2Fit",
        "Regression",
        "coupled",
        "cp",
        "compress",
        "decompress",
        "deconvolve",
        "factorize",
        "minvol",
        "nmf",
        "nnkl",
        "nnls",
        "parafac2",
        "proco_als",
        "sparse_nnls",
        "tucker",
    ),
    "problem": ("Problem",),
    "rank": ("RankSelection", "select_rank"),
    "solvers": ("solve",),
    "unrolled": ("Unrolled",),
}

__all__ = [
    "ConvolutiveFactorization",
    "CoupledFactorization",
    "Deconvolution",
    "Factorization",
    "Parafac2Fit",
    "Problem",
    "RankSelection",
    "Regression",
    "Unrolled",
    "__version__",
    "cnmf",
    "convolutive_regression",
    "coupled",
    "compress",
    "cp",
    "decompress",
    "deconvolve",
    "factorize",
    "minvol",
    "nmf",
    "nnkl",
    "nnls",
    "parafac2",
    "proco_als",
    "select_rank",
    "solve",
    "sparse_nnls",
    "tucker",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
