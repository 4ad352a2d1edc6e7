"""Every contraction that einsum can write, with exact forward, adjoint and gram."""

from __future__ import annotations

import math
import string
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.einsum import Contraction, Equation, Layout
from ..functional.tree import Kept, Tree
from ..functional.tucker import multiplied
from .base import Factors, Gauge, Model


class Plan(NamedTuple):
    """All that the steps ask an equation for again and again, once.

    Args:
        equation: the equation.
        roles: the batch, rows and rank letters of each factor.
        layouts: how each becomes a block.
        forward: all factors to the prediction.
        adjoints, grams, weighted_grams, diagonals, sums: of each factor, see `Equation`.
        trees: one for each cut of the modes in two.
    """

    equation: Equation
    roles: tuple[tuple[str, str, str], ...]
    layouts: tuple[Layout, ...]
    forward: Contraction
    adjoints: tuple[Contraction, ...]
    grams: tuple[Contraction, ...]
    weighted_grams: tuple[Contraction, ...]
    diagonals: tuple[Contraction, ...]
    sums: tuple[Contraction, ...]
    trees: tuple[Tree, ...]

    @classmethod
    def of(cls, equation: str) -> Plan:
        """Read an equation.

        Raises:
            TypeError, ValueError: as `Equation.parse`.
        """
        read = Equation.parse(equation)
        factors, plan = range(len(read.inputs)), Contraction.of
        return cls(
            read,
            tuple(read.roles(n) for n in factors),
            tuple(read.layout(n) for n in factors),
            plan(read.forward),
            tuple(plan(read.adjoint(n)) for n in factors),
            tuple(plan(read.gram(n)) for n in factors),
            tuple(plan(read.gram(n, weighted=True)) for n in factors),
            tuple(plan(read.gram(n, diagonal=True)) for n in factors),
            tuple(plan(read.sums(n)) for n in factors),
            tuple(Tree(read, cut) for cut in Tree.cuts(read)),
        )


@lru_cache(maxsize=256)
def _planned(equation: str) -> Plan:
    return Plan.of(equation)


