"""Several data sets, whose models share factors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..blocks import Block, Share, SumBlock
from ..functional.layouts import moved_block
from ..functional.scaling import coupled_scales
from ..losses import BetaDivergence, Frobenius, Loss, Several
from ..losses.several import together
from ..models import Coupled, Factors, Model
from .base import Data, Parts, Stored, Term, turned


@dataclass(frozen=True, eq=False)
class Terms(Data):
    """The data of a coupled model: every sum over entries is one over the data sets.

    Args:
        several: one for each term of the model; of one dtype, on one device, with the same leading
            dimensions.

    Raises:
        TypeError: something that is not data, or of another dtype or device than the rest.
        ValueError: no data at all.

    Example:
        >>> from rlra_torch.data import Dense
        >>> Terms((Dense(torch.ones(3, 2)), Dense(torch.ones(3, 4)))).dtype
        torch.float32
    """

    several: tuple[Data, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.several, (list, tuple)) or not self.several:
            raise ValueError("coupled data is a tuple of at least one data set")
        object.__setattr__(self, "several", tuple(self.several))
        for i, data in enumerate(self.several):
            if not isinstance(data, Data) or isinstance(data, Terms):
                raise TypeError(f"data set {i} must be Data, got {type(data).__name__}")
            if (data.dtype, data.device) != (self.dtype, self.device):
                raise TypeError(
                    f"data set {i} is {data.dtype} on {data.device} but the first one is "
                    f"{self.dtype} on {self.device}; convert one"
                )

    @property
    def shape(self) -> torch.Size:
        raise TypeError("coupled data has a shape for each of its sets, none of its own")

    @property
    def dtype(self) -> torch.dtype:
        return self.several[0].dtype

    @property
    def device(self) -> torch.device:
        return self.several[0].device

    def stored(self) -> Iterator[Stored]:
        for data in self.several:
            yield from data.stored()

    def terms(self, model: Model, loss: Loss, factors: Factors) -> list[Term]:
        return [self._term(_coupled(model), loss, factors, i) for i in range(len(self.several))]

    def check(self, model: Model) -> None:
        if not isinstance(model, Coupled):
            raise TypeError(
                f"{type(model).__name__} predicts one data set, got {len(self.several)}; "
                "use Coupled, with a term for each"
            )
        if len(model.which) != len(self.several):
            raise ValueError(
                f"the model has {len(model.which)} terms for {len(self.several)} data sets"
            )
        for i, data in enumerate(self.several):
            data.check(model.model(i))

    def check_loss(self, loss: Loss) -> None:
        if isinstance(loss, Several) and len(loss.losses) != len(self.several):
            raise ValueError(
                f"there are {len(loss.losses)} losses for {len(self.several)} data sets"
            )

    def batch_shape(self, model: Model) -> torch.Size:
        return self.several[0].batch_shape(_coupled(model).model(0))

    def fits(self, model: Model, factors: Factors) -> None:
        model, lead = _coupled(model), self.batch_shape(model)
        for i, data in enumerate(self.several):
            model.check_term(i, factors, data.shape)
            found = data.batch_shape(model.model(i))
            if found != lead:
                raise ValueError(
                    f"data set {i} has leading dimensions {tuple(found)} but the first one has "
                    f"{tuple(lead)}"
                )

    def count(self, model: Model) -> int:
        model = _coupled(model)
        return sum(data.count(model.model(i)) for i, data in enumerate(self.several))

    def seen(self, model: Model, loss: Loss, n: int) -> tuple[Loss, int]:
        model = _coupled(model)
        used = [i for i, _ in model.uses(n)]
        count = sum(self.several[i].count(model.model(i)) for i in used)
        losses = [loss.loss(i) for i in used] if isinstance(loss, Several) else [loss] * len(used)
        plain = len(used) == 1 and not (isinstance(loss, Several) and loss.weighted)
        if plain or all(own.quadratic for own in losses):
            return losses[0], count
        return Several(losses), count

    def total(self, model: Model, loss: Loss, factors: Factors) -> Tensor:
        return _sum(
            term.weighed(term.data.total(term.model, term.loss, term.factors))
            for term in self.terms(model, loss, factors)
        )

    def rest(self, model: Model, loss: Loss, factors: Factors, n: int) -> Tensor:
        model = _coupled(model)
        used = {i for i, _ in model.uses(n)}
        if len(used) == len(self.several):
            return super().rest(model, loss, factors, n)
        unused = (i for i in range(len(self.several)) if i not in used)
        others = (self._term(model, loss, factors, i) for i in unused)
        return _sum(
            term.weighed(term.data.total(term.model, term.loss, term.factors)) for term in others
        )

    def block(self, model: Model, loss: Loss, factors: Factors, n: int) -> Block:
        model = _coupled(model)
        shares, held = [], []
        for i, own in model.uses(n):
            term = self._term(model, loss, factors, i)
            held.append(term)
            block = term.data.block(term.model, term.loss, term.factors, own)
            shares.append(Share(block, term.weight, term.model.layout(own)))
        if len(shares) == 1 and shares[0].weight is None:
            return shares[0].block
        seen = together([term.loss for term in held])
        return SumBlock.of(tuple(shares), model.layout(n), factors[n], seen)

    def sweep(self, model: Model) -> Terms:
        swept = [data.sweep(_coupled(model).model(i)) for i, data in enumerate(self.several)]
        same = all(new is old for new, old in zip(swept, self.several, strict=True))
        return self if same else Terms(tuple(swept))

    def parts(self, model: Model, loss: Loss, factors: Factors, order: tuple[int, ...]) -> Parts:
        splits: dict[int, tuple[Tensor, Tensor]] = {}
        values = []
        for term in self.terms(model, loss, factors):
            own = tuple(term.which.index(n) for n in order if n in term.which)
            found = term.data.parts(term.model, term.loss, term.factors, own)
            values.append(term.weighed(found.value))
            for k, both in found.splits.items():
                n = term.which[k]
                moved = [term.weighed(_moved(x, model, factors, term, n)) for x in both]
                old = splits.get(n)
                new = (
                    (moved[0], moved[1]) if old is None else (old[0] + moved[0], old[1] + moved[1])
                )
                splits[n] = new
        return Parts(_sum(values), {n: splits[n] for n in order})

    def positive(self, model: Model, factors: Factors, n: int) -> Tensor:
        found = []
        for term in self.terms(model, _nothing(), factors):
            if n in term.which:
                own = term.which.index(n)
                part = term.data.positive(term.model, term.factors, own)
                found.append(_moved(part, model, factors, term, n))
        return _sum(found)

    def scale(self, model: Model, loss: Loss, factors: Factors) -> tuple[Tensor, Tensor]:
        found = [
            [term.weighed(x) for x in term.data.scale(term.model, term.loss, term.factors)]
            for term in self.terms(model, loss, factors)
        ]
        return _sum(pair[0] for pair in found), _sum(pair[1] for pair in found)

    def upright(self, model: Model, loss: Loss, factors: Factors, even: Sequence[int]) -> Factors:
        """Each of these factors is turned where what it predicts is opposite to that data."""
        model = _coupled(model)
        for n in even:
            terms = [self._term(model, loss, factors, i) for i, _ in model.uses(n)]
            if not any(term.loss.nonnegative for term in terms):
                pairs = (term.data.scale(term.model, term.loss, term.factors) for term in terms)
                along = _sum(t.weighed(top) for t, (top, _) in zip(terms, pairs, strict=True))
                factors = turned(factors, n, along)
        return factors

    def scales(
        self,
        model: Model,
        loss: Loss,
        factors: Factors,
        values: dict[int, Tensor],
        degrees: list[float],
    ) -> list[Tensor]:
        terms, sums, moving = self.terms(model, loss, factors), [], tuple(values)
        for term in terms:
            pair = term.data.scale(term.model, term.loss, term.factors)
            beta = term.loss.beta if isinstance(term.loss, BetaDivergence) else 2.0
            held = tuple(moving.index(n) for n in term.which if n in values)
            sums.append((beta, term.weighed(pair[0]), term.weighed(pair[1]), held))
        return coupled_scales(sums, torch.stack(list(values.values()), -1), degrees)

    def size(self, model: Model, loss: Loss) -> Tensor:
        return _sum(
            term.weighed(term.data.size(term.model, term.loss))
            for term in self.terms(model, loss, _no_factors(model))
        )

    def means(self, model: Model) -> tuple[Tensor, Tensor]:
        """Of all data sets together."""
        mass, weights, count = [], [], 0
        for i, data in enumerate(self.several):
            own = _coupled(model).model(i)
            mean, weight = data.means(own)
            entries = data.count(own)
            mass.append(mean * weight * entries)
            weights.append(weight * entries)
            count += entries
        return _sum(mass) / _sum(weights), _sum(weights) / count

    def curvature(self, model: Model, loss: Loss) -> Tensor:
        """Of each data set, (terms, *)."""
        return torch.stack(
            [
                term.weighed(term.data.curvature(term.model, term.loss))
                for term in self.terms(model, loss, _no_factors(model))
            ]
        )

    def metric(
        self, model: Model, factors: Factors, n: int, x: Tensor, curvature: Tensor
    ) -> Tensor:
        """The sum of those of the data sets that hold the factor."""
        found = []
        for term, own_curvature in zip(
            self.terms(model, _nothing(), factors), curvature, strict=True
        ):
            if n in term.which:
                own = term.which.index(n)
                block = term.model.layout(own).pack(factors[n])
                part = term.data.metric(term.model, term.factors, own, block, own_curvature)
                found.append(_moved(part, model, factors, term, n))
        return _sum(found)

    def imputed(self, model: Model) -> Tensor:
        raise ValueError("several data sets have no start that reads them as one; give the factors")

    def picked(self, where: tuple[Tensor, ...]) -> Terms | None:
        found = [data.picked(where) for data in self.several]
        some = tuple(data for data in found if data is not None)
        return Terms(some) if len(some) == len(found) else None

    def repeated(self, count: int) -> Terms | None:
        found = [data.repeated(count) for data in self.several]
        some = tuple(data for data in found if data is not None)
        return Terms(some) if len(some) == len(found) else None

    def _term(self, model: Coupled, loss: Loss, factors: Factors, i: int) -> Term:
        one = (loss.loss(i), loss.weight(i)) if isinstance(loss, Several) else (loss, None)
        return Term(self.several[i], model.model(i), *one, model.own(i, factors), model.which[i])


def _coupled(model: Model) -> Coupled:
    assert isinstance(model, Coupled)
    return model


def _no_factors(model: Model) -> Factors:
    """Nothing in the place of factors, for what does not read them."""
    return (torch.empty(0),) * len(model.factor_ndims)


def _nothing() -> Loss:
    """A loss in the place of one, for what does not read it."""
    return Frobenius()


def _moved(x: Tensor, model: Model, factors: Factors, term: Term, n: int) -> Tensor:
    """A block of a term, in the layout of the sum."""
    source, target = term.model.layout(term.which.index(n)), model.layout(n)
    if source == target:
        return x
    return moved_block(x.expand_as(source.pack(factors[n])), source, target, factors[n])


def _sum(found: Iterable[Tensor]) -> Tensor:
    first, *others = found
    return sum(others, first)
