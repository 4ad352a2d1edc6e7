"""Many spectral mixtures at once, drawn from one law."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from rlra_torch.datasets.libraries import SpectralLibrary, load_usgs
from rlra_torch.datasets.synthetic import _generator, _spectra

# Powders mixed by hand, plants, snow and water are no pure minerals.
NOT_MINERALS = ("mix_intimate", "veg", "snow", "water")


class Scenes(NamedTuple):
    """A batch of spectral mixtures, ``Y = W H^T + noise``.

    Attributes:
        Y: observed spectra, (count, bands, pixels), nonnegative.
        W: endmembers, (count, bands, rank), or None where they are not known.
        H: abundances, (count, pixels, rank), or None where they are not known.
    """

    Y: Tensor
    W: Tensor | None = None
    H: Tensor | None = None


@dataclass(frozen=True)
class MixingLaw:
    """How scenes are drawn, apart from their spectra.

    Args:
        pixels: pixels of a scene.
        rank: endmembers of a scene.
        snr_db: least and largest signal-to-noise ratio in decibels; each scene draws its own.
        alpha: concentration of the Dirichlet law of the abundances: 1 is uniform on the simplex,
            less is sparser.
        purity: fraction of the pixels that hold one endmember only; if not 0, each endmember has
            at least one such pixel.
        brightness: the endmembers of a scene are multiplied by one number, uniform in
            [1 - brightness, 1 + brightness].

    Raises:
        ValueError: a value out of range.

    Example:
        >>> MixingLaw(rank=4).varied({"snr_db": [10, 20]}).snr_db
        (10, 20)
    """

    pixels: int = 256
    rank: int = 3
    snr_db: tuple[float, float] = (20.0, 40.0)
    alpha: float = 1.0
    purity: float = 0.0
    brightness: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "snr_db", tuple(self.snr_db))
        for name in ("pixels", "rank"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} of a scene is an integer of at least 1, not {value!r}")
        if len(self.snr_db) != 2 or not self.snr_db[0] <= self.snr_db[1]:
            raise ValueError(f"snr_db is (least, largest) in decibels, not {self.snr_db}")
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha of a Dirichlet law is positive, not {self.alpha}")
        if not 0 <= self.purity <= 1:
            raise ValueError(f"purity is a fraction of the pixels in [0, 1], not {self.purity}")
        if not 0 <= self.brightness < 1:
            raise ValueError(f"brightness is in [0, 1), not {self.brightness}")
        if self.purity > 0 and self.pixels < self.rank:
            raise ValueError(f"{self.pixels} pixels cannot show {self.rank} endmembers pure")

    def varied(self, changes: dict[str, Any]) -> MixingLaw:
        """The law with other values.

        Args:
            changes: new values under the names of the arguments.

        Raises:
            ValueError: there is no such name.
        """
        names = [field.name for field in fields(self)]
        unknown = [name for name in changes if name not in names]
        if unknown:
            raise ValueError(f"a law of scenes has no {unknown[0]!r}; it has {', '.join(names)}")
        return replace(self, **changes)


class Endmembers(Protocol):
    """Where the spectra of scenes come from."""

    def __call__(self, count: int, rank: int, draw: torch.Generator) -> Tensor:
        """Spectra of ``count`` scenes, (count, bands, rank)."""
        ...


@dataclass(frozen=True)
class SmoothSpectra:
    """Sums of Gaussian bands on a small continuum, each with maximum one.

    Args:
        bands: of a spectrum.

    Example:
        >>> SmoothSpectra(50)(4, 3, torch.Generator().manual_seed(0)).shape
        torch.Size([4, 50, 3])
    """

    bands: int

    def __call__(self, count: int, rank: int, draw: torch.Generator) -> Tensor:
        """Fresh spectra, (count, bands, rank)."""
        drawn = _spectra(self.bands, count * rank, draw, torch.float32)
        return drawn.reshape(self.bands, count, rank).movedim(1, 0).contiguous()


class Specimens:
    """Measured spectra; the endmembers of a scene are different ones.

    Args:
        spectra: (bands, specimens).

    Raises:
        ValueError: not a matrix, or values that are NaN or infinite.

    Example:
        >>> W = Specimens(torch.eye(5))(2, 3, torch.Generator().manual_seed(0))
        >>> W.shape, W.sum((1, 2))
        (torch.Size([2, 5, 3]), tensor([3., 3.]))
    """

    def __init__(self, spectra: Tensor) -> None:
        if spectra.ndim != 2 or spectra.numel() == 0:
            raise ValueError(f"specimens are (bands, specimens), not {tuple(spectra.shape)}")
        bad = int((~spectra.isfinite()).sum())
        if bad:
            raise ValueError(f"the spectra have {bad} values that are NaN or infinite; drop them")
        self.spectra = spectra

    def __call__(self, count: int, rank: int, draw: torch.Generator) -> Tensor:
        """Endmembers of ``count`` scenes, (count, bands, rank).

        Raises:
            ValueError: fewer specimens than endmembers.
        """
        specimens = self.spectra.shape[1]
        if specimens < rank:
            raise ValueError(f"{specimens} specimens cannot make scenes of {rank} endmembers")
        keys = torch.rand(count, specimens, generator=draw, device=draw.device)
        chosen = keys.argsort(dim=-1)[:, :rank]
        return self.spectra.to(draw.device)[:, chosen].movedim(1, 0).contiguous()


def draw_scenes(
    law: MixingLaw, endmembers: Endmembers, count: int, seed: int | torch.Generator = 0
) -> Scenes:
    """Draw scenes: the forward model of spectral unmixing, many times at once.

        Y = max(W H^T + N, 0),  rows of H from a Dirichlet law or vertices of the simplex,
        N white and Gaussian with 20 log10(||W H^T|| / ||N||) = SNR exactly

    Args:
        law: sizes, noise and abundances.
        endmembers: where the spectra come from.
        count: scenes.
        seed: an integer, or a generator, on whose device everything is drawn.

    Returns:
        `Scenes`.

    Raises:
        ValueError: there are too few specimens.

    Example:
        >>> scenes = draw_scenes(MixingLaw(pixels=100), SmoothSpectra(50), count=8)
        >>> [tuple(x.shape) for x in scenes]
        [(8, 50, 100), (8, 50, 3), (8, 100, 3)]
    """
    draw = _generator(seed, None)
    W = endmembers(count, law.rank, draw)
    H = _abundances(law, count, draw).to(W.dtype)
    low, high = 1 - law.brightness, 1 + law.brightness
    W = W * _uniform(low, high, count, draw)
    signal = W @ H.mT
    noise = torch.randn(signal.shape, generator=draw, device=draw.device)
    size = signal.norm(dim=(-2, -1), keepdim=True) / noise.norm(dim=(-2, -1), keepdim=True)
    decibels = _uniform(*law.snr_db, count, draw)
    return Scenes((signal + noise * size * 10 ** (-decibels / 20)).clamp_min(0), W, H)


def minerals(bands: int = 50, dtype: torch.dtype = torch.float32) -> SpectralLibrary:
    """The pure minerals of the USGS library from 2.0 to 2.5 um, in wide bands.

    Args:
        bands: to average the 500 nanometres into: 50 are 10 nm wide.
        dtype: of the result.

    Raises:
        FileNotFoundError: the library was not fetched yet.
        ValueError: ``bands`` does not divide 500.

    References:
        USGS Spectral Library Version 7 (Kokaly et al., 2017), Data Series 1035.
    """
    library = load_usgs(dtype)
    fine = len(library.wavelengths)
    if bands < 1 or fine % bands:
        raise ValueError(f"{fine} nanometres cannot be averaged into {bands} equal bands")
    labels = library.labels
    kept = [i for i, name in enumerate(labels) if not any(word in name for word in NOT_MINERALS)]
    return SpectralLibrary(
        spectra=library.spectra[:, kept].unflatten(0, (bands, -1)).mean(1),
        wavelengths=library.wavelengths.unflatten(0, (bands, -1)).mean(1),
        labels=tuple(labels[i] for i in kept),
        samples=tuple(library.samples[i] for i in kept),
    )


def split(count: int, held_out: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Two disjoint sets of specimens, at random: those to train on, those held out.

    Args:
        count: specimens.
        held_out: how many to hold out.
        seed: of the draw.

    Returns:
        the numbers of both, sorted.

    Raises:
        ValueError: nothing would be left in one of them.

    Example:
        >>> [len(part) for part in split(36, held_out=10)]
        [26, 10]
    """
    if not 0 < held_out < count:
        raise ValueError(f"{held_out} of {count} specimens cannot be held out; leave some in both")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return sorted(order[:-held_out]), sorted(order[-held_out:])


