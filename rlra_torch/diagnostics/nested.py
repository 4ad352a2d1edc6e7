"""The corners of all triangles between two convex polygons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..functional.polygons import area, edge_angles, exits, tangents

LOWEST = 32  # of the places where the corner comes near to the polygon, looked at closely
DENSE = 720  # directions at least, and as many again along the arcs of a region


class Region(NamedTuple):
    """A region of the plane.

    Args:
        boundary: (b, 2), counterclockwise.
        hole: (h, 2), counterclockwise, or None.
    """

    boundary: np.ndarray
    hole: np.ndarray | None = None

    @property
    def area(self) -> float:
        """Without the hole."""
        return area(self.boundary) - (0 if self.hole is None else area(self.hole))


class _Rolling:
    """A side that rolls around the inner polygon, and the corner opposite to it.

    The side touches the inner polygon in the direction of its normal and ends on the outer one at
    p and q; the other tangents from these meet in the corner x.
    """

    def __init__(self, inner: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> None:
        self.inner, self.normals, self.offsets = inner, normals, offsets

    def __call__(self, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The corners (a, 2), and by how much they are outside (a,), infinite where they are not.

        With base angles P and Q the corner is at ``|pq| sin Q / sin(P + Q)`` from p.
        """
        out = np.stack([np.cos(angle), np.sin(angle)], 1)
        along = np.stack([-out[:, 1], out[:, 0]], 1)
        foot = out * (out @ self.inner.T).max(1, keepdims=True)
        back, forth = (exits(foot, s * along, self.normals, self.offsets) for s in (-1, 1))
        p, q = foot - back[:, None] * along, foot + forth[:, None] * along
        at_p, at_q = self._opening(p, along, out), self._opening(q, -along, out)
        length, total = back + forth, at_p + at_q
        there = (length > 0) & (total < np.pi - 1e-9)
        side = length * np.sin(at_q) / np.where(there, np.sin(total), 1)
        x = p + side[:, None] * (np.cos(at_p)[:, None] * along - np.sin(at_p)[:, None] * out)
        outside = (x @ self.normals.T - self.offsets).max(1)
        return x, np.where(there, outside, np.inf)

    def _opening(self, p: np.ndarray, along: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The angle at p between the side and the other tangent."""
        away = self.inner[None] - p[:, None]
        up, ahead = -(away * out[:, None]).sum(-1), (away * along[:, None]).sum(-1)
        here = np.hypot(up, ahead) <= 1e-13 * np.abs(self.inner).max()
        return np.where(here, -1, np.arctan2(up.clip(min=0), ahead)).max(1)


def regions(
    inner: np.ndarray, outer: np.ndarray, normals: np.ndarray, offsets: np.ndarray
) -> tuple[Region, ...]:
    """Where the corners of the triangles between two polygons lie.

    Args:
        inner: (k, 2) vertices, counterclockwise.
        outer: (l, 2) vertices of ``{x: normals x <= offsets}``, counterclockwise.
        normals: (s, 2).
        offsets: (s,).

    Returns:
        the regions, in the order of their angles around the inner polygon.

    Example:
        >>> triangle = np.array([[1.0, 0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
        >>> (part,) = regions(triangle / 8, triangle, -2 * triangle, np.ones(3))
        >>> part.hole is not None, round(part.area / area(triangle), 3)
        (True, 0.967)
    """
    rolling = _Rolling(inner, normals, offsets)
    angle = _angles(rolling, inner, outer)
    angle, outside = _dips(rolling, angle, rolling(angle)[1])
    good = outside <= 0
    if good.all():
        return (Region(outer, rolling(angle)[0]),)
    arcs = [_arc(rolling, angle, run) for run in _runs(good)]
    middle = inner.mean(0)
    parts = [Region(_closed(x, outer, middle)) for x in arcs]
    return tuple(sorted(parts, key=lambda part: _turned(part.boundary[:1], middle)[0]))


def _angles(rolling: _Rolling, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Directions between which the corner moves smoothly, and many more."""
    # Where an end of the side passes the line of another edge of the inner polygon.
    foot, along = inner, np.roll(inner, -1, axis=0) - inner
    ends = [
        foot + exits(foot, s * along, rolling.normals, rolling.offsets)[:, None] * s * along
        for s in (-1, 1)
    ]
    right, left, seen = tangents(np.concatenate([outer, *ends]), inner)
    # The inner polygon is to the left of the right tangent, so its outward normal is to the right.
    sides = [(right[seen], -1), (left[seen], 1)]
    normal = [np.arctan2(s * t[:, 0], -s * t[:, 1]) for t, s in sides]
    special = np.concatenate([edge_angles(inner), *normal])
    even = np.linspace(-np.pi, np.pi, DENSE, endpoint=False)
    return np.unique(np.concatenate([special, even]))


def _dips(
    rolling: _Rolling, angle: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """With the least of what is outside between any two directions added where it is inside."""
    before, after = np.roll(outside, 1), np.roll(outside, -1)
    low = (outside > 0) & (outside <= before) & (outside <= after) & np.isfinite(outside)
    if not low.any():
        return angle, outside
    low &= outside <= np.sort(outside[low])[:LOWEST][-1]
    step = np.diff(np.concatenate([angle, angle[:1] + 2 * np.pi]))
    a, b = (angle - np.roll(step, 1))[low], (angle + step)[low]
    for _ in range(50):
        third = (b - a) / 3
        higher = rolling(a + third)[1] > rolling(b - third)[1]
        a, b = np.where(higher, a + third, a), np.where(higher, b, b - third)
    found = 0.5 * (a + b)
    value = rolling(found)[1]
    angle = np.concatenate([angle, found[value <= 0]])
    outside = np.concatenate([outside, value[value <= 0]])
    order = angle.argsort()
    return angle[order], outside[order]


def _runs(good: np.ndarray) -> list[tuple[int, int]]:
    """First and last position of each run of True around the circle; the last may pass the end."""
    starts = np.flatnonzero(good & ~np.roll(good, 1))
    lengths = [int(np.argmin(np.roll(good, -start))) for start in starts]
    return [(int(s), int(s) + n - 1) for s, n in zip(starts, lengths, strict=True)]


def _arc(rolling: _Rolling, angle: np.ndarray, run: tuple[int, int]) -> np.ndarray:
    """The corners along a run of directions, from where they enter to where they leave."""
    around = np.concatenate([angle - 2 * np.pi, angle, angle + 2 * np.pi])
    first, last = (i + len(angle) for i in run)
    ends = []
    for inside, beyond in ((first, first - 1), (last, last + 1)):
        a, b = around[inside], around[beyond]
        for _ in range(60):
            half = 0.5 * (a + b)
            a, b = (half, b) if rolling(np.array([half]))[1][0] <= 0 else (a, half)
        ends.append(a)
    inner = around[first : last + 1]
    dense = np.linspace(ends[0], ends[1], DENSE)
    return rolling(np.unique(np.concatenate([ends, inner, dense])))[0]


def _closed(arc: np.ndarray, outer: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The arc, and the outer polygon from its end back to its start, counterclockwise."""
    along = np.unwrap(_turned(arc, middle))
    corners = (_turned(outer, middle) - along[0]) % (2 * np.pi)
    between = np.flatnonzero(corners < along[-1] - along[0])
    return np.concatenate([arc[:1], outer[between[corners[between].argsort()]], arc[:0:-1]])


def _turned(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    away = points - middle
    return np.arctan2(away[:, 1], away[:, 0])
