"""Where alternating optimization over atoms starts: it gets stuck after few rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..blocks import QuadraticBlock
from ..functional.linalg import solve_gram
from ..functional.tucker import leading_basis
from ..initialization import random_factors, spa_indices
from ..iterations import HALS, BlockIteration
from ..models import Factors
from ..problem import Problem
from ..regularizers import ElasticNet, Free, NonNegative
from .choice import Choice


@dataclass(frozen=True)
class Setting:
    """What a start may look at.

    Args:
        problem: what is solved.
        mode: which factor has atoms as columns.
        choice: of the atoms.
        rank: how many.
        nonnegative: whether the factors are, fits of the atoms included.
        generator: of random numbers.
        iteration: what fits one factor; None: exact, as many pivots of an active set as the rank.
    """

    problem: Problem
    mode: int
    choice: Choice
    rank: int
    nonnegative: bool
    generator: torch.Generator
    iteration: BlockIteration | None = None

    @property
    def data(self) -> Tensor:
        """The data unfolded along the mode of the atoms, (*, m, n)."""
        y, lead = self.problem.y, len(self.problem.batch_shape)
        assert isinstance(y, Tensor)
        return y.movedim(lead + self.mode, lead).flatten(lead + 1)

    def chosen(self, columns: Tensor) -> Factors:
        """The atoms nearest to some columns, and the other factors fitted to them."""
        return self.around(self.choice(columns))

    def around(self, indices: Tensor) -> Factors:
        """Atoms as a factor, and the others fitted to them.

        By least squares on the products of their columns, from which the others of a tensor are
        taken as best rank-one approximations.

        Args:
            indices: (*, r).
        """
        atoms = self.choice.take(indices)
        found = self._fitted(atoms)
        lead = len(self.problem.batch_shape)
        assert isinstance(self.problem.y, Tensor)
        sizes = [n for i, n in enumerate(self.problem.y.shape[lead:]) if i != self.mode]
        others = [found]
        if len(sizes) > 1:
            terms = found.mT.unflatten(-1, sizes)
            modes = range(-len(sizes), 0)
            others = [leading_basis(terms, k, 1, lead + 1)[..., 0].mT for k in modes]
            others = [x.abs() if self.nonnegative else x for x in others]
        factors = (*others[: self.mode], atoms, *others[self.mode :])
        return factors if len(sizes) == 1 else self.problem.scaled(factors)

    @property
    def within(self) -> ElasticNet:
        """The constraint on all factors but that of the atoms, and on what atoms are fitted to."""
        return NonNegative() if self.nonnegative else Free()

    def _fitted(self, atoms: Tensor) -> Tensor:
        """Least squares of the unfolded data on the atoms, nonnegative where wanted, (*, n, r)."""
        gram, cross = atoms.mT @ atoms, self.data.mT @ atoms
        solved = solve_gram(gram, cross)
        if not self.nonnegative:
            return solved
        block = QuadraticBlock(gram, cross, self.problem.loss)
        return HALS().repeat(solved.clamp_min(0), (), block, self.within, 50)[0]


Start = Callable[[Setting], Factors]


def greedy_atoms(setting: Setting) -> Factors:
    """Atoms one after the other, the one closest to the span of the data that is left.

    In the r leading left singular vectors U of the data, after the atoms taken so far have been
    projected out of U and of the dictionary: ``argmax_j ||U^T d_j|| / ||d_j||``. Without noise the
    true atoms where any r + 1 of the dictionary are independent.

    References:
        | Davies, Eldar, Rank awareness in joint sparse recovery (2012)
    """
    y = setting.data
    span = torch.linalg.svd(y.double(), full_matrices=False).U[..., : setting.rank]
    atoms = setting.choice.atoms.double().expand(*y.shape[:-2], -1, -1)
    norms = torch.linalg.vector_norm(atoms, dim=-2)
    least, taken = norms * 1e3 * torch.finfo(atoms.dtype).eps, []
    for _ in range(min(setting.rank, span.shape[-1])):
        norm = torch.linalg.vector_norm(atoms, dim=-2)
        score = torch.linalg.vector_norm(span.mT @ atoms, dim=-2) / norm.clamp_min(least)
        score = torch.where(norm > least, score, -1)
        taken.append(score.argmax(-1, keepdim=True))
        unit = torch.take_along_dim(atoms, taken[-1][..., None, :], -1)
        unit = unit / torch.linalg.vector_norm(unit, dim=-2, keepdim=True).clamp_min(1e-300)
        atoms = atoms - unit @ (unit.mT @ atoms)
        left = span - unit @ (unit.mT @ span)
        span = torch.linalg.svd(left, full_matrices=False).U[..., : span.shape[-1] - 1]
    indices = torch.cat(taken, -1)
    indices = torch.nn.functional.pad(indices, (0, setting.rank - indices.shape[-1]))
    return setting.chosen(setting.choice.take(indices))


def pure_columns(setting: Setting) -> Factors:
    """The atoms nearest to columns of the data that successive projection picks."""
    y = setting.data
    if setting.rank > y.shape[-1]:
        return random_atoms(setting)
    return setting.chosen(torch.take_along_dim(y, spa_indices(y, setting.rank)[..., None, :], -1))


def random_atoms(setting: Setting) -> Factors:
    """Atoms at random, without repeats where they are distinct."""
    count = setting.choice.atoms.shape[-1]
    shape = (*setting.problem.batch_shape, max(count, setting.rank))
    draws = torch.rand(shape, generator=setting.generator, device=setting.generator.device)
    order = draws.argsort(-1)[..., : setting.rank] % count
    return setting.chosen(setting.choice.take(order.to(setting.choice.atoms.device)))


def random_everything(setting: Setting) -> Factors:
    """Factors at random, so that the first atoms are those nearest to a fit to the others."""
    sizes, batch = setting.problem.data.shape, setting.problem.batch_shape
    shapes = [(*batch, n, setting.rank) for n in sizes[len(batch) :]]
    like = setting.choice.atoms
    return setting.problem.scaled(random_factors(shapes, like, setting.generator))


def perturbed(indices: Tensor, changed: int = 1) -> Start:
    """A start from known atoms, some of them exchanged at random.

    Args:
        indices: (*, r) the atoms.
        changed: how many are exchanged.
    """

    def start(setting: Setting) -> Factors:
        count, source = setting.choice.atoms.shape[-1], setting.generator
        draws = torch.rand(indices.shape, generator=source, device=source.device)
        places = draws.argsort(-1).argsort(-1) < changed
        fresh = torch.randint(count, indices.shape, generator=source, device=source.device)
        places, fresh = places.to(indices.device), fresh.to(indices.device)
        return setting.chosen(setting.choice.take(torch.where(places, fresh, indices)))

    return start


def several(count: int = 10) -> tuple[Start, ...]:
    """So many starts: greedy, pure columns of the data, and random atoms.

    Example:
        >>> [start.__name__ for start in several(3)]
        ['greedy_atoms', 'pure_columns', 'random_atoms']
    """
    known = (greedy_atoms, pure_columns)
    return (*known[:count], *(random_atoms,) * (count - len(known)))
