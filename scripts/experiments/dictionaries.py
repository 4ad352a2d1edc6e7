"""Dictionary-based factorizations: planted atoms of a library, pure pixels in windows, splines.

python scripts/experiments/dictionaries.py                     all tables, some twenty minutes
python scripts/experiments/dictionaries.py planted --runs 20   one of them, with fewer runs
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rlra_torch.datasets import load_usgs
from rlra_torch.dictionary import (
    bspline_basis,
    flexible_als,
    greedy_atoms,
    m2c_als,
    mc_als,
    pure_columns,
    random_atoms,
    random_everything,
    several,
    smooth_cp,
)
from rlra_torch.dictionary.starts import Start
from rlra_torch.estimators import cp
from rlra_torch.initialization import spa_indices
from rlra_torch.metrics import factor_match, match

DOUBLE = torch.float64


def row(name: str, values: Sequence[object], width: int = 9) -> None:
    print(f"{name:34}" + "".join(f"{value:>{width}}" for value in values), flush=True)


# ---- planted atoms of the USGS library, without noise -------------------------------------------


def planted(
    library: Tensor, rank: int, runs: int, generator: torch.Generator, pixels: int = 100
) -> tuple[Tensor, Tensor]:
    """Mixtures of random atoms with uniform abundances, (runs, m, n), and the atoms, (runs, r)."""
    draws = torch.rand(runs, library.shape[-1], generator=generator)
    atoms = draws.argsort(-1)[:, :rank]
    codes = torch.rand(runs, pixels, rank, generator=generator, dtype=library.dtype)
    return library.mT[atoms].mT @ codes.mT, atoms


def right(found: Tensor, atoms: Tensor) -> Tensor:
    """Which runs found exactly the true atoms."""
    return (found.sort(-1).values == atoms.sort(-1).values).all(-1)


METHODS: dict[str, tuple[tuple[Start, ...], int, bool]] = {
    "plain, random H, no assignment": ((random_everything,), 0, False),
    "plain, random H": ((random_everything,), 0, True),
    "plain, random atoms": ((random_atoms,), 0, True),
    "plain, pure columns (SPA)": ((pure_columns,), 0, True),
    "greedy start alone": ((greedy_atoms,), 0, True),
    "several(10), the default": (several(10), 2, True),
    "10 random starts": ((random_atoms,) * 10, 0, True),
    "10 random starts, perturbed": ((random_atoms,) * 10, 3, True),
}


def theorem(
    runs: int, ranks: Sequence[int] = (3, 5), methods: Sequence[str] = tuple(METHODS)
) -> None:
    """Runs that find all true atoms: plain MC-ALS seldom, with restarts always."""
    library = load_usgs(DOUBLE).spectra
    print(f"USGS library, {library.shape[1]} atoms of {library.shape[0]} bands, no noise")
    row("runs with all atoms right", [f"r = {rank}" for rank in ranks])
    for name in methods:
        (starts, perturbations, distinct), shown = METHODS[name], []
        for rank in ranks:
            count = 0
            for seed in range(0, runs, 10):
                draw = torch.Generator().manual_seed(seed)
                y, atoms = planted(library, rank, min(10, runs - seed), draw)
                fit = mc_als(
                    y,
                    library,
                    rank,
                    starts=starts,
                    distinct=distinct,
                    perturbations=perturbations,
                    seed=draw,
                )
                count += int(right(fit.indices, atoms).sum())
            shown.append(f"{count}/{runs}")
        row(name, shown)
    shown, greedy = [], (greedy_atoms,)
    for rank in ranks:
        y, atoms = planted(library, rank, runs, torch.Generator().manual_seed(0))
        fits = [flexible_als(part, library, rank, starts=greedy) for part in y.split(10)]
        found = torch.cat([fit.indices for fit in fits])
        shown.append(f"{int(right(found, atoms).sum())}/{runs}")
    row("flexible, greedy start", shown)


# ---- pure pixels in windows ---------------------------------------------------------------------


def scene(
    snr: float, seed: int, bands: int = 162, rank: int = 6, pixels: int = 200
) -> tuple[Tensor, Tensor]:
    """Smooth nonnegative spectra, uniform abundances on the simplex, one pure pixel of each.

    SNR is that of the whole image, ``10 log10(||X||^2 / ||N||^2)``; noisy data is clipped at 0.
    """
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw, dtype=DOUBLE)

    place = torch.linspace(0, 1, bands, dtype=DOUBLE)[:, None, None]
    centre, width = uniform(4, rank), 0.05 + 0.15 * uniform(4, rank)
    spectra = 0.1 + (uniform(4, rank) * (-(((place - centre) / width) ** 2)).exp()).sum(1)
    codes = -uniform(pixels, rank).log()
    codes = codes / codes.sum(-1, keepdim=True)
    pure = torch.randperm(pixels - 50, generator=draw)[:rank]
    codes[pure] = torch.eye(rank, dtype=DOUBLE)
    clean = spectra @ codes.mT
    noise = torch.randn(clean.shape, generator=draw, dtype=DOUBLE)
    y = (clean + noise * (clean.norm() / noise.norm()) * 10 ** (-snr / 20)).clamp_min(0)
    return y / y.max(), pure


def missed(found: Tensor, pure: Tensor) -> int:
    """How many pure pixels were not found."""
    return len(set(pure.tolist()) - set(found.tolist()))


def in_windows(y: Tensor, pure: Tensor, width: int) -> Tensor:
    """Pixels found by M2C-ALS in windows of this width that begin at the pure pixels."""
    windows = [y[:, p : p + width] for p in pure.tolist()]
    fit = m2c_als(y, windows, [1] * len(pure), starts=several(3), perturbations=0)
    return pure[fit.indices // width] + fit.indices % width


def windows(runs: int, snrs: Sequence[float] = (5.0, 15.0, 35.0)) -> None:
    """Pure pixels missed, of six: noise hides them in wide windows as in the whole image."""
    print(f"pure pixels missed of 6, mean of {runs} images; SNR over all entries")
    row("", [f"{snr:g} dB" for snr in snrs])
    methods: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "SPA": lambda y, pure: spa_indices(y, len(pure)),
        "MC-ALS, all pixels": lambda y, pure: (
            mc_als(y, y, len(pure), starts=several(3), perturbations=0).indices
        ),
    }
    for width in (50, 25, 10, 1):
        methods[f"M2C-ALS, windows of {width}"] = lambda y, pure, width=width: in_windows(
            y, pure, width
        )
    for name, method in methods.items():
        means = []
        for snr in snrs:
            scenes = [scene(snr, seed) for seed in range(runs)]
            means.append(sum(missed(method(y, pure), pure) for y, pure in scenes) / runs)
        row(name, [f"{mean:.2f}" for mean in means])


# ---- smooth components --------------------------------------------------------------------------


def fluorescence(snr: float, seed: int) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """An 18 x 251 x 21 tensor of rank 3, smooth in its second mode: noisy, clean, its factors."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.linspace(0, 1, 251, dtype=DOUBLE)[:, None]
    centre, width = torch.tensor([0.3, 0.5, 0.7]), torch.tensor([0.08, 0.12, 0.1])
    emission = (-(((x - centre) / width) ** 2)).exp()
    emission = emission + 0.4 * (-(((x - centre - 0.15) / width) ** 2)).exp()
    z = torch.linspace(0, 1, 21, dtype=DOUBLE)[:, None]
    excitation = (-(((z - torch.tensor([0.2, 0.5, 0.6])) / 0.2) ** 2)).exp()
    factors = (torch.rand(18, 3, generator=draw, dtype=DOUBLE), emission, excitation)
    clean = torch.einsum("ir,jr,kr->ijk", *factors)
    noise = torch.randn(clean.shape, generator=draw, dtype=DOUBLE)
    return clean + noise * (clean.norm() / noise.norm()) * 10 ** (-snr / 20), clean, factors


