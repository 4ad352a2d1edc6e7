"""Recovery of pure pixels under noise: the four protocols that the SNPA paper introduced.

    python scripts/experiments/separable.py              the table, 20 trials (two minutes or so)
    python scripts/experiments/separable.py --trials 5

Rank-deficient: 20 uniform spectra in 10 bands, drawn until each is at least 0.01 from the cone of
the others (columns normalized). Ill-conditioned: 20 bands, singular values from 1 to 0.001.
Dirichlet: every spectrum twice and 160 mixtures, Gaussian noise of standard deviation delta; middle
points: every spectrum once and the middle of each pair, moved away from the mean by delta times.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.separable import Separable, nonnegative, snpa, spa, xray

RANK = 20
METHODS: dict[str, Callable[[Tensor, int], Separable]] = {"SPA": spa, "SNPA": snpa, "XRAY": xray}


class Protocol(NamedTuple):
    """One of the four.

    Args:
        name: what it is called.
        deficient: whether there are fewer bands than spectra, else these are nearly dependent.
        middle: whether mixtures are middle points, else Dirichlet.
        levels: of noise.
    """

    name: str
    deficient: bool
    middle: bool
    levels: tuple[float, ...]


COARSE = (1e-3, 1e-2, 3.16e-2, 1e-1, 3.16e-1, 1.0)
FINE = (1e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 1e-1, 3.16e-1)
PROTOCOLS = (
    Protocol("rank-deficient, Dirichlet", True, False, COARSE),
    Protocol("rank-deficient, middle points", True, True, COARSE),
    Protocol("ill-conditioned, Dirichlet", False, False, FINE),
    Protocol("ill-conditioned, middle points", False, True, FINE),
)


def spectra(protocol: Protocol, draw: torch.Generator) -> Tensor:
    """W of one trial."""
    if not protocol.deficient:
        u, _, v = torch.linalg.svd(torch.rand(RANK, RANK, generator=draw, dtype=torch.float64))
        decades = torch.linspace(0, 3, RANK, dtype=torch.float64)
        return (u * 10**-decades @ v).clamp_min(0)
    while True:
        W = torch.rand(10, RANK, generator=draw, dtype=torch.float64)
        unit = W / W.norm(dim=0)
        if min(_distance(unit, k) for k in range(RANK)) >= 0.01:
            return W


def _distance(W: Tensor, k: int) -> float:
    """Of one spectrum from the cone of the others."""
    others = torch.cat([W[:, :k], W[:, k + 1 :]], 1)
    return float((W[:, [k]] - others @ nonnegative(W[:, [k]], others).mT).norm())


class Trial(NamedTuple):
    """Pixels without noise, noise of level one, and which spectrum each pixel is, or -1."""

    clean: Tensor
    noise: Tensor
    material: Tensor


def trial(protocol: Protocol, seed: int) -> Trial:
    """One data set."""
    draw = torch.Generator().manual_seed(seed)
    W, eye = spectra(protocol, draw), torch.eye(RANK, dtype=torch.float64)
    if protocol.middle:
        pairs = list(itertools.combinations(range(RANK), 2))
        mixed = torch.stack([(eye[i] + eye[j]) / 2 for i, j in pairs])
        clean = W @ torch.cat([eye, mixed]).mT
        noise = clean - W.mean(1, keepdim=True)
        noise[:, :RANK] = 0
        material = torch.cat([torch.arange(RANK), torch.full((len(pairs),), -1)])
        return Trial(clean, noise, material)
    concentration = torch.rand(RANK, generator=draw, dtype=torch.float64)
    gammas = torch._standard_gamma(concentration.expand(160, RANK), generator=draw)  # type: ignore
    clean = W @ torch.cat([eye, eye, gammas / gammas.sum(1, keepdim=True)]).mT
    noise = torch.randn(clean.shape, generator=draw, dtype=torch.float64)
    material = torch.cat([torch.arange(RANK).repeat(2), torch.full((160,), -1)])
    return Trial(clean, noise, material)


def recovered(indices: Tensor, material: Tensor) -> float:
    """The fraction of the spectra of which a pure pixel was picked."""
    picked = material[indices[indices >= 0]]
    return len(picked[picked >= 0].unique()) / RANK


@cache
def recovery(protocol: Protocol, trials: int = 20) -> dict[str, list[float]]:
    """Mean recovery of each method at each level of noise; all problems are one batch."""
    data = [trial(protocol, seed) for seed in range(trials)]
    several = torch.stack([d.clean + x * d.noise for x in protocol.levels for d in data])
    found = {}
    for name, method in METHODS.items():
        picked = method(several, RANK).indices
        each = torch.tensor([recovered(indices, data[0].material) for indices in picked])
        found[name] = each.reshape(-1, trials).mean(1).tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    for protocol in PROTOCOLS:
        print(f"\n{protocol.name}\n{'delta':>8}" + "".join(f"{x:8.0e}" for x in protocol.levels))
        for name, values in recovery(protocol, options.trials).items():
            print(f"{name:>8}" + "".join(f"{value:8.2f}" for value in values), flush=True)


if __name__ == "__main__":
    main()
