"""What scikit-learn's parameters mean here: losses, penalties, starts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_non_negative
from torch import Tensor

from ..estimators.inputs import Array
from ..estimators.names import loss_named, matrix_start
from ..functional.arguments import real_number, whole_number
from ..iterations import MU, ActiveSet, BlockIteration, ProjectedNewton
from ..losses import BetaDivergence, KullbackLeibler, Loss
from ..problem import Problem
from ..regularizers import NonNegative

Regs = tuple[NonNegative, NonNegative]
_LOSSES = {"frobenius": 2.0, "kullback-leibler": 1.0, "itakura-saito": 0.0}
_STARTS = ("random", "nndsvd", "nndsvda", "nndsvdar")


def beta_loss(value: Any) -> BetaDivergence:  # noqa: ANN401
    """A beta-divergence from a name of scikit-learn or from beta.

    Raises:
        TypeError, ValueError: neither.

    Example:
        >>> beta_loss("kullback-leibler")
        KullbackLeibler(beta=1)
    """
    if isinstance(value, str) and value not in _LOSSES:
        raise ValueError(f"beta_loss is one of {', '.join(_LOSSES)} or a number, got {value!r}")
    loss = loss_named(real_number("beta_loss", _LOSSES.get(value, value)))
    assert isinstance(loss, BetaDivergence)
    return loss


def penalties(alphas: tuple[float, float | str], l1_ratio: float) -> Regs:
    """The penalties of an entry of W for each feature, and of an entry of H for each sample.

    ``alpha (l1_ratio |x| + (1 - l1_ratio) x^2 / 2)``, which scikit-learn multiplies by the number
    of features for W, and of samples for H.

    Args:
        alphas: alpha_W and alpha_H, or "same".
        l1_ratio: in [0, 1].

    Raises:
        TypeError, ValueError: out of range.

    Example:
        >>> penalties((2.0, "same"), 0.5)
        (NonNegative(l1=1.0, ridge=1.0, [0, inf]), NonNegative(l1=1.0, ridge=1.0, [0, inf]))
    """
    both = (alphas[0], alphas[0] if alphas[1] == "same" else alphas[1])
    ratio = real_number("l1_ratio", l1_ratio)
    for name, alpha in zip(("alpha_W", "alpha_H"), both, strict=True):
        if real_number(name, alpha) < 0 or not 0 <= ratio <= 1:
            raise ValueError(
                f"{name} must be nonnegative and l1_ratio in [0, 1], got {alpha} and {l1_ratio}"
            )
    w, h = (NonNegative(float(x) * ratio, float(x) * (1 - ratio)) for x in both)
    return w, h


def times(reg: NonNegative, count: int) -> NonNegative:
    """A penalty a number of times."""
    l1, ridge = (0.0 if weight is None else weight * count for weight in reg.weights)
    return NonNegative(l1, ridge)


def exact_rows(loss: Loss) -> BlockIteration:
    """What solves the convex problem of W, the components known, to full accuracy where it can."""
    if loss.quadratic:
        return ActiveSet()
    return ProjectedNewton() if isinstance(loss, KullbackLeibler) else MU()


def exact_tol(loss: Loss, dtype: torch.dtype, tol: float) -> float:
    """On the KKT residual, what that reaches: rounding, but for the updates it has to wait for.

    Args:
        loss: a beta-divergence.
        dtype: of the data.
        tol: for losses other than least squares and Kullback-Leibler.
    """
    # The gram squares the condition number, so that it has more rounding than the data.
    eps = torch.finfo(dtype).eps
    return eps**0.75 if loss.quadratic else eps**0.35 if isinstance(loss, KullbackLeibler) else tol


def named_start(init: str | None, y: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Starting factors (W, H), by a name of scikit-learn.

    Raises:
        ValueError: an unknown name, or one that the rank does not allow.
    """
    fits = rank <= min(y.shape)
    name = init or ("nndsvda" if fits else "random")
    if name not in _STARTS:
        raise ValueError(f"init is one of {', '.join(_STARTS)}, custom, or None, got {init!r}")
    if name != "random" and not fits:
        raise ValueError(
            f"init = '{name}' can only be used when n_components <= min(n_samples, n_features)"
        )
    w, h = matrix_start(name, y, rank, seed)
    return w, h


def begun(problem: Problem, start: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """A start scaled to the data, and balanced where there are penalties."""
    penalized = any(freedom.penalized for freedom in problem.freedoms)
    w, h = problem.scaled(problem.balanced(start) if penalized else start)
    return w, h


def given_start(factor: Array, shape: tuple[Any, int], y: Tensor, name: str) -> Tensor:
    """A factor that the user gave, as W or as H with components as rows.

    Args:
        factor: the array.
        shape: which it must have; "auto" where anything fits.
        y: the data.
        name: "W" or "H".

    Raises:
        TypeError: another dtype than the data.
        ValueError: another shape, a negative entry, or nothing but zeros.
    """
    called = f"NMF (input {name})"
    found = factor.detach() if isinstance(factor, Tensor) else torch.tensor(np.asarray(factor))
    for size, wanted, which in zip(found.shape, shape, ("first", "second"), strict=True):
        if wanted not in ("auto", size):
            raise ValueError(
                f"Array with wrong {which} dimension passed to {called}. Expected {wanted}, but "
                f"got {size}."
            )
    check_non_negative(found.cpu().numpy(), called)
    if not bool(found.any()):
        raise ValueError(f"Array passed to {called} is full of zeros.")
    if found.dtype != y.dtype:
        raise TypeError(f"{name} should have the same dtype as X, {y.dtype}, got {found.dtype}.")
    return found.to(y.device)


def without_floor(x: Tensor) -> Tensor:
    """A factor with 0 where multiplicative updates stay above it for their own sake.

    Example:
        >>> without_floor(torch.tensor([1.0, 1e-15]))
        tensor([1., 0.])
    """
    return torch.where(x <= 10 * torch.finfo(x.dtype).eps ** 2 * x.amax(), 0, x)


def check_zeros(loss: BetaDivergence, y: Tensor) -> None:
    """Check that there are no zeros where the loss takes none.

    Raises:
        ValueError: there are.
    """
    sparse = y.layout != torch.strided
    stored = y.values() if sparse else y
    if loss.beta <= 0 and (stored.numel() < y.numel() or bool((stored == 0).any())):
        raise ValueError(
            "When beta_loss <= 0 and X contains zeros, the solver may diverge. Add small values "
            "to X, or use a positive beta_loss."
        )


def rank_of(n_components: Any, features: int) -> int:  # noqa: ANN401
    """The number of components: all features for None or "auto".

    Raises:
        ValueError: neither that nor an integer.
    """
    everything = n_components is None or n_components == "auto"
    return features if everything else whole_number("n_components", n_components)


def warn_if_reached(n_iter: int, max_iter: int, tol: float) -> None:
    """Say that a solve went on to its last iteration."""
    if n_iter >= max_iter and tol > 0:
        warnings.warn(
            f"Maximum number of iterations {max_iter} reached. Increase it to improve convergence.",
            ConvergenceWarning,
            stacklevel=3,
        )
