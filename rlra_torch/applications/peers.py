"""Iterations of other packages from given factors, to be timed beside ours.

None of them remembers anything between iterations, so that a run can be cut into pieces.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch

Pair = tuple[np.ndarray, np.ndarray]

SKLEARN = {"frobenius": "frobenius", "kl": "kullback-leibler"}


def sklearn_mu(y: Any, loss: str, factors: Pair, count: int) -> Pair:  # noqa: ANN401
    """So many iterations of MU by scikit-learn, on a dense or sparse matrix."""
    return _sklearn(y, factors, count, "mu", SKLEARN[loss])


def sklearn_cd(y: Any, loss: str, factors: Pair, count: int) -> Pair:  # noqa: ANN401
    """So many iterations of coordinate descent by scikit-learn, for the Frobenius loss."""
    return _sklearn(y, factors, count, "cd", SKLEARN[loss])


def _sklearn(y: Any, factors: Pair, count: int, solver: str, loss: str) -> Pair:  # noqa: ANN401
    from sklearn.decomposition import non_negative_factorization

    w, h = factors
    w, ht, _ = non_negative_factorization(
        y,
        w.copy(),
        np.ascontiguousarray(h.T),
        w.shape[1],
        init="custom",
        solver=solver,
        beta_loss=loss,
        tol=0,
        max_iter=count,
    )
    return w, np.ascontiguousarray(ht.T)


def tensorly_hals(y: Any, loss: str, factors: Pair, count: int) -> Pair:  # noqa: ANN401
    """So many iterations of HALS by TensorLy, on a dense array or tensor, Frobenius loss."""
    tensorly: Any = import_module("tensorly")
    solver: Any = import_module("tensorly.decomposition").non_negative_parafac_hals
    given = isinstance(y, torch.Tensor)
    begin = [torch.tensor(x, device=y.device) if given else x.copy() for x in factors]
    with tensorly.backend_context("pytorch" if given else "numpy"):
        start, rank = (None, begin), factors[0].shape[1]
        w, h = solver(y, rank, count, init=start, tol=0).factors
    return (w.cpu().numpy(), h.cpu().numpy()) if given else (w, h)
