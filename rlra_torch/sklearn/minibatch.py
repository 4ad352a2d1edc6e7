"""Nonnegative matrix factorization of rows that come a few at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..estimators.inputs import Array
from ..functional.arguments import real_number, whole_number
from ..iterations import MU
from ..solvers import OnlineNMF
from .base import Device
from .nmf import BaseNMF, Factor
from .settings import beta_loss, penalties, times, warn_if_reached, without_floor


class Trend(NamedTuple):
    """A moving average of the cost of batches, and for how long it has not fallen.

    Args:
        average: of the costs, weighted by how large the batches are; None before the first.
        lowest: the least average so far.
        since: batches since then.
    """

    average: float | None = None
    lowest: float = float("inf")
    since: int = 0

    def followed(self, cost: float, share: float) -> Trend:
        """With the cost of one more batch, a share of all rows."""
        before = self.average
        average = cost if before is None else before * (1 - share) + cost * share
        if average < self.lowest:
            return Trend(average, average, 0)
        return Trend(average, self.lowest, self.since + 1)


class MiniBatchNMF(BaseNMF):
    """`NMF` from batches of samples, with the parameters of scikit-learn.

    For each batch, multiplicative updates of its W, and of H on the sum of the bounds of all
    batches so far, which are forgotten little by little. The penalty of H is that of `NMF`, shared
    out among the samples.

    Args:
        n_components, init, beta_loss, max_iter, alpha_W, alpha_H, l1_ratio, random_state, verbose,
            device: as in `NMF`; ``max_iter`` counts passes over the samples.
        batch_size: samples in a batch.
        tol: stops where no batch of a whole pass changes H by more than this share.
        max_no_improvement: batches after which a smoothed cost must have fallen, or None.
        forget_factor: what a pass over the samples leaves of what was known before, in [0, 1].
        fresh_restarts: whether the W of each batch is solved for; else it goes on from the pass
            before, by one update.
        fresh_restarts_max_iter: updates for that.
        transform_max_iter: iterations of `transform`; None: ``max_iter``.

    Attributes:
        components_, n_components_, n_iter_, n_features_in_, feature_names_in_,
            reconstruction_err_: as in `NMF`.
        n_steps_: batches learned from.

    References:
        | Lefevre, Bach, Fevotte, Online algorithms for nonnegative matrix factorization with the
        | Itakura-Saito divergence (2011)

    Example:
        >>> import torch
        >>> X = torch.outer(torch.arange(1.0, 7.0), torch.tensor([1.0, 2.0, 3.0]))
        >>> model = MiniBatchNMF(n_components=1, batch_size=2).fit(X)
        >>> model.inverse_transform(model.transform(X)).round(decimals=2)[1]
        tensor([2., 4., 6.])
    """

    def __init__(
        self,
        n_components: Any = "auto",  # noqa: ANN401
        *,
        init: str | None = None,
        batch_size: int = 1024,
        beta_loss: float | str = "frobenius",
        tol: float = 1e-4,
        max_no_improvement: int | None = 10,
        max_iter: int = 200,
        alpha_W: float = 0.0,  # noqa: N803
        alpha_H: float | str = "same",  # noqa: N803
        l1_ratio: float = 0.0,
        forget_factor: float = 0.7,
        fresh_restarts: bool = False,
        fresh_restarts_max_iter: int = 30,
        transform_max_iter: int | None = None,
        random_state: Any = None,  # noqa: ANN401
        verbose: int = 0,
        device: Device = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.batch_size = batch_size
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.transform_max_iter = transform_max_iter
        self.random_state = random_state
        self.verbose = verbose
        self.device = device

    def fit(self, X: Array, y: Any = None, W: Factor = None, H: Factor = None) -> MiniBatchNMF:  # noqa: ANN401, N803
        """Learn the components of X; arguments as in `fit_transform`."""
        self.fit_transform(X, W=W, H=H)
        return self

    def fit_transform(self, X: Array, y: Any = None, W: Factor = None, H: Factor = None) -> Array:  # noqa: ANN401, N803
        """Learn the components of X, in passes over its batches, and give its W.

        Args:
            X, y, W, H: as in `NMF.fit_transform`; a tensor must be dense.

        Returns:
            W, a tensor for a tensor and else what `set_output` says.

        Raises:
            TypeError, ValueError: bad input, in one sentence.
        """
        X = self._checked(X, reset=True)  # noqa: N806
        data, back = self._placed(X)
        problem = self._problem(data)
        w, h = self._start(problem, data, W, H)
        size = min(whole_number("batch_size", self.batch_size), data.shape[0])
        # One update each, unless W is solved for: then least squares have exact steps for H.
        iteration = None if self.fresh_restarts else MU()
        self._online = self._fresh(h, size / data.shape[0], iteration)
        self.n_steps_ = self._passes(X, w, list(gen_batches(data.shape[0], size)))
        w, h = without_floor(w), without_floor(self._online.h)
        if self.fresh_restarts:
            w, _ = self._rows(data, h, self._transform_max_iter)
        self._keep(problem, w, h, -(-self.n_steps_ * size // data.shape[0]))
        warn_if_reached(self.n_iter_, self.max_iter, self.tol)
        self.components_ = back(h.mT.contiguous())
        return back(w)

    def partial_fit(
        self,
        X: Array,  # noqa: N803
        y: Any = None,  # noqa: ANN401
        W: Factor = None,  # noqa: N803
        H: Factor = None,  # noqa: N803
    ) -> MiniBatchNMF:
        """Learn from one batch, and go on from what was learned before.

        Args:
            X, y: as in `fit_transform`.
            W, H: where to begin with init="custom", for the first batch only.

        Raises:
            TypeError, ValueError: bad input, in one sentence.
        """
        first = not hasattr(self, "components_")
        data, back = self._placed(self._checked(X, reset=first))
        problem = self._problem(data)
        if first:
            self._online = self._fresh(self._start(problem, data, W, H)[1], 1.0, None)
            self.n_steps_ = 0
        online = self._online.to(data.device)
        online.partial_fit(problem.data, start=self._restarted(data))
        self.n_steps_ += 1
        self.n_components_ = self._n_components = online.h.shape[1]
        self.components_ = back(online.h.mT.clone())
        return self

    def transform(self, X: Array) -> Array:  # noqa: N803
        """The W of new samples, as in `NMF.transform`.

        Args:
            X: as in `fit_transform`.
        """
        check_is_fitted(self)
        data, back = self._placed(self._checked(X, reset=False))
        h = self._components_for(data)
        return back(self._rows(data, h, self._transform_max_iter)[0])

    @property
    def _transform_max_iter(self) -> int:
        return self.max_iter if self.transform_max_iter is None else self.transform_max_iter

    def _fresh(self, h: Tensor, share: float, iteration: MU | None) -> OnlineNMF:
        """What learns from batches of a share of the samples, and begins at H."""
        kept = real_number("forget_factor", self.forget_factor)
        if not 0 <= kept <= 1:
            raise ValueError(f"forget_factor must be in [0, 1], got {kept}")
        w_reg, h_reg = penalties((self.alpha_W, self.alpha_H), self.l1_ratio)
        columns, rank = h.shape
        online = OnlineNMF(
            columns,
            rank,
            beta_loss(self.beta_loss),
            kept**share,
            inner=1,
            iteration=iteration,
            regs=(times(w_reg, len(h)), h_reg),
            dtype=h.dtype,
            device=h.device,
        )
        # The bounds of multiplicative updates divide by H.
        finfo = torch.finfo(h.dtype)
        online.h.copy_(torch.maximum(h, finfo.eps**2 * h.amax().clamp_min(finfo.tiny**0.25)))
        return online

    def _restarted(self, rows: Tensor) -> Tensor:
        return self._rows(rows, self._online.h, self.fresh_restarts_max_iter)[0]

    def _passes(self, X: Array, w: Tensor, batches: list[slice]) -> int:  # noqa: N803
        """Learn from the batches of X in turn, keep their W in ``w``, and count them."""
        online, trend, step, still = self._online, Trend(), 0, 0
        for batch in batches * whole_number("max_iter", self.max_iter):
            rows, before = self._placed(X[batch])[0], online.h.clone()
            start = self._restarted(rows) if self.fresh_restarts else w[batch]
            w[batch] = online.partial_fit(rows, start=start)
            step += 1
            if step == 1:  # H was not what it begins to be
                continue
            cost = online.problem(rows).objective((w[batch], before)) / len(w[batch])
            cost = float(cost + online.regs[1](before).sum())
            trend = trend.followed(cost, min(1.0, len(w[batch]) / (len(w) + 1)))
            change = float((online.h - before).norm() / online.h.norm().clamp_min(1e-300))
            late = self.max_no_improvement is not None and trend.since >= self.max_no_improvement
            # A batch of zeros says nothing about H: a whole pass has to.
            still = still + 1 if change <= self.tol else 0
            if late or (self.tol > 0 and still >= len(batches)):
                break
        return step