class Multilinear(Model):
    """The map of an einsum equation, such as ``"ir,jr->ij"`` (NMF) or ``"ir,jr,kr->ijk"`` (CP).

    The adjoint in factor ``n`` exchanges that operand with the output; the gram contracts the other
    operands with a primed copy of themselves. Leading dimensions are independent problems.

    Args:
        equation: factors left, prediction right; each letter once in a factor, and in the output or
            in a second factor.

    Raises:
        TypeError, ValueError: the equation is not one, in one sentence.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 6

    Example:
        >>> import torch
        >>> model = Multilinear("ir,jr->ij")
        >>> w, h = torch.rand(4, 2), torch.rand(3, 2)
        >>> torch.allclose(model((w, h)), w @ h.T)
        True
        >>> torch.allclose(model.gram((w, h), 0), h.T @ h)
        True
    """

    def __init__(self, equation: str) -> None:
        super().__init__()
        cached = isinstance(equation, str) and not torch.compiler.is_compiling()
        plan = _planned(equation) if cached else Plan.of(equation)
        self.equation, self._plan = plan.equation, plan
        self.ndim = len(self.equation.output)
        self.factor_ndims = tuple(len(term) for term in self.equation.inputs)
        self.matrix = self.equation.matrix

    def forward(self, factors: Factors) -> Tensor:
        """The prediction.

        Args:
            factors: one tensor per operand, ``(*, ...)``.
        """
        return self._plan.forward(*factors)

    def adjoint(self, factors: Factors, n: int, residual: Tensor) -> Tensor:
        """The matricized product with all factors but ``n`` (for CP: the MTTKRP).

        Args:
            factors: all factors; the ``n``-th gives its shape only.
            n: the factor.
            residual: shaped like the prediction.

        Returns:
            shaped like factor ``n``, its columns contiguous in memory.
        """
        return self.cross(factors, n, residual, Kept())

    def cross(self, factors: Factors, n: int, y: Tensor, kept: Kept, name: str = "data") -> Tensor:
        tree = self._tree(y)
        if tree is None:
            others = self._others(factors, n)
            found = kept((name, n), (y, *others), lambda: self._plan.adjoints[n](y, *others))
        else:
            found = tree.adjoint(y, factors, n, kept, name)
        batch, rows, rank = self._plan.roles[n]
        stored = batch + rank + rows
        lead = found.ndim - len(stored)
        order = (lead + stored.index(a) for a in self.equation.inputs[n])
        return found.permute(*range(lead), *order)

    def layout(self, n: int) -> Layout:
        return self._plan.layouts[n]

    def rescalable(self, order: tuple[int, ...]) -> bool:
        terms = [self.equation.inputs[n] for n in order]
        return len({term[-1] for term in terms}) == 1 and terms[0][-1] not in self.equation.output

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        terms = {n: self.equation.inputs[n] for n in order}
        letters = dict.fromkeys("".join(terms.values()))
        found = (
            tuple((n, term.index(a) - len(term)) for n, term in terms.items() if a in term)
            for a in letters
            if a not in self.equation.output
        )
        return tuple(gauge for gauge in found if len(gauge) > 1)

    def has_gram(self, n: int) -> bool:
        return True

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        """``J_n^T diag(weights) J_n``, per batch entry and, with weights, per row.

        Args:
            factors: all factors; the ``n``-th gives its shape only.
            n: the factor.
            weights: shaped like the prediction.
            kept: as in `cross`.

        Returns:
            (*, batch, rank, rank), or (*, batch, rows, rank, rank) with weights.
        """
        others = self._others(factors, n)
        if weights is None:
            kept = Kept() if kept is None else kept
            found = kept(("gram", n), others, lambda: self._plan.grams[n](*others, *others))
        else:
            found = self._plan.weighted_grams[n](weights, *others, *others)
        batch, rows, rank = self._plan.roles[n]
        own = found.ndim - 2 * len(rank)
        size = found.shape[own : own + len(rank)].numel()
        head = found.shape[:own]
        if weights is not None:
            head = (*head[: own - len(rows)], head[own - len(rows) :].numel())
        return found.reshape(*head, size, size)

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        """The diagonal of the gram, ``(*, batch, 1, rank)``."""
        others, rank = self._others(factors, n), len(self._plan.roles[n][2])
        if rank == 1:
            return self.gram(factors, n, None, kept).diagonal(dim1=-2, dim2=-1).unsqueeze(-2)
        # The gram of a factor of several ranks, as of a core, may be large.
        found = self._plan.diagonals[n](*others, *others)
        return found.reshape(*found.shape[: found.ndim - rank], 1, -1)

    def column_sum(self, factors: Factors, n: int) -> Tensor:
        """The sums of the prediction per unit of each column, ``(*, batch, 1, rank)``."""
        found = self._plan.sums[n](*self._others(factors, n))
        rank = len(self._plan.roles[n][2])
        return found.reshape(*found.shape[: found.ndim - rank], 1, -1)

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        super().check(factors, shape)
        sizes: dict[str, tuple[int, str]] = {}
        operands = [(f"factor {n}", x.shape) for n, x in enumerate(factors)]
        terms = list(self.equation.inputs)
        if shape is not None:
            operands, terms = [("the data", shape), *operands], [self.equation.output, *terms]
        for (name, own), term in zip(operands, terms, strict=True):
            if len(own) < len(term):
                raise ValueError(
                    f"{name} needs at least {len(term)} dimensions ({term}), got shape {tuple(own)}"
                )
            for letter, size in zip(term, own[len(own) - len(term) :], strict=True):
                known, owner = sizes.setdefault(letter, (size, name))
                if known != size:
                    raise ValueError(
                        f"dimension {letter!r} is {known} in {owner} but {size} in {name} "
                        f"of shape {tuple(own)}"
                    )

    def extra_repr(self) -> str:
        return repr(",".join(self.equation.inputs) + "->" + self.equation.output)

    def _tree(self, y: Tensor) -> Tree | None:
        """The one whose halves are as equal as can be, or None where there is none."""
        if len(self._plan.trees) < 2:
            return self._plan.trees[0] if self._plan.trees else None
        shape = y.shape[y.ndim - self.ndim :]
        return min(self._plan.trees, key=lambda t: shape[: t.cut].numel() + shape[t.cut :].numel())

    @staticmethod
    def _others(factors: Factors, n: int) -> Factors:
        return factors[:n] + factors[n + 1 :]


