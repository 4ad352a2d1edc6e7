"""Low-rank sparse component analysis: few components in each sample, of either sign."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.hyperplanes import hyperplanes, independent
from ..iterations import Alternating, BestSubset, ProjectedLeastSquares
from ..iterations.best_subset import require_few_subsets
from ..losses import Frobenius
from ..models import NMF
from ..problem import Problem
from ..regularizers import Free, KSparse
from ..solvers import Progress, solve

# Hyperplanes that are drawn for one start.
DRAWN = 10


@dataclass(frozen=True)
class SparseComponents:
    """``Y ~ W H^T`` with at most k nonzeros in each row of H.

    Args:
        W: (*, m, r), columns of unit norm.
        H: (*, n, r).
        residual: (*,) ``||Y - W H^T|| / ||Y||``.
        residuals: (starts, *) of all starts.
        history: (checks, *) the objective of the best start in the subspace, never rising.
    """

    W: Tensor
    H: Tensor
    residual: Tensor
    residuals: Tensor
    history: Tensor


@torch.no_grad()
def sparse_component_analysis(
    Y: Tensor,  # noqa: N803
    rank: int,
    k: int,
    *,
    starts: int = 10,
    seed: int | torch.Generator = 0,
    max_iter: int = 200,
) -> SparseComponents:
    """``min ||Y - W H^T||`` over H with at most k < r nonzeros in each row, of either sign.

    Samples with k of r components lie on r - k of the r hyperplanes that all components but one
    span. In the subspace of the r leading singular vectors, where this is complete dictionary
    learning, hyperplanes that hold many samples are looked for and cut with each other into
    components. Then least squares for W alternates with exactly sparse coding, `BestSubset`, so
    that the objective never rises. `rlra_torch.diagnostics.cdl_identifiable` tells from H whether
    there is no other answer.

    Args:
        Y: (*, m, n), a sample in each column.
        rank: r, at least 2 and at most min(m, n).
        k: nonzeros of each sample.
        starts: from how many sets of hyperplanes, all solved as one batch; the best is returned.
        seed: for the draws.
        max_iter: the largest number of alternations.

    Returns:
        `SparseComponents`.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Gillis, Identifiability of low-rank sparse component analysis (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 11

    Example:
        >>> H = torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
        >>> W = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> fit = sparse_component_analysis(W @ H.T, 2, 1)
        >>> bool(fit.residual < 1e-5), (fit.H != 0).sum(0).sort().values
        (True, tensor([2, 3]))
    """
    _check(Y, rank, k)
    draw = seed
    if not isinstance(draw, torch.Generator):
        draw = torch.Generator(Y.device).manual_seed(draw)
    several = Y.expand(whole_number("the number of starts", starts), *Y.shape)
    u, s, vh = torch.linalg.svd(Y, full_matrices=False)
    u, s, v = u[..., :rank], s[..., :rank, None], vh[..., :rank, :].mT
    samples = s * v.mT
    problem = Problem(
        samples.expand(starts, *samples.shape), NMF(), Frobenius(), (Free(), KSparse(k, dim=-1))
    )
    white = v.expand(starts, *v.shape)
    normals = independent(*hyperplanes(white, DRAWN * rank, draw))
    # N^T V^T are the codes, and V^T = N^-T codes.
    w = s * torch.linalg.pinv(normals)
    step = Alternating([ProjectedLeastSquares(), BestSubset()])
    h, _ = step.of(1)(torch.zeros_like(white), (), problem.block(1, (w, white)), problem.regs[1])
    settings = {"max_iter": max_iter, "tol": 1e-7, "check_every": 5, "callbacks": (_stands,)}
    found = solve(step, problem, (w, h), **settings)
    best = found.objective.argmin(0).to(Y.device)
    w, h = (_picked(x, best) for x in found.factors)
    size = torch.linalg.vector_norm(w, dim=-2, keepdim=True)
    w, h = u @ (w / torch.where(size > 0, size, 1)), h * size
    norm = torch.linalg.matrix_norm(Y)
    norm = torch.where(norm > 0, norm, 1)
    each = torch.linalg.matrix_norm(several - u @ NMF()(found.factors)) / norm
    trace = torch.stack([_picked(r.objective, best.cpu()) for r in found.history])
    return SparseComponents(w, h, torch.linalg.matrix_norm(Y - w @ h.mT) / norm, each, trace)


def _stands(progress: Progress) -> bool:
    """Whether no start has gained anything since the last check."""
    if len(progress.history) < 2:
        return False
    before, now = (progress.history[i].objective for i in (-2, -1))
    return bool((before - now <= 1e-10 * before).all())


def _picked(x: Tensor, best: Tensor) -> Tensor:
    """Of each problem the start that was best."""
    index = best[(None, ..., *(None,) * (x.ndim - best.ndim - 1))]
    return torch.take_along_dim(x, index, 0)[0]


def _check(y: Tensor, rank: int, k: int) -> None:
    if not isinstance(y, Tensor) or not y.is_floating_point() or y.ndim < 2:
        raise TypeError("Y must be a tensor of real numbers (*, m, n)")
    if not bool(y.isfinite().all()):
        raise ValueError("Y has NaN or infinite entries; leave those samples out")
    if not 2 <= whole_number("the rank", rank) <= min(y.shape[-2:]):
        raise ValueError(f"the rank must be from 2 to {min(y.shape[-2:])}, got {rank}")
    if whole_number("k, the nonzeros of each sample,", k) >= rank:
        raise ValueError(f"samples with {k} of {rank} components are not sparse; take k < {rank}")
    require_few_subsets(rank, k)
