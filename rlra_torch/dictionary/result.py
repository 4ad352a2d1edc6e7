"""What a dictionary-based factorization returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DictionaryFit:
    """Factors of which one is ``D X``, each column of X with k nonzeros.

    Leading dimensions are independent problems.

    Args:
        factors: (*, n_i, r) each: W and H of a matrix, one for each mode of a tensor.
        support: (*, r, k) the atoms of each column, in increasing order; several dictionaries are
            counted through, one after the other.
        codes: X, (*, d, r).
        residual: (*,) relative error ``||model - Y|| / ||Y||``.
        history: (checks, *) the relative error of the start and after each round, of the start
            that was the best in the end.
        residuals: (starts, *) the relative error that each start came to.
        agreed: (*,) how many of the starts ended with the atoms of the best one.
    """

    factors: tuple[Tensor, ...]
    support: Tensor
    codes: Tensor
    residual: Tensor
    history: Tensor
    residuals: Tensor
    agreed: Tensor

    @property
    def indices(self) -> Tensor:
        """(*, r) the first atom of each column: all there is where k = 1."""
        return self.support[..., 0]
