"""Complete dictionary learning: a basis in which the data is sparse."""

from __future__ import annotations

from torch import Tensor

from ..functional.arguments import whole_number
from ..iterations import ADMM, Alternating
from ..losses import Frobenius
from ..models import NMF
from ..problem import Problem
from ..regularizers import KSparse, UnitNorm
from ..solvers import Solution, solve


def complete_dictionary_learning(
    y: Tensor,
    start: tuple[Tensor, Tensor],
    k: int,
    *,
    inner: int = 5,
    max_iter: int = 500,
    tol: float = 1e-8,
) -> Solution:
    """``min ||Y - D B^T||^2 / 2``, D with unit columns, B with at most k nonzeros in each row.

    By AO-ADMM. It converges to what is near the start: whether the answer is the only one can be
    seen from the codes, with `rlra_torch.diagnostics.cdl_identifiable`.

    Args:
        y: Y, (*, p, n), a sample in each column.
        start: D (*, p, r) with no column of zeros, and B (*, n, r), near the answer.
        k: nonzeros of each sample, less than r.
        inner: steps of ADMM on each factor in turn.
        max_iter: the largest number of turns.
        tol: on the optimality residual; 0 runs all turns.

    Returns:
        the `Solution`, whose factors are D and B.

    Raises:
        TypeError, ValueError: shapes, types or values that do not fit.

    References:
        | Cohen, Gillis, Identifiability of complete dictionary learning (2019)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 11.3

    Example:
        >>> import torch
        >>> d, b = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, -1.0], [3.0, 0.0]])
        >>> fit = complete_dictionary_learning(d @ b.mT, (d + 0.1, b + 0.1), 1, tol=1e-4)
        >>> fit.factors[1].round(decimals=2)
        tensor([[ 2.,  0.],
                [ 0., -1.],
                [ 3.,  0.]])
    """
    dictionary, codes = start
    if whole_number("k of complete_dictionary_learning", k) >= dictionary.shape[-1]:
        raise ValueError(
            f"codes with {k} nonzeros of {dictionary.shape[-1]} are not sparse; "
            "take k below the number of atoms"
        )
    sparse, unit = KSparse(k, dim=-1), UnitNorm()
    size = dictionary.norm(dim=-2, keepdim=True)
    if not bool((size > 0).all()):
        raise ValueError("the start has an atom of zeros; give it any direction")
    problem = Problem(y, NMF(), Frobenius(), (unit, sparse))
    begin = (dictionary / size, sparse.prox(size * codes, 1.0))
    return solve(Alternating(ADMM(), inner), problem, begin, max_iter=max_iter, tol=tol)
