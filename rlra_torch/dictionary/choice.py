"""Which atom each column takes: the best one, or those of an assignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..metrics.factors import assignment
from ..regularizers.atoms import check_dictionary
from .distances import Distance


@dataclass(frozen=True)
class Choice:
    """One atom for each column, ``min over K of sum_q distance(x_q, d_{K_q})``.

    With counts, at most so many columns take an atom of each dictionary; where atoms are distinct,
    no two columns take the same. Both are found exactly, as a linear assignment. Distances are
    computed in double precision: atoms of a library differ by little.

    Args:
        atoms: D, (m, d), all dictionaries side by side.
        sizes: how many atoms each dictionary has.
        counts: how many columns may take atoms of each, or None for any number.
        distance: smaller for better.
        distinct: whether atoms may be taken once only.
    """

    atoms: Tensor
    sizes: tuple[int, ...]
    counts: tuple[int, ...] | None
    distance: Distance
    distinct: bool

    @classmethod
    def of(
        cls,
        dictionaries: Sequence[Tensor],
        counts: Sequence[int] | None,
        distance: Distance,
        distinct: bool,
        rank: int,
    ) -> Choice:
        """Of dictionaries that fit each other, and of counts that fit the rank.

        Raises:
            TypeError, ValueError: they do not.
        """
        for one in dictionaries:
            check_dictionary("a dictionary-based factorization", one)
        if not dictionaries or len({(len(x), x.dtype, x.device) for x in dictionaries}) > 1:
            shapes = [f"{tuple(x.shape)} {x.dtype}" for x in dictionaries]
            raise ValueError(f"dictionaries need the same rows, type and device, got {shapes}")
        sizes = tuple(x.shape[-1] for x in dictionaries)
        if counts is not None:
            counts = tuple(whole_number("a count of atoms", count, least=0) for count in counts)
            if len(counts) != len(sizes):
                raise ValueError(f"{len(sizes)} dictionaries need as many counts, got {counts}")
        room = [size if distinct else rank for size in sizes]
        some = [min(a, b) for a, b in zip(room, counts or room, strict=True)]
        if sum(some) < rank:
            raise ValueError(
                f"{rank} columns need as many atoms, but the dictionaries give {sum(some)} at most "
                f"(sizes {sizes}, counts {counts}); lower the rank or raise the counts"
            )
        return cls(torch.cat(list(dictionaries), -1), sizes, counts, distance, distinct)

    def __call__(self, x: Tensor) -> Tensor:
        """The number of the atom that each column takes, (*, r).

        Args:
            x: columns, (*, m, r).
        """
        table = self.distance(x.double(), self.atoms.double())
        if self.counts is None and not self.distinct:
            return table.argmin(-1)
        rows = table.reshape(-1, *table.shape[-2:])
        assign = self._distinct if self.distinct else self._counted
        return torch.stack([assign(row) for row in rows]).reshape(table.shape[:-1])

    def take(self, indices: Tensor) -> Tensor:
        """The atoms of these numbers as columns, (*, m, r)."""
        return self.atoms.mT[indices].mT

    def codes(self, indices: Tensor) -> Tensor:
        """X with ``D X`` those atoms: a single one in each column, (*, d, r)."""
        shape = (*indices.shape, self.atoms.shape[-1])
        return self.atoms.new_zeros(shape).scatter(-1, indices[..., None], 1).mT

    def _counted(self, table: Tensor) -> Tensor:
        """The best atom of the dictionary that a column is assigned to; columns may share it."""
        assert self.counts is not None
        best = [part.min(-1) for part in table.split(self.sizes, -1)]
        places = zip(best, self.counts, strict=True)
        cost = torch.cat([b.values[:, None].expand(-1, c) for b, c in places], -1)
        slot = assignment(cost)
        counts = torch.tensor(self.counts, device=slot.device)
        which = torch.arange(len(best), device=slot.device).repeat_interleave(counts)[slot]
        offsets = torch.tensor((0, *self.sizes[:-1]), device=slot.device).cumsum(0)
        inside = torch.stack([b.indices for b in best], -1)
        return offsets[which] + inside.gather(-1, which[:, None])[:, 0]

    def _distinct(self, table: Tensor) -> Tensor:
        """Among the r best atoms of each column in each dictionary, which hold an optimum."""
        rank, start, kept, group = len(table), 0, [], []
        for i, part in enumerate(table.split(self.sizes, -1)):
            few = part.topk(min(rank, part.shape[-1]), largest=False).indices.unique() + start
            kept.append(few)
            group += [i] * len(few)
            start += part.shape[-1]
        atoms, member = torch.cat(kept), torch.tensor(group, device=table.device)
        cost = table[:, atoms]
        if self.counts is not None:
            cost = torch.cat((cost, _excess(cost, member, self.counts)))
        return atoms[assignment(cost)[:rank]]


def _excess(cost: Tensor, member: Tensor, counts: tuple[int, ...]) -> Tensor:
    """A row for each atom of a dictionary beyond its count, that only such an atom can satisfy."""
    never = 1 + 2 * len(cost) * cost.abs().max()
    rows = [
        torch.where(member == i, 0, never).expand(max(int((member == i).sum()) - count, 0), -1)
        for i, count in enumerate(counts)
    ]
    return torch.cat(rows).to(cost)