class CP(Multilinear):
    """Canonical polyadic model ``sum_q x1_q o x2_q o ... o xd_q``, factors ``(*, n_i, r)``.

    Args:
        order: the number of modes, at least 2.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.2

    Example:
        >>> import torch
        >>> CP(3)((torch.ones(2, 1), torch.ones(3, 1), torch.ones(4, 1))).shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, order: int) -> None:
        if whole_number("the order of CP", order, least=2) > 24:
            raise ValueError(f"CP supports an order of at most 24, got {order}")
        modes = string.ascii_lowercase[:order]
        super().__init__(",".join(a + "z" for a in modes) + "->" + modes)

    def gram(
        self, factors: Factors, n: int, weights: Tensor | None = None, kept: Kept | None = None
    ) -> Tensor:
        kept = Kept() if kept is None else kept
        if weights is None:
            grams: list[Tensor] = [
                kept(("gram", m), (x,), lambda x=x: (x.mT @ x).to(x.dtype))
                for m, x in enumerate(factors)
                if m != n
            ]
            return math.prod(grams[1:], start=grams[0])
        if self.ndim == 2:
            return super().gram(factors, n, weights, kept)
        # The weighted gram of a row is the adjoint of the weights in the products of two columns.
        pairs = tuple(
            kept(("pairs", m), (x,), lambda x=x: (x[..., :, None] * x[..., None, :]).flatten(-2))
            for m, x in enumerate(factors)
        )
        found = self.cross(pairs, n, weights, kept, "weights")
        return found.unflatten(-1, (factors[n].shape[-1],) * 2).to(weights.dtype)


class NMF(CP):
    """The matrix model ``W H^T``, factors W ``(*, m, r)`` and H ``(*, n, r)``.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.1

    Example:
        >>> import torch
        >>> NMF()((torch.ones(2, 1), torch.ones(3, 1))).shape
        torch.Size([2, 3])
    """

    def __init__(self) -> None:
        super().__init__(2)


class Tucker(Multilinear):
    """Tucker model: factors ``(*, n_i, r_i)``, and the core ``(*, r_1, ..., r_d)`` last.

    Args:
        order: the number of modes, at least 2.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.3

    Example:
        >>> import torch
        >>> u = torch.ones(4, 2)
        >>> Tucker(3)((u, u, u, torch.ones(2, 2, 2))).shape
        torch.Size([4, 4, 4])
    """

    def __init__(self, order: int) -> None:
        if not 2 <= whole_number("the order of Tucker", order, least=0) <= 12:
            raise ValueError(f"Tucker supports an order from 2 to 12, got {order}")
        modes, ranks = string.ascii_lowercase[:order], string.ascii_lowercase[order : 2 * order]
        factors = ",".join(a + b for a, b in zip(modes, ranks, strict=True))
        super().__init__(f"{factors},{ranks}->{modes}")

    def normal(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        *bases, core = factors
        if n < len(bases):
            return super().normal(factors, n, kept)
        # The gram of the core is a Kronecker product, as large as the square of the core.
        return self.layout(n).pack(multiplied(core, [u.mT @ u for u in bases]))
