"""Letters of modes, and the coupled model that they spell."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Data
from ..functional.arguments import whole_number
from ..models import CP, Coupled, Factors, Model, Multilinear


@dataclass(frozen=True)
class Modes:
    """The modes of several data sets by letter, and which components each data set has.

    Args:
        names: the letters of each data set.
        components: the numbers of its components.

    Example:
        >>> Modes.of(["ijk", "il"], 2).letters
        'jkli'
    """

    names: tuple[str, ...]
    components: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        rank: int | Sequence[int],
        components: Sequence[Sequence[int] | None] | None = None,
    ) -> Modes:
        """Check letters, ranks and components.

        Raises:
            ValueError: they are none, or do not fit together.
        """
        for i, letters in enumerate(names):
            if len(letters) < 2 or not letters.isascii() or not letters.isalpha():
                raise ValueError(f"data set {i} needs two letters or more, got {letters!r}")
            if len(set(letters)) < len(letters):
                raise ValueError(f"data set {i} repeats a letter in {letters!r}; use another one")
        several = isinstance(rank, (list, tuple))
        ranks = list(rank) if isinstance(rank, (list, tuple)) else [rank] * len(names)
        if len(ranks) != len(names):
            raise ValueError(f"there are {len(ranks)} ranks for {len(names)} data sets")
        for i, one in enumerate(ranks):
            whole_number(f"the rank of data set {i}" if several else "the rank", one)
        chosen = [None] * len(names) if components is None else list(components)
        if len(chosen) != len(names):
            raise ValueError(f"there are components of {len(chosen)} sets for {len(names)}")
        found = [
            tuple(range(size)) if own is None else tuple(sorted(own))
            for own, size in zip(chosen, ranks, strict=True)
        ]
        for i, (own, size) in enumerate(zip(found, ranks, strict=True)):
            if not own or len(set(own)) < len(own) or not set(own) <= set(range(size)):
                raise ValueError(
                    f"the components of data set {i} are some of 0..{size - 1}, each once, "
                    f"got {list(own)}"
                )
        if several:
            _check_ranks(names, ranks)
        return cls(tuple(names), tuple(found))

    @property
    def letters(self) -> str:
        """All letters, those that data sets share last."""
        joined = "".join(self.names)
        return "".join(sorted(dict.fromkeys(joined), key=lambda x: joined.count(x) > 1))

    @property
    def selections(self) -> int:
        """How many factors take a mode with more components than the data set has."""
        return len(self._selected)

    def columns(self, letter: str) -> int:
        """How many components the factor of a letter has."""
        return len(self._of(letter))

    def sizes(self, shapes: Sequence[torch.Size]) -> dict[str, int]:
        """The size of each mode.

        Raises:
            ValueError: two data sets disagree.
        """
        known: dict[str, tuple[int, int]] = {}
        for i, (letters, shape) in enumerate(zip(self.names, shapes, strict=True)):
            for letter, size in zip(letters, shape, strict=True):
                old, owner = known.setdefault(letter, (size, i))
                if old != size:
                    raise ValueError(
                        f"mode {letter!r} has size {old} in data set {owner} but {size} in data "
                        f"set {i}; give it another letter, or couple the two"
                    )
        return {letter: size for letter, (size, _) in known.items()}

    def model(self) -> Coupled:
        """Of all data sets; the selections are its last factors."""
        terms: list[tuple[Model, tuple[int, ...]]] = []
        place = {key: len(self.letters) + k for k, key in enumerate(self._selected)}
        for i, letters in enumerate(self.names):
            free = [a for a in string.ascii_letters if a not in letters]
            last, operands, extra = free.pop(), [], []
            which = [self.letters.index(letter) for letter in letters]
            for letter in letters:
                if (i, letter) not in place:
                    operands.append(letter + last)
                    continue
                middle = free.pop()
                operands.append(letter + middle)
                extra.append(middle + last)
                which.append(place[i, letter])
            if not extra:
                terms.append((CP(len(letters)), tuple(which)))
                continue
            equation = ",".join(operands + extra) + "->" + letters
            terms.append((Multilinear(equation), tuple(which)))
        return Coupled(terms)

    def with_selections(self, factors: Sequence[Tensor], data: Data) -> Factors:
        """The factors of the letters, and the matrices of zeros and ones that select."""
        found = list(factors)
        for i, letter in self._selected:
            columns, own = torch.tensor(self._of(letter)), torch.tensor(self.components[i])
            one = columns[:, None] == own
            found.append(one.to(device=data.device, dtype=data.dtype))
        return tuple(found)

    def shares(self, factors: Factors) -> Tensor:
        """(data sets, components) the norm of each component in each data set."""
        count = 1 + max(max(own) for own in self.components)
        found = factors[0].new_zeros(len(self.names), count)
        for i, letters in enumerate(self.names):
            for q in self.components[i]:
                norm = factors[0].new_ones(())
                for letter in letters:
                    column = self._of(letter).index(q)
                    norm = norm * factors[self.letters.index(letter)][:, column].norm()
                found[i, q] = norm
        return found

    def _of(self, letter: str) -> tuple[int, ...]:
        """The components of all data sets with this letter."""
        holders = (
            own for own, name in zip(self.components, self.names, strict=True) if letter in name
        )
        return tuple(sorted(set().union(*holders)))

    @property
    def _selected(self) -> list[tuple[int, str]]:
        """The data sets and letters where the factor has more components than the data set."""
        return [
            (i, letter)
            for i, letters in enumerate(self.names)
            for letter in letters
            if self._of(letter) != self.components[i]
        ]


def _check_ranks(names: Sequence[str], ranks: Sequence[int]) -> None:
    for i, letters in enumerate(names):
        for j in range(i):
            if set(letters) & set(names[j]) and ranks[i] != ranks[j]:
                raise ValueError(
                    f"data sets {j} and {i} share a mode but have the ranks {ranks[j]} and "
                    f"{ranks[i]}; give one rank and the components of each, or couple two modes"
                )
