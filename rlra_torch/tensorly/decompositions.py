"""CP and Tucker decompositions as TensorLy calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tensorly.cp_tensor import CPTensor

from ..estimators import Factorization, cp
from ..estimators import tucker as fitted_tucker
from ..estimators.inputs import Array
from ..functional.arguments import whole_number
from ..regularizers import Free, NonNegative

Init = Any
Found = Any
"""A decomposition, or the pair of it and the list of relative errors."""


def parafac(
    tensor: Array,
    rank: int,
    n_iter_max: int = 100,
    init: Init = "svd",
    *,
    normalize_factors: bool = False,
    tol: float = 1e-5,
    random_state: Any = None,  # noqa: ANN401
    return_errors: bool = False,
    mask: Array | None = None,
) -> Found:
    """Canonical polyadic decomposition by alternating least squares.

    Args:
        tensor: of order 2 or more, a NumPy array or a torch tensor.
        rank: the number of components.
        n_iter_max: the largest number of iterations.
        init: "svd", "random" or a `CPTensor`.
        normalize_factors: whether the columns have norm 1 and the weights their sizes.
        tol: on the scale-free KKT residual.
        random_state: of a random start.
        return_errors: whether the relative errors, of the start and each iteration, come as well.
        mask: like ``tensor``, 0 or False where an entry is missing.

    Returns:
        a `CPTensor`, or the pair of it and the errors.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Kolda, Bader, Tensor decompositions and applications (2009), section 3.4

    Example:
        >>> a = np.arange(1.0, 4.0)
        >>> cp = parafac(np.einsum("i,j,k->ijk", a, a, a), rank=1)
        >>> type(cp).__name__, cp.shape, round(float(cp.to_tensor()[2, 2, 2]), 3)
        ('CPTensor', (3, 3, 3), 27.0)
    """
    norm = _norm(tensor, return_errors, mask)
    fit = cp(
        tensor,
        rank,
        iteration="als",
        init="hosvd" if _named(init, "svd") else init,
        regs=[Free() for _ in range(tensor.ndim)],
        weights=mask,
        max_iter=n_iter_max,
        tol=tol,
        check_every=1 if return_errors else 10,
        seed=_seed(random_state),
    )
    return _cp_found(fit, normalize_factors, norm)


def non_negative_parafac(
    tensor: Array,
    rank: int,
    n_iter_max: int = 100,
    init: Init = "svd",
    *,
    normalize_factors: bool = False,
    tol: float = 1e-5,
    random_state: Any = None,  # noqa: ANN401
    return_errors: bool = False,
    mask: Array | None = None,
) -> Found:
    """Nonnegative canonical polyadic decomposition by multiplicative updates.

    Args:
        tensor, rank, n_iter_max, normalize_factors, tol, random_state, return_errors, mask: as in
            `parafac`.
        init: "svd" (absolute singular vectors), "random" or a `CPTensor`.

    Returns:
        as `parafac`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> non_negative_parafac(np.ones((3, 4, 2)), rank=1).shape
        (3, 4, 2)
    """
    norm = _norm(tensor, return_errors, mask)
    fit = cp(
        tensor,
        rank,
        iteration="mu",
        init=init,
        weights=mask,
        max_iter=n_iter_max,
        tol=tol,
        check_every=1 if return_errors else 10,
        seed=_seed(random_state),
    )
    return _cp_found(fit, normalize_factors, norm)


def non_negative_parafac_hals(
    tensor: Array,
    rank: int,
    n_iter_max: int = 100,
    init: Init = "svd",
    *,
    sparsity_coefficients: Sequence[float | None] | None = None,
    nn_modes: Sequence[int] | str = "all",
    normalize_factors: bool = False,
    tol: float = 1e-5,
    random_state: Any = None,  # noqa: ANN401
    return_errors: bool = False,
) -> Found:
    """Nonnegative canonical polyadic decomposition by hierarchical alternating least squares.

    Args:
        tensor, rank, n_iter_max, init, normalize_factors, tol, random_state, return_errors: as in
            `non_negative_parafac`.
        sparsity_coefficients: a weight of the sum of magnitudes for each mode, or None. The loss
            has a factor 1/2 here.
        nn_modes: the modes whose factors are nonnegative, or "all".

    Returns:
        as `parafac`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> non_negative_parafac_hals(np.ones((3, 4, 2)), rank=1, return_errors=True)[1][-1] < 1e-6
        True
    """
    signed = set(range(tensor.ndim)) - set(range(tensor.ndim) if nn_modes == "all" else nn_modes)
    weights = _coefficients(sparsity_coefficients, tensor.ndim)
    if any(weights) and signed:
        raise ValueError("sparsity_coefficients need nonnegative factors: leave nn_modes='all'")
    norm = _norm(tensor, return_errors, weights=weights)
    fit = cp(
        tensor,
        rank,
        iteration="hals",
        init=init,
        regs=[Free() if n in signed else NonNegative(l1) for n, l1 in enumerate(weights)],
        max_iter=n_iter_max,
        tol=tol,
        check_every=1 if return_errors else 10,
        seed=_seed(random_state),
    )
    return _cp_found(fit, normalize_factors, norm)


def tucker(
    tensor: Array,
    rank: int | Sequence[int],
    n_iter_max: int = 100,
    init: Init = "svd",
    *,
    tol: float = 1e-5,
    random_state: Any = None,  # noqa: ANN401
    return_errors: bool = False,
) -> Found:
    """Tucker decomposition with orthogonal factors, by higher-order orthogonal iterations.

    Args:
        tensor, n_iter_max, tol, random_state, return_errors: as in `parafac`.
        rank: of each mode, or one for all.
        init: "svd", "random" or a `TuckerTensor`.

    Returns:
        a `TuckerTensor`, or the pair of it and the errors.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> tucker(np.ones((3, 4, 2)), rank=[1, 1, 1]).core.shape
        (1, 1, 1)
    """
    norm = _norm(tensor, return_errors)
    fit = fitted_tucker(
        tensor,
        _ranks(rank, tensor.ndim),
        iteration="hooi",
        init="hosvd" if _named(init, "svd") else init,
        max_iter=n_iter_max,
        tol=tol,
        check_every=1 if return_errors else 10,
        seed=_seed(random_state),
    )
    return _with_errors(fit.to_tensorly(), fit, norm)


def non_negative_tucker_hals(
    tensor: Array,
    rank: int | Sequence[int],
    n_iter_max: int = 100,
    init: Init = "svd",
    *,
    sparsity_coefficients: Sequence[float | None] | None = None,
    core_sparsity_coefficient: float | None = None,
    tol: float = 1e-5,
    random_state: Any = None,  # noqa: ANN401
    return_errors: bool = False,
) -> Found:
    """Nonnegative Tucker decomposition by hierarchical alternating least squares.

    Args:
        tensor, rank, n_iter_max, init, tol, random_state, return_errors: as in `tucker`.
        sparsity_coefficients: as in `non_negative_parafac_hals`.
        core_sparsity_coefficient: the same for the core.

    Returns:
        as `tucker`.

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    Example:
        >>> non_negative_tucker_hals(np.ones((3, 4, 2)), rank=1).core.shape
        (1, 1, 1)
    """
    weights = [*_coefficients(sparsity_coefficients, tensor.ndim), core_sparsity_coefficient or 0.0]
    norm = _norm(tensor, return_errors, weights=weights)
    fit = fitted_tucker(
        tensor,
        _ranks(rank, tensor.ndim),
        iteration="hals",
        init="hosvd" if _named(init, "svd") else init,
        regs=[NonNegative(l1) for l1 in weights],
        max_iter=n_iter_max,
        tol=tol,
        check_every=1 if return_errors else 10,
        seed=_seed(random_state),
    )
    return _with_errors(fit.to_tensorly(), fit, norm)


def _cp_found(fit: Factorization, normalize: bool, norm: float | None) -> Found:
    if not normalize:
        return _with_errors(fit.to_tensorly(), fit, norm)
    weights, factors = fit.normalized()
    return _with_errors(CPTensor((weights, list(factors))), fit, norm)


def _with_errors(found: Any, fit: Factorization, norm: float | None) -> Found:  # noqa: ANN401
    """With the relative errors of all checks, where the norm of the data is known."""
    if norm is None:
        return found
    return found, [(2 * max(float(check.objective), 0.0)) ** 0.5 / norm for check in fit.history]


def _norm(
    tensor: Array, wanted: bool, mask: Array | None = None, weights: Sequence[float] = ()
) -> float | None:
    """The norm of the observed data, where errors are wanted.

    Raises:
        ValueError: the objective of the fit has more than the error.
    """
    if not wanted:
        return None
    if any(weights):
        raise ValueError("return_errors needs a fit without sparsity; see the error of the result")
    data = torch.as_tensor(tensor).double().nan_to_num()
    return float((data if mask is None else data * torch.as_tensor(mask).to(data)).norm()) or 1.0


def _coefficients(given: Sequence[float | None] | None, modes: int) -> list[float]:
    if given is None:
        return [0.0] * modes
    if len(given) != modes:
        raise ValueError(f"{modes} modes need as many sparsity_coefficients, got {len(given)}")
    return [weight or 0.0 for weight in given]


def _ranks(rank: int | Sequence[int], modes: int) -> list[int]:
    return [whole_number("rank", rank)] * modes if np.ndim(rank) == 0 else list(rank)  # pyright: ignore


def _named(init: Init, name: str) -> bool:
    return isinstance(init, str) and init == name


def _seed(random_state: Any) -> int:  # noqa: ANN401
    if not isinstance(random_state, np.random.RandomState):
        random_state = np.random.RandomState(random_state)
    return int(random_state.randint(2**31 - 1))