def splines(runs: int, snrs: Sequence[float] = (-10.0, 0.0, 10.0)) -> None:
    """Error on the clean tensor and match of the factors, plain CP and with 20 cubic splines."""
    print(f"nonnegative CP of 18 x 251 x 21 tensors, rank 3, mean of {runs}; best of 3 starts")
    row("error on the clean tensor / match", [f"{snr:g} dB" for snr in snrs], 14)
    basis, shown = bspline_basis(251, 20), {"plain": [], "splines": []}
    for snr in snrs:
        scores = []
        for seed in range(runs):
            y, clean, truth = fluorescence(snr, seed)
            fits = [cp(y, 3, seed=s, max_iter=200) for s in range(3)]
            plain = min(fits, key=lambda fit: fit.relative_error).factors
            smooth = smooth_cp(y, 3, {1: basis}, starts=3, max_iter=200, seed=seed).factors
            for factors in (plain, smooth):
                error = (torch.einsum("ir,jr,kr->ijk", *factors) - clean).norm() / clean.norm()
                scores.append((float(error), float(factor_match(factors, truth))))
        means = torch.tensor(scores).unflatten(0, (runs, 2)).mean(0).tolist()
        for name, (error, score) in zip(shown, means, strict=True):
            shown[name].append(f"{error:.3f} / {score:.3f}")
    for name, values in shown.items():
        row(name, values, 14)


def profiles(snr: float = -10.0) -> dict[str, list[Tensor]]:
    """The true factors, and those of a plain and of a smooth CP in their order."""
    y, _, truth = fluorescence(snr, seed=0)
    plain = cp(y, 3, max_iter=200).factors
    smooth = smooth_cp(y, 3, {1: bspline_basis(251, 20)}, starts=2, max_iter=100).factors
    found = {"truth": list(truth)}
    for name, factors in (("plain", plain), ("splines", smooth)):
        order = match(torch.as_tensor(factors[1]), truth[1])
        found[name] = [torch.as_tensor(x)[:, order] for x in factors]
    return found


TABLES: dict[str, tuple[Callable[[int], None], int]] = {
    "planted": (theorem, 100),
    "windows": (windows, 10),
    "splines": (splines, 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="table", help=", ".join(TABLES))
    parser.add_argument("--runs", type=int, help="how many; none: 100, 10 and 5")
    arguments = parser.parse_args()
    for name in arguments.names or TABLES:
        table, usual = TABLES[name]
        print(f"{name}: {(table.__doc__ or '').strip()}")
        table(arguments.runs or usual)


if __name__ == "__main__":
    main()
