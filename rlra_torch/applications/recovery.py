"""Recover an image of many bands from few samples of each: low rank, and smooth in parts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..functional.total_variation import Lattice
from ..iterations import Alternating, Carried, Nesterov, ProjectedGradient
from ..losses import Frobenius
from ..models import NMF, Factors, Sensed
from ..operators import RandomPhase
from ..problem import Problem
from ..regularizers import Gauge, ProjectiveNorm
from ..solvers import solve

# What the weight is multiplied by, over which share of the sweeps; and where steps are measured.
STAGES = (
    (30.0, 0.1),
    (30.0, 0.1),
    (10.0, 0.1),
    (4.0, 0.1),
    (1.6, 0.1),
    (1.0, 0.25),
    (1.0, 0.25),
)
MEASURED = (1, 2, 4, 6)
# What is never explained of the samples of a band, relative to all of them: beyond the rank, and
# what too few samples leave open.
UNEXPLAINED = 0.04


@dataclass(frozen=True)
class Recovery:
    """What `recover` found.

    Args:
        spectra: (bands, r), orthonormal, the one of the largest map first.
        maps: (r, rows, cols), orthogonal.
        objective: at the end, of all columns that were fitted.
        kkt: at the end, scale-free.
        n_iter: sweeps over both factors.
        seconds: all together.
    """

    spectra: Tensor
    maps: Tensor
    objective: float
    kkt: float
    n_iter: int
    seconds: float

    @property
    def cube(self) -> Tensor:
        """(rows, cols, bands), the recovered image."""
        return torch.einsum("br,rij->ijb", self.spectra, self.maps)


def recover(
    y: Tensor,
    operator: RandomPhase,
    rank: int = 15,
    *,
    spare: int | None = None,
    tv: float | None = None,
    noise: float = 0.0,
    max_iter: int = 320,
) -> Recovery:
    """An image of which each band was measured through a random convolution, at few pixels.

        min 1/2 ||Y - Phi(A Z^T)||^2 + lam sum_i ||A_i|| (||Z_i|| + nu TV(Z_i))

    A are spectra, Z maps; the bands of Y are in units of what is not explained of them, see
    `band_units`. The weight of the total variation, ``lam nu``, begins large and falls in stages,
    which the accelerated proximal gradient goes on through; its steps are as long as the sampling
    allows, see `Sensed.gained`. An image is never quite of the rank that is asked for, and through
    random phases what lies beyond it comes back as noise in every map: more columns are fitted,
    which explain it, and the result is the best approximation of their product.

    Args:
        y: (bands, samples).
        operator: that measured it, as `RandomPhase` draws one from a seed.
        rank: r, the largest number of spectra.
        spare: columns that are fitted besides; None: ``2 r``. Fewer take less time.
        tv: ``lam nu`` for data in these units, of root mean square one; None: from the ratio and
            the noise.
        noise: the standard deviation of the noise of a sample, relative to that of the data.
        max_iter: sweeps.

    Raises:
        ValueError: samples that are not those of the operator, or numbers out of range.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014), section 4.2

    Example:
        >>> x = torch.zeros(4, 8, 8)
        >>> x[:, 2:6, 2:6] = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
        >>> phi = RandomPhase((8, 8), bands=4, ratio=2)
        >>> found = recover(phi(x.flatten(1)), phi, rank=1, max_iter=60)
        >>> bool((found.cube - x.permute(1, 2, 0)).norm() < 0.05 * x.norm())
        True
    """
    expected = operator.pixels.shape
    if y.shape != expected:
        raise ValueError(f"the operator measures {tuple(expected)}, got {tuple(y.shape)}")
    whole_number("the rank", rank)
    whole_number("max_iter", max_iter)
    largest = min(len(y), math.prod(operator.shape))
    if rank > largest:
        raise ValueError(f"the rank is at most {largest} here, got {rank}")
    spare = 2 * rank if spare is None else whole_number("spare", spare, least=0)
    if not real_number("noise", noise) >= 0:
        raise ValueError(f"noise must be nonnegative, got {noise}")
    if tv is not None and not real_number("tv", tv) > 0:
        raise ValueError(f"tv must be positive, got {tv}")
    if not bool(y.any()):
        raise ValueError("all samples are zero; there is nothing to recover")
    begin, units = time.perf_counter(), band_units(y, noise)
    if tv is None:
        scattered = noise * y.square().mean().sqrt() / units
        tv = weight_of(operator.ratio, float(scattered.square().mean().sqrt()))
    found, done = _stages(y / units, operator, min(rank + spare, largest), tv, max_iter)
    spectra, maps = _leading(units * found.factors[0], found.factors[1], rank)
    maps = maps.mT.unflatten(-1, operator.shape)
    seconds = time.perf_counter() - begin
    return Recovery(spectra, maps, float(found.objective), float(found.kkt), done, seconds)


def sampled(
    cube: Tensor, ratio: float, snr: float | None = None, seed: int = 0
) -> tuple[Tensor, RandomPhase, float]:
    """Samples of an image, what took them, and their noise as `recover` asks for it.

    Args:
        cube: (rows, cols, bands).
        ratio: pixels for each sample.
        snr: signal to noise of the samples in dB; None: no noise.
        seed: of the operator and, apart from it, of the noise.

    Example:
        >>> y, operator, noise = sampled(torch.ones(4, 4, 3), ratio=2, snr=20)
        >>> y.shape, noise
        (torch.Size([3, 8]), 0.1)
    """
    rows, cols, bands = cube.shape
    phi = RandomPhase((rows, cols), bands, ratio, seed, cube.dtype).to(cube.device)
    y = phi(cube.permute(2, 0, 1).flatten(1))
    if snr is None:
        return y, phi, 0.0
    noise = 10 ** (-snr / 20)
    draw = torch.Generator().manual_seed(seed + 1)
    added = torch.randn(y.shape, generator=draw, dtype=torch.float64).to(y)
    return y + noise * y.square().mean().sqrt() * added, phi, noise


def band_units(y: Tensor, noise: float = 0.0) -> Tensor:
    """Units in which what is not explained is alike in all bands: least squares then weigh right.

        units_b^2 ~ (0.04 rms_b)^2 + (noise rms)^2,   mean (Y / units)^2 = 1

    Through random phases, what is not explained of a band, above all of one of much signal, comes
    back as noise in every map; bands that have little of either say more about the maps.

    Args:
        y: (bands, samples).
        noise: as for `recover`.

    Returns:
        (bands, 1).

    Example:
        >>> band_units(torch.tensor([[3.0, 4.0], [0.3, 0.4]])).flatten()
        tensor([3.5355, 0.3536])
    """
    square = y.square().mean(-1, keepdim=True)
    units = (UNEXPLAINED**2 * square + noise**2 * square.mean()).sqrt()
    units = torch.where(units > 0, units, 1)
    return units * (y / units).square().mean().sqrt()


def weight_of(ratio: float, noise: float = 0.0) -> float:
    """The weight of the total variation for samples of root mean square one.

    Of noise in a map what its samples, averaged over all bands, still have is to be removed.
    """
    return max(6e-3, 0.5 * noise) / ratio**0.5


def _stages(y: Tensor, operator: RandomPhase, rank: int, last: float, max_iter: int):  # noqa: ANN202
    factors, model = started(y, operator, rank), Sensed(NMF(), operator)
    lattice, step = Lattice.of(operator.shape), Carried(Alternating(Nesterov(ProjectedGradient())))
    found, total = None, 0
    for stage, (factor, share) in enumerate(STAGES):
        if stage in MEASURED:
            model = model.gained(_unit(factors))
        # More than this would take all columns away, and they do not come back.
        weight = max(last, min(factor * last, 0.06))
        norm = ProjectiveNorm(weight, Gauge(), Gauge(tv=1.0, lattice=lattice, steps=6))
        problem, count = Problem(y, model, Frobenius(), norm), max(1, round(share * max_iter))
        found = solve(step, problem, factors, max_iter=count, tol=0, check_every=count)
        factors, total = found.factors, total + count
    assert found is not None
    return found, total


def started(y: Tensor, operator: RandomPhase, rank: int) -> Factors:
    """The leading singular vectors of what the adjoint makes of the samples.

    They have ``1 / ratio`` of the size of the image, in the mean, and with it little of what is
    folded into them; the fit lets the image grow.
    """
    back = operator.adjoint(y)
    energy, vectors = torch.linalg.eigh(back @ back.mT)
    order = energy.argsort(descending=True)[:rank]
    spectra = vectors[:, order]
    return spectra, back.mT @ spectra


def _leading(a: Tensor, z: Tensor, rank: int) -> Factors:
    """Of ``a z^T`` the singular vectors ``u``, and ``v diag(s)``, of the largest values.

    Each has the sign for which the sum of ``u`` is not negative.
    """
    (outer, left), (inner, right) = torch.linalg.qr(a), torch.linalg.qr(z)
    u, s, vh = torch.linalg.svd(left @ right.mT)
    u, v = outer @ u[:, :rank], inner @ (s[:rank] * vh[:rank].mT)
    sign = torch.where(u.sum(0) < 0, -1.0, 1.0).to(u)
    return sign * u, sign * v


def _unit(factors: Factors) -> Factors:
    norms = (torch.linalg.vector_norm(x, dim=-2, keepdim=True) for x in factors)
    return tuple(x / torch.where(s > 0, s, 1) for x, s in zip(factors, norms, strict=True))
