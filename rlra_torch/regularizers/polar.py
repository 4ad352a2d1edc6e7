"""The polar of a projective norm, enclosed: what certifies that a factorization is optimal."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .gauges import Gauge


class Enclosure(NamedTuple):
    """``sup <M, u_1 o u_2 o ...>`` over columns whose gauges have the product 1.

    Args:
        lower: (*,) attained by `vectors`.
        upper: (*,) never below the supremum.
        vectors: (*, n) for each mode, of weighted gauge 1.
        method: where the upper bound comes from.
    """

    lower: Tensor
    upper: Tensor
    vectors: tuple[Tensor, ...]
    method: str


def polar(
    gauges: tuple[Gauge, ...],
    weight: Tensor,
    M: Tensor,  # noqa: N803
    starts: int = 8,
    steps: int = 20,
    seed: int = 0,
) -> Enclosure:
    """The polar (dual norm) of a projective norm, weights included, from below and from above.

    From below by alternating exact maximization over one vector at a time, from singular vectors,
    the largest slices and random starts. From above by the least of

        sigma_1(M_(n)) / prod_m (l1_m + l2_m)                      of every unfolding
        max_i polar_z(row i of M) / (l1_a + l2_a / sqrt(rows))     of a matrix, and of its transpose

    since a gauge is at least ``(l1 + l2) ||u||_2`` and ``(l1 + l2 / sqrt(n)) ||u||_1``. With
    nonnegative factors only, the negative entries of M are left out of the first. The bound is the
    value for l2 norms of a matrix (its largest singular value) and where one factor has an l1 norm
    alone; that of l2 norms under signs is NP-hard, so there only bounds exist.

    Args:
        gauges: of the projective norm.
        weight: of the norm.
        M: (*, n_1, ..., n_d), with as many modes as there are gauges.
        starts: of each kind, for the lower bound.
        steps: of the alternation.
        seed: of the random starts.

    Raises:
        ValueError: another number of modes.

    References:
        | Bach, Convex relaxations of structured matrix factorizations (2013), section 2
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), section 5

    Example:
        >>> norms, M = (Gauge(), Gauge()), torch.diag(torch.tensor([6.0, 1.0]))
        >>> found = polar(norms, torch.tensor(2.0), M)
        >>> round(float(found.lower), 4), round(float(found.upper), 4), found.method
        (3.0, 3.0, 'singular values')
    """
    if M.ndim < len(gauges):
        raise ValueError(f"{len(gauges)} gauges need as many modes, got shape {tuple(M.shape)}")
    lower, vectors = _attained(gauges, M, starts, steps, seed)
    bounds = _bounds(gauges, M)
    method = min(bounds, key=lambda name: float(bounds[name].sum()))
    upper = torch.stack(list(bounds.values())).amin(0).maximum(lower)
    return weighed(gauges, weight, Enclosure(lower, upper, vectors, method))


def weighed(gauges: tuple[Gauge, ...], weight: Tensor, found: Enclosure) -> Enclosure:
    """What was found without the weights of the gauges, with them.

    Example:
        >>> one, gauges = torch.ones(1), (Gauge().times(2.0), Gauge().times(2.0))
        >>> found = weighed(gauges, torch.tensor(4.0), Enclosure(one, one, (one, one), ""))
        >>> float(found.upper), float(found.vectors[0])
        (0.25, 0.5)
    """
    weights = [g.weight.squeeze() if g.weight.ndim else g.weight for g in gauges]
    scale = weight.squeeze() if weight.ndim else weight
    vectors = tuple(u / w for u, w in zip(found.vectors, weights, strict=True))
    return Enclosure(found.lower / scale, found.upper / scale, vectors, found.method)


def _bounds(gauges: tuple[Gauge, ...], M: Tensor) -> dict[str, Tensor]:  # noqa: N803
    order = len(gauges)
    positive = M.clamp_min(0) if all(gauge.nonnegative for gauge in gauges) else M
    scale = math.prod(gauge.l1 + gauge.l2 for gauge in gauges)
    norms = [torch.linalg.matrix_norm(_unfolded(positive, n, order), 2) for n in range(order)]
    found = {"singular values": torch.stack(norms[:1] if order == 2 else norms).amin(0) / scale}
    if order == 2:
        found["rows"] = _rows(gauges[0], gauges[1], M)
        found["columns"] = _rows(gauges[1], gauges[0], M.mT)
    return found


def _rows(a: Gauge, z: Gauge, M: Tensor) -> Tensor:  # noqa: N803
    """The largest polar of a row over what the other gauge costs a unit of the l1 norm at least."""
    sides = [M.mT]
    if not a.nonnegative and z.nonnegative:
        sides.append(-M.mT)
    polars = torch.stack([z.polar(side).upper.amax(-1) for side in sides]).amax(0)
    return polars / (a.l1 + a.l2 / M.shape[-2] ** 0.5)


def _attained(
    gauges: tuple[Gauge, ...],
    M: Tensor,  # noqa: N803
    starts: int,
    steps: int,
    seed: int,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The best of several alternations, (*,), and its vectors (*, n), of gauge 1 without weight."""
    order = len(gauges)
    columns = [_first(M, n, order, starts, seed) for n in range(order)]
    count = min(x.shape[-1] for x in columns)
    columns = [x[..., :count] for x in columns]
    value = M.new_zeros(M.shape[: M.ndim - order] + (count,))
    for _ in range(steps):
        for n in range(order):
            found = gauges[n].polar(_contracted(M, columns, n), 25, 30)
            columns[n], value = found.maximizer, found.lower
    best = value.argmax(-1, keepdim=True)
    vectors = tuple(
        x.gather(-1, best[..., None, :].expand(*x.shape[:-1], 1))[..., 0] for x in columns
    )
    return value.gather(-1, best)[..., 0], vectors


def _first(M: Tensor, n: int, order: int, starts: int, seed: int) -> Tensor:  # noqa: N803
    """(*, n_n, starts): leading singular vectors, the largest entries, and random vectors."""
    unfolded = _unfolded(M, n, order)
    u = torch.linalg.svd(unfolded, full_matrices=False).U[..., :starts]
    generator = torch.Generator().manual_seed(seed + n)
    draws = torch.randn(unfolded.shape[-2], starts, generator=generator, dtype=torch.float64)
    largest = unfolded.norm(dim=-1).topk(min(starts, unfolded.shape[-2])).indices
    units = torch.nn.functional.one_hot(largest, unfolded.shape[-2]).to(M.dtype).mT
    random = draws.to(M).expand(*M.shape[: M.ndim - order], -1, -1)
    short = starts - min(starts, u.shape[-1], units.shape[-1])
    parts = [x[..., : starts - short] for x in (u, -u, units)]
    return torch.cat([*parts, random], -1)


def _contracted(M: Tensor, columns: list[Tensor], n: int) -> Tensor:  # noqa: N803
    """``M x_m u_m`` over all modes but n, for each column: (*, n_n, starts)."""
    modes = "abcdefgh"[: len(columns)]
    others = [m for m in range(len(columns)) if m != n]
    terms = ",".join(f"...{modes[m]}z" for m in others)
    return torch.einsum(f"...{modes},{terms}->...{modes[n]}z", M, *(columns[m] for m in others))


def _unfolded(M: Tensor, n: int, order: int) -> Tensor:  # noqa: N803
    return M.movedim(n - order, -order).flatten(-order + 1)
