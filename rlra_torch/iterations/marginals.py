"""A block iteration whose rows are rescaled to the sums of the data."""

from __future__ import annotations

import torch
from torch import Tensor

from ..blocks import Block, DivergenceBlock
from ..losses import KullbackLeibler
from ..problem import Problem
from ..regularizers import Regularizer
from .base import Wrapped
from .columns import data_sums


class Marginals(Wrapped):
    """An iteration for Kullback-Leibler, and then the best scale of each row.

        x_i <- t x_i,   t = M_i / L_i,   M_i = sum_j w_ij y_ij,   L_i = sum_j w_ij p_ij + l1 x_i

    At a solution the prediction has the marginals of the data: ``t = 1`` without penalties. With a
    ridge penalty ``R_i = l2 |x_i|^2`` the scale is the positive root of ``R t^2 + L t - M = 0``; in
    an interval it goes as far as the row may. A row of zeros that meets data begins anew, with
    equal entries. The objective never rises, and no prediction is needed. What MU finds has the
    right scale already, unless there is a ridge penalty.

    Args:
        iteration: what is done before.

    Raises:
        TypeError: not a block iteration.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 7.2.3

    Example:
        >>> from rlra_torch.iterations import MSOM
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> factors, y = (torch.ones(1, 1), torch.ones(2, 1)), torch.tensor([[1.0, 3.0]])
        >>> sums = torch.tensor([[2.0]])
        >>> block = DivergenceBlock(NMF(), KullbackLeibler(), y, None, factors, 0, sums)
        >>> Marginals(MSOM())(factors[0], (), block, NonNegative())[0].round(decimals=4)
        tensor([[2.]])
    """

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, DivergenceBlock)
        x, memory = self.iteration(x, memory, block, reg)
        split = reg.split(x)
        l1, l2, lower, upper = split
        slope = block.split(x)[0] if block.positive is None else block.positive
        slope, mass = slope if l1 is None else slope + l1, data_sums(block, x)
        linear, tiny = (slope * x).sum(-1, keepdim=True), torch.finfo(x.dtype).tiny
        x = torch.where((linear > 0) | (mass == 0), x, 1)
        linear = (slope * x).sum(-1, keepdim=True)
        alive = linear > 0
        linear = torch.where(alive, linear, 1)
        scale = mass / linear
        if l2 is not None:
            ridge = (l2 * x.square()).sum(-1, keepdim=True)
            scale = 2 * mass / (linear + (linear.square() + 4 * ridge * mass + tiny).sqrt())
        scale = torch.where(alive, scale, 1)
        if lower > 0:
            scale = torch.maximum(scale, lower / x.amin(-1, keepdim=True))
        # Entries at 0 stay there, whatever the scale.
        room = torch.where(x > 0, upper / torch.where(x > 0, x, 1), torch.inf)
        scale = torch.minimum(scale, room.amin(-1, keepdim=True))
        return split.clip(scale * x), memory

    def check(self, problem: Problem, n: int) -> None:
        if not problem.model.has_gram(n):
            raise TypeError(
                f"Marginals needs the gram of factor {n}, which {type(problem.model).__name__} "
                "does not give; leave it out"
            )
        super().check(problem, n)
        loss = problem.loss_of(n)
        if not isinstance(loss, KullbackLeibler):
            raise TypeError(
                f"Marginals is for KullbackLeibler, not {type(loss).__name__}; leave it out"
            )
        problem.regs[n].split(torch.ones((1,) * problem.model.factor_ndims[n]))
