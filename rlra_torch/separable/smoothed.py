"""Smoothed separable algorithms: each spectrum averages several pixels near a vertex."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.pixels import select_columns
from ..functional.randomized import as_generator
from ..initialization.spa import ProjectedColumns
from .abundances import nonnegative
from .result import Fit, Pixels, Separable, fitted, pixels
from .subspace import leading_subspace
from .vca import best_of, each_problem


def smoothed_spa(
    M: Tensor,  # noqa: N803
    r: int,
    p: int,
    *,
    median: bool = True,
    normalize: str | None = None,
    mask: Tensor | None = None,
    fit: Fit = nonnegative,
) -> Separable:
    """Smoothed SPA: each spectrum is the median of p pixels, the farthest in one direction.

    R = M; repeat: k = argmax ||R[:, k]||, u = R[:, k] / ||R[:, k]||, w = the median, band by band,
    of the p pixels with the largest u^T m, R = R - v v^T R with v the direction of the part of w
    that is new. With several nearly pure pixels for each material the noise averages out, and an
    outlier alone does not decide; p = 1 is `spa`.

    Batched over leading dimensions.

    Args:
        M, r, normalize, mask, fit: as in `spa`; a normalization holds for the spectra as well.
        p: how many pixels are averaged, at most the number of pixels.
        median: whether by the median or else by the mean.

    Returns:
        a `Separable` whose indices are the pixels that gave the directions.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Nadisic, Gillis, Kervazo, Smoothed separable nonnegative matrix factorization (2023),
        | algorithm 4

    Example:
        >>> import torch
        >>> M = torch.tensor([[2.0, 2.2, 0.0, 0.0], [0.0, 0.0, 1.0, 1.2]])
        >>> smoothed_spa(M, 2, 2, median=False).spectra
        tensor([[2.1000, 0.0000],
                [0.0000, 1.1000]])
    """
    known, p = pixels("smoothed_spa", M, r, normalize, mask), _averaged(p, M)
    left = ProjectedColumns(known.data, known.allowed, known.norms)
    tolerance = 20 * r * torch.finfo(M.dtype).eps
    chosen, spectra = [], []
    for _ in range(r):
        index = left.largest(tolerance)
        height = (known.data.mT @ left.rest(select_columns(left.data, index)))[..., 0]
        near = torch.where(known.allowed, height, -torch.inf).topk(p, dim=-1).indices
        average = _average(known, near, median).masked_fill((index < 0).unsqueeze(-2), 0)
        left.project_out(average)
        chosen.append(index)
        spectra.append(average)
    return _fitted(known, torch.cat(chosen, -1), torch.cat(spectra, -1), fit)


def smoothed_vca(
    M: Tensor,  # noqa: N803
    r: int,
    p: int,
    *,
    median: bool = True,
    seed: int | torch.Generator = 0,
    restarts: int = 10,
    normalize: str | None = None,
    mask: Tensor | None = None,
    fit: Fit = nonnegative,
) -> Separable:
    """Smoothed VCA: each spectrum is the median of p pixels extreme in a random direction.

    In coordinates x of the r leading directions of the pixels: f random, orthogonal to the spectra
    found; of the p pixels with the largest and the p with the smallest f^T x, those whose median is
    larger in magnitude are averaged. Of several runs the one of least residual is kept.

    The problems of a batch are done one after another.

    Args:
        M, r, p, median, normalize, mask, fit: as in `smoothed_spa`, with r at most m.
        seed: integer seed, or a generator, which advances.
        restarts: how many runs.

    Returns:
        a `Separable` whose indices are the most extreme of the pixels averaged.

    Raises:
        TypeError, ValueError: bad input.

    References:
        | Nadisic, Gillis, Kervazo, Smoothed separable nonnegative matrix factorization (2023),
        | algorithm 3

    Example:
        >>> import torch
        >>> M = torch.tensor([[2.0, 2.2, 0.0, 0.0], [0.0, 0.0, 1.0, 1.2]])
        >>> smoothed_vca(M, 2, 2).indices.sort().values
        tensor([1, 3])
    """
    known, p = pixels("smoothed_vca", M, r, normalize, mask), _averaged(p, M)
    whole_number("the restarts of smoothed_vca", restarts)
    generator = as_generator(seed)

    def one(problem: Pixels, _: Tensor) -> Separable:
        x = leading_subspace(problem.data, min(r, M.shape[-2]), problem.allowed).coordinates
        x = torch.where(problem.allowed, x, 0)
        runs = (_run(problem, x, r, p, median, generator) for _ in range(restarts))
        return best_of([_fitted(problem, *run, fit) for run in runs])

    return each_problem(one, known, M)


def _run(
    known: Pixels, x: Tensor, r: int, p: int, median: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    found = ProjectedColumns(x, known.allowed)
    tolerance = torch.finfo(x.dtype).eps ** 0.75 * found.scale
    chosen, spectra = [], []
    for _ in range(r):
        draw = torch.randn(
            len(x), 1, generator=generator, dtype=x.dtype, device=generator.device
        ).to(x.device)
        height = (x.mT @ found.rest(draw))[:, 0]
        ends = (height, -height)
        tops = [torch.where(known.allowed, end, -torch.inf).topk(p) for end in ends]
        near = max(tops, key=lambda top: float(top.values.median().abs()))
        index = near.indices[:1].where(near.values[:1] > tolerance, -1)
        average = _average(known, near.indices, median).masked_fill(index < 0, 0)
        found.project_out(_average(known._replace(data=x), near.indices, median))
        chosen.append(index)
        spectra.append(average)
    return torch.cat(chosen), torch.cat(spectra, -1)


def _average(known: Pixels, near: Tensor, median: bool) -> Tensor:
    """Of p pixels (*, p), those that do not count left out, (*, m, 1)."""
    columns = select_columns(known.data, near)
    counts = known.allowed.gather(-1, near).unsqueeze(-2)
    if median:
        # The mean of the two middle values of an even number.
        return columns.masked_fill(~counts, torch.nan).nanquantile(0.5, dim=-1, keepdim=True)
    return torch.where(counts, columns, 0).sum(-1, keepdim=True) / counts.sum(-1, keepdim=True)


def _averaged(p: int, M: Tensor) -> int:  # noqa: N803
    if whole_number("p, the number of pixels averaged,", p) > M.shape[-1]:
        raise ValueError(f"p = {p} pixels cannot be averaged, there are {M.shape[-1]}; give fewer")
    return p


def _fitted(known: Pixels, indices: Tensor, spectra: Tensor, fit: Fit) -> Separable:
    h = fit(known.data, spectra)
    return fitted(known.data, indices, spectra, h, known._replace(size=torch.ones_like(known.size)))
