"""What a segmentation gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..solvers import Solution

ALIKE = 0.5  # the cosine of footprints that are of one region
FAINT = 0.1  # of the norm of the largest region: less is none
INSIDE = 0.3  # of the peak of a footprint: less is outside


@dataclass(frozen=True)
class Segmentation:
    """The regions of a movie, the brightest first.

    Args:
        footprints: (k, rows, cols), of Euclidean norm one; the kind of array that came in.
        spikes: (k, frames), how much each region fires.
        labels: (rows, cols), the region of each pixel from 1 on, 0 for none.
        background: (frames, rows, cols), or zeros.
        columns: how many columns of the factors were left, which regions were made of.
        noise: the standard deviation, as estimated.
        decay: the time constant, in frames.
        objective, kkt, n_iter, converged: of the solve, at its end.
    """

    footprints: Any
    spikes: Any
    labels: Any
    background: Any
    columns: int
    noise: float
    decay: float
    objective: float
    kkt: float
    n_iter: int
    converged: bool

    @classmethod
    def of(
        cls,
        a: Tensor,
        z: Tensor,
        background: Tensor,
        found: Solution,
        noise: float,
        decay: float,
        back: Callable[[Tensor], Any],
    ) -> Segmentation:
        """From the factors A, (frames, r), and Z, (pixels, r)."""
        footprints, spikes = regions_of(a, z)
        grids = footprints.reshape(-1, *background.shape[1:])
        return cls(
            back(grids),
            back(spikes),
            back(label_map(grids)),
            back(background),
            int(z.shape[-1]) if bool(z.any()) else 0,
            noise,
            decay,
            float(found.objective),
            float(found.kkt),
            int(found.n_iter),
            bool(found.converged),
        )

    def events(self, level: float = 0.3) -> list[np.ndarray]:
        """The frames at which each region fires: peaks above a share of its largest one."""
        trains = torch.as_tensor(self.spikes).cpu()
        return [np.flatnonzero(peaks(train, level)) for train in trains]

    def summary(self) -> str:
        """A few lines that fit a terminal of 80 columns."""
        frames, (rows, cols) = self.background.shape[0], self.labels.shape
        count = sum(len(times) for times in self.events())
        lines = (
            f"{len(self.footprints)} regions in {frames} frames of {rows} x {cols} pixels",
            f"  spikes          {count}",
            f"  columns         {self.columns}",
            f"  noise           {self.noise:.4g}",
            f"  KKT residual    {self.kkt:.1e}",
            f"  iterations      {self.n_iter}",
            f"  converged       {self.converged}",
        )
        return "\n".join(lines)


def peaks(train: Tensor, level: float) -> Tensor:
    """Where a train has a spike: runs of frames above a share of its largest, each at its top.

    Example:
        >>> peaks(torch.tensor([0.0, 1.0, 4.0, 0.0, 2.0, 0.5]), 0.2)
        tensor([False, False,  True, False,  True, False])
    """
    beside = torch.nn.functional.pad(train, (1, 1))
    top = (train > beside[:-2]) & (train >= beside[2:])
    return top & (train > level * train.max())


def regions_of(a: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Columns whose footprints are alike, directly or by others between them, as one region.

    Args:
        a: spike trains, (frames, r).
        z: footprints, (pixels, r).

    Returns:
        footprints (k, pixels) of norm one and spike trains (k, frames), the brightest first.

    Example:
        >>> a, z = torch.eye(3), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
        >>> footprints, spikes = regions_of(a, z)
        >>> spikes.round(decimals=3) + 0.0
        tensor([[0., 0., 2.],
                [1., 1., 0.]])
    """
    unit = torch.nn.functional.normalize(z, dim=0)
    linked = unit.mT @ unit > ALIKE
    for _ in range(max(1, z.shape[-1].bit_length())):
        linked = (linked.to(z.dtype) @ linked.to(z.dtype)) > 0
    terms = []
    for group in linked.unique(dim=0):
        if not bool(group.any()):
            continue
        # The best rank-one term of the sum is that of a small matrix in the span of the group.
        q, r = torch.linalg.qr(z[:, group])
        u, s, vh = torch.linalg.svd(a[:, group] @ r.mT, full_matrices=False)
        footprint = q @ vh[0]
        sign = footprint.sum().sign()
        terms.append((s[0], sign * footprint, sign * s[0] * u[:, 0]))
    if not terms:
        return z.new_zeros(0, len(z)), a.new_zeros(0, len(a))
    size, footprints, spikes = (torch.stack(parts) for parts in zip(*terms, strict=True))
    order = size.argsort(descending=True)
    order = order[size[order] > FAINT * size.max()]
    return footprints[order].clamp_min(0), spikes[order].clamp_min(0)


def label_map(footprints: Tensor) -> Tensor:
    """The region whose footprint, of peak one, is largest at each pixel; 0 below a share of it.

    Args:
        footprints: (k, rows, cols).

    Returns:
        (rows, cols), int64.
    """
    if not len(footprints):
        return torch.zeros(footprints.shape[1:], dtype=torch.int64, device=footprints.device)
    tiny = torch.finfo(footprints.dtype).tiny
    share, label = (footprints / footprints.amax((1, 2), keepdim=True).clamp_min(tiny)).max(0)
    return torch.where(share > INSIDE, label + 1, 0)
