"""Spectral unmixing: what materials a hyperspectral image shows, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..datasets import HyperspectralImage, ImageRegion, SpectralLibrary, resampled
from ..estimators import loss_named
from ..losses import BetaDivergence, Loss
from ..solvers.progress import Callback
from .methods import Fit, Method, Task, method_named
from .unmixed import Unmixing


def unmix(
    image: HyperspectralImage,
    rank: int | None = None,
    method: str | Sequence[str] | None = None,
    loss: str | float | Loss = "frobenius",
    *,
    library: SpectralLibrary | None = None,
    regions: Sequence[ImageRegion] | None = None,
    init: str = "nndsvda",
    max_iter: int = 500,
    tol: float = 1e-5,
    check_every: int = 10,
    seed: int = 0,
    callbacks: Callable[[str], Sequence[Callback]] = lambda method: (),
) -> Unmixing:
    """Unmix an image by one or several methods, and keep the best.

    ``min over W, H >= 0 of loss(W H^T, Y)``, with Y (bands, pixels) the image divided by its
    largest value, W the spectra and H the abundances. Iterative methods start from one point; for
    other losses than Frobenius it is reached by 20 steps of MU, because mSOM converges from near
    only. Pixels that were not seen (NaN in all bands) take no part.

    Args:
        image: what to unmix; its device and dtype are those of the computation.
        rank: the number of components; None: the sum of the counts of the regions.
        method: one short name or several: pixels of the image as spectra ("spa", "snpa", ...),
            spectra of a library ("mc_als") or of regions of the image ("m2c_als"), or one of the
            iterations of `nmf`. None: "hals", "msom" and "mu" for Frobenius, "msom" and "mu" for
            other losses.
        loss: "frobenius", "kl", "is", a real beta, or a `Loss`; Frobenius where no method iterates.
        library: known spectra, brought to the bands of the image; for "mc_als".
        regions: of the image, each with how many materials to take from it; for "m2c_als".
        init: of iterative methods, "random", "nndsvd", "nndsvda", "nndsvdar", "spa", "snpa", "xray"
            or "vca".
        max_iter: the largest number of iterations of each method.
        tol: on the scale-free KKT residual.
        check_every: iterations between two checks.
        seed: of what is random.
        callbacks: called with the short name of each method, gives what watches its solve.

    Returns:
        an `Unmixing`.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any iteration.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 6.1 and 12.1

    Example:
        >>> from rlra_torch.datasets import mixture
        >>> scene = mixture(m=30, n=48, rank=3)
        >>> image = HyperspectralImage(scene.Y.mT.reshape(6, 8, 30))
        >>> result = unmix(image, rank=3, method=["hals", "spa"])
        >>> sorted(result.fits), tuple(result.maps.shape), result.relative_error < 0.01
        (['hals', 'spa'], (3, 6, 8), True)
    """
    loss = loss_named(loss)
    methods = {name: method_named(name) for name in _names(method, loss)}
    y, seen = _pixels(image)
    known = None if library is None else resampled(library, image.wavelengths, image.unit, len(y))
    spots = None if regions is None else _spots(regions, seen)
    if rank is None:
        rank = _total(regions)
    stops = {"max_iter": max_iter, "tol": tol, "check_every": check_every}
    atoms = None if known is None else known.spectra.to(y)
    parts = None if spots is None else [(y[:, at], count) for at, count in spots]
    task = Task(y, rank, loss, init, seed, stops, atoms, parts)
    for each in methods.values():
        each.check(task)
    fits = {name: each.run(task, partial(callbacks, name)) for name, each in methods.items()}
    best = min(fits, key=lambda name: fits[name].objective)
    settings = {
        "rank": rank,
        "loss": repr(loss) if type(loss) is BetaDivergence else type(loss).__name__,
        "init": init,
        "seed": seed,
        **stops,
        "scale": float(image.cube[image.seen].max()),
        "dtype": str(y.dtype).removeprefix("torch."),
        "device": str(y.device),
    }
    labels, pixels = _origins(fits[best], methods[best], known, regions, spots, seen)
    return _result(image, seen, fits, best, settings, labels, pixels)


def normalized(W: Tensor, H: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same product with columns of H of maximum 1, sorted by energy, largest first.

    Args:
        W: (*, m, r), nonnegative.
        H: (*, n, r), nonnegative; a column that is zero stays so.

    Returns:
        W, H, and the order (*, r) of their columns before.

    Example:
        >>> W, H = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 4.0], [1.0, 0.0]])
        >>> [x.tolist() for x in normalized(W, H)]
        [[[12.0, 2.0]], [[1.0, 1.0], [0.0, 0.5]], [1, 0]]
    """
    largest = H.amax(-2, keepdim=True)
    alive = largest > 0
    W, H = W * largest, H / largest.where(alive, 1)
    energy = W.square().sum(-2, keepdim=True) * H.square().sum(-2, keepdim=True)
    order = energy.argsort(dim=-1, descending=True, stable=True)
    return W.take_along_dim(order, -1), H.take_along_dim(order, -1), order.squeeze(-2)


