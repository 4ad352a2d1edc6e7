"""The same loop as a network: a list of iterations, under autograd."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..iterations import Iteration, State, iterates, require_iteration
from ..losses import Loss
from ..models import Factors, Model
from ..problem import Problem
from ..regularizers import Regularizer


class Unrolled(nn.Module):
    """``y -> factors`` in as many layers as iterations are given.

    ``[iteration] * K`` ties their weights, ``[Iteration() for _ in range(K)]`` does not. Without
    learned parameters it equals ``K`` iterations of `solve`.

    Args:
        layers: the iterations, at least one.
        model: what predicts the data.
        loss: how the two are compared.
        regs: one regularizer per factor.
        init: the start as a function of the data; a module, where it has parameters of its own.
        free: which factors are sought, the others stay as they start; None: all.
        checkpointed: keep few of the states for the backward pass and compute the layers between
            them again: memory grows with the square root of the depth, for one more forward pass.

    Raises:
        ValueError: no layers, or parts that do not fit.
        TypeError: a layer that is not an iteration or cannot work on this problem, or that keeps
            another memory than the first one.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 19
        | Chen, Xu, Zhang, Guestrin, Training deep nets with sublinear memory cost (2016)

    Example:
        >>> from rlra_torch.iterations import MU, Alternating
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> regs = (NonNegative(), NonNegative())
        >>> start = lambda y: (torch.ones(4, 2), torch.ones(3, 2))
        >>> net = Unrolled([Alternating(MU())] * 5, NMF(), Frobenius(), regs, start)
        >>> [x.shape for x in net(torch.ones(4, 3))]
        [torch.Size([4, 2]), torch.Size([3, 2])]
    """

    layers: Sequence[Iteration]
    regs: Sequence[Regularizer]

    def __init__(
        self,
        layers: Sequence[Iteration],
        model: Model,
        loss: Loss,
        regs: Sequence[Regularizer],
        init: Callable[[Tensor], Factors],
        free: tuple[int, ...] | None = None,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        if not layers:
            raise ValueError("Unrolled needs at least one layer")
        if not callable(init):
            raise TypeError(f"init is a function of the data, got {type(init).__name__}")
        for layer in layers:
            require_iteration("Unrolled", layer)
        smallest = Problem(torch.ones((1,) * model.ndim), model, loss, regs, None, free)
        _check_layers(layers, smallest)
        # Module lists, typed as what they hold.
        self.layers = cast("Sequence[Iteration]", nn.ModuleList(layers))
        self.regs = cast("Sequence[Regularizer]", nn.ModuleList(regs))
        self.model, self.loss, self.init, self.free = model, loss, init, free
        self.checkpointed = checkpointed

    def problem(self, y: Tensor, weights: Tensor | None = None) -> Problem:
        """The problem that the layers work on.

        Args:
            y: the data.
            weights: of its entries, or None.
        """
        return Problem(y, self.model, self.loss, tuple(self.regs), weights, self.free)

    def iterates(
        self, y: Tensor, start: Factors | None = None, weights: Tensor | None = None
    ) -> Iterator[State]:
        """The start, then the state after each layer: for deep supervision.

        Args:
            y: the data.
            start: the factors to start from, or None: ``init(y)``.
            weights: of the entries of the data, or None.
        """
        problem, layers = self.problem(y, weights), list(self.layers)
        factors = tuple(self.init(problem.imputed) if start is None else start)
        self.model.check(factors, y.shape)
        state = layers[0].init(factors, problem)
        if not (self.checkpointed and torch.is_grad_enabled()):
            yield from iterates(layers, problem, state)
            return
        yield state
        # K / L states and the insides of L layers are held. A layer holds about 16 times what a
        # state does, so that together they are least for 16 L^2 = K.
        length = math.ceil(math.sqrt(len(layers)) / 4)
        for first in range(0, len(layers), length):
            segment = layers[first : first + length]
            states = checkpoint(_run, segment, problem, state, use_reentrant=False)
            yield from states
            state = states[-1]

    def forward(
        self, y: Tensor, start: Factors | None = None, weights: Tensor | None = None
    ) -> Factors:
        """The factors after the last layer.

        Args:
            y: the data.
            start: the factors to start from, or None: ``init(y)``.
            weights: of the entries of the data, or None.
        """
        return deque(self.iterates(y, start, weights), maxlen=1).pop().factors


def _check_layers(layers: Sequence[Iteration], smallest: Problem) -> None:
    """Check that each can work on the problem, and with the memory that the first one starts."""
    ones = tuple(torch.ones((1,) * ndim) for ndim in smallest.model.factor_ndims)
    for layer in layers:
        layer.check(smallest)
    outlines = [_outline(layer.init(ones, smallest).memory) for layer in layers]
    for number, outline in enumerate(outlines, 1):
        if outline != outlines[0]:
            raise TypeError(
                f"layer {number} keeps another memory than layer 1; momentum, duals and supports "
                "cannot pass from one kind of iteration to another, so unroll them in two networks"
            )


def _outline(memory: Any) -> Any:  # noqa: ANN401
    """The nesting of a memory."""
    return None if isinstance(memory, Tensor) else [_outline(part) for part in memory]


def _run(layers: Sequence[Iteration], problem: Problem, state: State) -> list[State]:
    return list(iterates(layers, problem, state))[1:]
