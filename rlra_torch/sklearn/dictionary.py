"""Nonnegative matrix factorization with components from a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..dictionary import dlra, mc_als
from ..estimators.inputs import Array
from ..functional.arguments import whole_number
from ..separable import nonnegative
from .base import Chosen, Device
from .settings import rank_of


class DictionaryNMF(Chosen):
    """``X ~ W C D``: each component an atom of a known dictionary D, or a mixture of a few.

    Args:
        n_components: the number of components; None or "auto": that of the features, or of the
            atoms where there are fewer.
        dictionary: (n_atoms, n_features), nonnegative; None: the samples themselves.
        atoms: how many make a component, at most.
        max_iter: rounds from one start.
        tol: when rounds stop.
        random_state: of the starts.
        device: where to compute; None: where a tensor is, else the processor.

    Attributes:
        components_: (n_components, n_features).
        atom_indices_: (n_components, atoms), which atoms make them.
        n_components_, n_features_in_, feature_names_in_: as in scikit-learn.
        n_iter_: rounds of the best start.
        reconstruction_err_: ``||X - W H||``.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 12

    Example:
        >>> D = np.eye(3) + 0.2
        >>> X = np.array([[1.0, 0.1], [0.5, 2.0], [1.0, 1.0]]) @ D[[2, 0]]
        >>> DictionaryNMF(n_components=2, dictionary=D).fit(X).atom_indices_.shape
        (2, 1)
    """

    def __init__(
        self,
        n_components: Any = "auto",  # noqa: ANN401
        *,
        dictionary: Array | None = None,
        atoms: int = 1,
        max_iter: int = 100,
        tol: float = 1e-5,
        random_state: Any = None,  # noqa: ANN401
        device: Device = None,
    ) -> None:
        self.n_components = n_components
        self.dictionary = dictionary
        self.atoms = atoms
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.device = device

    def fit_transform(self, X: Array, y: Any = None) -> Array:  # noqa: ANN401, N803
        data, back = self._placed(self._checked(X, reset=True))
        known = self._dictionary(data)
        full = self.n_components is None or self.n_components == "auto"
        rank = min(data.shape[1], len(known)) if full else rank_of(self.n_components, 1)
        k = whole_number("atoms", self.atoms)
        given = (data.mT, known.mT, rank)
        settings = {"max_iter": self.max_iter, "tol": self.tol, "seed": self._seed}
        if k == 1:
            found = mc_als(*given, **settings)
        else:
            found = dlra(*given, k, nonnegative=True, **settings)
        w = nonnegative(data.mT, found.factors[0])
        self.components_ = back(found.factors[0].mT.contiguous())
        self.atom_indices_ = back(found.support)
        self.n_components_, self.n_iter_ = rank, max(1, len(found.history) - 1)
        self.reconstruction_err_ = float((data - w @ found.factors[0].mT).norm())
        return back(w)

    def _dictionary(self, data: Tensor) -> Tensor:
        """The atoms as rows, on the device of the data.

        Raises:
            ValueError: of other features than the data.
        """
        if self.dictionary is None:
            return data
        given = self.dictionary
        atoms = given if isinstance(given, Tensor) else torch.tensor(np.asarray(given))
        if atoms.ndim != 2 or atoms.shape[1] != data.shape[1]:
            raise ValueError(
                f"the dictionary needs atoms of {data.shape[1]} features as rows, got shape "
                f"{tuple(atoms.shape)}"
            )
        return atoms.to(data)
