"""Adjoints of a contraction in all its operands from two products with the data: a tree."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

from torch import Tensor

from .einsum import Contraction, Equation


class Kept:
    """Tensors that are computed once, as long as what they come from is the same tensors.

    Everything here works out of place, so that the same tensor has the same values.

    Example:
        >>> import torch
        >>> kept, x = Kept(), torch.ones(2)
        >>> first = kept("double", (x,), lambda: 2 * x)
        >>> kept("double", (x,), lambda: 2 * x) is first, kept("double", (first,), dict)
        (True, {})
    """

    def __init__(self) -> None:
        self._found: dict[Any, tuple[tuple[Any, ...], Any]] = {}

    def __call__(self, name: Any, sources: tuple[Any, ...], make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """What ``make`` gives, or gave for the same name and sources.

        Args:
            name: what it is called here.
            sources: all that it depends on.
            make: computes it.
        """
        known = self._found.get(name)
        if known is not None and len(known[0]) == len(sources):
            if all(map(is_, known[0], sources)):
                return known[1]
        made = make()
        self._found[name] = (sources, made)
        return made


class Step(NamedTuple):
    """One contraction of a tensor with operands, those first merged into one.

    Args:
        operands: which ones.
        merge: of several into one, or None.
        apply: of the tensor with the one.
    """

    operands: tuple[int, ...]
    merge: Contraction | None
    apply: Contraction

    def __call__(self, x: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
        own = [factors[m] for m in self.operands]
        return self.apply(x, own[0] if self.merge is None else self.merge(*own))


class Tree:
    """The adjoints of an equation through the modes of its output cut in two.

    Contracting the data with all operands of one half serves every operand of the other: for CP
    with A in the first half, ``Y (B * C)`` gives the adjoint in A, and ``A^T Y``, an array of rank
    slices, those in B and in C at no further product with the data. The data is only ever read as a
    matrix of its first by its last modes, so that it is neither permuted nor copied. An operand
    without modes, such as a Tucker core, comes after both halves.

    Args:
        equation: of the model.
        cut: how many modes are in the first half.

    References:
        | Phan, Tichavsky, Cichocki, Fast alternating LS algorithms for high order CANDECOMP/PARAFAC
        | tensor factorizations (2013)

    Example:
        >>> import torch
        >>> tree = Tree(Equation.parse("ir,jr,kr->ijk"), 1)
        >>> x = tuple(torch.ones(n, 1) for n in (2, 3, 4))
        >>> tree.adjoint(torch.ones(2, 3, 4), x, 1, Kept())
        tensor([[8., 8., 8.]])
    """

    def __init__(self, equation: Equation, cut: int) -> None:
        self.cut, terms, output = cut, equation.inputs, equation.output
        modes = (output[:cut], output[cut:])
        sides = [_side(term, modes) for term in terms]
        self.halves = tuple(
            tuple(m for m, side in enumerate(sides) if side == half) for half in (0, 1)
        )
        # What lies in the first half needs what the second half was contracted with, and so on.
        self.over = tuple(1 if side == 0 else 0 for side in sides)
        planned = [_partial(equation, half, self.halves[half]) for half in (0, 1)]
        self.partials = tuple(steps for steps, _ in planned)
        self.ends: list[tuple[tuple[int, ...], Contraction | None]] = []
        for n in range(len(terms)):
            letters, done = planned[self.over[n]][1], self.halves[self.over[n]]
            rest = tuple(m for m in range(len(terms)) if m != n and m not in done)
            batch, rows, rank = equation.roles(n)
            target = batch + rank + rows
            whole = rest or letters != target
            end = _contraction((letters, *(terms[m] for m in rest)), target) if whole else None
            self.ends.append((rest, end))

    @staticmethod
    def cuts(equation: Equation) -> list[int]:
        """Where the modes can be cut so that no operand has modes of both halves."""
        terms, output = equation.inputs, equation.output
        return [
            cut
            for cut in range(1, len(output) if len(output) > 2 else 1)
            if all(
                not (set(term) & set(output[:cut]) and set(term) & set(output[cut:]))
                for term in terms
            )
        ]

    def adjoint(
        self, y: Tensor, factors: tuple[Tensor, ...], n: int, kept: Kept, name: str = "data"
    ) -> Tensor:
        """The adjoint in operand ``n``, (*, batch, rank, rows).

        Args:
            y: what is pulled back, shaped like the output.
            factors: all operands; the ``n``-th is not read.
            n: the operand.
            kept: remembers the contractions of the halves.
            name: under which name.
        """
        half = self.over[n]
        sources = (y, *(factors[m] for m in self.halves[half]))

        def contracted() -> Tensor:
            x = y
            for step in self.partials[half]:
                x = step(x, factors)
            return x

        x = kept((name, half), sources, contracted)
        rest, end = self.ends[n]
        return x if end is None else end(x, *(factors[m] for m in rest))


def _side(term: str, modes: tuple[str, str]) -> int | None:
    """In which half an operand has its modes; None if it has none."""
    return next((half for half in (0, 1) if set(term) & set(modes[half])), None)


def _partial(equation: Equation, half: int, operands: tuple[int, ...]) -> tuple[list[Step], str]:
    """The steps that contract the data with one half, outermost modes first, and what is left."""
    terms, output = equation.inputs, equation.output
    letters, steps = output, []
    groups = _groups(terms, operands)

    def outermost(group: list[int]) -> int:
        places = [output.index(a) for m in group for a in terms[m] if a in output]
        return -max(places) if half else min(places)

    for group in sorted(groups, key=outermost):
        own = "".join(dict.fromkeys("".join(terms[m] for m in group)))
        outside = "".join(term for m, term in enumerate(terms) if m not in group)
        ranks = "".join(a for a in own if a not in output and a in outside)
        merged = ranks + "".join(a for a in letters if a in own)
        left = "".join(a for a in letters if a not in own)
        # The fast order of the product: the data as it lies, times a thin matrix on its side.
        left = left + ranks if half else ranks + left
        merge = _contraction(tuple(terms[m] for m in group), merged) if len(group) > 1 else None
        one = merged if merge is not None else terms[group[0]]
        steps.append(Step(tuple(group), merge, _contraction((letters, one), left)))
        letters = left
    return steps, letters


def _groups(terms: tuple[str, ...], operands: tuple[int, ...]) -> list[list[int]]:
    """Operands that share a letter, together."""
    groups: list[list[int]] = []
    for m in operands:
        near = [g for g in groups if any(set(terms[m]) & set(terms[k]) for k in g)]
        groups = [g for g in groups if g not in near]
        groups.append(sorted([m, *(k for g in near for k in g)]))
    return groups


def _contraction(operands: tuple[str, ...], result: str) -> Contraction:
    return Contraction.of(",".join("..." + term for term in operands) + "->..." + result)
