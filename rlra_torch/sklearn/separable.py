"""Separable nonnegative matrix factorization: components that are samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..estimators.inputs import Array
from ..separable import Separable, nonnegative, snpa, spa, vca, xray
from .base import Chosen, Device
from .settings import rank_of

ALGORITHMS: dict[str, Callable[[Tensor, int, int, str | None], Separable]] = {
    "spa": lambda m, r, seed, normalize: spa(m, r, normalize=normalize),
    "snpa": lambda m, r, seed, normalize: snpa(m, r, normalize=normalize),
    "vca": lambda m, r, seed, normalize: vca(m, r, seed=seed, normalize=normalize),
    "xray": lambda m, r, seed, normalize: xray(m, r, normalize=normalize),
}


class SeparableNMF(Chosen):
    """``X ~ W X[K]``: components that are samples, such as pure pixels or anchor documents.

    Args:
        n_components: how many samples to pick; None or "auto": as many as there are features.
        algorithm: "spa", "snpa", "vca" or "xray".
        normalize: None, or "l1" to compare samples divided by their sums.
        random_state: of "vca".
        device: where to compute; None: where a tensor is, else the processor.

    Attributes:
        components_: the samples, (n_components, n_features); 0 where fewer could be told apart.
        sample_indices_: K, which they are, -1 where there is none.
        n_components_, n_features_in_, feature_names_in_: as in scikit-learn.
        n_iter_: how many were found.
        reconstruction_err_: ``||X - W H||``.

    References:
        | Gillis, Vavasis, Fast and robust recursive algorithms for separable nonnegative matrix
        | factorization (2014)

    Example:
        >>> import numpy as np
        >>> X = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
        >>> model = SeparableNMF(n_components=2).fit(X)
        >>> model.sample_indices_, model.transform(X)[1].round(3)
        (array([0, 2]), array([0.5, 0.5]))
    """

    def __init__(
        self,
        n_components: Any = "auto",  # noqa: ANN401
        *,
        algorithm: str = "spa",
        normalize: str | None = None,
        random_state: Any = None,  # noqa: ANN401
        device: Device = None,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.normalize = normalize
        self.random_state = random_state
        self.device = device

    def fit_transform(self, X: Array, y: Any = None) -> Array:  # noqa: ANN401, N803
        data, back = self._placed(self._checked(X, reset=True))
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm is one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}")
        rank = rank_of(self.n_components, data.shape[1])
        found = ALGORITHMS[self.algorithm](data.mT, rank, self._seed, self.normalize)
        self.components_ = back(found.spectra.mT.contiguous())
        self.sample_indices_ = back(found.indices)
        self.n_components_, self.n_iter_ = rank, max(1, int((found.indices >= 0).sum()))
        self.reconstruction_err_ = float(found.residual * data.norm())
        return back(nonnegative(data.mT, found.spectra))
