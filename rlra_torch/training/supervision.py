"""What a network is trained to do: losses of all its iterates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..datasets.scenes import Scenes
from ..metrics import match
from ..problem import Problem
from .errors import LogError
from .layer_weights import LayerWeights, LogSpaced
from .scaling import MatrixFactors


class Supervision(nn.Module, ABC):
    """A number to make small, from what a network found and what is known of the scenes."""

    @abstractmethod
    def forward(self, problem: Problem, iterates: MatrixFactors, scenes: Scenes) -> Tensor:
        """The loss, averaged over the scenes.

        Args:
            problem: what the network works on.
            iterates: the factors after each layer, (depth, *, rows, r) each.
            scenes: the data and its truth.
        """


@dataclass(frozen=True)
class Term:
    """``weight * error(estimate, truth)`` of one factor.

    Args:
        factor: 0 for W, 1 for H.
        error: a function of two factors (*, rows, r) with one value a sample, (*,).
        weight: of the term.

    Raises:
        ValueError: another factor.
    """

    factor: int
    error: LogError | Callable[[Tensor, Tensor], Tensor]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.factor not in (0, 1):
            raise ValueError(f"the factor of a term is 0 for W or 1 for H, not {self.factor!r}")


class FactorSupervision(Supervision):
    """Deep supervision by the true factors.

        L = sum_k nu_k sum_t weight_t error_t(X_t^k, X_t),   X_t one of W, H

    Columns are matched to those of the truth once a scene, from the last iterate and outside the
    graph, and all layers are held to this order: a loss that may reorder its columns from layer to
    layer would let the layers disagree.

    Args:
        terms: the errors of the factors.
        weights: ``nu``; None: log-spaced from 1e-7 to 1.

    Raises:
        ValueError: no terms.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.4

    Example:
        >>> from rlra_torch.training import FactorSupervision, Term, squared_error
        >>> loss = FactorSupervision([Term(0, squared_error), Term(1, squared_error, weight=2.0)])
        >>> W, H = torch.eye(3)[None, :, :2], torch.rand(1, 4, 2)
        >>> scenes = Scenes(W @ H.mT, W, H)
        >>> loss(None, (W.flip(-1)[None], H.flip(-1)[None]), scenes).item()
        0.0
    """

    def __init__(self, terms: Sequence[Term], weights: LayerWeights | None = None) -> None:
        super().__init__()
        if not terms:
            raise ValueError("a supervision by factors needs at least one term")
        self.terms = tuple(terms)
        self.weights = LogSpaced() if weights is None else weights

    def forward(self, problem: Problem, iterates: MatrixFactors, scenes: Scenes) -> Tensor:
        if scenes.W is None or scenes.H is None:
            raise ValueError(
                "a supervision by factors needs scenes whose factors are known; "
                "train on the data alone with Reconstruction"
            )
        truth = (scenes.W, scenes.H)
        last = iterates[0][-1]
        if not bool(last.isfinite().all()):
            raise ValueError(
                "the network's factors are no longer finite; train it with a lower learning rate, "
                "or clip its gradients"
            )
        order = match(last, scenes.W)[None, ..., None, :]
        nu = self.weights(len(iterates[0])).to(scenes.Y)
        total = scenes.Y.new_zeros(())
        for term in self.terms:
            found = iterates[term.factor].take_along_dim(order, -1)
            errors = term.error(found, truth[term.factor].expand_as(found))
            total = total + term.weight * (nu @ errors.flatten(1).mean(1))
        return total


class Reconstruction(Supervision):
    """The objective of the problem after the last layer, relative to the size of the data.

        L = (loss(W H^T, Y) + penalties) / size(Y)

    It needs no truth.

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> from rlra_torch.models import NMF
        >>> from rlra_torch.regularizers import NonNegative
        >>> Y = torch.ones(1, 4, 3)
        >>> problem = Problem(Y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
        >>> iterates = (torch.ones(1, 1, 4, 1), torch.ones(1, 1, 3, 1))
        >>> Reconstruction()(problem, iterates, Scenes(Y)).item()
        0.0
    """

    def forward(self, problem: Problem, iterates: MatrixFactors, scenes: Scenes) -> Tensor:
        size = problem.loss.magnitude(scenes.Y).sum((-2, -1))
        objective = problem.objective((iterates[0][-1], iterates[1][-1]))
        return (objective / size.clamp_min(torch.finfo(size.dtype).tiny)).mean()


class Mixed(Supervision):
    """``sum_i weight_i L_i``, such as a supervision by factors plus a reconstruction.

    Args:
        parts: the supervisions.
        weights: one for each.

    Raises:
        ValueError: their numbers differ, or are zero.

    Example:
        >>> Mixed([Reconstruction()], [0.5]).weights
        (0.5,)
    """

    def __init__(self, parts: Sequence[Supervision], weights: Sequence[float]) -> None:
        super().__init__()
        if not parts or len(parts) != len(weights):
            raise ValueError(
                f"a mixed supervision needs one weight a part, got {len(parts)} parts and "
                f"{len(weights)} weights"
            )
        self.parts, self.weights = nn.ModuleList(parts), tuple(weights)

    def forward(self, problem: Problem, iterates: MatrixFactors, scenes: Scenes) -> Tensor:
        total = scenes.Y.new_zeros(())
        for weight, part in zip(self.weights, self.parts, strict=True):
            total = total + weight * part(problem, iterates, scenes)
        return total
