"""Comparing kernels up to a shift, and spikes up to a few samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.shifts import correlated
from ..functional.spheres import normalized


def shift_correlation(found: Tensor, true: Tensor, order: int = 1) -> tuple[Tensor, Tensor]:
    """The largest correlation of two kernels over all shifts, either sign, and the shift.

        max_l |<s_l[a], a_0>| / (||a|| ||a_0||)

    Args:
        found: (*, p_1, ..., p_d).
        true: (*, q_1, ..., q_d), broadcasting with it.
        order: d.

    Returns:
        the correlation, (*,), and how much later the truth stands in ``found``, (*, d).

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), section III

    Example:
        >>> found, true = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([2.0, 2.0])
        >>> correlation, shift = shift_correlation(found, true)
        >>> correlation.round(decimals=4), shift
        (tensor(1.), tensor([2]))
    """
    value, shift = correlated(normalized(found, order), normalized(true, order), order)
    return value.abs().clamp_max(1), shift


def spike_score(found: Tensor, true: Tensor, tolerance: int = 0) -> Tensor:
    """F-measure of spikes, each found one matched with one true one at most so many samples away.

    The matching is the largest there is: in order of time, each true spike takes the first free
    one within reach.

    Args:
        found: (m,), spikes where it is not zero.
        true: (m,), likewise.
        tolerance: samples, at least 0.

    Returns:
        2 matches / (found + true), a float64 scalar; 1 where there are none at all.

    Example:
        >>> spike_score(torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0, 1.0]), 1)
        tensor(1., dtype=torch.float64)
    """
    ours, theirs = (x.nonzero().flatten().tolist() for x in (found, true))
    count, i = 0, 0
    for place in theirs:
        while i < len(ours) and ours[i] < place - tolerance:
            i += 1
        if i < len(ours) and ours[i] <= place + tolerance:
            count, i = count + 1, i + 1
    total = len(ours) + len(theirs)
    return torch.tensor(2 * count / total if total else 1.0, dtype=torch.float64)


def merged_spikes(x: Tensor) -> Tensor:
    """Spikes of one sign in samples that touch as one, of their sum, where the largest of them is.

    Args:
        x: (*, m).

    Returns:
        (*, m).

    Example:
        >>> merged_spikes(torch.tensor([1.0, 3.0, 0.0, 2.0, 0.0, 0.0, 1.0, -1.0]))
        tensor([ 0.,  4.,  0.,  2.,  0.,  0.,  1., -1.])
    """
    flat, sign = x.reshape(-1, x.shape[-1]), x.sign().reshape(-1, x.shape[-1])
    new = torch.ones_like(sign, dtype=torch.bool)
    new[:, 1:] = sign[:, 1:] != sign[:, :-1]
    run = new.cumsum(-1) - 1
    total = torch.zeros_like(flat).scatter_add(-1, run, flat)
    largest = torch.zeros_like(flat).scatter_reduce(-1, run, flat.abs(), "amax")
    top = (flat.abs() == largest.gather(-1, run)) & (sign != 0)
    # Of equal samples the first.
    count = top.cumsum(-1)
    before = torch.where(new, count - top.long(), 0).cummax(-1).values
    top &= count == before + 1
    return torch.where(top, total.gather(-1, run), 0).reshape(x.shape)
