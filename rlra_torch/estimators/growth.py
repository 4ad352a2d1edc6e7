"""Local descent, a certificate, one more column: global optima of structured factorizations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..diagnostics import Certificate, certificate
from ..functional.arguments import real_number, whole_number
from ..iterations import Alternating, Iteration, Nesterov, ProjectedGradient
from ..models import Factors
from ..problem import Problem
from ..solvers import History, Progress, Solution, solve

Verdict = Literal["optimal", "undecided", "largest rank"]


class Round(NamedTuple):
    """Where a local descent has ended.

    Args:
        rank: how many columns it left.
        objective: there.
        certificate: there.
        history: the checks of the descent, from when columns were last taken out.
    """

    rank: int
    objective: float
    certificate: Certificate
    history: History


@dataclass(frozen=True)
class Grown:
    """What `grow` found.

    Args:
        factors: with columns that are not zero.
        verdict: "optimal": within ``tol`` of the global minimum, which is proved; "undecided": no
            column that descends was found, but the bounds do not exclude one; "largest rank".
        rounds: one for each rank on the way.
        background: the coefficients of the background that `structured` was given, else None.
    """

    factors: Factors
    verdict: Verdict
    rounds: tuple[Round, ...]
    background: Tensor | None = None

    @property
    def certificate(self) -> Certificate:
        """At the end."""
        return self.rounds[-1].certificate

    @property
    def objective(self) -> float:
        """At the end."""
        return self.rounds[-1].objective


def grow(
    problem: Problem,
    factors: Factors,
    iteration: Iteration | None = None,
    *,
    tol: float = 1e-6,
    largest: int = 100,
    max_iter: int = 5000,
    kkt: float = 1e-9,
    seed: int = 0,
) -> Grown:
    """Minimize a loss and a projective norm globally, over factors of any number of columns.

    A local descent ends at a stationary point. If its `diagnostics.certificate` proves it optimal,
    it is. Else the rank-one term that attains the polar is appended, with the step that is best for
    a quadratic loss, ``s = (k - 1) / ||Phi(u v^T)||^2`` (halved until the objective falls for
    another), and the descent goes on. Columns that are zero are taken out, in the middle of a
    descent when they are half of all.

    Args:
        problem: one problem (no batch) with a `ProjectiveNorm`, a `ReLUNorm` for networks.
        factors: where to begin; of any rank, one column will do.
        iteration: the local descent; None: accelerated proximal gradient, block by block.
        tol: on the gap to the global minimum, relative to the objective.
        largest: the largest number of columns.
        max_iter: of each descent.
        kkt: the residual at which a descent is stationary.
        seed: of the random starts in the search for a column that descends.

    Raises:
        TypeError, ValueError: parts that do not fit, in one sentence.

    References:
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), algorithm 1

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import ProjectiveNorm
        >>> y = torch.diag(torch.tensor([3.0, 2.0, 0.5], dtype=torch.float64))
        >>> problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(1.0))
        >>> start = (torch.ones(3, 1, dtype=y.dtype), torch.ones(3, 1, dtype=y.dtype))
        >>> found = grow(problem, start)
        >>> found.verdict, [r.rank for r in found.rounds], round(found.objective, 6)
        ('optimal', [1, 2], 4.125)
    """
    whole_number("the largest rank", largest)
    if not real_number("tol", tol) > 0:
        raise ValueError(f"tol must be positive, got {tol}")
    if problem.batch_shape:
        raise ValueError("grow takes one problem at a time, since each finds a rank of its own")
    iteration = Alternating(Nesterov(ProjectedGradient())) if iteration is None else iteration
    rounds: list[Round] = []
    while True:
        found = _descended(iteration, problem, factors, max_iter, kkt)
        factors = alive(found.factors)
        proof = certificate(problem, factors, seed)
        rank, objective = factors[0].shape[-1], float(found.objective)
        rounds.append(Round(rank, objective, proof, found.history))
        if float(proof.gap_upper) <= tol * objective:
            return Grown(factors, "optimal", tuple(rounds))
        if float(proof.polar_lower) <= 1 + tol:
            return Grown(factors, "undecided", tuple(rounds))
        if rank >= largest:
            return Grown(factors, "largest rank", tuple(rounds))
        factors = _appended(problem, factors, proof)


def _descended(
    iteration: Iteration, problem: Problem, factors: Factors, max_iter: int, kkt: float
) -> Solution:
    """A solve that begins anew with fewer columns whenever half of them have died."""

    def half_dead(progress: Progress) -> bool:
        lives = _lives(progress.state.factors)
        return len(lives) > 1 and bool(2 * lives.sum() <= len(lives))

    while True:
        found = solve(
            iteration, problem, factors, max_iter=max_iter, tol=kkt, callbacks=[half_dead]
        )
        max_iter -= found.history[-1].iteration
        factors = alive(found.factors)
        if (
            bool(found.converged)
            or max_iter < 1
            or len(_lives(found.factors)) == len(_lives(factors))
        ):
            return found


def alive(factors: Factors) -> Factors:
    """The factors without the columns that are zero in any of them; one column at least is left.

    Example:
        >>> [x.tolist() for x in alive((torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]])))]
        [[[2.0]], [[3.0]]]
    """
    lives = _lives(factors)
    if not bool(lives.any()):
        return tuple(torch.zeros_like(x[..., :1]) for x in factors)
    return tuple(x[..., lives] for x in factors)


def _lives(factors: Factors) -> Tensor:
    """Which columns are not zero in any factor, (r,)."""
    return torch.stack([x.any(-2) for x in factors]).all(0)


def _appended(problem: Problem, factors: Factors, proof: Certificate) -> Factors:
    """The factors with the term that descends, scaled to descend most."""
    term = tuple(u[..., None] for u in proof.direction)
    seen = problem.model(term).square()
    weights = getattr(problem.data, "weights", None)
    energy = (seen if weights is None else weights * seen).sum()
    step = (proof.polar_lower - 1) / energy
    before = problem.objective(factors)
    while True:
        scale = step ** (1 / len(factors))
        longer = tuple(torch.cat([x, scale * u], -1) for x, u in zip(factors, term, strict=True))
        if bool(problem.objective(longer) < before) or float(step) == 0:
            return longer
        step = step / 2
