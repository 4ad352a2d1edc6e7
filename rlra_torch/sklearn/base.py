"""What all estimators share: checked input of any kind, and output of the same kind."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ..estimators.inputs import Array, Back, to_tensor
from ..separable import nonnegative

Device = torch.device | str | None


class Decomposition(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """``X ~ W H`` with W of `transform` and H in ``components_``, (n_components, n_features)."""

    components_: Any
    device: Device
    random_state: Any
    sparse = True

    def inverse_transform(self, X: Array) -> Array:  # noqa: N803
        """``X H``, data from components.

        Args:
            X: (n_samples, n_components), a NumPy array, a SciPy sparse matrix, a data frame or a
                torch tensor.

        Returns:
            (n_samples, n_features), a tensor for a tensor and else a NumPy array.
        """
        check_is_fitted(self)
        if isinstance(X, Tensor):
            return X @ torch.as_tensor(self.components_).to(X)
        dense = self.components_
        components = dense.cpu().numpy() if isinstance(dense, Tensor) else dense
        return (X if hasattr(X, "tocsr") else np.asarray(X)) @ components

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = self.sparse
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _checked(self, X: Array, *, reset: bool) -> Array:  # noqa: N803
        """The data as a NumPy array, a SciPy matrix or a tensor, nonnegative and finite.

        Raises:
            TypeError, ValueError: it cannot be used, in the words of scikit-learn.
        """
        if isinstance(X, Tensor):
            _check_tensor(X, type(self).__name__)
            # Any array with a shape, says its documentation.
            validate_data(self, X, reset=reset, skip_check_array=True)  # pyright: ignore
            return X.detach()
        return validate_data(
            self,
            X,
            reset=reset,
            accept_sparse=("csr", "csc") if self.sparse else False,
            dtype=[np.float64, np.float32],
            ensure_non_negative=True,
        )

    def _placed(self, X: Array) -> tuple[Tensor, Back]:  # noqa: N803
        """Checked data on the device that computes, and the way back."""
        y, back = to_tensor(X, "X", compact=True)
        if isinstance(X, Tensor):
            return y.to(self.device or X.device), lambda found: found.to(X.device)
        return y.to(self.device), back

    def _components_for(self, y: Tensor) -> Tensor:
        """The components on the device of the data, as factor H, (n_features, n_components).

        Raises:
            TypeError: another dtype than that of the data.
        """
        found = torch.as_tensor(self.components_)
        if found.dtype != y.dtype:
            raise TypeError(
                f"X should have the same dtype as the components, {found.dtype}, got {y.dtype}; "
                "convert it"
            )
        return found.to(y.device).mT.contiguous()

    @property
    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))


class Chosen(Decomposition):
    """Components that are chosen, and W by exact nonnegative least squares; dense data only."""

    sparse = False

    def fit_transform(self, X: Array, y: Any = None) -> Array:  # noqa: ANN401, N803
        """Choose the components of X and give its W.

        Args:
            X: (n_samples, n_features), nonnegative and dense: a NumPy array, a data frame or a
                torch tensor.
            y: ignored.

        Raises:
            TypeError, ValueError: bad input, in one sentence.
        """
        raise NotImplementedError

    def fit(self, X: Array, y: Any = None) -> Self:  # noqa: ANN401, N803
        """Choose the components of X; arguments as in `fit_transform`."""
        self.fit_transform(X)
        return self

    def transform(self, X: Array) -> Array:  # noqa: N803
        """The W of new samples, exact nonnegative least squares.

        Args:
            X: as in `fit_transform`.
        """
        check_is_fitted(self)
        data, back = self._placed(self._checked(X, reset=False))
        return back(nonnegative(data.mT, self._components_for(data)))


def _check_tensor(x: Tensor, name: str) -> None:
    """Check a tensor as scikit-learn checks an array."""
    if x.ndim != 2:
        raise ValueError(f"Expected 2D array, got a tensor of shape {tuple(x.shape)} instead")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} needs float32 or float64, got {x.dtype}; convert it")
    for size, what in zip(x.shape, ("sample(s)", "feature(s)"), strict=True):
        if size == 0:
            shape = tuple(x.shape)
            raise ValueError(f"Found array with 0 {what} (shape={shape}) while 1 is required.")
    values = x if x.layout == torch.strided else x.values()
    if not bool(values.isfinite().all()):
        raise ValueError("Input X contains NaN or infinity.")
    if bool((values < 0).any()):
        raise ValueError(f"Negative values in data passed to {name}.")
