"""Short-and-sparse deconvolution in one call: what repeats, and where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from ..models import Convolutive
from .deconvolved import Deconvolution
from .inputs import Array, check_seed, to_tensor
from .short_and_sparse import ShortAndSparse


def deconvolve(
    y: Array,
    kernel_size: int | Sequence[int],
    n_kernels: int = 1,
    *,
    lam: float | None = None,
    nonnegative: bool = False,
    bias: bool = True,
    shared: bool = False,
    reweights: int = 0,
    starts: int = 1,
    max_iter: int = 1000,
    tol: float = 1e-4,
    seed: int = 0,
) -> Deconvolution:
    """Find short kernels and sparse maps whose convolutions add up to the data.

        min  ||y - b - sum_k a_k * x_k||^2 / 2 + lambda sum_k ||x_k||_1   with ||a_k|| = 1

    Convolutions are cyclic. Kernels are sought at almost three times their length, where no shift
    of the truth is a trap, from a piece of the data improved by one step on the dropped-quadratic
    objective, while lambda comes down from the least one at which all maps are zero. Then they are
    cut to the window of most energy and solved for once more at their own length.

    Args:
        y: (*, m) traces, (*, m_1, m_2) images or higher, after the length of `kernel_size`; leading
            dimensions are independent problems, solved at once.
        kernel_size: the length of the kernels, or their size along each dimension.
        n_kernels: how many there are; those that are shifts of others or of no use start anew, a
            few times.
        lam: weight of the maps' absolute values, in the unit of the data; None: the largest
            correlation of the noise with a kernel, ``sigma sqrt(2 log m)``, held between 1 and 10
            percent of that of the data with its first kernel.
        nonnegative: whether the maps are.
        bias: whether a constant is free in each signal.
        shared: whether the last dimension before those of a signal counts signals that share
            kernels.
        reweights: rounds in which large entries of the maps are spared the penalty: each takes away
            some of its bias, and of what is small.
        starts: pieces of the data to start from; the lowest objective is kept.
        max_iter: the largest number of iterations of each solve.
        tol: on the scale-free optimality residual of the last solve.
        seed: of the pieces.

    Returns:
        a `Deconvolution`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019)

    Example:
        >>> import numpy as np
        >>> spikes = np.zeros(60)
        >>> spikes[[5, 20, 33, 50]] = 1.0, 2.0, 1.0, 3.0
        >>> y = np.convolve(spikes, [0.36, 0.48, 0.8])[:60]
        >>> fit = deconvolve(y, 3, lam=0.01, bias=False, nonnegative=True)
        >>> fit.maps.ravel().round(1)[[5, 20, 33, 50]], fit.converged
        (array([1., 2., 1., 3.]), True)
    """
    size = _size(kernel_size)
    data, back = to_tensor(y, "y")
    _check(data, size, shared, lam)
    counts = {"n_kernels": n_kernels, "starts": starts, "max_iter": max_iter}
    for name, count in counts.items():
        whole_number(name, count)
    whole_number("reweights", reweights, least=0)
    generator = torch.Generator().manual_seed(check_seed(seed))
    model = Convolutive(len(size), signals=shared, centred=bias)
    task = ShortAndSparse(data, model, size, n_kernels, nonnegative, max_iter, tol, generator)
    with torch.no_grad():
        found, weight = task.several(starts, lam)
        found = task.rescued(found, weight)
        solutions = [*found, task.polished(found[-1].factors, weight)]
        if reweights:
            solutions += task.reweighted(solutions[-1].factors, weight, reweights)
        return task.result(solutions, weight, back)


def _size(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
    several = kernel_size if isinstance(kernel_size, (list, tuple)) else (kernel_size,)
    if not several:
        raise ValueError("kernel_size is a length, or a size along each dimension; got none")
    return tuple(whole_number("kernel_size", size) for size in several)


def _check(y: Tensor, size: tuple[int, ...], shared: bool, lam: float | None) -> None:
    order, shape = len(size), tuple(y.shape)
    if y.ndim < order + shared:
        raise ValueError(
            f"y has shape {shape} but kernels of size {size} need {order + shared} dimensions"
        )
    long = tuple(3 * p - 2 for p in size)
    if any(p > m for p, m in zip(long, shape[-order:], strict=True)):
        raise ValueError(
            f"y has shape {shape} but kernels of size {size} are sought at size {long}; "
            "give longer data or a smaller kernel_size"
        )
    bad = int((~y.isfinite()).sum())
    if bad:
        raise ValueError(
            f"y has {bad} NaN or infinite entries of {y.numel()}; fill them in or cut them out"
        )
    if lam is not None and not real_number("lam", lam) > 0:
        raise ValueError(f"lam must be positive, got {lam}; leave it out to have it estimated")
