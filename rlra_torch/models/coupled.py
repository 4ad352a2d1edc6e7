"""Several models that share factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..functional.einsum import Layout
from ..functional.layouts import added_grams, common_layout, moved_block, moved_gram
from ..functional.tree import Kept
from .base import Factors, Gauge, Model


class Coupled(Model):
    """``(model_1(X_a, X_b, ...), model_2(X_a, X_c, ...), ...)``: one prediction for each data set.

    A factor that several terms name is the same tensor in all of them; a term that sees only some
    of its columns, or linear combinations of its rows, takes a frozen operand that says so, as in
    ``"ia,ar,jr->ij"``. The predictions, and the residuals that `adjoint` takes, are tuples.

    Args:
        terms: for each data set a model and the numbers of its factors among all.

    Raises:
        TypeError: something that is not a pair of a model and numbers.
        ValueError: numbers that do not fit the models, or factors that no term uses.

    References:
        | Acar, Kolda, Dunlavy, All-at-once optimization for coupled matrix and tensor
        | factorizations (2011)
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 18.1 and 18.2

    Example:
        >>> from rlra_torch.models import CP, NMF
        >>> model = Coupled([(CP(3), (0, 1, 2)), (NMF(), (0, 3))])
        >>> factors = tuple(torch.ones(size, 2) for size in (4, 3, 5, 6))
        >>> [tuple(prediction.shape) for prediction in model(factors)]
        [(4, 3, 5), (4, 6)]
    """

    ndim = 0  # of its own; each prediction has those of its model

    def __init__(self, terms: Sequence[tuple[Model, Sequence[int]]]) -> None:
        super().__init__()
        if not isinstance(terms, (list, tuple)) or not terms:
            raise TypeError(f"Coupled takes a list of (model, factors), got {terms!r}")
        for term in terms:
            _check_term(term)
        self.models = nn.ModuleList(model for model, _ in terms)
        self._several = tuple(model for model, _ in terms)
        self.which = tuple(tuple(which) for _, which in terms)
        self.factor_ndims = self._ndims()
        self._uses = tuple(
            tuple((i, which.index(n)) for i, which in enumerate(self.which) if n in which)
            for n in range(len(self.factor_ndims))
        )
        self._layouts = tuple(
            common_layout([self.model(i).layout(own) for i, own in self.uses(n)])
            for n in range(len(self.factor_ndims))
        )

    def model(self, i: int) -> Model:
        """The model of a term."""
        return self._several[i]

    def uses(self, n: int) -> tuple[tuple[int, int], ...]:
        """The terms that hold factor ``n``, and its number there."""
        return self._uses[n]

    def own(self, i: int, factors: Sequence[Any]) -> tuple[Any, ...]:
        """What belongs to the factors of a term, out of one thing for each factor."""
        return tuple(factors[n] for n in self.which[i])

    def forward(self, factors: Factors) -> Any:  # noqa: ANN401
        """The predictions, one for each term."""
        return tuple(self.model(i)(self.own(i, factors)) for i in range(len(self.which)))

    def adjoint(self, factors: Factors, n: int, residual: Sequence[Tensor]) -> Tensor:  # pyright: ignore
        found = [
            self.model(i).adjoint(self.own(i, factors), own, residual[i]) for i, own in self.uses(n)
        ]
        return sum(found[1:], found[0])

    def layout(self, n: int) -> Layout:
        return self._layouts[n]

    def rescalable(self, order: tuple[int, ...]) -> bool:
        """Only where each term holds all of these factors, and can."""
        return all(
            set(order) <= set(which) and self.model(i).rescalable(tuple(map(which.index, order)))
            for i, which in enumerate(self.which)
        )

    def gauges(self, order: tuple[int, ...]) -> tuple[Gauge, ...]:
        """Those of factors that are all in one term, and in no other.

        A factor of several terms has scales as well that no prediction sees: times t where one
        other factor of each of its terms is divided by t. They are no product of ones, but all
        ``exp(u_n)`` with ``A u = 0``, A the incidence of terms and factors, and best penalties over
        them are a convex problem; iterations find it, here it is not solved for.
        """
        found = list(super().gauges(order))
        for i, which in enumerate(self.which):
            alone = [n for n in which if n in order and len(self.uses(n)) == 1]
            for gauge in self.model(i).gauges(tuple(which.index(n) for n in alone)):
                found.append(tuple((which[own], dim) for own, dim in gauge))
        return tuple(dict.fromkeys(found))

    def meeting(self, order: tuple[int, ...]) -> int:
        return max(len(set(order) & set(which)) for which in self.which)

    def has_gram(self, n: int) -> bool:
        return all(self.model(i).has_gram(own) for i, own in self.uses(n))

    def gram(self, factors: Factors, n: int, weights: Sequence[Tensor] | None = None) -> Tensor:  # pyright: ignore
        """The sum of the grams of the terms that hold the factor."""
        by_row, grams = weights is not None, []
        lead = factors[n].ndim - self.factor_ndims[n]
        for i, own in self.uses(n):
            model = self.model(i)
            found = model.gram(self.own(i, factors), own, weights[i] if weights else None)
            grams.append(moved_gram(found, model.layout(own), self.layout(n), factors[n], by_row))
        rows = max(found.ndim for found in grams) > lead + self.layout(n).batch + 2
        return added_grams(grams, rows)

    def column_energy(self, factors: Factors, n: int, kept: Kept | None = None) -> Tensor:
        return self._summed(factors, n, "column_energy")

    def column_sum(self, factors: Factors, n: int) -> Tensor:
        return self._summed(factors, n, "column_sum")

    def check(self, factors: Factors, shape: torch.Size | None = None) -> None:
        super().check(factors)
        for i in range(len(self.which)):
            self.check_term(i, factors, None)

    def check_term(self, i: int, factors: Factors, shape: torch.Size | None) -> None:
        """Check the factors of one term, against its data if given.

        Raises:
            ValueError: they do not fit; the sentence says which factors those are among all.
        """
        try:
            self.model(i).check(self.own(i, factors), shape)
        except ValueError as error:
            raise ValueError(
                f"data set {i}, whose factors are {self.which[i]} of all: {error}"
            ) from None

    def _summed(self, factors: Factors, n: int, name: str) -> Tensor:
        total = None
        for i, own in self.uses(n):
            model = self.model(i)
            found = getattr(model, name)(self.own(i, factors), own)
            if model.layout(own) != self.layout(n):
                found = found.expand_as(model.layout(own).pack(factors[n]))
                found = moved_block(found, model.layout(own), self.layout(n), factors[n])
            total = found if total is None else total + found
        assert total is not None
        return total

    def _ndims(self) -> tuple[int, ...]:
        """The dimensions of each factor, the same in all terms that hold it."""
        known: dict[int, int] = {}
        for i, which in enumerate(self.which):
            for n, own in zip(which, self.model(i).factor_ndims, strict=True):
                if known.setdefault(n, own) != own:
                    raise ValueError(
                        f"factor {n} has {known[n]} dimensions in one term and {own} in another"
                    )
        unused = set(range(max(known) + 1)) - set(known)
        if unused:
            raise ValueError(
                f"factor {min(unused)} is in no term of Coupled; number the factors from 0 on"
            )
        return tuple(known[n] for n in range(len(known)))


def _check_term(term: Any) -> None:  # noqa: ANN401
    if not isinstance(term, (list, tuple)) or len(term) != 2:
        raise TypeError(f"a term of Coupled is a pair (model, factors), got {term!r}")
    model, which = term
    if not isinstance(model, Model) or isinstance(model, Coupled):
        raise TypeError(f"a term of Coupled has a model such as CP(3), got {type(model).__name__}")
    whole = isinstance(which, (list, tuple)) and all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in which
    )
    if not whole:
        raise TypeError(f"the factors of a term are a list of numbers from 0 on, got {which!r}")
    if len(which) != len(model.factor_ndims):
        raise ValueError(
            f"{type(model).__name__} has {len(model.factor_ndims)} factors but the term names "
            f"{len(which)}: {tuple(which)}"
        )
    if len(set(which)) < len(which):
        raise ValueError(
            f"a term must be linear in each factor but {tuple(which)} names one twice; "
            "give it two factors"
        )
