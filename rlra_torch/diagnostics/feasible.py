"""All nonnegative factorizations of rank three, as regions of a plane (Borgen plots)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import QhullError
from torch import Tensor

from ..functional.polygons import area, exits, hull, intersection, tangents
from ..plots import feasible_regions
from .nested import Region, regions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class FeasibleSet:
    """Where the spectra of all exact nonnegative factorizations of rank three lie.

    A spectrum of sum one in the column space of the data is ``center + axes x``, with x in a plane.
    It is nonnegative in the outer polygon; the data, divided by their sums, fill the inner one. The
    factorizations are the triangles between the two, and the regions hold the corners of them all.

    Args:
        center: (m,).
        axes: (m, 2), orthonormal.
        points: (n, 2) the columns of the data, NaN for those that are zero.
        sums: (n,) the sums of the columns of the data.
        inner: (k, 2) the hull of the points, counterclockwise.
        outer: (l, 2) where spectra are nonnegative, counterclockwise.
        regions: where corners lie, in the order of their angles seen from the middle of the data;
            three or more apart, or a single one around the data.
        tolerance: the least entry of a spectrum is above this times minus the largest of the
            center.
    """

    center: np.ndarray
    axes: np.ndarray
    points: np.ndarray
    sums: np.ndarray
    inner: np.ndarray
    outer: np.ndarray
    regions: tuple[Region, ...]
    tolerance: float

    @property
    def area(self) -> float:
        """The sum of the areas of the regions."""
        return sum(part.area for part in self.regions)

    @property
    def unique(self) -> bool | None:
        """Whether there is one factorization only; None where there is none."""
        return all(self.determined) and len(self.regions) == 3 if self.regions else None

    @property
    def determined(self) -> tuple[bool, ...]:
        """For each region, whether it is a single point, up to the tolerance."""
        size = np.ptp(self.outer, axis=0).max()
        # A tangency widens a point to the square root of the tolerance.
        small = max(1e-6, 20 * self.tolerance**0.5) * size
        return tuple(bool(np.ptp(part.boundary, axis=0).max() <= small) for part in self.regions)

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        count, fixed = len(self.regions), sum(self.determined)
        if not count:
            return "There is no exact nonnegative factorization of rank 3."
        if self.unique:
            return "The factorization is unique: each region is a point."
        if fixed == count:
            return f"It is not unique: {count} spectra are possible, three at a time."
        share = 100 * self.area / area(self.outer)
        filled = f"{share:.2g} %" if share >= 0.01 else "less than 0.01 %"
        where = "one region around the data, which fills" if count == 1 else f"{count} regions, "
        where += "" if count == 1 else "which fill"
        known = f"; {fixed} of the spectra are determined" if fixed else ""
        return f"It is not unique: {where} {filled} of what is nonnegative{known}."

    @property
    def envelopes(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """The least and the largest value of each band over each region, (m,) each."""
        bounds = []
        for part in self.regions:
            several = self.center[:, None] + self.axes @ part.boundary.T
            bounds.append((several.min(1), several.max(1)))
        return tuple(bounds)

    def coordinates(self, W: Tensor) -> np.ndarray:
        """Where spectra lie in the plane, (k, 2), for W (m, k)."""
        spectra = W.detach().cpu().double().numpy()
        return (spectra / spectra.sum(0) - self.center[:, None]).T @ self.axes

    def spectra(self, x: np.ndarray) -> Tensor:
        """The spectra (*, m, k) of sum one at places (*, k, 2) of the plane."""
        return torch.from_numpy(self.center[:, None] + self.axes @ np.swapaxes(x, -1, -2))

    def triangles(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest triangles that touch the data on both sides of a corner.

        Args:
            x: (p, 2) corners.

        Returns:
            (p, 3, 2) the triangles, and (p,) whether they hold the data and are nonnegative: if and
            only if some triangle with this corner does.
        """
        normals, offsets = _sides(self.center, self.axes, self.tolerance)
        slack = 1e-9 * np.ptp(self.outer, axis=0).max()
        right, left, good = tangents(x, self.inner)
        good &= (x @ normals.T <= offsets + slack).all(1)
        corners = [x]
        for ray in (right, left):
            corners.append(x + exits(x, ray, normals, offsets)[:, None] * ray)
        far = corners[2] - corners[1]
        away = self.inner[None] - corners[1][:, None]
        cross = far[:, :1] * away[..., 1] - far[:, 1:] * away[..., 0]
        good &= (cross >= -slack * np.linalg.norm(far, axis=1, keepdims=True)).all(1)
        return np.stack(corners, 1), good

    def contains(self, x: np.ndarray) -> np.ndarray:
        """Whether a factorization has a spectrum at each of the places (p, 2): (p,) of bool."""
        return self.triangles(x)[1]

    def sample(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Random exact factorizations: a corner anywhere in the regions, the others tight.

        Args:
            count: how many.
            seed: of the draw.

        Returns:
            W (count, m, 3), columns of sum one, and H (count, n, 3); ``W H^T`` is the data.

        Raises:
            ValueError: there is none, or the regions are too small to be hit.
        """
        if not self.regions:
            raise ValueError(self.words)
        draw, found = np.random.default_rng(seed), np.zeros((0, 3, 2))
        weights = np.array([max(part.area, 1e-300) for part in self.regions])
        for _ in range(200):
            part = self.regions[draw.choice(len(weights), p=weights / weights.sum())]
            low, high = part.boundary.min(0), part.boundary.max(0)
            corners, good = self.triangles(draw.uniform(low, high, (4 * count, 2)))
            found = np.concatenate([found, corners[good][: max(1, count // 8)]])[:count]
            if len(found) == count:
                return self.spectra(found), torch.from_numpy(self._weights(found))
        raise ValueError("the regions are too small to be hit at random; use their boundaries")

    def plot(
        self,
        W: Tensor | None = None,
        wavelengths: Tensor | None = None,
        unit: str = "",
        title: str | None = None,
    ) -> Figure:
        """The plane with its regions, and the bands that they cover.

        Args:
            W: (m, 3) one factorization, drawn as a triangle; None: none.
            wavelengths: (m,), or None for band numbers.
            unit: of the wavelengths.
            title: of the figure; None: the verdict.
        """
        return feasible_regions(
            self.outer,
            self.points,
            self.regions,
            self.envelopes,
            None if W is None else self.coordinates(W),
            None if wavelengths is None else wavelengths.cpu().double().numpy(),
            unit,
            self.words if title is None else title,
        )

    def _weights(self, triangles: np.ndarray) -> np.ndarray:
        """(count, n, 3): barycentric coordinates of the data, times their sums."""
        corners = np.concatenate([triangles, np.ones((len(triangles), 3, 1))], 2)
        data = np.column_stack([self.points, np.ones(len(self.points))])
        shares = data @ np.linalg.inv(corners)
        return np.where(self.sums[:, None] > 0, np.nan_to_num(shares) * self.sums[:, None], 0)


def feasible_set(Y: Tensor, tolerance: float = 1e-9) -> FeasibleSet:
    """All exact nonnegative factorizations ``Y = W H^T`` of rank three, by plane geometry.

    They are the triangles between the hull of the data and the polygon where spectra are
    nonnegative. Each can be tightened until all three sides touch the data and two corners lie on
    the outer polygon; turning the side between these two around the data moves the third corner
    along the boundary of the regions, arc by arc. No region is missed or cut off where data are
    reducible, since spectra have sum one rather than a first coordinate of one. For the set of
    abundances pass the transpose.

    Args:
        Y: (m, n), nonnegative, of rank three up to the tolerance; columns of zeros do not count.
        tolerance: how far below zero spectra may go, relative to the largest entry of the mean
            spectrum. Data with noise need one as large as the noise.

    Returns:
        a `FeasibleSet`.

    Raises:
        ValueError: not a matrix, negative values, a rank below three, or data that are not
            nonnegative when they are reduced to rank three.

    References:
        | Borgen, Kowalski, An extension of the multivariate component-resolution method to three
        | components (1985)
        | Sawall, Neymeyr, A fast polygon inflation algorithm to compute the area of feasible
        | solutions for three-component systems, II (2014)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 24.3

    Example:
        >>> H = torch.tensor([[1.0, 2, 5], [5, 1, 2], [2, 5, 1]])
        >>> found = feasible_set(torch.eye(3) @ H.mT)
        >>> print(found.words)
        It is not unique: 3 regions, which fill 25 % of what is nonnegative.
        >>> feasible_set(torch.eye(3)).unique
        True
    """
    data = _data(Y)
    sums = data.sum(0)
    kept = sums > 0
    shares = data[:, kept] / sums[kept]
    center = shares.mean(1)
    left, sizes, _ = np.linalg.svd(shares - center[:, None], full_matrices=False)
    if kept.sum() < 3 or not sizes[1] > 1e-12 * max(sizes[0], 1e-300):
        raise ValueError("the data have a rank below three, so there is no plane to look at")
    axes = left[:, :2]
    points = np.full((data.shape[1], 2), np.nan)
    points[kept] = (shares - center[:, None]).T @ axes
    normals, offsets = _sides(center, axes, tolerance)
    inner = hull(points[kept])
    least = float((offsets - inner @ normals.T).min())
    try:
        outer = intersection(normals, offsets, inner.mean(0))
    except QhullError:
        least = -np.inf
    if least < 0:
        lowest = float((center[:, None] + axes @ inner.T).min() / center.max())
        raise ValueError(
            f"reduced to rank three the data reach {lowest:.2g} of their largest mean below zero; "
            f"pass a tolerance above {-lowest:.2g}"
        )
    parts = regions(inner, outer, normals, offsets)
    return FeasibleSet(center, axes, points, sums, inner, outer, parts, tolerance)


def _sides(center: np.ndarray, axes: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """The half-planes ``normals x <= offsets`` where spectra are nonnegative."""
    some = np.linalg.norm(axes, axis=1) > 1e-13
    return -axes[some], center[some] + tol * center.max()


def _data(Y: Tensor) -> np.ndarray:
    if Y.ndim != 2:
        raise ValueError(f"the data are one matrix (m, n), got shape {tuple(Y.shape)}")
    if not bool((Y >= 0).all()):
        raise ValueError("the data must be nonnegative and not NaN; leave out such columns")
    return Y.detach().cpu().double().numpy()
