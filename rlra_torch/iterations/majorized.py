"""Block iterations on a quadratic majorizer of what their regularizers are not made for."""

from __future__ import annotations

from torch import Tensor

from ..blocks import Block, QuadraticBlock
from ..problem import Problem
from ..regularizers import Free, LogDet, Regularizer, Sum
from .base import Wrapped, require_gram


class Majorized(Wrapped):
    """A block iteration that sees a `LogDet` as an addition to the gram, and the other terms as is.

        logdet(X^T X + delta I) <= tr(X A X^T) + const,   A = (X_0^T X_0 + delta I)^-1

    with equality at ``X_0``, where the step starts. So what never raises the objective of a block
    does not raise the one with the volume either. ``Majorized(HALS())`` on ``Sum(NonNegative(),
    LogDet(0.1))`` for W, and abundances in a simplex for H: minimum-volume factorization.

    Args:
        iteration: what works on the majorizer.

    Raises:
        TypeError: not a block iteration.

    References:
        | Leplat, Ang, Gillis, Minimum-volume rank-deficient nonnegative matrix factorizations
        | (2019), section 3

    Example:
        >>> import torch
        >>> from rlra_torch.iterations import HALS
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import NonNegative
        >>> block = QuadraticBlock(torch.eye(1), torch.tensor([[2.0]]), Frobenius())
        >>> reg = Sum(NonNegative(), LogDet(2.0, delta=1.0))
        >>> Majorized(HALS())(torch.tensor([[1.0]]), (), block, reg)[0]
        tensor([[1.]])
    """

    termwise = True

    def init(self, x: Tensor, reg: Regularizer) -> tuple:
        return self.iteration.init(x, _apart(reg)[1])

    def rescaled(self, x: Tensor, memory: tuple, scale: Tensor, reg: Regularizer) -> tuple:
        return self.iteration.rescaled(x, memory, scale, _apart(reg)[1])

    def forward(
        self, x: Tensor, memory: tuple, block: Block, reg: Regularizer
    ) -> tuple[Tensor, tuple]:
        assert isinstance(block, QuadraticBlock)
        volumes, rest = _apart(reg)
        gram = block.gram
        for volume in volumes:
            more = volume.majorizer(x)
            gram = gram + (more.unsqueeze(-3) if gram.ndim > x.ndim else more)
        return self.iteration(x, memory, QuadraticBlock(gram, block.cross, block.loss), rest)

    def squares(
        self, x: Tensor, memory: tuple, gradient: Tensor, metric: Tensor, reg: Regularizer
    ) -> Tensor:
        volumes, rest = _apart(reg)
        for volume in volumes:
            gradient = gradient + x @ volume.majorizer(x)
        return self.iteration.squares(x, memory, gradient, metric, rest)

    def check(self, problem: Problem, n: int) -> None:
        require_gram("Majorized", problem, n)
        if not problem.model.layout(n).trivial:
            raise TypeError(f"Majorized needs a factor that is a matrix, not factor {n}; use ADMM")
        regs = list(problem.regs)
        regs[n] = _apart(regs[n])[1]
        if len(regs[n].terms) > 1:
            raise TypeError(f"Majorized cannot use {regs[n]} beside LogDet on factor {n}; use ADMM")
        self.iteration.check(problem.regularized(regs), n)


def _apart(reg: Regularizer) -> tuple[list[LogDet], Regularizer]:
    """The volumes among the terms, and the others."""
    volumes = [term for term in reg.terms if isinstance(term, LogDet)]
    others = [term for term in reg.terms if not isinstance(term, LogDet)]
    if len(others) == 1:
        return volumes, others[0]
    return volumes, Sum(*others) if others else Free()
