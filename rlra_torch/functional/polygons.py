"""Convex polygons in the plane, as NumPy arrays of vertices counterclockwise."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, HalfspaceIntersection


def hull(points: np.ndarray) -> np.ndarray:
    """The vertices of the convex hull of points (n, 2), counterclockwise.

    Raises:
        scipy.spatial.QhullError: the points lie on a line.

    Example:
        >>> hull(np.array([[0.0, 0], [2, 0], [0, 2], [2, 2], [1, 1]])).shape
        (4, 2)
    """
    return points[ConvexHull(points).vertices]


def intersection(normals: np.ndarray, offsets: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The vertices of ``{x: normals x <= offsets}``, counterclockwise.

    Args:
        normals: (l, 2).
        offsets: (l,).
        inside: (2,) a point in the interior.

    Raises:
        scipy.spatial.QhullError: the point is not inside, or the polygon is not bounded.

    Example:
        >>> sides = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        >>> area(intersection(sides, np.ones(4), np.zeros(2)))
        4.0
    """
    halfspaces = np.column_stack([normals, -offsets])
    return hull(HalfspaceIntersection(halfspaces, inside).intersections)


def area(polygon: np.ndarray) -> float:
    """The area of a simple polygon (n, 2), positive where it runs counterclockwise.

    Example:
        >>> area(np.array([[0.0, 0], [1, 0], [0, 1]]))
        0.5
    """
    x, y = polygon.T - polygon.mean(0)[:, None]
    return float(0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def edge_angles(polygon: np.ndarray) -> np.ndarray:
    """The angles of the outward normals of the edges, (n,) between -pi and pi."""
    along = np.roll(polygon, -1, axis=0) - polygon
    return np.arctan2(-along[:, 0], along[:, 1])


def tangents(points: np.ndarray, polygon: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two tangents from points to a convex polygon, as unit directions.

    Args:
        points: (p, 2), outside of the polygon or one of its vertices.
        polygon: (k, 2).

    Returns:
        the right and the left one as seen from each point, (p, 2) each, and whether there are any,
        (p,): from inside there are none.

    Example:
        >>> square = np.array([[1.0, -1], [2, -1], [2, 1], [1, 1]])
        >>> right, left, seen = tangents(np.zeros((1, 2)), square)
        >>> right.round(3).tolist(), left.round(3).tolist(), seen.tolist()
        ([[0.707, -0.707]], [[0.707, 0.707]], [True])
    """
    away = polygon[None] - points[:, None]
    distance = np.linalg.norm(away, axis=-1)
    ahead = polygon.mean(0) - points
    cross = ahead[:, :1] * away[..., 1] - ahead[:, 1:] * away[..., 0]
    angle = np.arctan2(cross, (ahead[:, None] * away).sum(-1))
    here = distance <= 1e-13 * np.abs(polygon).max()
    low, high = (np.where(here, sign * 9, angle) for sign in (1, -1))
    first, last = low.argmin(1), high.argmax(1)
    edge = np.roll(polygon, -1, axis=0) - polygon
    inside = (edge[:, 1] * away[..., 0] - edge[:, 0] * away[..., 1]).min(1)
    rows = np.arange(len(points))
    unit = away / np.where(here, 1, distance)[..., None]
    return unit[rows, first], unit[rows, last], inside <= 1e-12 * np.abs(edge).max() ** 2


def exits(
    points: np.ndarray, directions: np.ndarray, normals: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """How far rays go before they leave ``{x: normals x <= offsets}``.

    Args:
        points: (p, 2), inside.
        directions: (p, 2).
        normals: (l, 2).
        offsets: (l,).

    Returns:
        (p,), negative where a point is outside by more than the ray comes back.

    Example:
        >>> sides = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
        >>> exits(np.zeros((1, 2)), np.array([[1.0, 0.5]]), sides, np.ones(4)).tolist()
        [1.0]
    """
    speed, room = directions @ normals.T, offsets - points @ normals.T
    steps = np.divide(room, speed, out=np.full_like(room, np.inf), where=speed > 1e-15)
    return steps.min(1)
