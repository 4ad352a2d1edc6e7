"""Mixed sparse coding without parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from .mixture import MixedCodes
from .pursuit import homp
from .relaxed import block_fista


def mixed_sparse_coding(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    B: Tensor,  # noqa: N803
    k: int,
    *,
    start: Tensor | None = None,
    nonnegative: bool = False,
) -> MixedCodes:
    """``min ||Y - D X B^T||`` over X with at most k nonzeros in each column.

    The supports of `block_fista` along its path of weights, or those of a start that fits better,
    go through `homp`, which exchanges atoms as long as that lowers the residual. So the residual is
    never above that of the start, and nothing has to be tuned.

    Args:
        Y: (*, m, n).
        D: the dictionary, (*, m, d), atoms as columns.
        B: (*, n, r), of full column rank.
        k: nonzeros of each column of X.
        start: X, (*, d, r), of which the k largest entries of each column count; None: none.
        nonnegative: whether the codes are.

    Returns:
        `MixedCodes`.

    Raises:
        TypeError, ValueError: types, shapes or values that do not fit.

    References:
        | Cohen, Dictionary-based low-rank approximations and the mixed sparse coding problem (2022)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.2

    Example:
        >>> D, B = torch.eye(3), torch.tensor([[1.0, 1.0], [0.0, 0.1]])
        >>> X = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
        >>> mixed_sparse_coding(D @ X @ B.T, D, B, 1).codes.round(decimals=3)
        tensor([[2., 0.],
                [0., 0.],
                [0., 3.]])
    """
    found = block_fista(Y, D, B, k, nonnegative=nonnegative)
    codes, history = found.codes, found.history
    if start is not None:
        other = homp(Y, D, B, k, start=start, nonnegative=nonnegative)
        better = (other.residual < found.residual)[..., None, None]
        codes = torch.where(better, other.codes, codes)
    last = homp(Y, D, B, k, start=codes, nonnegative=nonnegative)
    return MixedCodes(last.codes, last.support, last.residual, torch.cat((history, last.history)))
