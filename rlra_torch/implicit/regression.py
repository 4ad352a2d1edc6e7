"""Solved regressions: derivatives from the optimality conditions on the support."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..blocks import Block
from ..functional.linalg import masked_solve
from ..iterations import ActiveSet, Alternating, ProjectedNewton
from ..iterations.newton import penalized_gradient, penalized_hessian
from ..losses import Frobenius, KullbackLeibler, Loss
from ..models import NMF, Factors
from ..problem import Problem
from ..regularizers import ElasticNet, NonNegative
from .base import Implicit


class ImplicitRegression(Implicit):
    """The minimizer of one block as a function of the data, the other factors, the penalties.

    With S the support and F the penalized objective, ``grad_S F(x; theta) = 0`` gives

        dx_S = - (Hess_SS F)^-1 d_theta grad_S F,   dx = 0 elsewhere

    The support are the entries that a step of diagonally scaled gradient leaves inside the interval
    and, under an l1 penalty, on their side of 0. An iteration that only comes near 0, as
    multiplicative ones do, leaves entries there that the gradient says are 0.
    by Cholesky solves of the size of the rank, one for each row. Derivatives of first and second
    order are those of two steps of Newton's method from the solution, so that memory does not
    depend on the iterations of the solve. Where an entry is 0 and so is its gradient, the solution
    has a kink: the derivative is the one of staying at 0.

    Args:
        iteration, model, loss, regs, init, free, max_iter, tol, strict: as in `Implicit`, with one
            free factor.

    Raises:
        ValueError: not one free factor.
        TypeError: a regularizer that is not an elastic net on an interval, a model without a gram.

    References:
        | Amos, Kolter, OptNet: differentiable optimization as a layer in neural networks (2017)
        | Blondel et al., Efficient and modular implicit differentiation (2022), section 2

    Example:
        >>> from rlra_torch.iterations import HALS
        >>> regs = (NonNegative(), NonNegative(ridge=1.0))
        >>> layer = ImplicitRegression(Alternating(HALS()), NMF(), Frobenius(), regs, free=(1,))
        >>> w, y = torch.eye(2), torch.tensor([[2.0], [-1.0]], requires_grad=True)
        >>> _, h = layer(y, (w, torch.ones(1, 2)))
        >>> h.sum().backward()
        >>> h.detach(), y.grad.mT
        (tensor([[1., 0.]]), tensor([[0.5000, 0.0000]]))
    """

    def check(self, problem: Problem) -> None:
        if len(problem.order) != 1:
            raise ValueError(
                f"a regression has one free factor, got {problem.order}; "
                "use ImplicitFactorization for several"
            )
        n = problem.order[0]
        if not isinstance(problem.regs[n], ElasticNet):
            raise TypeError(
                f"ImplicitRegression needs an elastic net such as NonNegative on factor {n}, got "
                f"{type(problem.regs[n]).__name__}; use ImplicitFactorization"
            )
        if not problem.model.has_gram(n):
            raise TypeError(
                f"ImplicitRegression needs the gram of factor {n}, which "
                f"{type(problem.model).__name__} does not give; use ImplicitFactorization"
            )

    def differentiable(self, problem: Problem, factors: Factors, met: Tensor) -> Factors:
        (n,) = problem.order
        block, reg = problem.block(n, factors), problem.regularizer(n, factors)
        assert isinstance(reg, ElasticNet)
        x = problem.pack(n, factors)
        support = _support(x, block, reg) & met.reshape(*met.shape, *(1,) * (x.ndim - met.ndim))
        z = x
        for _ in range(2):
            gradient = penalized_gradient(z, block, reg)
            z = z - masked_solve(penalized_hessian(z, block, reg), gradient, support)
        return problem.unpack(n, factors, x + (z - z.detach()))


@torch.no_grad()
def _support(x: Tensor, block: Block, reg: ElasticNet) -> Tensor:
    """Which entries move with the data, see `ImplicitRegression`."""
    hessian = penalized_hessian(x, block, reg)
    hessian = hessian if hessian.ndim > x.ndim else hessian.unsqueeze(-3)
    curvature = hessian.diagonal(dim1=-2, dim2=-1).clamp_min(torch.finfo(x.dtype).tiny)
    moved = x - penalized_gradient(x, block, reg) / curvature
    inside = [(z > reg.lower) & (z < reg.upper) for z in (x, moved)]
    if reg.l1 is not None:
        inside.append(x * moved > 0)
    return torch.stack(inside).all(0)


class _MatrixRegression(nn.Module):
    """``(W, Y) -> H`` for matrices."""

    def __init__(self, solved: ImplicitRegression) -> None:
        super().__init__()
        self.solved = solved

    def forward(self, W: Tensor, Y: Tensor, weights: Tensor | None = None) -> Tensor:  # noqa: N803
        """The regression of each column of Y on the columns of W.

        Args:
            W: (*, m, r), or (m, r) for all.
            Y: (*, m, n).
            weights: nonnegative, like Y (0: missing), or None.

        Returns:
            H, (*, n, r).

        Raises:
            TypeError, ValueError: bad input, in one sentence.
            RuntimeError: no solution within the tolerance, and a gradient is asked for.
        """
        if Y.ndim < 2 or W.ndim < 2 or W.shape[-2] != Y.shape[-2]:
            raise ValueError(
                f"Y has shape {tuple(Y.shape)} but W, of shape {tuple(W.shape)}, needs (*, m, n) "
                "with its m rows"
            )
        start = Y.new_zeros(*Y.shape[:-2], Y.shape[-1], W.shape[-1])
        if self.solved.loss.nonnegative:
            problem = self.solved.problem(Y.detach(), weights)
            start = problem.scaled((W.detach(), start + 1))[1]
        return self.solved(Y, (W, start), weights)[1]


class ImplicitNNLS(_MatrixRegression):
    """``H = argmin_{H >= 0} ||Y - W H^T||^2 / 2 + l1 sum H + ridge ||H||^2 / 2`` as a layer.

    Solved by an active set, differentiable in W, Y, the weights and the penalties; see
    `ImplicitRegression`. Columns of W that are linearly dependent on the support of a row leave its
    solution open: give a ridge.

    Args:
        l1: weight of the sum, a float or a parameter (`learned` keeps it positive).
        ridge: weight of half the sum of squares, likewise.
        strict: as in `Implicit`.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.1 and 19.1.2

    Example:
        >>> import torch
        >>> W, Y = torch.eye(2), torch.tensor([[2.0], [-1.0]], requires_grad=True)
        >>> H = ImplicitNNLS(ridge=1.0)(W, Y)
        >>> H.sum().backward()
        >>> H.detach(), Y.grad.mT
        (tensor([[1., 0.]]), tensor([[0.5000, 0.0000]]))
    """

    def __init__(
        self, l1: float | Tensor = 0.0, ridge: float | Tensor = 0.0, strict: bool = True
    ) -> None:
        step = Alternating(ActiveSet(pivots=5))
        super().__init__(_for_matrices(step, Frobenius(), l1, ridge, strict))
        self.solved.check_every = 1


class ImplicitNNKL(_MatrixRegression):
    """``H = argmin_{H >= 0} KL(Y, W H^T) + l1 sum H + ridge ||H||^2 / 2`` as a layer.

    Solved by projected Newton steps, differentiable in W, Y, the weights and the penalties; see
    `ImplicitRegression`.

    Args:
        l1: weight of the sum, a float or a parameter (`learned` keeps it positive).
        ridge: weight of half the sum of squares, likewise.
        strict: as in `Implicit`.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.2 and 19.1.2

    Example:
        >>> import torch
        >>> W, Y = torch.ones(2, 1), torch.tensor([[1.0], [3.0]], requires_grad=True)
        >>> H = ImplicitNNKL()(W, Y)
        >>> H.sum().backward()
        >>> H.detach(), Y.grad.mT
        (tensor([[2.]]), tensor([[0.5000, 0.5000]]))
    """

    def __init__(
        self, l1: float | Tensor = 0.0, ridge: float | Tensor = 0.0, strict: bool = True
    ) -> None:
        step = Alternating(ProjectedNewton())
        super().__init__(_for_matrices(step, KullbackLeibler(), l1, ridge, strict))
        self.solved.check_every = 2


def _for_matrices(
    step: Alternating, loss: Loss, l1: float | Tensor, ridge: float | Tensor, strict: bool
) -> ImplicitRegression:
    regs = (NonNegative(), NonNegative(l1, ridge))
    return ImplicitRegression(step, NMF(), loss, regs, free=(1,), strict=strict)
