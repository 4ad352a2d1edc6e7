"""Higher-order orthogonal iteration."""

from __future__ import annotations

import torch

from ..data import Dense
from ..functional.tucker import across, mode_product, multiplied
from ..models import Factors, Tucker
from ..problem import Problem
from ..regularizers import ElasticNet
from .base import Iteration, State


class HOOI(Iteration):
    """Tucker decomposition with orthonormal factors: one step of orthogonal iteration in each mode.

        Z = Y x_1 U_1^T ... x_d U_d^T without mode n,   U_n <- orth(Z_(n) Z_(n)^T U_n)

    The core is ``Y x_1 U_1^T ... x_d U_d^T``, exact at all times. A step maximizes a linear lower
    bound on the energy of the core, so that the objective never rises; it has the fixed points of
    the eigenvectors of ``Z_(n) Z_(n)^T`` and needs products only, two large ones in a sweep.

    References:
        | De Lathauwer, De Moor, Vandewalle, On the best rank-1 and rank-(R1, ..., RN) approximation
        | of higher-order tensors (2000)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.3

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import Free
        >>> y, u = torch.ones(2, 2, 2), torch.tensor([[1.0], [0.0]])
        >>> problem = Problem(y, Tucker(3), Frobenius(), (Free(),) * 4)
        >>> step = HOOI()
        >>> state = step(step.init((u, u, u, torch.ones(1, 1, 1)), problem), problem)
        >>> round(float(problem.objective(state.factors)), 3)
        0.0
    """

    def init(self, factors: Factors, problem: Problem) -> State:
        *bases, _ = factors
        factors = (*(torch.linalg.qr(x).Q for x in bases), factors[-1])
        core = multiplied(_observed(problem), [x.mT for x in factors[:-1]])
        return State((*factors[:-1], core), ((),) * len(factors))

    def forward(self, state: State, problem: Problem) -> State:
        *bases, core = state.factors
        # In the new bases of the modes that are done: two products with the data itself in all.
        done, lead = _observed(problem), core.ndim - len(bases)
        for mode in range(-len(bases), 0):
            others = done
            for later in range(-1, mode, -1):
                others = mode_product(others, bases[later].mT, later)
            bases[mode] = torch.linalg.qr(across(others, core, mode, lead)).Q
            core = mode_product(others, bases[mode].mT, mode)
            done = core if mode == -1 else mode_product(done, bases[mode].mT, mode)
        return State((*bases, core), state.memory)

    def check(self, problem: Problem) -> None:
        data, whole = problem.data, tuple(range(len(problem.model.factor_ndims)))
        if not isinstance(problem.model, Tucker) or not problem.loss.quadratic:
            raise TypeError(
                f"HOOI fits Tucker models by least squares, not {type(problem.model).__name__} "
                f"by {type(problem.loss).__name__}; use Alternating(MU())"
            )
        if not isinstance(data, Dense) or data.weights is not None:
            raise TypeError("HOOI needs dense data without weights; use ProjectedLeastSquares")
        if set(problem.order) != set(whole) or not all(_unconstrained(r) for r in problem.regs):
            raise TypeError("HOOI finds all factors and needs Free regularizers; use HALS")


def _unconstrained(reg: object) -> bool:
    if not isinstance(reg, ElasticNet):
        return False
    return reg.lower == -torch.inf and reg.upper == torch.inf and reg.weights == (None, None)


def _observed(problem: Problem) -> torch.Tensor:
    assert isinstance(problem.data, Dense)
    return problem.data.y.to(problem.data.dtype)
