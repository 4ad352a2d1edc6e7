"""Nonnegative matrix factorization with the face of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..data import given
from ..estimators.inputs import Array
from ..estimators.names import iteration_named
from ..iterations import MU, ActiveSet, Alternating, Iteration
from ..models import NMF as Matrix
from ..problem import Problem
from ..solvers import ProgressBar, solve
from .base import Decomposition, Device
from .settings import (
    begun,
    beta_loss,
    check_zeros,
    exact_rows,
    exact_tol,
    given_start,
    named_start,
    penalties,
    rank_of,
    times,
    warn_if_reached,
    without_floor,
)

Factor = Array | None


class BaseNMF(Decomposition):
    """What `NMF` and `MiniBatchNMF` share: a beta-divergence, penalties and starts."""

    n_components: Any
    init: str | None
    beta_loss: Any
    tol: float
    max_iter: int
    alpha_W: float  # noqa: N815
    alpha_H: float | str  # noqa: N815
    l1_ratio: float

    def _problem(self, y: Tensor, free: tuple[int, ...] | None = None) -> Problem:
        loss = beta_loss(self.beta_loss)
        check_zeros(loss, y)
        w, h = penalties((self.alpha_W, self.alpha_H), self.l1_ratio)
        regs = (times(w, y.shape[1]).to(y.device), times(h, y.shape[0]).to(y.device))
        return Problem(given(y), Matrix(), loss, regs, free=free)

    def _start(self, problem: Problem, y: Tensor, W: Factor, H: Factor) -> tuple[Tensor, Tensor]:  # noqa: N803
        """Where a fit begins: what was given, or what `init` names."""
        if self.init == "custom":
            if W is None or H is None:
                raise ValueError("init='custom' needs both W and H")
            h = given_start(H, (self.n_components or y.shape[1], y.shape[1]), y, "H")
            w = given_start(W, (y.shape[0], len(h)), y, "W")
            return w.clone(), h.mT.clone()
        if W is not None or H is not None:
            warnings.warn(
                "When init!='custom', provided W or H are ignored. Set init='custom' to use them "
                "as initialization.",
                RuntimeWarning,
                stacklevel=4,
            )
        rank = rank_of(self.n_components, y.shape[1])
        return begun(problem, named_start(self.init, y, rank, self._seed))

    def _rows(self, y: Tensor, h: Tensor, max_iter: int) -> tuple[Tensor, int]:
        """The W of some rows, the components known: convex, and solved as exactly as can be."""
        problem = self._problem(y, free=(0,))
        step = Alternating(exact_rows(problem.loss))
        w = h.new_ones(y.shape[0], h.shape[1])
        w = w.zero_() if isinstance(step.iterations[0], ActiveSet) else problem.scaled((w, h))[0]
        tol = exact_tol(problem.loss, y.dtype, self.tol)
        found = solve(step, problem, (w, h), max_iter=max_iter, tol=tol)
        return found.factors[0], int(found.n_iter)

    def _keep(self, problem: Problem, w: Tensor, h: Tensor, n_iter: int) -> None:
        """Set what a fit leaves behind, but for the components."""
        loss = problem.data.total(problem.model, problem.loss, (w, h))
        self.reconstruction_err_ = float((2 * loss).clamp_min(0).sqrt())
        self.n_components_ = self._n_components = h.shape[1]
        self.n_iter_ = max(1, n_iter)


class NMF(BaseNMF):
    """Nonnegative matrix factorization ``X ~ W H`` with the parameters of scikit-learn.

        loss(X, W H) + alpha_W n_features (l1_ratio ||W||_1 + (1 - l1_ratio) ||W||^2 / 2)
                     + alpha_H n_samples  (l1_ratio ||H||_1 + (1 - l1_ratio) ||H||^2 / 2)

    What differs: ``tol`` is on the scale-free KKT residual of the solution, named starts are scaled
    to the data, and `transform` solves its convex problem to the end (an active set for least
    squares, Newton's method for Kullback-Leibler).

    Args:
        n_components: the number of components; None or "auto": that of the features, or of H.
        init: "random", "nndsvd", "nndsvda", "nndsvdar", "custom" for W and H that are given to
            `fit`, or None: "nndsvda" where the rank allows, else "random".
        solver: "cd" for coordinate descent by columns (HALS), "mu" for one multiplicative update of
            each factor, or any other iteration that `rlra_torch.nmf` takes.
        beta_loss: "frobenius", "kullback-leibler", "itakura-saito" or a number.
        tol: on the scale-free KKT residual; 0 runs all iterations.
        max_iter: the largest number of iterations.
        random_state: of random starts.
        alpha_W, alpha_H: weights of the penalties; "same": that of W.
        l1_ratio: the share of the absolute values, in [0, 1].
        verbose: whether a progress bar is shown.
        shuffle: False; columns are visited in their order.
        device: where to compute; None: where a tensor is, else the processor.

    Attributes:
        components_: H, (n_components, n_features), of the kind of the data that was fitted.
        n_components_, n_iter_, n_features_in_, feature_names_in_: as in scikit-learn.
        reconstruction_err_: the square root of twice the loss.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 6.1.3 and 7.3

    Example:
        >>> import numpy as np
        >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 1.0])
        >>> model = NMF(n_components=1)
        >>> model.inverse_transform(model.fit_transform(X)).round(3)[1]
        array([2., 0., 4., 2.])
    """

    def __init__(
        self,
        n_components: Any = "auto",  # noqa: ANN401
        *,
        init: str | None = None,
        solver: str = "cd",
        beta_loss: float | str = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: Any = None,  # noqa: ANN401
        alpha_W: float = 0.0,  # noqa: N803
        alpha_H: float | str = "same",  # noqa: N803
        l1_ratio: float = 0.0,
        verbose: int = 0,
        shuffle: bool = False,
        device: Device = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.device = device

    def fit(self, X: Array, y: Any = None, W: Factor = None, H: Factor = None) -> NMF:  # noqa: ANN401, N803
        """Learn the components of X; arguments as in `fit_transform`."""
        self.fit_transform(X, W=W, H=H)
        return self

    def fit_transform(self, X: Array, y: Any = None, W: Factor = None, H: Factor = None) -> Array:  # noqa: ANN401, N803
        """Learn the components of X and give its W.

        Args:
            X: (n_samples, n_features), nonnegative: a NumPy array, a SciPy sparse matrix, a data
                frame or a torch tensor.
            y: ignored.
            W, H: where to begin with init="custom", (n_samples, n_components) and
                (n_components, n_features).

        Returns:
            W, a tensor for a tensor and else what `set_output` says.

        Raises:
            TypeError, ValueError: bad input, in one sentence.
        """
        data, back = self._placed(self._checked(X, reset=True))
        step, problem = self._iteration(), self._problem(data)
        step.check(problem)
        start = self._start(problem, data, W, H)
        found = solve(
            step.to(data.device),
            problem,
            start,
            max_iter=self.max_iter,
            tol=self.tol,
            callbacks=[ProgressBar(self.max_iter)] if self.verbose else [],
        )
        w, h = (without_floor(x) for x in found.factors)
        self._keep(problem, w, h, int(found.n_iter))
        warn_if_reached(self.n_iter_, self.max_iter, self.tol)
        self.components_ = back(h.mT.contiguous())
        return back(w)

    def transform(self, X: Array) -> Array:  # noqa: N803
        """The W of new samples, ``argmin loss(X, W H)`` plus the penalty of W.

        Args:
            X: as in `fit_transform`.
        """
        check_is_fitted(self)
        data, back = self._placed(self._checked(X, reset=False))
        w, n_iter = self._rows(data, self._components_for(data), self.max_iter)
        warn_if_reached(n_iter, self.max_iter, self.tol)
        return back(w)

    def _iteration(self) -> Iteration:
        loss = beta_loss(self.beta_loss)
        if self.shuffle:
            raise ValueError("shuffle=True has no counterpart: columns are visited in their order")
        if self.solver == "mu":
            return Alternating(MU())
        if self.solver != "cd":
            return iteration_named(self.solver, loss)
        if not loss.quadratic:
            raise ValueError(
                f"Invalid beta_loss parameter: solver 'cd' does not handle beta_loss = "
                f"{self.beta_loss}; use solver='mu'"
            )
        return iteration_named("hals", loss)


def non_negative_factorization(
    X: Array,  # noqa: N803
    W: Factor = None,  # noqa: N803
    H: Factor = None,  # noqa: N803
    n_components: Any = "auto",  # noqa: ANN401
    *,
    init: str | None = None,
    update_H: bool = True,  # noqa: N803
    solver: str = "cd",
    beta_loss: float | str = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,  # noqa: N803
    alpha_H: float | str = "same",  # noqa: N803
    l1_ratio: float = 0.0,
    random_state: Any = None,  # noqa: ANN401
    verbose: int = 0,
    shuffle: bool = False,
    device: Device = None,
) -> tuple[Array, Array, int]:
    """``X ~ W H`` in one call, with the parameters of `NMF`.

    Args:
        X, W, H: as in `NMF.fit_transform`.
        update_H: whether H is sought; else it is given, and W is found as by `NMF.transform`.
        n_components, init, solver, beta_loss, tol, max_iter, alpha_W, alpha_H, l1_ratio,
            random_state, verbose, shuffle, device: as in `NMF`.

    Returns:
        W, H and the number of iterations.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> import torch
        >>> W, H, n_iter = non_negative_factorization(torch.ones(3, 2), n_components=1)
        >>> (W @ H).round(decimals=3)[0]
        tensor([1., 1.])
    """
    model = NMF(
        n_components,
        init=init,
        solver=solver,
        beta_loss=beta_loss,
        tol=tol,
        max_iter=max_iter,
        random_state=random_state,
        alpha_W=alpha_W,
        alpha_H=alpha_H,
        l1_ratio=l1_ratio,
        verbose=verbose,
        shuffle=shuffle,
        device=device,
    )
    if update_H:
        w = model.fit_transform(X, W=W, H=H)
        return w, model.components_, model.n_iter_
    if W is not None:
        message = "When update_H=False, the provided initial W is not used."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    if H is None:
        raise ValueError("update_H=False needs H")
    data, back = model._placed(model._checked(X, reset=True))
    h = given_start(H, (n_components or data.shape[1], data.shape[1]), data, "H").mT.contiguous()
    w, n_iter = model._rows(data, h, max_iter)
    warn_if_reached(n_iter, max_iter, tol)
    return back(w), H, n_iter
