"""Solved factorizations: derivatives through the fixed point of one sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..functional.arguments import whole_number
from ..functional.krylov import gmres
from ..iterations import Alternating, Extrapolated
from ..losses import Loss
from ..models import Factors, Model
from ..problem import Problem
from ..regularizers import Regularizer
from .base import Implicit


class ImplicitFactorization(Implicit):
    """A local minimizer of a factorization as a function of the data and the penalties.

    With T one sweep followed by balancing, the solution is ``X = T(X; theta)`` and

        dL/dtheta = u^T d_theta T,   u = (I - d_X T)^-T dL/dX

    by GMRES on vector-Jacobian products of one sweep; memory does not depend on the iterations of
    the solve. The solution that the start leads to is differentiated; the start itself has none.

    Without penalties the columns of the factors could be rescaled: they are returned balanced, with
    equal norms, and their derivatives are those of balanced factors. Factors may keep other
    freedom (rotations, where all entries are positive). A loss that does not see it, one of the
    product for example, has its right gradient all the same; for one that does the system has no
    solution, which is found out and refused: give every factor a ridge, or compare what is
    determined.

    Args:
        sweep: one sweep over all free factors; differentiated, and extrapolated to solve.
        model, loss, regs, init, free, max_iter, tol, strict: as in `Implicit`.
        products: vector-Jacobian products of the backward pass at most; 0: the one-step gradient
            ``u = dL/dX``, cheap and biased.

    Raises:
        TypeError: not an `Alternating`.
        ValueError: penalties on some factors but not on others, so that there is no minimizer.

    References:
        | Bai, Kolter, Koltun, Deep equilibrium models (2019), theorem 1
        | Bolte, Pauwels, Vaiter, One-step differentiation of iterative algorithms (2023)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.2

    Example:
        >>> from rlra_torch.iterations import HALS
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> ones = lambda y: (torch.ones(2, 1).double(), torch.ones(2, 1).double())
        >>> regs = (NonNegative(), NonNegative())
        >>> layer = ImplicitFactorization(Alternating(HALS()), NMF(), Frobenius(), regs, ones)
        >>> y = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
        >>> w, h = layer(y)
        >>> (w @ h.mT).sum().backward()
        >>> y.grad.round(decimals=4)[0, 0].item()
        1.0
    """

    def __init__(
        self,
        sweep: Alternating,
        model: Model,
        loss: Loss,
        regs: Sequence[Regularizer],
        init: Callable[[Tensor], Factors] | None = None,
        free: tuple[int, ...] | None = None,
        max_iter: int = 10000,
        tol: float | None = None,
        strict: bool = True,
        products: int = 500,
    ) -> None:
        super().__init__(Extrapolated(sweep), model, loss, regs, init, free, max_iter, tol, strict)
        self.products = whole_number("products", products, least=0)

    @property
    def sweep(self) -> Alternating:
        """One sweep, as it is differentiated."""
        assert isinstance(self.iteration, Extrapolated)
        return self.iteration.iteration

    def check(self, problem: Problem) -> None:
        degrees = {n: problem.regs[n].degree for n in problem.order}
        held = [n for n, degree in degrees.items() if degree]
        if held and 0 in degrees.values():
            raise ValueError(
                f"factors {held} have a penalty and others do not, so that the scale slides and "
                "there is no minimizer; penalize all of them or none"
            )
        if 0 in degrees.values() and len(degrees) > 1 and not problem.freedoms:
            raise TypeError(
                f"{type(problem.model).__name__} has factors without common components, whose "
                "scales cannot be balanced; penalize all of them"
            )

    def differentiable(self, problem: Problem, factors: Factors, met: Tensor) -> Factors:
        at = tuple(
            x.detach().requires_grad_() if n in problem.order else x for n, x in enumerate(factors)
        )
        swept = self.sweep(self.sweep.init(at, problem), problem).factors
        swept = problem.balanced(swept)
        inputs = [at[n] for n in problem.order]
        outputs = [swept[n] for n in problem.order]

        def adjoint(gradients: Sequence[Tensor]) -> list[Tensor]:
            return self._adjoint(problem, inputs, outputs, gradients, met)

        found = list(swept)
        for n, x in zip(problem.order, _Solved.apply(adjoint, *outputs), strict=True):
            found[n] = x
        return tuple(found)

    def solve(self, problem: Problem, start: Factors) -> Any:  # noqa: ANN401
        solution = super().solve(problem, start)
        with torch.no_grad():
            return replace(solution, factors=problem.balanced(solution.factors))

    def _adjoint(
        self,
        problem: Problem,
        inputs: list[Tensor],
        outputs: list[Tensor],
        gradients: Sequence[Tensor],
        met: Tensor,
    ) -> list[Tensor]:
        """``u`` with ``u - J^T u = gradients``, zero where it cannot be had."""
        lead = len(problem.batch_shape)
        own = [x.flatten(lead).shape[-1] for x in inputs]

        def flat(parts: Sequence[Tensor]) -> Tensor:
            return torch.cat([part.flatten(lead) for part in parts], -1)

        def parts(vector: Tensor) -> list[Tensor]:
            pieces = vector.split(own, -1)
            return [piece.reshape(x.shape) for piece, x in zip(pieces, inputs, strict=True)]

        def product(vector: Tensor) -> Tensor:
            moved = torch.autograd.grad(outputs, inputs, parts(vector), retain_graph=True)
            return vector - flat(moved)

        target = flat(gradients) * met[..., None]
        tol = torch.finfo(target.dtype).eps ** 0.5
        u, residual = gmres(product, target, 1e-2 * tol, self.products)
        failed = residual > tol
        if self.products and bool(failed.any()):
            self.refuse(
                failed,
                f"its equations are left with a relative residual of {float(residual.max()):.1e}, "
                "because the loss sees a freedom of the factors that the problem leaves open, or "
                "because the solve converges too slowly; give every factor a ridge, or compare "
                "what is determined",
            )
            u = torch.where(failed[..., None], 0, u)
        return parts(u)


class _Solved(torch.autograd.Function):
    """The identity, whose backward pass solves the equations of the fixed point."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, adjoint: Callable[[Sequence[Tensor]], list[Tensor]], *factors: Tensor
    ) -> Factors:
        ctx.adjoint = adjoint  # pyright: ignore
        return tuple(x.view_as(x) for x in factors)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.adjoint(gradients)  # pyright: ignore
