"""Inertial alternating descent for sums of convolutions with kernels on the sphere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Dense
from ..functional.batch import sum_each
from ..functional.circulant import (
    Correlations,
    predicted,
    restored,
    squared_norm,
    to_kernels,
    to_maps,
    transformed,
)
from ..functional.spheres import Circle, great_circle, inner, normalized
from ..models import Convolutive, Factors
from ..problem import Problem
from ..regularizers import Regularizer, Sphere, UnitNorm
from ..regularizers.base import hyperparameter
from .base import Iteration, State, require_prox


class Inertia(NamedTuple):
    """What `InertialDescent` remembers.

    Args:
        before: the factors before the last step.
        data: the spectrum of the data, which no step changes.
        smooth: (*,) the loss at the factors, up to a constant of the data.
        count: (*,) steps since the momentum started.
        residual: (*,) the largest gradient that the last step met: of the maps in the sense of the
            proximal step, of the kernels along the sphere and per unit of their maps.
    """

    before: Factors
    data: Tensor
    smooth: Tensor
    count: Tensor
    residual: Tensor


class InertialDescent(Iteration):
    """iADM: one accelerated proximal step on the maps, one along great circles on the kernels.

        b  = momentum (k - 1) / (k + 2)
        w  = x + b (x - x_before),       x+ = prox(w - g(w) / L, 1 / L)
        z  = a beyond a_before by b,     a+ = argmin of the loss on the great circle along -grad

    ``L`` is the largest gain of the kernels over all frequencies, exactly. The loss is a quadratic
    of the kernel alone once the maps are correlated, so that the step along the circle is exact and
    takes no more transforms of the size of the data; several kernels move one after the other. A
    step that would raise the objective of a problem is not taken there: its momentum starts anew,
    and with none a step never raises it.

    Six transforms a step, for all problems at once.

    Args:
        momentum: times the schedule; 1 is that of the paper, 0 is alternating descent without
            inertia; a float or a learned parameter.

    References:
        | Lau, Qu, Kuo, Zhou, Zhang, Wright, Short-and-sparse deconvolution: a geometric approach
        | (2019), algorithm 1
        | Pock, Sabach, Inertial proximal alternating linearized minimization (2016)

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.regularizers import L1
        >>> y = torch.tensor([0.0, 3.0, 4.0, 0.0, 0.0, 0.0], dtype=torch.float64)
        >>> problem = Problem(y, Convolutive(), Frobenius(), (Sphere(), L1(0.1)))
        >>> start = torch.ones(2, 1).double() / 2**0.5, torch.zeros(6, 1).double()
        >>> step = InertialDescent()
        >>> state = step.init(start, problem)
        >>> for _ in range(200):
        ...     state = step(state, problem)
        >>> kernel, spikes = state.factors
        >>> kernel.flatten().round(decimals=3), spikes.flatten().round(decimals=3)[1]
        (tensor([0.6000, 0.8000], dtype=torch.float64), tensor(4.9000, dtype=torch.float64))
    """

    momentum: Tensor

    def __init__(self, momentum: float | Tensor = 1.0) -> None:
        super().__init__()
        hyperparameter(self, "momentum", momentum)

    def init(self, factors: Factors, problem: Problem) -> State:
        model, shape = _model(problem), problem.batch_shape
        # Columns lie together in memory, as transforms want them.
        factors = tuple(
            _last(_first(x, n, model).contiguous(), n, model) for n, x in enumerate(factors)
        )
        assert isinstance(problem.data, Dense)
        data = _with_signals(problem.data.y.to(problem.data.dtype), model)
        f = transformed(data, tuple(data.shape[-model.order :]), model.centred)
        smooth = torch.full(shape, torch.inf, device=data.device, dtype=torch.float64)
        count = torch.ones(shape, device=data.device, dtype=data.dtype)
        return State(factors, tuple(Inertia(factors, f, smooth, count, count * torch.inf)))

    def forward(self, state: State, problem: Problem) -> State:
        model, old, lead = _model(problem), Inertia(*state.memory), len(problem.batch_shape)
        (a, x), before = state.factors, old.before
        beta = self.momentum.to(x.dtype) * (old.count - 1) / (old.count + 2)
        z, behind = (_first(k, 0, model) for k in (a, before[0]))
        z = great_circle(z, behind, _over(beta, z), model.order + 1)
        w = torch.lerp(before[1], x, 1 + _over(beta, x))
        new, spectrum, far = _mapped(z, w, old.data, problem)
        lags = _sizes(a, model)
        cross = restored(to_kernels(old.data, spectrum), _sizes(x, model), lags)
        normal = Correlations.of(spectrum, _sizes(x, model), lags)
        kernels, image, slope = _turned(z, normal, cross, model.order)
        smooth = sum_each(kernels * (0.5 * image - cross), lead, torch.float64)
        value, least = (
            part + sum_each(problem.regs[1](f), lead)
            for part, f in ((smooth, new), (old.smooth, x))
        )
        slack = 10 * torch.finfo(x.dtype).eps * old.smooth.abs()
        rose = (value > least + slack) & (old.count > 1)
        amount = torch.linalg.vector_norm(new.flatten(lead), dim=-1)
        met = far.maximum(slope / torch.where(amount > 0, amount, 1))
        kept = Inertia(
            state.factors,
            old.data,
            torch.where(rose, old.smooth, smooth),
            torch.where(rose, 1, old.count + 1),
            torch.where(rose, old.residual, met),
        )
        pairs = ((a, _last(kernels, 0, model)), (x, new))
        return State(tuple(torch.where(_over(rose, o), o, n) for o, n in pairs), tuple(kept))

    def met(self, state: State) -> Tensor:
        """(*,) the largest gradient that the last step met."""
        return Inertia(*state.memory).residual

    def check(self, problem: Problem) -> None:
        name, model = type(self).__name__, problem.model
        if not isinstance(model, Convolutive) or not model.cyclic:
            raise TypeError(
                f"{name} needs a cyclic Convolutive model, got {model}; use "
                "Alternating(Nesterov(ProjectedGradient()))"
            )
        if not problem.loss.quadratic or not _plain(problem):
            raise TypeError(
                f"{name} needs the Frobenius loss on dense data without weights; use "
                "Alternating(Nesterov(ProjectedGradient()))"
            )
        if set(problem.order) != {0, 1}:
            raise TypeError(
                f"{name} moves kernels and maps, but the problem leaves {problem.order} free; use "
                "Alternating(FISTA()) for maps alone"
            )
        _check_sphere(problem.regs[0], model)
        require_prox(name, problem, 1)


def _mapped(z: Tensor, w: Tensor, data: Tensor, problem: Problem) -> tuple[Tensor, ...]:
    """The maps after their step from ``w``, their spectrum, and the gradient it met, (*,)."""
    model, lead, sizes = _model(problem), len(problem.batch_shape), _sizes(w, _model(problem))
    f = transformed(z, sizes, model.centred)
    residual = predicted(f, transformed(_first(w, 1, model), sizes)) - data
    gradient = _last(restored(to_maps(residual, f), sizes), 1, model)
    bound = squared_norm(f).clamp_min(torch.finfo(w.dtype).tiny)
    over = _over(bound, w)
    new = problem.regs[1].prox(torch.addcdiv(w, gradient, over, value=-1), 1 / over)
    far = (new - w).abs().flatten(lead).amax(-1) * bound
    return new, transformed(_first(new, 1, model), sizes, model.centred), far


def _turned(z: Tensor, normal: Correlations, cross: Tensor, order: int) -> tuple[Tensor, ...]:
    """Each kernel at the least loss on its circle, one after the other.

    Args:
        z: (*, K, C, p_1, ..., p_d).
        normal: their normal operator.
        cross: likewise of the data.
        order: d.

    Returns:
        the kernels, what the normal operator makes of them, and the largest slope met, (*,).
    """
    own, dim = order + 1, -order - 2
    kernels = list(z.split(1, dim))
    images = [normal.times(kernel, k) for k, kernel in enumerate(kernels)]
    image, steepest = sum(images[1:], images[0]), None
    for k, kernel in enumerate(kernels):
        gradient = (image - cross).narrow(dim, k, 1)
        downhill = inner(gradient, kernel, own) * kernel - gradient
        slope = inner(downhill, downhill, own).sqrt()
        direction = normalized(downhill, own)
        along, mine = normal.times(direction, k), images[k]
        rest = gradient - mine.narrow(dim, k, 1)
        circle = Circle(
            inner(mine.narrow(dim, k, 1), kernel, own),
            inner(mine.narrow(dim, k, 1), direction, own),
            inner(along.narrow(dim, k, 1), direction, own),
            inner(rest, kernel, own),
            inner(rest, direction, own),
        )
        # What rounding leaves of a gradient that is zero is no direction.
        pull = cross.narrow(dim, k, 1)
        least = 10 * torch.finfo(slope.dtype).eps * inner(pull, pull, own).sqrt()
        angle = torch.where(slope > least, circle.minimum(), 0)
        kernels[k] = normalized(angle.cos() * kernel + angle.sin() * direction, own)
        image = image + (angle.cos() - 1) * mine + angle.sin() * along
        slope = slope.flatten(dim).squeeze(-1)
        steepest = slope if steepest is None else steepest.maximum(slope)
    assert steepest is not None
    return torch.cat(kernels, dim), image, steepest


def _check_sphere(reg: Regularizer, model: Convolutive) -> None:
    order = reg.order if isinstance(reg, Sphere) else 1 if isinstance(reg, UnitNorm) else None
    if order != model.order + model.channels or getattr(reg, "nonnegative", False):
        raise TypeError(
            f"InertialDescent moves kernels on the sphere, got {type(reg).__name__}; use "
            f"Sphere(order={model.order + model.channels})"
        )


def _plain(problem: Problem) -> bool:
    return isinstance(problem.data, Dense) and problem.data.weights is None


def _model(problem: Problem) -> Convolutive:
    assert isinstance(problem.model, Convolutive)
    return problem.model


def _sizes(x: Tensor, model: Convolutive) -> tuple[int, ...]:
    """The convolved dimensions of a factor."""
    return tuple(x.shape[-model.order - 1 : -1])


def _first(x: Tensor, n: int, model: Convolutive) -> Tensor:
    """Kernels (*, K, C, p_1, ..., p_d), or maps (*, S, K, m_1, ..., m_d), from a factor."""
    shared = model.channels if n == 0 else model.signals
    x = x if shared else x.unsqueeze(-model.order - 2)
    return x.movedim(-1, -model.order - 2 if n == 0 else -model.order - 1)


def _last(x: Tensor, n: int, model: Convolutive) -> Tensor:
    """The factor that `_first` came from."""
    x = x.movedim(-model.order - 2 if n == 0 else -model.order - 1, -1)
    shared = model.channels if n == 0 else model.signals
    return x if shared else x.squeeze(-model.order - 2)


def _with_signals(y: Tensor, model: Convolutive) -> Tensor:
    """Data (*, S, C, m_1, ..., m_d)."""
    y = y if model.channels else y.unsqueeze(-model.order - 1)
    return y if model.signals else y.unsqueeze(-model.order - 2)


def _over(per_problem: Tensor, x: Tensor) -> Tensor:
    return per_problem.reshape(*per_problem.shape, *(1,) * (x.ndim - per_problem.ndim))
