"""Alternating optimization with ADMM for factors that linear couplings relate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..blocks import Block, Share, SumBlock
from ..functional.einsum import Layout
from ..models import Factors
from ..problem import Problem, proximal_squares
from ..regularizers import Free, Regularizer
from ..regularizers.couplings import Coupling
from .admm import ADMM, Copy, FactorStep, mean_curvature, pull, splitting_squares
from .alternating import Alternating
from .base import Iteration, State
from .rows_step import INERTIA, RowsStep, coupled_step

_PLAIN = Layout((0, 1), 0, 1)


class CoupledADMM(Iteration):
    """AO-ADMM: the factors of a coupling together, all others one by one.

    With ``A_n X_n B_n = E_n Delta F_n``, the terms ``R_nt`` of the regularizers and weights
    ``rho_n``, an inner iteration is, for all factors of the coupling,

        X_n   <- argmin f_n(X) + sum_t rho/2 ||X - Z_t + U_t / rho||^2
                               + rho/2 ||A X B - E Delta F + M_n / rho||^2
        Delta <- argmin sum_n rho_n ||A X_n B - E Delta F + M_n / rho_n||^2
        Z_nt  <- prox of R_nt / rho_n at X_n + U_nt / rho_n
        U_nt  <- U_nt + rho_n (X_n - Z_nt),   M_n <- M_n + rho_n (A X_n B - E Delta F)

    Least squares is exact: one Cholesky factorization for each factor, or two symmetric
    eigendecompositions where A makes it a Sylvester equation. Other losses take a separable
    majorizer. Multipliers and Delta go on from one outer iteration to the next.

    The factors of the state are feasible copies: ``Z_n1``, which meets the first term of the
    regularizer, or ``E Delta F`` for a `Free` factor of which the coupling says ``X = E Delta F``.

    Args:
        weight: rho in units of ``trace(gram) / rank``, positive.
        inner: inner iterations.

    Raises:
        ValueError: a weight or a number of inner iterations out of range.

    References:
        | Schenker, Cohen, Acar, A flexible optimization framework for regularized matrix-tensor
        | factorizations with linear couplings (2021), algorithms 2 and 3

    Example:
        >>> CoupledADMM().inner
        5
    """

    couples = True

    def __init__(self, weight: float | Tensor = 1.0, inner: int = 5) -> None:
        super().__init__()
        self.single = Alternating(ADMM(weight), inner)
        self.inner = inner

    def init(self, factors: Factors, problem: Problem) -> State:
        state = self.single.init(factors, problem)
        memory, links = list(state.memory), []
        for coupling in problem.couplings:
            for n in coupling.factors:
                x = factors[n]
                terms = _terms(problem.regs[n])
                memory[n] = x, tuple(tuple(Copy.of(x, term)) for term in terms)
            seen = (coupling.seen(n, factors[n]) for n in coupling.factors)
            duals = tuple(torch.zeros_like(x) for x in seen)
            links.append(tuple(Link(coupling.nearest(factors), duals)))
        return State(state.factors, (tuple(memory), tuple(links)))

    def forward(self, state: State, problem: Problem) -> State:
        factors, (memory, links) = state
        problem = problem.sweep()
        memory, links, done = tuple(memory), list(links), set()
        for n in problem.order:
            place = _place(problem, n)
            if place is None:
                (factors, memory), _ = self.single.update(State(factors, memory), problem, n)
            elif place not in done:
                done.add(place)
                members, delta = self._joint(problem, place, factors, memory, Link(*links[place]))
                for member in members:
                    factors = _replaced(factors, member.n, member.answer(delta))
                    memory = _replaced(memory, member.n, member.memory)
                links[place] = tuple(Link(delta, tuple(member.dual for member in members)))
        return State(factors, (memory, tuple(links)))

    def measure(self, state: State, problem: Problem) -> tuple[Tensor, Tensor]:
        """The objective, and the residual with the multipliers and the relative gaps."""
        memory, links = state.memory

        def squares(
            n: int, x: Tensor, gradient: Tensor, metric: Tensor, reg: Regularizer
        ) -> Tensor:
            place = _place(problem, n)
            if place is None:
                return self.single.of(n).squares(x, memory[n], gradient, metric, reg)
            coupling, link = problem.couplings[place], Link(*links[place])
            pack = problem.model.layout(n).pack
            dual = link.duals[coupling.factors.index(n)]
            slope, copies = gradient + pack(coupling.pulled(n, dual)), memory[n][1]
            if len(copies) < 2:
                return proximal_squares(x, slope, metric, reg)
            packed = [Copy(pack(copy[0]), pack(copy[1]), ()) for copy in copies]
            return splitting_squares(x, packed, slope, metric)

        objective, residual = problem.measure(state.factors, squares)
        total = residual.square()
        for coupling, link in zip(problem.couplings, links, strict=True):
            total = total + coupling.gap(state.factors, link[0]).square()
        return objective, total.sqrt()

    def check(self, problem: Problem) -> None:
        self.single.check(problem)

    def _joint(
        self, problem: Problem, place: int, factors: Factors, memory: tuple, link: Link
    ) -> tuple[list[Member], Tensor]:
        """The inner iterations of one coupling."""
        coupling, delta = problem.couplings[place], link.delta
        admm = self.single.of(coupling.factors[0])
        assert isinstance(admm, ADMM)
        members = [
            Member.of(problem, coupling, n, factors, memory[n], dual, admm.weight)
            for n, dual in zip(coupling.factors, link.duals, strict=True)
        ]
        for _ in range(self.inner):
            members = [member.stepped(delta) for member in members]
            delta = coupling.latent(
                {m.n: m.rho * coupling.seen(m.n, m.x) + m.dual for m in members},
                {m.n: m.rho for m in members},
            )
            members = [member.moved(delta) for member in members]
        return members, delta


class Link(NamedTuple):
    """What is kept for one coupling.

    Args:
        delta: the latent factor.
        duals: the multipliers of each of its factors, in their order.
    """

    delta: Tensor
    duals: tuple[Tensor, ...]


@dataclass(frozen=True)
class Member:
    """One factor of a coupling during the inner iterations.

    Args:
        n: its number.
        coupling: the coupling.
        terms: of its regularizer.
        x: the factor that fits the data, (*, rows, rank).
        copies: one for each term.
        dual: the multipliers of the coupling.
        rho: (*, 1, 1).
        step: minimizes the loss plus a quadratic.
    """

    n: int
    coupling: Coupling
    terms: tuple[Regularizer, ...]
    x: Tensor
    copies: list[Copy]
    dual: Tensor
    rho: Tensor
    step: FactorStep | RowsStep

    @classmethod
    def of(
        cls,
        problem: Problem,
        coupling: Coupling,
        n: int,
        factors: Factors,
        memory: Any,  # noqa: ANN401
        dual: Tensor,
        weight: Tensor,
    ) -> Member:
        """Compute and factorize what all inner iterations share."""
        x, copies = memory[0], [Copy(*copy) for copy in memory[1]]
        terms, block = _terms(problem.regs[n]), _plain_block(problem, n, factors)
        rho = weight * mean_curvature(block, x, problem.regs[n])
        rho = rho.mean(-2, keepdim=True)
        step = coupled_step(block, x, rho, len(terms), coupling, n)
        return cls(n, coupling, terms, x, copies, dual, rho, step)

    @property
    def memory(self) -> tuple:
        """What the next outer iteration goes on from."""
        return self.x, tuple(tuple(copy) for copy in self.copies)

    def stepped(self, delta: Tensor) -> Member:
        """With a new ``x``."""
        wanted = self.rho * self.coupling.predicted(self.n, delta) - self.dual
        linear = self.coupling.pulled(self.n, wanted)
        if self.copies:
            linear = linear + pull(self.copies, self.rho)
        elif not self.coupling.free:
            linear = linear + INERTIA * self.rho * self.x
        return replace(self, x=self.step(self.x, linear))

    def moved(self, delta: Tensor) -> Member:
        """With new copies and multipliers."""
        gap = self.coupling.seen(self.n, self.x) - self.coupling.predicted(self.n, delta)
        copies = [
            copy.moved(self.x, term, self.rho)
            for copy, term in zip(self.copies, self.terms, strict=True)
        ]
        return replace(self, copies=copies, dual=self.dual + self.rho * gap)

    def answer(self, delta: Tensor) -> Tensor:
        """The feasible copy."""
        if self.copies:
            return self.copies[0].z
        return self.coupling.predicted(self.n, delta) if self.coupling.free else self.x


def _terms(reg: Regularizer) -> tuple[Regularizer, ...]:
    """The terms that need a copy: none where nothing is asked."""
    return tuple(term for term in reg.terms if type(term) is not Free)


def _place(problem: Problem, n: int) -> int | None:
    """Which coupling holds factor ``n``."""
    return next((i for i, c in enumerate(problem.couplings) if n in c.factors), None)


def _plain_block(problem: Problem, n: int, factors: Factors) -> Block:
    """The block of a factor as its rows, whatever the model makes of them."""
    block, layout = problem.block(n, factors), problem.model.layout(n)
    if layout == _PLAIN:
        return block
    return SumBlock.of((Share(block, None, layout),), _PLAIN, factors[n], block.loss)


def _replaced(found: tuple, n: int, new: Any) -> tuple:  # noqa: ANN401
    return (*found[:n], new, *found[n + 1 :])
