"""The algebra of einsum equations: forward, adjoint and gram of a multilinear map."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import opt_einsum
import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """How one factor becomes a block ``(*, batch, rows, rank)``, and back.

    Args:
        permutation: the factor's own dimensions, ordered batch, rows, rank.
        batch: how many of them are batch dimensions.
        rows: how many of them are rows (flattened into one).
    """

    permutation: tuple[int, ...]
    batch: int
    rows: int
    trivial: bool = field(init=False, repr=False, compare=False)
    """Whether the factor already is a block, so that both maps return their argument."""

    def __post_init__(self) -> None:
        single = self.rows == 1 and len(self.permutation) - self.batch == 2
        trivial = single and self.permutation == tuple(range(len(self.permutation)))
        object.__setattr__(self, "trivial", trivial)

    def pack(self, x: Tensor) -> Tensor:
        """The factor as a block ``(*, batch, rows, rank)``; a view where strides allow."""
        if self.trivial:
            return x
        lead = x.ndim - len(self.permutation)
        x = x.permute(*range(lead), *(lead + p for p in self.permutation))
        split, shape = lead + self.batch, x.shape
        rows, rank = shape[split : split + self.rows], shape[split + self.rows :]
        return x.reshape(*shape[:split], rows.numel(), rank.numel())

    def unpack(self, block: Tensor, like: Tensor) -> Tensor:
        """The inverse of `pack`, for a factor shaped like ``like`` but for leading dimensions."""
        if self.trivial:
            return block
        own = like.shape[like.ndim - len(self.permutation) :]
        lead = block.shape[: block.ndim - 2 - self.batch]
        x = block.reshape(*lead, *(own[p] for p in self.permutation))
        inverse = sorted(range(len(own)), key=self.permutation.__getitem__)
        return x.permute(*range(len(lead)), *(len(lead) + p for p in inverse))


@dataclass(frozen=True)
class Equation:
    """An einsum equation read as a multilinear map ``(X_1, ..., X_d) -> prediction``.

    The letters of factor ``n`` sort themselves: in the output and in no other factor are its
    *rows*, in the output and in another factor its *batch*, not in the output its *rank*. The
    adjoint in factor ``n`` exchanges that operand with the output; the gram contracts the other
    factors with a copy of themselves in which every letter that is not in the output is primed.

    Args:
        inputs: the letters of each factor.
        output: the letters of the prediction.

    Example:
        >>> eq = Equation.parse("ir,jr,kr->ijk")
        >>> eq.adjoint(0), eq.gram(0)
        ('...ijk,...jr,...kr->...ri', '...jr,...kr,...ja,...ka->...ra')
    """

    inputs: tuple[str, ...]
    output: str

    @classmethod
    def parse(cls, equation: str) -> Equation:
        """Read and check an equation such as ``"ir,jr->ij"``.

        Raises:
            TypeError: it is not a string.
            ValueError: it is not an explicit einsum equation of factors linear each in turn.
        """
        if not isinstance(equation, str):
            raise TypeError(f"an equation is a string like 'ir,jr->ij', got {equation!r}")
        left, arrow, output = equation.replace(" ", "").partition("->")
        inputs = tuple(left.split(","))
        if not arrow or not output:
            raise ValueError(f"equation {equation!r} needs an output: write it like 'ir,jr->ij'")
        for term in (*inputs, output):
            if not term.isalpha() or not term.isascii():
                raise ValueError(f"equation {equation!r} has the term {term!r}: use letters only")
            if len(set(term)) < len(term):
                raise ValueError(f"equation {equation!r} repeats a letter in {term!r}")
        joined = "".join(inputs)
        for letter in output:
            if letter not in joined:
                raise ValueError(f"equation {equation!r}: letter {letter!r} is in no factor")
        for letter in joined:
            if letter not in output and joined.count(letter) == 1:
                raise ValueError(
                    f"equation {equation!r}: letter {letter!r} is in one factor only; "
                    "put it in the output or in a second factor"
                )
        return cls(inputs, output)

    @property
    def forward(self) -> str:
        """``(factors...) -> prediction``."""
        return _terms(self.inputs, self.output)

    @property
    def matrix(self) -> bool:
        """Whether it is ``W H^T``: two factors, rows by rank."""
        (a, b), rank = (self.inputs[0][:1], self.inputs[-1][:1]), self.inputs[0][1:]
        return self.inputs == (a + rank, b + rank) and self.output == a + b

    def roles(self, n: int) -> tuple[str, str, str]:
        """The batch, rows and rank letters of factor ``n``."""
        others = "".join(self._others(n))
        inner = [a for a in self.inputs[n] if a in self.output]
        batch = "".join(a for a in inner if a in others)
        rows = "".join(a for a in inner if a not in others)
        return batch, rows, "".join(a for a in self.inputs[n] if a not in self.output)

    def layout(self, n: int) -> Layout:
        """How factor ``n`` becomes a block."""
        batch, rows, rank = self.roles(n)
        order = tuple(self.inputs[n].index(a) for a in batch + rows + rank)
        return Layout(order, len(batch), len(rows))

    def adjoint(self, n: int) -> str:
        """``(residual, others...) -> (batch, rank, rows)``: columns lie together in memory."""
        batch, rows, rank = self.roles(n)
        return _terms((self.output, *self._others(n)), batch + rank + rows)

    def gram(self, n: int, *, weighted: bool = False, diagonal: bool = False) -> str:
        """``(weights?, others..., others...) -> (batch, rows?, rank, rank)``.

        Args:
            n: the factor.
            weighted: a tensor of weights like the prediction comes first and the rows stay apart.
            diagonal: only the diagonal, ``(batch, rank)``.
        """
        batch, rows, rank = self.roles(n)
        used = "".join(self.inputs) + self.output
        free = (a for a in string.ascii_letters if a not in used)
        keep = self.output + (rank if diagonal else "")
        prime = {a: a if a in keep else next(free) for a in sorted(set(used))}
        others = self._others(n)
        copies = tuple("".join(prime[a] for a in term) for term in others)
        weights = (self.output,) if weighted else ()
        second = "" if diagonal else "".join(prime[a] for a in rank)
        result = batch + (rows if weighted else "") + rank + second
        return _terms((*weights, *others, *copies), result)

    def sums(self, n: int) -> str:
        """``(others...) -> (batch, rank)``: the adjoint of ones, without its rows."""
        batch, _, rank = self.roles(n)
        return _terms(self._others(n), batch + rank)

    def _others(self, n: int) -> tuple[str, ...]:
        return self.inputs[:n] + self.inputs[n + 1 :]


class Contraction(NamedTuple):
    """`torch.einsum`, but one plain matrix product where two operands allow it.

    The batched product that einsum always takes is about twice as slow on a CPU when one operand is
    thin, as a factor is beside the data. More than two operands are contracted pair by pair in an
    order that is looked for once for all tensors of these shapes: the search takes longer than the
    products of a small problem.

    Args:
        equation: with an ellipsis in front of each term.
        sizes: how many dimensions each of two operands has if it has no leading ones, or None.
        order: which of the two comes first in the product.
        dims: the dimensions that are summed, in this order.

    Example:
        >>> multiply = Contraction.of("...ij,...jr->...ri")
        >>> multiply(torch.ones(2, 3), torch.ones(3, 1))
        tensor([[3., 3.]])
    """

    equation: str
    sizes: tuple[int, int] | None = None
    order: int = 0
    dims: tuple[list[int], list[int]] = ([], [])

    @classmethod
    def of(cls, equation: str) -> Contraction:
        """Plan the contraction of an equation."""
        left, _, output = equation.replace("...", "").partition("->")
        terms = left.split(",")
        if len(terms) != 2:
            return cls(equation)
        summed = [a for a in terms[0] if a in terms[1]]
        free = ["".join(a for a in term if a not in summed) for term in terms]
        if not summed or output not in (free[0] + free[1], free[1] + free[0]):
            return cls(equation)
        order = int(output != free[0] + free[1])
        first, second = terms[order], terms[1 - order]
        dims = [first.index(a) for a in summed], [second.index(a) for a in summed]
        return cls(equation, (len(terms[0]), len(terms[1])), order, dims)

    def __call__(self, *operands: Tensor) -> Tensor:
        """The result for these tensors, in their dtype: autocast lowers the product only."""
        dtype = operands[0].dtype
        if self.sizes is not None and self.sizes == tuple(x.ndim for x in operands):
            first, second = operands[self.order], operands[1 - self.order]
            found = torch.tensordot(first, second, dims=self.dims)  # pyright: ignore[reportArgumentType]
        elif len(operands) > 2 and not torch.compiler.is_compiling():
            found = _contracted(self.equation, operands)
        else:
            found = torch.einsum(self.equation, *operands)
        return found.to(dtype)


class Pair(NamedTuple):
    """One step of a long contraction.

    Args:
        which: the operands that it takes, out of those that are left; the result comes last.
        apply: of these to the result.
    """

    which: tuple[int, ...]
    apply: Contraction


def _contracted(equation: str, operands: Sequence[Tensor]) -> Tensor:
    left = list(operands)
    for which, apply in _pairs(equation, tuple(tuple(x.shape) for x in operands)):
        taken = [left[m] for m in which]
        left = [x for m, x in enumerate(left) if m not in which]
        left.append(apply(*taken))
    return left[0]


@lru_cache(maxsize=1024)
def _pairs(equation: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[Pair, ...]:
    """The cheapest order for tensors of these shapes."""
    path, _ = opt_einsum.contract_path(equation, *shapes, shapes=True)
    left, _, output = equation.replace("...", "").partition("->")
    terms, steps = left.split(","), []
    for which in path:
        taken = tuple(terms[m] for m in which)
        terms = [term for m, term in enumerate(terms) if m not in which]
        rest = "".join(terms) + output
        letters = dict.fromkeys("".join(taken))
        result = "".join(a for a in letters if a in rest) if terms else output
        steps.append(Pair(tuple(which), Contraction.of(_terms(taken, result))))
        terms.append(result)
    return tuple(steps)


def _terms(operands: tuple[str, ...], result: str) -> str:
    return ",".join("..." + term for term in operands) + "->..." + result
