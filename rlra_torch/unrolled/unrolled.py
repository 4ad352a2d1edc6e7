"""The same loop as a network: a list of iterations, under autograd."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from ..iterations import Iteration, State, iterates
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
        init: the start as a function of the data.
        free: which factors are sought; None: all.

    Raises:
        ValueError: no layers.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 19

    Example:
        >>> import torch
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

    def __init__(
        self,
        layers: Sequence[Iteration],
        model: Model,
        loss: Loss,
        regs: Sequence[Regularizer],
        init: Callable[[Tensor], Factors],
        free: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if not layers:
            raise ValueError("Unrolled needs at least one layer")
        self.layers, self.regs = nn.ModuleList(layers), nn.ModuleList(regs)
        self.model, self.loss, self.init, self.free = model, loss, init, free

    def iterates(self, y: Tensor, weights: Tensor | None = None) -> Iterator[State]:
        """The start, then the state after each layer: for deep supervision.

        Args:
            y: the data.
            weights: of its entries, or None.
        """
        regs = [reg for reg in self.regs if isinstance(reg, Regularizer)]
        layers = [layer for layer in self.layers if isinstance(layer, Iteration)]
        problem = Problem(y, self.model, self.loss, regs, weights, self.free)
        return iterates(layers, problem, layers[0].init(self.init(y), problem))

    def forward(self, y: Tensor, weights: Tensor | None = None) -> Factors:
        """The factors after the last layer.

        Args:
            y: the data.
            weights: of its entries, or None.
        """
        return deque(self.iterates(y, weights), maxlen=1).pop().factors
