"""Mirror descent with Burg's entropy for Kullback-Leibler."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block
from ..losses import KullbackLeibler
from ..problem import Problem
from ..regularizers import Regularizer
from .base import BlockIteration
from .mu import lowest


class BurgMirrorDescent(BlockIteration):
    """NoLips: a step of mirror descent on ``-sum log x``, relative to which KL is smooth.

    ``KL(y, A x)`` is smooth relative to Burg's entropy with the constant ``M = sum y``, for each
    row its own. With an elastic net each entry solves ``l2 z^2 + (g + l1 + M / x) z - M = 0``;
    without,

        x <- x / (1 + x g / M)

    The objective never rises, for any regularizer that is an elastic net on an interval.

    References:
        | Bauschke, Bolte, Teboulle, A descent lemma beyond Lipschitz gradient continuity (2017),
        | section 5.3
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.6.4 (where the printed
        | constant 1 / (2 ||y||_1) is a slip: the smoothness constant is ||y||_1)

    Example:
        >>> from rlra_torch.blocks import DivergenceBlock
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> factors = (torch.ones(1, 1), torch.ones(2, 1))
        >>> y = torch.tensor([[1.0, 3.0]])
        >>> block = DivergenceBlock(
        ...     NMF(), KullbackLeibler(), y, None, factors, 0, torch.tensor([[2.0]])
        ... )
        >>> BurgMirrorDescent()(factors[0], (), block, NonNegative())[0]
        tensor([[2.]])
    """

    nonnegative, multiplicative = True, True

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        split = reg.split(x)
        l1, l2 = split.l1, split.l2
        tiny = torch.finfo(x.dtype).tiny
        positive, negative = block.split(x)
        # M is the sum of the data that a row meets: x N sums to it.
        mass = (x * negative).sum(-1, keepdim=True).clamp_min(tiny)
        slope = positive - negative + mass / x.clamp_min(tiny)
        if l1 is not None:
            slope = slope + l1
        if l2 is None:
            new = mass / slope.clamp_min(tiny)
        else:
            new = 2 * mass / (slope + (slope.square() + 4 * l2 * mass).sqrt()).clamp_min(tiny)
        least = lowest(x.detach(), torch.finfo(x.dtype).eps)
        return split.clip(torch.maximum(new, least)), memory

    def check(self, problem: Problem, n: int) -> None:
        loss = problem.loss_of(n)
        if not isinstance(loss, KullbackLeibler):
            raise TypeError(
                f"BurgMirrorDescent is for KullbackLeibler, not {type(loss).__name__}; use MU"
            )
        problem.regs[n].split(torch.ones((1,) * problem.model.factor_ndims[n]))
