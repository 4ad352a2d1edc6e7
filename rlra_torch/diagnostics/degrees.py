"""Whether terms and their penalties grow alike, which guarantees of global optimality need."""

from __future__ import annotations

from typing import NamedTuple

from ..problem import Problem
from ..regularizers import Joint


class Degrees(NamedTuple):
    """The degrees of homogeneity of a problem, None for what is not homogeneous.

    Args:
        phi: of the prediction: ``p`` with ``model(c X_1, ..., c X_d) = c^p model(X_1, ..., X_d)``.
        theta: of the penalty; 0 without one.
    """

    phi: float
    theta: float | None


def degrees(problem: Problem) -> Degrees:
    """The degree of the terms in the free factors and the degree of their penalty.

    Args:
        problem: of a model that is multilinear, or linear on cones.

    References:
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), section 3

    Example:
        >>> import torch
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import CP
        >>> from rlra_torch.regularizers import ProjectiveNorm, Ridge
        >>> y = torch.ones(2, 2, 2)
        >>> degrees(Problem(y, CP(3), Frobenius(), ProjectiveNorm.nuclear(1.0, order=3)))
        Degrees(phi=3.0, theta=3.0)
        >>> degrees(Problem(y, CP(3), Frobenius(), [Ridge(1.0)] * 3))
        Degrees(phi=3.0, theta=2.0)
    """
    phi, regs = float(len(problem.order)), problem.regs
    if isinstance(regs, Joint):
        return Degrees(phi, regs.degree)
    found = {regs[n].degree for n in problem.order}
    # A constraint costs nothing at any scale.
    found = found - {0.0} or {0.0}
    return Degrees(phi, found.pop() if len(found) == 1 else None)


def check_degrees(problem: Problem) -> None:
    """Check that terms and penalty, where there is one, are homogeneous of the same degree.

    Raises:
        ValueError: they are not, so that local minima of any width say nothing of the global one.
    """
    phi, theta = degrees(problem)
    if theta not in (phi, 0.0):
        found = "is not homogeneous" if theta is None else f"has degree {theta:g}"
        raise ValueError(
            f"the terms of {type(problem.model).__name__} have degree {phi:g} but the penalty "
            f"{found}; guarantees need equal degrees, as those of a ProjectiveNorm"
        )