def _uniform(low: float, high: float, count: int, draw: torch.Generator) -> Tensor:
    """One number for each scene, (count, 1, 1)."""
    return low + (high - low) * torch.rand(count, 1, 1, generator=draw, device=draw.device)


def _abundances(law: MixingLaw, count: int, draw: torch.Generator) -> Tensor:
    """(count, pixels, rank), rows on the simplex."""
    concentration = torch.full((count, law.pixels, law.rank), law.alpha, dtype=torch.float64)
    # A Dirichlet draw is a normalized gamma draw; the public sampler takes no generator.
    gamma = torch._standard_gamma(  # pyright: ignore[reportPrivateImportUsage]
        concentration.to(draw.device), generator=draw
    )
    gamma = gamma.clamp_min(torch.finfo(gamma.dtype).tiny)
    H = gamma / gamma.sum(-1, keepdim=True)
    if law.purity == 0:
        return H
    pure = max(law.rank, round(law.purity * law.pixels))
    where = torch.rand(count, law.pixels, generator=draw, device=draw.device).argsort(-1)[:, :pure]
    vertices = torch.eye(law.rank, dtype=H.dtype, device=H.device)
    rows = vertices[torch.arange(pure, device=H.device) % law.rank].expand(count, -1, -1)
    return H.scatter(1, where.unsqueeze(-1).expand_as(rows), rows)
