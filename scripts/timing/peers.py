"""Least-squares NMF of other packages, those that are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch

from rlra_torch.applications.peers import Pair, sklearn_cd, tensorly_hals
from rlra_torch.models import Factors
from timing.paired import Run


def in_numpy(run: Callable[..., Pair], y: torch.Tensor) -> Run:
    def advance(start: Factors, count: int) -> Factors:
        w, h = (x.numpy() for x in start)
        return tuple(map(torch.from_numpy, run(y.numpy(), "frobenius", (w, h), count)))

    return advance


def torchnmf_mu(y: torch.Tensor) -> Run:
    def run(start: Factors, count: int) -> Factors:
        from torchnmf.nmf import NMF as Peer

        w, h = start
        # There Y (N, C) ~ H (N, R) W (C, R)^T.
        model = Peer(W=h.clone(), H=w.clone())
        model.fit(y, beta=2, tol=0, max_iter=count)
        return model.H.detach(), model.W.detach()

    return run


def peers(y: torch.Tensor) -> dict[str, Run]:
    """Those that are installed (extra `bench`)."""
    found: dict[str, Run] = {}
    runs = {
        "scikit-learn CD": ("sklearn", in_numpy(sklearn_cd, y)),
        "TensorLy HALS": ("tensorly", in_numpy(tensorly_hals, y)),
        "torchnmf MU": ("torchnmf", torchnmf_mu(y)),
    }
    for name, (package, run) in runs.items():
        if find_spec(package) is None:
            print(f"{name}: not installed, left out (pip install 'rlra-torch[bench]')")
        else:
            found[name] = run
    return found
