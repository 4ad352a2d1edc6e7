"""Which entries are held out: positions in a matrix, in folds that share none."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number


class Positions(NamedTuple):
    """Entries of a matrix, zeros among them: a list of places, whatever the layout of the data.

    Args:
        rows: (k,) of int64.
        cols: (k,) of int64.
    """

    rows: Tensor
    cols: Tensor

    def mask(self, shape: tuple[int, int]) -> Tensor:
        """(m, n) of bool, True at these places."""
        found = torch.zeros(shape, dtype=torch.bool, device=self.rows.device)
        found[self.rows, self.cols] = True
        return found


def speckled_folds(
    shape: tuple[int, int],
    folds: int = 5,
    held_out: float | None = None,
    seed: int | torch.Generator = 0,
    observed: Tensor | Positions | None = None,
) -> tuple[Positions, ...]:
    """Single entries, scattered at random: each fold is a sample of the matrix without return.

    Args:
        shape: (m, n).
        folds: how many, at least 1.
        held_out: the fraction of the entries in each fold; None: ``1 / folds``, so that every entry
            is in one of them (for a single fold a tenth).
        seed: an integer, or a generator on the CPU.
        observed: the entries to choose from, (m, n) of bool or their positions; None: all.

    Raises:
        ValueError: no folds, fractions that add up to more than 1, or folds without an entry.

    References:
        | Wold, Cross-validatory estimation of the number of components in factor and principal
        | components models (1978)
        | Bro, Kjeldahl, Smilde, Kiers, Cross-validation of component models: a critical look at
        | current methods (2008)

    Example:
        >>> one, two = speckled_folds((3, 2), folds=2)
        >>> len(one.rows), bool((one.mask((3, 2)) ^ two.mask((3, 2))).all())
        (3, True)
    """
    folds = whole_number("the number of folds", folds)
    fraction = _fraction(folds, held_out)
    draw = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    if isinstance(observed, Positions):
        candidates = observed.rows * shape[1] + observed.cols
    else:
        candidates = None if observed is None else observed.cpu().flatten().nonzero()[:, 0]
    total = shape[0] * shape[1] if candidates is None else len(candidates)
    ends = [round(k * fraction * total) for k in range(folds + 1)]
    if min(b - a for a, b in zip(ends, ends[1:], strict=False)) < 1:
        raise ValueError(
            f"{folds} folds of {fraction:g} of {total} entries leave one without an entry; "
            "take fewer folds, or hold out more"
        )
    chosen = _sample(total, ends[-1], draw)
    chosen = chosen if candidates is None else candidates[chosen]
    parts = [chosen[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    return tuple(Positions(part // shape[1], part % shape[1]) for part in parts)


def block_folds(
    shape: tuple[int, int],
    blocks: tuple[int, int] = (2, 2),
    seed: int | torch.Generator = 0,
    observed: Tensor | None = None,
) -> tuple[Positions, ...]:
    """Whole blocks: random groups of rows times random groups of columns, one block a fold.

    Args:
        shape: (m, n).
        blocks: groups of rows and groups of columns, of which at least one is 2 or more.
        seed: an integer, or a generator on the CPU.
        observed: (m, n) of bool, the entries to choose from; None: all.

    Raises:
        ValueError: one single block, more groups than rows or columns, or a block without an entry.

    References:
        | Owen, Perry, Bi-cross-validation of the SVD and the nonnegative matrix factorization
        | (2009), whose retained block alone is fitted; here the other entries of the rows and
        | columns that are held out are fitted as well

    Example:
        >>> [len(fold.rows) for fold in block_folds((4, 6), (2, 3))]
        [4, 4, 4, 4, 4, 4]
    """
    groups = [whole_number("the number of groups", count) for count in blocks]
    if groups == [1, 1] or groups[0] > shape[0] or groups[1] > shape[1]:
        raise ValueError(
            f"{groups[0]} x {groups[1]} blocks of a matrix of shape {tuple(shape)} hold out all or "
            "split what is not there; give 2 or more, at most one a row and one a column"
        )
    draw = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    of_rows, of_cols = (
        torch.randperm(size, generator=draw) % count
        for size, count in zip(shape, groups, strict=True)
    )
    block = of_rows[:, None] * groups[1] + of_cols
    seen = torch.ones_like(block, dtype=torch.bool) if observed is None else observed.cpu()
    folds = [((block == k) & seen).nonzero(as_tuple=True) for k in range(groups[0] * groups[1])]
    if not all(len(rows) for rows, _ in folds):
        raise ValueError("a block has no observed entry to hold out; take fewer blocks")
    return tuple(Positions(*fold) for fold in folds)


def _fraction(folds: int, held_out: float | None) -> float:
    if held_out is None:
        return 1 / folds if folds > 1 else 0.1
    fraction = real_number("held_out", held_out)
    if not 0 < fraction < 1 or folds * fraction > 1 + 1e-9:
        raise ValueError(
            f"{folds} folds of {fraction:g} of the entries each do not fit; "
            f"held_out must be in (0, {1 / folds if folds > 1 else 1:g}]"
        )
    return fraction


def _sample(total: int, count: int, draw: torch.Generator) -> Tensor:
    """``count`` of the numbers below ``total`` in random order, each at most once."""
    if 4 * count > total:
        return torch.randperm(total, generator=draw)[:count]
    # A matrix may have more entries than memory: draw with return until enough are different.
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < count:
        more = torch.randint(total, (count - len(found) + 16,), generator=draw)
        both = torch.cat((found, more))
        _, which = both.unique(return_inverse=True)
        first = torch.full((int(which.max()) + 1,), len(both)).scatter_reduce(
            0, which, torch.arange(len(both)), "amin"
        )
        found = both[first.sort().values]
    return found[:count]
