"""Dictionary-based factorizations of matrices and tensors, one atom for each column."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..functional.arguments import whole_number
from ..functional.randomized import as_generator
from ..iterations import BlockIteration
from ..losses import Frobenius
from ..models import CP, NMF, Model
from ..problem import Problem
from ..regularizers import Atoms, Free, NonNegative
from .choice import Choice
from .distances import Distance, correlation, cosine
from .result import DictionaryFit
from .search import flexible, rounds, search
from .starts import Setting, Start, several


def mc_als(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    rank: int,
    *,
    distance: Distance | None = None,
    distinct: bool = True,
    nonnegative: bool = True,
    iteration: BlockIteration | None = None,
    starts: Sequence[Start] | None = None,
    perturbations: int = 2,
    max_iter: int = 100,
    tol: float = 1e-5,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """One-sparse dictionary-based low-rank approximation, by maximum-correlation ALS.

        min over K, H of  1/2 ||Y - D[:, K] H^T||^2,   H >= 0 where wanted

    A round fits W without the dictionary, takes the nearest atoms in its place, and fits H. Rounds
    are cheap and get stuck soon, so it runs from several starts, as one batch.

    Args:
        Y: (*, m, n), leading dimensions for independent problems.
        D: the dictionary (m, d), atoms as columns, of any norms.
        rank: the number of atoms.
        distance: from columns to atoms; None: `cosine`, or `correlation` for factors of any sign.
        distinct: whether no two columns take the same atom, by an assignment (else each the best).
        nonnegative: whether H is, and the fit that atoms are chosen for.
        iteration: what fits a nonnegative factor; None: an active set, exactly; ``HALS()`` is
            faster for very many columns.
        starts: where to start from; None: ``several(10)``.
        perturbations: how often to go on from the best atoms with some of them exchanged.
        max_iter: rounds from one start, at most.
        tol: on the optimality residual.
        seed: of the random starts.

    Returns:
        a `DictionaryFit` with ``factors = (W, H)``, W = D[:, K].

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.1

    Example:
        >>> D = torch.eye(4) + 0.5
        >>> H = torch.tensor([[1.0, 0.2], [0.3, 2.0], [1.0, 1.0]])
        >>> mc_als(D[:, [3, 1]] @ H.T, D, 2).indices.sort().values
        tensor([1, 3])
    """
    choice = Choice.of([D], None, distance or _usual(nonnegative), distinct, _rank(rank))
    setting = _setting(Y, NMF(), 0, choice, rank, nonnegative, seed, iteration)
    return search(setting, starts or several(), rounds(max_iter, tol), perturbations)


def m2c_als(
    Y: Tensor,  # noqa: N803
    dictionaries: Sequence[Tensor],
    counts: Sequence[int],
    rank: int | None = None,
    *,
    distance: Distance = cosine,
    distinct: bool = True,
    nonnegative: bool = True,
    iteration: BlockIteration | None = None,
    starts: Sequence[Start] | None = None,
    perturbations: int = 2,
    max_iter: int = 100,
    tol: float = 1e-5,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """MC-ALS with several dictionaries and a count for each: M2C-ALS.

        min over K_i, H of  1/2 ||Y - [D_1[:, K_1], ..., D_p[:, K_p]] H^T||^2,   #K_i <= d_i

    Which column takes which atom of which dictionary is found exactly, as an assignment.

    Args:
        Y: (*, m, n).
        dictionaries: D_i, (m, n_i) each, such as the spectra in regions of an image.
        counts: d_i, how many columns may come from each.
        rank: the number of columns; None: the sum of the counts, so that they are met exactly.
        distance, distinct, nonnegative, iteration, starts, perturbations, max_iter, tol, seed: as
            in `mc_als`.

    Returns:
        a `DictionaryFit`; ``indices`` count through the dictionaries one after the other, `located`
        splits them.

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Gillis, Spectral unmixing with multiple dictionaries (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.3

    Example:
        >>> D = torch.eye(4) + 0.5
        >>> H = torch.tensor([[1.0, 0.2], [0.3, 2.0], [1.0, 1.0]])
        >>> fit = m2c_als(D[:, [3, 1]] @ H.T, (D[:, :2], D[:, 2:]), (1, 1))
        >>> located(fit.indices.sort().values, (2, 2))
        (tensor([0, 1]), tensor([1, 1]))
    """
    total = sum(whole_number("a count of atoms", count, least=0) for count in counts)
    rank = _rank(total if rank is None else rank)
    choice = Choice.of(dictionaries, counts, distance, distinct, rank)
    setting = _setting(Y, NMF(), 0, choice, rank, nonnegative, seed, iteration)
    return search(setting, starts or several(), rounds(max_iter, tol), perturbations)


def dictionary_cp(
    T: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    rank: int,
    mode: int = 0,
    *,
    distance: Distance | None = None,
    distinct: bool = True,
    nonnegative: bool = True,
    iteration: BlockIteration | None = None,
    starts: Sequence[Start] | None = None,
    perturbations: int = 2,
    max_iter: int = 100,
    tol: float = 1e-5,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """Canonical polyadic decomposition with one factor made of atoms (MPALS).

    Args:
        T: a tensor (n_1, ..., n_d) of order 3 or more.
        D: the dictionary, (n_mode, d).
        rank: the number of components.
        mode: of the factor with atoms as columns, counted from 0.
        distance, distinct, nonnegative, iteration, starts, perturbations, max_iter, tol, seed: as
            in `mc_als`.

    Returns:
        a `DictionaryFit` with one factor (n_i, r) per mode.

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)

    Example:
        >>> D, x = torch.eye(4) + 0.5, torch.tensor([[1.0, 0.2], [0.3, 2.0], [1.0, 1.0]])
        >>> T = torch.einsum("ir,jr,kr->ijk", x, D[:, [3, 1]], x)
        >>> dictionary_cp(T, D, 2, mode=1).indices.sort().values
        tensor([1, 3])
    """
    choice = Choice.of([D], None, distance or _usual(nonnegative), distinct, _rank(rank))
    order = getattr(T, "ndim", 0)
    if order < 3 or not 0 <= whole_number("the mode", mode, least=0) < order:
        raise ValueError(
            f"dictionary_cp needs a tensor of order 3 or more and one of its modes, got order "
            f"{order} and mode {mode}"
        )
    setting = _setting(T, CP(order), mode, choice, rank, nonnegative, seed, iteration)
    return search(setting, starts or several(), rounds(max_iter, tol), perturbations)


def flexible_als(
    Y: Tensor,  # noqa: N803
    D: Tensor,  # noqa: N803
    rank: int,
    *,
    weights: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    distance: Distance | None = None,
    distinct: bool = True,
    nonnegative: bool = True,
    starts: Sequence[Start] | None = None,
    perturbations: int = 0,
    max_iter: int = 20,
    tol: float = 1e-5,
    seed: int | torch.Generator = 0,
) -> DictionaryFit:
    """One-sparse dictionary-based low-rank approximation with a penalty that increases.

        min over W, S, K, H of  1/2 ||Y - W H^T||^2 + weight / 2 ||W - D[:, K] S||^2

    S is diagonal: scales are free. Columns of W move between atoms while the weight is small, and
    are exchanged for the nearest atoms in the end.

    Args:
        Y, D, rank, distance, distinct, nonnegative, starts, perturbations, seed: as in `mc_als`.
        weights: increasing, relative to the mean energy of the columns of H at the start.
        max_iter: rounds for each weight, at most.
        tol: on the optimality residual.

    Returns:
        a `DictionaryFit`; its history is the root of the objective with the penalty over that of
        zero factors, but for the last line, the relative error.

    Raises:
        TypeError, ValueError: parts that do not fit, before any work.

    References:
        | Cohen, Gillis, Dictionary-based tensor canonical polyadic decomposition (2018)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 12.1.2

    Example:
        >>> D = torch.eye(4) + 0.5
        >>> H = torch.tensor([[1.0, 0.2], [0.3, 2.0], [1.0, 1.0]])
        >>> flexible_als(D[:, [3, 1]] @ H.T, D, 2).indices.sort().values
        tensor([1, 3])
    """
    choice = Choice.of([D], None, distance or _usual(nonnegative), distinct, _rank(rank))
    setting = _setting(Y, NMF(), 0, choice, rank, nonnegative, seed, None)
    return search(setting, starts or several(), flexible(weights, max_iter, tol), perturbations)


def located(indices: Tensor, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Which dictionary each atom is in, and its number there.

    Args:
        indices: counted through all dictionaries, (*).
        sizes: how many atoms each has.

    Example:
        >>> located(torch.tensor([0, 4, 5]), (3, 2, 4))
        (tensor([0, 1, 2]), tensor([0, 1, 0]))
    """
    ends = torch.tensor(tuple(sizes), device=indices.device).cumsum(0)
    which = torch.searchsorted(ends, indices, right=True)
    return which, indices - torch.nn.functional.pad(ends, (1, 0))[which]


