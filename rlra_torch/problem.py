"""The problem: data, model, loss, regularizers; its objective, blocks and optimality residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .balancing import Freedom, best_scales, freedoms
from .blocks import Block
from .data import Data, Parts, given
from .functional.batch import sum_each
from .functional.copies import shallow
from .functional.tree import Kept
from .losses import Frobenius, Loss
from .models import Factors, Model
from .regularizers import Coupling, Joint, Regularizer
from .regularizers.packed import packed
from .validation import (
    check_cones,
    check_count,
    check_couplings,
    check_domain,
    check_factors,
    check_finite,
    check_parts,
    check_real,
    check_regularizers,
    check_signs,
    check_some,
    check_weights,
)

Squares = Callable[[int, Tensor, Tensor, Tensor, Regularizer], Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """``min over X_1..X_d of  sum weights * loss(model(X_1..X_d), y) + sum_n reg_n(X_n)``.

    An l1 penalty on one factor alone has no minimizer: the scale slides to the others. Penalize all
    factors, or constrain the norm of the others.

    Args:
        y: the data, (*, ...) with leading dimensions for independent problems; a sparse tensor of
            torch, zero where nothing is stored; `Data` of any kind; or a tuple of these, one for
            each term of a `Coupled` model.
        model: what predicts it.
        loss: how the two are compared.
        regs: one regularizer per factor, or a `Joint` one of all.
        weights: nonnegative weights like ``y`` (0: missing), or None; what sparse weights do not
            store is missing. For a tuple of data, a tuple of these.
        free: which factors are sought; the others stay as given. None: all.
        couplings: linear relations between factors of different data sets.

    Raises:
        ValueError: the parts do not fit, in one sentence.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapters 6 to 8

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> problem = Problem(torch.ones(4, 3), NMF(), Frobenius(), (NonNegative(), NonNegative()))
        >>> problem.objective((torch.ones(4, 1), torch.zeros(3, 1)))
        tensor(6.)
    """

    y: Tensor | Data | tuple[Tensor | Data, ...]
    model: Model
    loss: Loss
    regs: Sequence[Regularizer]
    weights: Tensor | tuple[Tensor | None, ...] | None = None
    free: tuple[int, ...] | None = None
    couplings: tuple[Coupling, ...] = ()
    data: Data = field(init=False, repr=False)
    kept: Kept | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_parts(self.y, self.model, self.loss, self.regs, self.weights)
        count = len(self.model.factor_ndims)
        check_count(self.model, self.regs)
        check_cones(self.model, self.regs)
        object.__setattr__(self, "data", given(self.y, self.weights))
        self.data.check(self.model)
        self.data.check_loss(self.loss)
        free = tuple(range(count)) if self.free is None else self.free
        if not isinstance(free, (list, tuple)) or not free or set(free) - set(range(count)):
            raise ValueError(f"free factors must be among 0..{count - 1}, got {free}")
        object.__setattr__(self, "free", tuple(free))
        object.__setattr__(self, "couplings", tuple(self.couplings))
        check_couplings(self.couplings, self.model, tuple(free))

    @property
    def order(self) -> tuple[int, ...]:
        """The factors that are sought."""
        assert self.free is not None
        return self.free

    @property
    def batch_shape(self) -> torch.Size:
        """The leading dimensions: independent problems."""
        return self.data.batch_shape(self.model)

    @property
    def imputed(self) -> Tensor:
        """The data with missing entries at the mean of the observed, for starts that read it."""
        return self.data.imputed(self.model)

    def objective(self, factors: Factors) -> Tensor:
        """The loss plus the penalties of the free factors, (*,)."""
        return self._penalized(self.data.total(self.model, self.loss, factors), factors)

    def block(self, n: int, factors: Factors) -> Block:
        """The subproblem of factor ``n``: quadratic where the loss and the model allow."""
        return self.data.block(self.model, self.loss, factors, n)

    def rest(self, n: int, factors: Factors) -> Tensor:
        """The loss of the data that factor ``n`` does not predict, (*,): 0 for one data set."""
        return self.data.rest(self.model, self.loss, factors, n)

    def loss_of(self, n: int) -> Loss:
        """The loss that factor ``n`` meets: `Several` where it is not one of a single data set."""
        return self.data.seen(self.model, self.loss, n)[0]

    def count(self, n: int) -> int:
        """How many entries a product with the data of factor ``n`` visits."""

        def found() -> int:
            return self.data.seen(self.model, self.loss, n)[1]

        return found() if self.kept is None else self.kept(("count", n), (self.data,), found)

    def sweep(self) -> Problem:
        """The same problem for one sweep over the factors.

        Its blocks share partial products with the data for as long as the factors that those were
        made from are the same tensors: all modes of a tensor take two large products, not one each.
        """
        swept = self.data.sweep(self.model)
        return self if swept is self.data else self._with("data", swept)

    def for_solve(self) -> Problem:
        """The same problem for many sweeps and checks: what they have in common is computed once.

        A check takes partial products of the sweep before and leaves some for the next one; the
        size of the data is known from the first check on.
        """
        return self.sweep()._with("kept", Kept())

    def parts(self, factors: Factors) -> Parts:
        """The loss and its gradient in all free factors, from one pass over the data."""
        return self.data.parts(self.model, self.loss, factors, self.order)

    def positive(self, n: int, factors: Factors) -> Tensor:
        """The positive part of the gradient in factor ``n``, where the loss makes it constant."""
        return self.data.positive(self.model, factors, n)

    def pack(self, n: int, factors: Factors) -> Tensor:
        """Factor ``n`` as a block ``(*, batch, rows, rank)``."""
        return self.model.layout(n).pack(factors[n])

    def unpack(self, n: int, factors: Factors, x: Tensor) -> Factors:
        """The factors with the ``n``-th taken from a block."""
        new = self.model.layout(n).unpack(x, factors[n])
        return (*factors[:n], new, *factors[n + 1 :])

    def regularizer(self, n: int, factors: Factors) -> Regularizer:
        """The regularizer of factor ``n``, acting on its block."""
        regs = self.regs
        own = regs.block(n, factors) if isinstance(regs, Joint) else regs[n]
        return packed(own, self.model.layout(n), factors[n])

    def kkt(self, factors: Factors) -> Tensor:
        """The scale-free optimality residual, (*,); 0 exactly at stationary points.

        Each free block takes the proximal step ``x+ = prox(x - g / D, 1 / D)``. The squared length
        of all steps in the metric, ``sum D (x - x+)^2``, divided by the size of the data in the
        unit of the loss, is the square of the residual: at a residual of 1e-4 such a step gains
        about 1e-8 of the data. It does not change when the data or the columns of the factors are
        rescaled, because the metric ``D`` is the curvature of the loss at the mean of the data
        times the rank times the energy of each column.
        """
        return self.measure(factors)[1]

    def measure(self, factors: Factors, squares: Squares | None = None) -> tuple[Tensor, Tensor]:
        """`objective` and `kkt`, (*,) each, from one pass over the data.

        Args:
            factors: where.
            squares: the squared length of the step in each entry of a block, from its number, the
                block, the gradient, the metric and the regularizer; None: `proximal_squares`.
        """
        parts, (curvature, size) = self.parts(factors), self._units()
        gain = curvature.new_zeros(self.batch_shape)
        for n, (positive, negative) in parts.splits.items():
            x, reg = self.pack(n, factors), self.regularizer(n, factors)
            metric, gradient = self._metric(n, factors, x, curvature), positive - negative
            if squares is None:
                entries = proximal_squares(x, gradient, metric, reg)
            else:
                entries = squares(n, x, gradient, metric, reg)
            gain = gain + self._summed(entries)
        residual = (gain / size.clamp_min(torch.finfo(size.dtype).tiny)).sqrt()
        return self._penalized(parts.value, factors), residual

    def relative_error(self, factors: Factors) -> Tensor:
        """``||model - y|| / ||y||`` over observed entries, (*,)."""
        squares = Frobenius()
        error = self.data.total(self.model, squares, factors)
        energy = self.data.size(self.model, squares)
        return (error / energy.clamp_min(torch.finfo(energy.dtype).tiny)).clamp_min(0).sqrt()

    def relative_errors(self, factors: Factors) -> tuple[Tensor, ...]:
        """`relative_error` for each data set, of which a `Coupled` model has several."""
        squares, found = Frobenius(), []
        for data, model, _, _, own, _ in self.data.terms(self.model, self.loss, factors):
            error, energy = data.total(model, squares, own), data.size(model, squares)
            ratio = error / energy.clamp_min(torch.finfo(energy.dtype).tiny)
            found.append(ratio.clamp_min(0).sqrt())
        return tuple(found)

    def gaps(self, factors: Factors) -> tuple[Tensor, ...]:
        """How far each coupling is from being met, relative to the factors, (*,) each."""
        return tuple(coupling.gap(factors) for coupling in self.couplings)

    def scaled(self, factors: Factors) -> Factors:
        """The factors times the common scale that minimizes the objective.

        In closed form without penalties (``<y, p> / <p, p>`` for Frobenius, ``sum y / sum p`` for
        Kullback-Leibler), else from the roots of a polynomial. Factors whose regularizer fixes
        their scale keep it. The factors of a coupled model get scales of their own, one after the
        other. A prediction that is opposite to the data has no such scale: there a factor that may
        have both signs is turned first.

        References:
            | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.2.3 and 10.4.1
        """
        moving = [n for n in self.order if self.regs[n].degree is not None]
        if not moving:
            return factors
        tied = {n for coupling in self.couplings for n in coupling.factors}
        even = [n for n in self.order if self.regs[n].even and n not in tied]
        factors = self.data.upright(self.model, self.loss, factors, even)
        degrees = [float(self.regs[n].degree or 0.0) for n in moving]
        values = {n: self._summed(self.regs[n](factors[n])) for n in moving}
        if isinstance(self.regs, Joint):
            # One penalty of the degree of the product, whichever factor it is counted for.
            degrees = [sum(degrees), *(0.0 for _ in moving[1:])]
            values = {n: torch.zeros_like(value) for n, value in values.items()}
            values[moving[0]] = self._summed(self.regs.penalty(factors))
        scales = self.data.scales(self.model, self.loss, factors, values, degrees)
        out = list(factors)
        for n, scale in zip(moving, scales, strict=True):
            own = factors[n].ndim - scale.ndim
            out[n] = factors[n] * scale.reshape(*scale.shape, *(1,) * own)
        return tuple(out)

    @property
    def freedoms(self) -> tuple[Freedom, ...]:
        """The scales of the free factors against each other that the prediction does not see.

        Factors in linear couplings have none: the relations between them would not hold any more.
        """

        def found() -> tuple[Freedom, ...]:
            tied = {n for coupling in self.couplings for n in coupling.factors}
            return freedoms(self.model, self.regs, [n for n in self.order if n not in tied])

        return found() if self.kept is None else self.kept("freedoms", (self.regs,), found)

    def balance(self, factors: Factors) -> Factors:
        """What to multiply the columns of each factor by, so that the penalties are least.

        ``t_n = (mu / (p_n R_n))^(1 / p_n)`` column by column, with ``R_n`` the penalty of degree
        ``p_n`` and mu such that the product of the ``t_n`` is 1; the loss does not change. Elastic
        nets, of two degrees, take a few steps of Newton's method. A component that is 0 in one
        factor becomes 0 in all. Where a core shares scales with each factor, as in Tucker, they are
        balanced in turn, as in Sinkhorn's algorithm.

        Without penalties the columns get equal norms. What cannot be rescaled gets 1, and so do
        factors of which some have a penalty and others have none: those have no best scales.

        Returns:
            broadcastable with each factor; (*, 1, rank) in a model of components.

        References:
            | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 12 and section 10.4
            | Cohen, Leplat, Efficient algorithms for regularized nonnegative scale-invariant
            | low-rank approximation models (2025)
        """
        return best_scales(self.model, self.regs, self.freedoms, factors)

    def balanced(self, factors: Factors) -> Factors:
        """The factors times the scales of `balance`, for the start of a solve or for its end.

        Example:
            >>> from rlra_torch.models import NMF
            >>> from rlra_torch.regularizers import NonNegative
            >>> regs = (NonNegative(l1=1.0), NonNegative(l1=1.0))
            >>> problem = Problem(torch.ones(1, 1), NMF(), Frobenius(), regs)
            >>> problem.balanced((torch.tensor([[4.0]]), torch.tensor([[1.0]])))
            (tensor([[2.]]), tensor([[2.]]))
        """
        return tuple(x * t for x, t in zip(factors, self.balance(factors), strict=True))

    def implicit(self, factors: Factors) -> Tensor:
        """The implicit regularizer: the penalties at the best scales, (*,).

            (sum_n 1/p_n) sum_q (prod_n (p_n R_nq)^(1/p_n))^(1 / sum_n 1/p_n)

        with ``R_nq`` the penalty of component q in factor n, of degree ``p_n``. It depends on the
        rank-one terms only, and prunes them: for ridges of weight mu on three factors it is ``3/2
        mu`` times the sum of their norms to the power 2/3.

        References:
            | Cohen, Regularized low-rank approximations (HDR, 2026), theorem 12 and section 10.2
        """
        scaled = self.balanced(factors)
        return self._penalized(scaled[0].new_zeros(self.batch_shape), scaled)

    def validate(self, factors: Factors) -> None:
        """Check shapes, types and values before any work is done (this synchronises).

        Raises:
            TypeError: types or devices that do not match.
            ValueError: shapes or values that do not fit.
        """
        check_real("the data", self.data.dtype)
        terms = self.data.terms(self.model, self.loss, tuple(factors))
        for term in terms:
            check_some("the data", term.data.shape)
        check_factors(factors, self.data.dtype, self.data.device)
        for term in terms:
            for observed, weights in term.data.stored():
                check_weights(weights)
                check_finite("the data", observed)
                check_domain(term.loss, observed)
            if not bool((term.data.means(term.model)[1] > 0).any()):
                raise ValueError("no entry is observed: all weights are zero or all data is NaN")
        self.data.fits(self.model, factors)
        check_regularizers(self.regs, self.data.dtype, self.data.device)
        for coupling in self.couplings:
            coupling.check(tuple(factors))
        for n in self.order:
            lead = factors[n].shape[: factors[n].ndim - self.model.factor_ndims[n]]
            if lead != self.batch_shape:
                raise ValueError(
                    f"factor {n} has leading dimensions {tuple(lead)} but the data has "
                    f"{tuple(self.batch_shape)}"
                )
        for term in terms:
            if term.loss.nonnegative:
                own = [x if n in term.which else x.abs() for n, x in enumerate(factors)]
                check_signs(type(term.loss).__name__, tuple(own), "or use Frobenius")

    def freeze(self, *frozen: int) -> Problem:
        """The same problem with some factors held fixed."""
        return replace(self, free=tuple(n for n in self.order if n not in frozen))

    def repeated(self, count: int) -> Problem | None:
        """The same problem ``count`` times as one batch, or None where the data does not allow it.

        The data is held once.
        """
        data = self.data.repeated(count)
        return None if data is None else self._with("data", data)

    def regularized(self, regs: Sequence[Regularizer]) -> Problem:
        """The same problem with other regularizers."""
        check_count(self.model, regs)
        check_cones(self.model, regs)
        return self._with("regs", regs if isinstance(regs, Joint) else tuple(regs))

    def _with(self, name: str, value: Any) -> Problem:  # noqa: ANN401
        other = shallow(self)
        object.__setattr__(other, name, value)
        return other

    def _units(self) -> tuple[Tensor, Tensor]:
        """The curvature and the size of the data."""

        def made() -> tuple[Tensor, Tensor]:
            own = self.model, self.loss
            return self.data.curvature(*own), self.data.size(*own)

        return made() if self.kept is None else self.kept("units", (self.data,), made)

    def _penalized(self, total: Tensor, factors: Factors) -> Tensor:
        if isinstance(self.regs, Joint):
            return total + self._summed(self.regs.penalty(factors))
        for n in self.order:
            total = total + self._summed(self.regs[n](factors[n]))
        return total

    def _summed(self, entries: Tensor) -> Tensor:
        return sum_each(entries, len(self.batch_shape))

    def _metric(self, n: int, factors: Factors, x: Tensor, curvature: Tensor) -> Tensor:
        metric = self.data.metric(self.model, factors, n, x, curvature)
        return metric.clamp_min(torch.finfo(x.dtype).tiny).expand_as(x)


def proximal_squares(x: Tensor, gradient: Tensor, metric: Tensor, reg: Regularizer) -> Tensor:
    """``D (x - prox(x - g / D, 1 / D))^2``, with D the metric made such that the prox can use it.

    Args:
        x: a block (*, batch, rows, rank).
        gradient: of the loss, like ``x``.
        metric: positive, like ``x``.
        reg: the regularizer of the block.
    """
    metric = reg.metric(metric)
    return metric * (x - reg.prox(x - gradient / metric, 1 / metric)).square()
