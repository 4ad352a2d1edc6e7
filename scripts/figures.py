"""Figures of what tensors, penalties and scales do.

    python scripts/figures.py --list
    python scripts/figures.py swamp path --out figures
    python scripts/figures.py                      all of them; most of the time is `transition`

Each is written as a PNG file named after it, and the numbers that it shows are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from experiments import (
    balancing,
    convex,
    deconvolution,
    dictionaries,
    exactly_sparse,
    kinetic,
    mixed,
    segmentation,
    separable,
    singlepixel,
)
from matplotlib.figure import Figure

from rlra_torch import plots
from rlra_torch.applications import calcium_spikes
from rlra_torch.datasets import calcium_traces, mixture
from rlra_torch.diagnostics import feasible_set
from rlra_torch.iterations import HALS, Alternating, Balanced
from rlra_torch.metrics import shift_correlation, spike_score
from rlra_torch.plots import Mode
from rlra_torch.plots.segmentation import footprint_rows
from rlra_torch.plots.singlepixel import unmixed_pictures


def swamp() -> Figure:
    """Alternating least squares on two numbers: far from the optimum after 200 steps."""
    problem, start = balancing.swamp()
    steps = {"ALS": Alternating(HALS()), "ALS, balanced": Balanced(Alternating(HALS()))}
    curves = {name: balancing.curve(step, problem, start, 200) for name, step in steps.items()}
    optimum = 0.5 * (2e-3 - 1e-6)
    for name, rows in curves.items():
        print(f"{name}: {2 * rows[-1].objective:.10f} after 200 steps, {2 * optimum:.10f} is least")
    return plots.convergence(curves, title="A scaling swamp", offset=optimum)


def starts() -> Figure:
    """Nonnegative CP with ridges from factors of unequal scales."""
    curves = balancing.start_curves()
    for name, rows in curves.items():
        print(f"{name}: {rows[-1].objective:.6f} after {rows[-1].iteration} sweeps")
    least = min(row.objective for rows in curves.values() for row in rows)
    title = "Ridge CP from unbalanced factors, mean of ten tensors"
    return plots.convergence(curves, title=title, offset=0.999 * least)


def path() -> Figure:
    """Sparse NMF with l1 on both factors: components are lost at sharp values of the penalty."""
    found = balancing.l1_path()
    sizes = torch.stack([balancing.sizes(solution.factors) for solution in found])
    shares = [[float((x == 0).double().mean()) for x in s.factors] for s in found]
    for weight, size in zip(balancing.PENALTIES, sizes, strict=True):
        print(f"{weight:5.2f}: {int((size > 0).sum())} components, of {size.tolist()}")
    title = "Sparse NMF with the same l1 penalty on both factors"
    return plots.penalty_path(balancing.PENALTIES, sizes, torch.tensor(shares), title=title)


def components() -> Figure:
    """Kinetic fluorescence: the components of a nonnegative CP of rank 3."""
    fit = kinetic.fit(3, seed=0)
    print(f"relative error {fit.relative_error:.5f}, KKT residual {fit.kkt:.1e}")
    title = "Kinetic fluorescence, nonnegative CP of rank 3"
    return plots.components(fit.factors, kinetic.modes(), title=title)


def evolving() -> Figure:
    """Kinetic fluorescence: PARAFAC2 of rank 2, in which time courses differ between samples."""
    fit, still, times = kinetic.evolving(2, seed=0)
    print(f"relative error {fit.relative_error:.4f} with profiles of each sample", end=", ")
    print(f"{still.relative_error:.4f} with the same for all")
    emission, excitation, time = kinetic.modes()[1:]
    return plots.evolving(
        fit.A,
        fit.D,
        fit.B,
        (Mode("wavelengths"), time, Mode("sample")),
        times,
        (emission, excitation),
        "Kinetic fluorescence, PARAFAC2 and CP of rank 2",
    )


def consistency() -> Figure:
    """Simulated fluorescence: core consistency over the rank."""
    values = kinetic.consistencies((1, 2, 3, 4, 5))
    for rank, several in values.items():
        print(f"rank {rank}: {', '.join(f'{value:.1f}' for value in several)}")
    return plots.core_consistencies(values, title="Simulated fluorescence of three substances")


def transition() -> Figure:
    """Short-and-sparse deconvolution: how often random kernels are recovered."""
    shares = deconvolution.transition()
    title = "Random kernels recovered in traces of 100 times their length"
    return plots.transition(
        shares.numpy(),
        np.array(deconvolution.SIZES),
        np.array(deconvolution.EXPONENTS),
        title,
    )


def calcium() -> Figure:
    """A calcium trace: the response to a spike and the spikes, neither of them known."""
    data = calcium_traces(1, 1500, rate=30.0, decay=0.4, rise=0.05, noise=0.15, baseline=3.0)
    found = calcium_spikes(data.traces[0], rate=30.0, response=1.5)
    corr, _ = shift_correlation(found.fit.kernels[:, 0], data.response[:45])
    spikes = torch.zeros_like(data.spikes[0])
    spikes[[event.sample for event in found.events]] = 1
    score = float(spike_score(spikes, data.spikes[0], 1))
    print(f"the kernel correlates {float(corr):.4f} with the true one")
    print(f"{len(found.events)} events, F-measure {score:.3f} within one frame")
    return found.plot(data.traces[0])


def regions() -> Figure:
    """A calcium movie at -16 dB: regions under sparsity, low rank, and total variation."""
    found, true = segmentation.penalties()
    rows = {name: maps.numpy() for name, maps in found.items()}
    return footprint_rows(rows, true.numpy(), "Regions of a simulated calcium movie at -16 dB")


def coding() -> Figure:
    """Mixed sparse coding: supports that are found, over noise and conditioning."""
    title = "Mixed sparse coding: 5 of 100 atoms in each of 6 columns"
    return plots.recovery(mixed.curves(), title, "nonzeros found (%)")


def sparse() -> Figure:
    """Indian Pines: the best abundances of five spectra with one, two and all of them a pixel."""
    path, errors = exactly_sparse.pines_path()
    for name, error in errors.items():
        print(f"{name:26} relative error {error:.4f}")
    maps = torch.cat([path.x[k].unflatten(-1, (145, 145)) for k in (1, 2, 5)])
    labels = [f"{at} {n}" for at in ("one:", "two:", "all:") for n in range(1, 6)]
    title = "Indian Pines: abundances with at most one, two or all of five spectra in a pixel"
    return plots.abundance_maps(maps, labels, title, limits=(0, 1))


def pure_pixels() -> Figure:
    """Pure pixels recovered under noise: fewer bands than spectra, or spectra nearly dependent."""
    panels = [
        _found(protocol.name, protocol.levels, separable.recovery(protocol, trials=5))
        for protocol in separable.PROTOCOLS
    ]
    return plots.recovery(panels, "Recovery of 20 pure pixels, mean of five trials")


def middle_points() -> Figure:
    """Pure pixels among middle points that noise moves outwards: greedy and convex selection."""
    panel = _found("middle points", convex.LEVELS, convex.recovery(trials=4))
    return plots.recovery([panel], "Recovery of 10 pure pixels, mean of four trials")


def _found(name: str, levels: Sequence[float], curves: dict[str, list[float]]) -> plots.Panel:
    """The panel of a protocol, whose numbers are printed too."""
    print(f"{name}, noise {', '.join(f'{level:.0e}' for level in levels)}")
    for method, values in curves.items():
        print(f"  {method}: {', '.join(f'{value:.2f}' for value in values)}")
    percent = {method: [100 * value for value in values] for method, values in curves.items()}
    return plots.Panel("noise level", levels, percent, log=True, title=name)


def splines() -> Figure:
    """Simulated fluorescence at -10 dB: emission in the span of B-splines, and free."""
    fits = dictionaries.profiles()
    emission = Mode("emission", "nm", torch.linspace(250, 500, 251))
    excitation = Mode("excitation", "nm", torch.linspace(210, 310, 21))
    modes = (Mode("sample", bars=True), emission, excitation)
    return plots.components(fits, modes, title="Nonnegative CP at -10 dB, plain and with splines")


def borgen() -> Figure:
    """All factorizations of rank three of a mixture without pure pixels."""
    scene = mixture(m=60, n=300, rank=3, purity=0, seed=3, dtype=torch.float64)
    found = feasible_set(scene.Y)
    print(found.words)
    for k, part in enumerate(found.regions, 1):
        print(f"spectrum {k}: a region of area {part.area:.3g}")
    return found.plot(scene.W, title="All spectra of nonnegative factorizations of rank 3")


def flower() -> Figure:
    """A photograph of two colours through a single-pixel camera, unmixed at 100 counts a unit."""
    x, found = singlepixel.two_colours()
    order = found.spectra[0].argsort(descending=True)
    maps, spectra = found.maps[order], found.spectra[:, order]
    off = singlepixel.error(found.cube, x)
    print(f"{found.n_iter} rounds, relative error {off:.3f}; red, green, blue of each component:")
    print("\n".join(" ".join(f"{c:5.2f}" for c in column) for column in spectra.mT))
    title = "A flower through 64 x 64 patterns, 100 counts per unit"
    figure = unmixed_pictures(maps, spectra, None, ("petals, orange", "leaves, teal"), title)
    figure.axes[-1].set_xticks([1, 2, 3], ["red", "green", "blue"])
    figure.axes[-1].set_xlabel("channel")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    figure.__name__: figure
    for figure in (
        swamp,
        starts,
        path,
        components,
        evolving,
        consistency,
        coding,
        sparse,
        pure_pixels,
        middle_points,
        borgen,
        splines,
        transition,
        calcium,
        regions,
        flower,
    )
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="figure", help="which; none: all")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write to")
    parser.add_argument("--list", action="store_true", help="name the figures and stop")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FIGURES):
        parser.error(f"unknown figure {', '.join(sorted(unknown))}; use {', '.join(FIGURES)}")
    for name in arguments.names or FIGURES:
        print(f"{name}: {(FIGURES[name].__doc__ or '').strip()}")
        if not arguments.list:
            print(f"-> {plots.save(FIGURES[name](), arguments.out / f'{name}.png')}")


if __name__ == "__main__":
    main()