def _setting(
    Y: Tensor,  # noqa: N803
    model: Model,
    mode: int,
    choice: Choice,
    rank: int,
    nonnegative: bool,
    seed: int | torch.Generator,
    iteration: BlockIteration | None,
) -> Setting:
    """The problem, once data and dictionary fit each other."""
    rows, atoms = len(choice.atoms), choice.atoms
    if not isinstance(Y, Tensor) or Y.dtype != atoms.dtype or Y.device != atoms.device:
        given = f"{Y.dtype} on {Y.device}" if isinstance(Y, Tensor) else type(Y).__name__
        raise TypeError(
            f"data and dictionary must be tensors of one type and device, got {given} and "
            f"{atoms.dtype} on {atoms.device}"
        )
    if Y.ndim < model.ndim or Y.shape[Y.ndim - model.ndim + mode] != rows:
        raise ValueError(
            f"a dictionary of {rows} rows does not fit mode {mode} of data of shape "
            f"{tuple(Y.shape)}"
        )
    if not bool(Y.isfinite().all()):
        raise ValueError("the data has NaN or infinite entries; leave those columns out")
    others = NonNegative() if nonnegative else Free()
    count = len(model.factor_ndims)
    regs = [Atoms(atoms, scaled=False) if n == mode else others for n in range(count)]
    problem = Problem(Y, model, Frobenius(), regs)
    return Setting(problem, mode, choice, rank, nonnegative, as_generator(seed), iteration)


def _usual(nonnegative: bool) -> Distance:
    return cosine if nonnegative else correlation


def _rank(rank: int) -> int:
    return whole_number("the rank", rank)