def _names(method: str | Sequence[str] | None, loss: Loss) -> list[str]:
    if method is None:
        return ["hals", "msom", "mu"] if loss.quadratic else ["msom", "mu"]
    names = [method] if isinstance(method, str) else list(method)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"method is a short name or several, such as 'hals', got {method!r}")
    return list(dict.fromkeys(name.replace("-", "_") for name in names))


def _pixels(image: HyperspectralImage) -> tuple[Tensor, Tensor]:
    """The pixels that were seen as columns, of largest value 1, and their indices."""
    seen = image.seen.flatten().nonzero().flatten()
    bad = int((~image.matrix[:, seen].isfinite()).sum())
    if bad:
        raise ValueError(f"the image has {bad} values that are not finite; replace them first")
    return image.scaled().matrix[:, seen].contiguous(), seen


def _total(regions: Sequence[ImageRegion] | None) -> int:
    if regions is None:
        raise ValueError("the number of components is missing; pass rank=")
    return sum(region.count for region in regions)


def _spots(regions: Sequence[ImageRegion], seen: Tensor) -> list[tuple[Tensor, int]]:
    """The pixels of each region among those that were seen, and its count."""
    places = [torch.isin(seen, r.pixels.to(seen.device)).nonzero().flatten() for r in regions]
    for region, at in zip(regions, places, strict=True):
        if len(at) < region.count:
            raise ValueError(
                f"region {region.name!r} shows {len(at)} pixels that were seen, fewer than the "
                f"{region.count} materials to be taken from it"
            )
    return [(at, region.count) for region, at in zip(regions, places, strict=True)]


def _origins(
    fit: Fit,
    method: Method,
    library: SpectralLibrary | None,
    regions: Sequence[ImageRegion] | None,
    spots: list[tuple[Tensor, int]] | None,
    seen: Tensor,
) -> tuple[list[str] | None, Tensor | None]:
    """What the components are called, and the pixels that they are, where they are any."""
    if fit.chosen is None:
        return None, None
    if method.picks == "library" and library is not None:
        return [library.labels[i] for i in fit.chosen.tolist()], None
    if method.picks == "regions" and regions is not None and spots is not None:
        names = [r.name for r, (at, _) in zip(regions, spots, strict=True) for _ in range(len(at))]
        labels = _numbered([names[i] for i in fit.chosen.tolist()])
        return labels, seen[torch.cat([at for at, _ in spots])[fit.chosen]]
    return None, torch.where(fit.chosen < 0, -1, seen[fit.chosen])


def _numbered(names: list[str]) -> list[str]:
    """Names that occur several times with a number behind them."""
    many = {name for name in names if names.count(name) > 1}
    return [
        f"{name} {names[: k + 1].count(name)}" if name in many else name
        for k, name in enumerate(names)
    ]


def _result(
    image: HyperspectralImage,
    seen: Tensor,
    fits: dict[str, Fit],
    best: str,
    settings: dict[str, Any],
    labels: list[str] | None,
    pixels: Tensor | None,
) -> Unmixing:
    """The best fit, its components in order, laid out on all pixels."""
    W, H, order = normalized(*fits[best].factors)
    rows, cols = image.shape[:2]
    whole = H.new_full((rows * cols, H.shape[-1]), torch.nan)
    whole[seen] = H
    names = None if labels is None else tuple(labels[k] for k in order.tolist())
    places = None if pixels is None else pixels[order]
    return Unmixing(image, W, whole, fits, best, settings, names, places)
