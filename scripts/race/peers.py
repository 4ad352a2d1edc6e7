"""Other packages, from the same start, under the names that the tables use.

None of them remembers anything between iterations, so that a run can be cut into pieces.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch

from race.tasks import Data, Pair
from rlra_torch.applications.peers import sklearn_cd, sklearn_mu, tensorly_hals

Run = Callable[[Any, str, Pair, int], Pair]
"""Native data, loss, factors and a number of iterations to factors."""


@dataclass(frozen=True)
class Peer:
    """A solver of another package.

    Args:
        name: as in the tables.
        package: what must be importable.
        losses: which it has.
        run: calls it.
        convert: the data as it wants to have them; not timed.
        sparse, cuda: whether it takes such data.
        missing: whether it is there for missing entries.
    """

    name: str
    package: str
    losses: tuple[str, ...]
    run: Run
    convert: Callable[[Data, str], Any]
    sparse: bool = False
    missing: bool = False
    cuda: bool = False

    def why_not(self, data: Data, device: str) -> str | None:
        """The reason not to race, if there is one."""
        if importlib.util.find_spec(self.package) is None:
            return "not installed"
        if data.sparse and not self.sparse:
            return "no sparse data"
        if data.observed is not None and not self.missing:
            return "no missing entries"
        return None if self.cuda or device == "cpu" else "no cuda"

    def native(self, data: Data, loss: str, device: str) -> object:
        return self.convert(data, device), loss

    def begin(self, native: object, factors: Pair) -> Guest:
        return Guest(self.run, native, factors)


class Guest:
    """A solve that is called again from where it stopped."""

    def __init__(self, run: Run, native: object, factors: Pair) -> None:
        self.run, self.state = run, factors
        self.data, self.loss = native  # type: ignore[misc]

    def advance(self, count: int) -> None:
        self.state = self.run(self.data, self.loss, self.state, count)

    def factors(self) -> Pair:
        return self.state


# ---- scikit-learn -------------------------------------------------------------------------------


def _numpy(data: Data, device: str) -> Any:
    return data.y


# ---- torchnmf -----------------------------------------------------------------------------------


def torchnmf_mu(y: torch.Tensor, loss: str, factors: Pair, count: int) -> Pair:
    from torchnmf.nmf import NMF

    w, h = (torch.from_numpy(x) for x in factors)
    # There V (N, C) ~ H (N, R) W (C, R)^T and W is updated first: with V = Y^T, as everywhere else.
    model = NMF(W=w, H=h).to(y.device)
    model.fit(y, beta={"frobenius": 2, "kl": 1}[loss], tol=-np.inf, max_iter=count)
    return model.W.detach().cpu().numpy(), model.H.detach().cpu().numpy()


def _transposed(data: Data, device: str) -> torch.Tensor:
    if isinstance(data.y, np.ndarray):
        return torch.from_numpy(data.y).mT.contiguous().to(device)
    # It knows sparse data as COO, and makes NaN of stored zeros.
    y = scipy.sparse.coo_array(data.y.T)
    y.eliminate_zeros()
    places = torch.from_numpy(np.stack(y.coords).astype(np.int64))
    values = torch.from_numpy(y.data)
    return torch.sparse_coo_tensor(places, values, y.shape).coalesce().to(device)


# ---- nmf-torch ----------------------------------------------------------------------------------


def nmf_torch(y: torch.Tensor, loss: str, factors: Pair, count: int) -> Pair:
    """Its default for Frobenius (HALS with several inner sweeps), MU for Kullback-Leibler."""
    from nmf.nmf_models import NMFBatchHALS, NMFBatchMU

    w, h = (torch.from_numpy(x).to(y.device) for x in factors)
    kind = NMFBatchHALS if loss == "frobenius" else NMFBatchMU
    model = kind(
        n_components=w.shape[1], init="random", beta_loss={"frobenius": 2.0, "kl": 1.0}[loss],
        tol=-1.0, n_jobs=-1, random_state=0, alpha_W=0.0, l1_ratio_W=0.0, alpha_H=0.0,
        l1_ratio_H=0.0, fp_precision="float", device_type=y.device.type, max_iter=count,
    )  # fmt: skip

    def given() -> None:
        model.H, model.W = w.clone(), h.mT.contiguous()

    # It takes no start; this is where it draws its own. And it prints.
    model._initialize_H_W = given
    with contextlib.redirect_stdout(io.StringIO()):
        model.fit(y)
    return model.H.cpu().numpy(), model.W.mT.contiguous().cpu().numpy()


def _torch(data: Data, device: str) -> torch.Tensor:
    return torch.from_numpy(data.y).to(device)


# ---- TensorLy -----------------------------------------------------------------------------------


def tensorly_masked_mu(y: Any, loss: str, factors: Pair, count: int) -> Pair:
    from tensorly.decomposition import non_negative_parafac

    y, mask = y
    begin = _cp(y, factors)
    found = non_negative_parafac(y, factors[0].shape[1], count, init=begin, tol=0, mask=mask)
    return _pair(found.factors)


def _cp(y: Any, factors: Pair) -> Any:
    import tensorly
    from tensorly.cp_tensor import CPTensor

    tensorly.set_backend("pytorch" if isinstance(y, torch.Tensor) else "numpy")
    if isinstance(y, torch.Tensor):
        return CPTensor((None, [torch.tensor(x, device=y.device) for x in factors]))
    return CPTensor((None, [x.copy() for x in factors]))


def _pair(factors: Any) -> Pair:
    w, h = (x.cpu().numpy() if isinstance(x, torch.Tensor) else x for x in factors)
    return w, h


def _tensorly(data: Data, device: str) -> Any:
    return data.y if device == "cpu" else _torch(data, device)


def _tensorly_masked(data: Data, device: str) -> Any:
    assert data.observed is not None
    both = (data.y, data.observed.astype(np.float32))
    return both if device == "cpu" else tuple(torch.from_numpy(x).to(device) for x in both)


BOTH = ("frobenius", "kl")

PEERS = (
    Peer("scikit-learn MU", "sklearn", BOTH, sklearn_mu, _numpy, sparse=True),
    Peer("scikit-learn CD", "sklearn", ("frobenius",), sklearn_cd, _numpy, sparse=True),
    Peer("torchnmf MU", "torchnmf", BOTH, torchnmf_mu, _transposed, sparse=True, cuda=True),
    Peer("nmf-torch", "nmf", BOTH, nmf_torch, _torch, cuda=True),
    Peer("TensorLy HALS", "tensorly", ("frobenius",), tensorly_hals, _tensorly, cuda=True),
    Peer(
        "TensorLy MU",
        "tensorly",
        ("frobenius",),
        tensorly_masked_mu,
        _tensorly_masked,
        missing=True,
        cuda=True,
    ),
)
