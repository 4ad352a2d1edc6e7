"""Least-squares NMF of other packages, those that are installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from rlra_torch.models import Factors
from timing.paired import Run


def scikit_learn(y: np.ndarray) -> Run:
    from sklearn.decomposition import NMF as Peer

    def run(start: Factors, count: int) -> Factors:
        w, h = (x.numpy() for x in start)
        model = Peer(w.shape[1], init="custom", solver="cd", tol=0, max_iter=count)
        w = model.fit_transform(y, W=w.copy(), H=np.ascontiguousarray(h.T))
        return torch.from_numpy(w), torch.from_numpy(model.components_.T)

    return run


def tensorly_hals(y: np.ndarray) -> Run:
    from tensorly.cp_tensor import CPTensor
    from tensorly.decomposition import non_negative_parafac_hals

    def run(start: Factors, count: int) -> Factors:
        init = CPTensor((None, [x.numpy().copy() for x in start]))
        found = non_negative_parafac_hals(y, start[0].shape[1], n_iter_max=count, init=init, tol=0)
        return tuple(torch.from_numpy(x) for x in found[1])

    return run


def torchnmf_mu(y: torch.Tensor) -> Run:
    from torchnmf.nmf import NMF as Peer

    def run(start: Factors, count: int) -> Factors:
        w, h = start
        # There Y (N, C) ~ H (N, R) W (C, R)^T.
        model = Peer(W=h.clone(), H=w.clone())
        model.fit(y, beta=2, tol=0, max_iter=count)
        return model.H.detach(), model.W.detach()

    return run


def peers(y: torch.Tensor) -> dict[str, Run]:
    """Those that are installed (extra `bench`)."""
    found: dict[str, Run] = {}
    makers: dict[str, Callable[[], Run]] = {
        "scikit-learn CD": lambda: scikit_learn(y.numpy()),
        "TensorLy HALS": lambda: tensorly_hals(y.numpy()),
        "torchnmf MU": lambda: torchnmf_mu(y),
    }
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError:
            print(f"{name}: not installed, left out (pip install 'rlra-torch[bench]')")
    return found
