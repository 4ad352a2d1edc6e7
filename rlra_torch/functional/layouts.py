"""One factor as the blocks of several models: from one layout to another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .einsum import Layout


def rank_dims(layout: Layout) -> tuple[int, ...]:
    """The dimensions of a factor that are the rank of its block."""
    return layout.permutation[layout.batch + layout.rows :]


def common_layout(layouts: Sequence[Layout]) -> Layout:
    """A layout in which all these blocks of one factor can be added.

    What is rank in one of them is rank; all else are rows.

    Example:
        >>> common_layout([Layout((0, 1), 1, 0), Layout((0, 1), 0, 1)])
        Layout(permutation=(0, 1), batch=0, rows=1)
    """
    first, *others = layouts
    if all(other == first for other in others):
        return first
    ranks = {rank_dims(layout) for layout in layouts}
    rank = ranks.pop() if len(ranks) == 1 else tuple(sorted(set().union(*ranks)))
    rows = tuple(d for d in range(len(first.permutation)) if d not in rank)
    return Layout((*rows, *rank), 0, len(rows))


def moved_block(x: Tensor, source: Layout, target: Layout, like: Tensor) -> Tensor:
    """A block of a factor in another layout.

    Args:
        x: (*, batch, rows, rank) in the source layout.
        source, target: the layouts.
        like: the factor.
    """
    return x if source == target else target.pack(source.unpack(x, like))


def moved_gram(gram: Tensor, source: Layout, target: Layout, like: Tensor, by_row: bool) -> Tensor:
    """The gram of a block of a factor in another layout, from `common_layout`.

    Dimensions that are rank in the target only become diagonal: the operator does not mix them.

    Args:
        gram: (*, batch, rank, rank), or (*, batch, rows, rank, rank), in the source layout.
        source, target: the layouts; the rank of the target holds that of the source.
        like: the factor.
        by_row: whether each row has a gram of its own.

    Returns:
        (*, rank, rank), or (*, rows, rank, rank) where rows differ.
    """
    if source == target:
        return gram
    own = like.shape[like.ndim - len(source.permutation) :]
    rank, wanted = rank_dims(source), rank_dims(target)
    outer = source.permutation[: len(source.permutation) - len(rank)]
    varying = set(outer if by_row else outer[: source.batch])
    lead = gram.shape[: gram.ndim - 2 - source.batch - by_row]
    sizes = [own[d] if d in varying else 1 for d in outer]
    both = [own[d] for d in rank] * 2
    found = gram.reshape(*lead, *sizes, *both)
    names = [(d, 0) for d in outer] + [(d, 0) for d in rank] + [(d, 1) for d in rank]
    for d in (d for d in outer if d in wanted):
        place = len(lead) + names.index((d, 0))
        shape = list(found.shape)
        shape[place] = own[d]
        found = torch.diag_embed(found.expand(shape).movedim(place, -1))
        names.remove((d, 0))
        names += [(d, 0), (d, 1)]
    rows = [d for d in target.permutation if d not in wanted]
    order = [(d, 0) for d in rows] + [(d, 0) for d in wanted] + [(d, 1) for d in wanted]
    found = found.permute(*range(len(lead)), *(len(lead) + names.index(name) for name in order))
    size = torch.Size(own[d] for d in wanted).numel()
    if not varying & set(rows):
        return found.reshape(*lead, size, size)
    found = found.expand(*lead, *(own[d] for d in rows), *found.shape[len(lead) + len(rows) :])
    return found.reshape(*lead, -1, size, size)


def added_grams(grams: Sequence[Tensor], by_row: bool) -> Tensor:
    """The sum of grams, some of one matrix for all rows and some of one for each.

    Args:
        grams: (*, rank, rank) or (*, rows, rank, rank).
        by_row: whether one of them has one for each.
    """
    most = max(gram.ndim for gram in grams)
    if by_row:
        grams = [gram if gram.ndim == most else gram.unsqueeze(-3) for gram in grams]
    total = grams[0]
    for gram in grams[1:]:
        total = total + gram
    return total
