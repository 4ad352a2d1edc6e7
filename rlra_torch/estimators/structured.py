"""Structured low-rank factorizations with a proof, in one call."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..losses import Frobenius
from ..models import CP, NMF, Factors, Model, ReLU, Sensed
from ..operators import Operator, WithoutBackground
from ..problem import Problem
from ..regularizers import ProjectiveNorm
from .growth import Grown, grow


def structured(
    y: Tensor,
    norm: ProjectiveNorm,
    *,
    weights: Tensor | None = None,
    background: Tensor | None = None,
    operator: Operator | None = None,
    tol: float = 1e-6,
    largest: int = 100,
    max_iter: int = 5000,
    seed: int = 0,
) -> Grown:
    """The factorization that a projective norm asks for, of the rank that it asks for.

        min over r, U, V, C of  1/2 ||Y - Phi(U V^T) - B C||^2 + weight sum_i |u_i| |v_i|

    with a gauge |.| for each factor:

    ============================================  =============================================
    nonnegative factorization                     ``norm=ProjectiveNorm.nonnegative(weight)``
    sparse dictionary learning                    ``norm=ProjectiveNorm.sparse_coding(weight, l1)``
    matrix completion                             ``norm=ProjectiveNorm.nuclear(weight)`` and
                                                  ``weights``, 0 where entries are missing
    low rank plus background                      ``norm=ProjectiveNorm.nuclear(weight)`` and
                                                  ``background``
    network of rectified linear units             ``norm=ReLUNorm(weight, inputs)``
    ============================================  =============================================

    It begins with nothing and appends the term that the certificate asks for until no more descends
    (see `grow`). Where gauges have signs or an l1 norm the bounds may stay apart: the verdict then
    is "undecided", and `Certificate.gap_upper` says how far from optimal it can be.

    Args:
        y: the data, one matrix, or a tensor for a norm of more factors.
        norm: the penalty.
        weights: of the entries, like ``y``, or None.
        background: B, (m, q), of independent columns: ``B C`` is beside the model, free of
            penalties. A column of ones is a level for each column of the data.
        operator: Phi, or None.
        tol, largest, max_iter, seed: as in `grow`.

    Returns:
        a `Grown`, with C, (q, n), as its `background`.

    Raises:
        ValueError: a background with weights or an operator.

    References:
        | Haeffele, Young, Vidal, Structured low-rank matrix factorization: optimality, algorithm,
        | and applications to image processing (2014)
        | Bach, Mairal, Ponce, Convex sparse matrix factorizations (2008)

    Example:
        >>> y = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
        >>> found = structured(y, ProjectiveNorm.nonnegative(0.5))
        >>> found.verdict, (found.factors[0] @ found.factors[1].T).round(decimals=3)[:2].tolist()
        ('optimal', [[2.5, 0.0], [0.0, 1.5]])
    """
    model: Model = NMF() if len(norm) == 2 else CP(len(norm))
    model = model if norm.cones is None else ReLU(norm.cones)
    start = _nothing(y if operator is None else operator.adjoint(y), norm)
    if background is None:
        seen = model if operator is None else Sensed(model, operator)
        problem = Problem(y, seen, Frobenius(), norm, weights)
        return grow(problem, start, tol=tol, largest=largest, max_iter=max_iter, seed=seed)
    if weights is not None or operator is not None:
        raise ValueError(
            "a background is taken out of complete data; leave out weights and operator, or the "
            "background"
        )
    without = WithoutBackground(background)
    problem = Problem(without(y), Sensed(model, without), Frobenius(), norm)
    found = grow(problem, start, tol=tol, largest=largest, max_iter=max_iter, seed=seed)
    return replace(found, background=without.background(y - model(found.factors)))


def _nothing(like: Tensor, norm: ProjectiveNorm) -> Factors:
    """One column of zeros in each factor of what is shaped like a prediction."""
    sizes = list(like.shape)
    if norm.cones is not None:
        sizes[0] = norm.cones.shape[-1]
    return tuple(torch.zeros(n, 1, dtype=like.dtype, device=like.device) for n in sizes)
