"""Rank selection in one call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from ..data import Dense, Sparse
from ..estimators.inputs import (
    Array,
    check_regs,
    check_seed,
    check_values,
    kind_of,
    observations,
    to_tensor,
)
from ..estimators.names import block_iteration_named, loss_named
from ..functional.arguments import whole_number
from ..functional.modules import tensors
from ..iterations import Alternating, BlockIteration, Iteration
from ..losses import Loss
from ..regularizers import NonNegative, Regularizer
from .batches import Study
from .fits import Fitter
from .folds import Positions, speckled_folds
from .results import RankFit, RankSelection, ordered

# Steps on a block that is made once: a fixed number, so that no rank changes with the others in
# its batch.
INNER = 3


def select_rank(
    Y: Array,  # noqa: N803
    ranks: Sequence[int],
    loss: str | float | Loss = "frobenius",
    iteration: str | BlockIteration | Iteration | None = None,
    *,
    folds: int | Sequence[Positions] = 5,
    held_out: float | None = None,
    replicates: int = 3,
    samples: Literal["columns", "rows"] = "columns",
    weights: Array | None = None,
    regs: Sequence[Regularizer] | None = None,
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int = 0,
    batch: int | None = None,
    folder: str | Path | None = None,
    watch: Callable[[RankFit], object] | None = None,
) -> RankSelection:
    """How many components a matrix has: held-out loss, and agreement of random starts, by rank.

    For each rank and each of several random starts the matrix is factorized once as it is and once
    without the entries of each fold, whose loss is then measured. All these fits are solved
    together, in batches as large as the memory allows, each stopping on its own.

    Args:
        Y: (m, n) data of a kind that `nmf` takes, dense or sparse; NaN marks a missing entry.
        ranks: the numbers of components to try.
        loss, iteration, weights, max_iter, tol, seed: as in `nmf`.
        folds: how many, of entries scattered at random, or the entries of each fold, such as
            `block_folds` gives them.
        held_out: the fraction of the entries in each fold, zeros that are not stored included;
            None: one over the number of folds, but of sparse data no more than it stores.
        replicates: random starts of each fit; their agreement needs 2 or more.
        samples: whether the columns or the rows of Y are what the consensus clusters.
        regs: a regularizer for W and one for H that fit every rank; None: nonnegative.
        batch: the largest number of problems in one solve; None: what fits.
        folder: where the fits of a rank are kept as soon as they are done. Those of the same data
            and settings are not done again.
        watch: called with each `RankFit` as soon as there is one.

    Returns:
        a `RankSelection`.

    Raises:
        TypeError, ValueError: bad input, in one sentence, before any work.
        MemoryError: a single fit needs more memory than there is.

    References:
        | Wold, Cross-validatory estimation of the number of components in factor and principal
        | components models (1978)
        | Owen, Perry, Bi-cross-validation of the SVD and the nonnegative matrix factorization
        | (2009)
        | Brunet, Tamayo, Golub, Mesirov, Metagenes and molecular pattern discovery using matrix
        | factorization (2004)

    Example:
        >>> rng = np.random.default_rng(0)
        >>> Y = rng.random((30, 2)) @ rng.random((2, 20)) + 0.05 * rng.random((30, 20))
        >>> select_rank(Y, range(1, 4), "kl", folds=3, replicates=2).one_standard_error
        2
    """
    y, _ = to_tensor(Y, "Y", compact=True)
    several = _checked_ranks(ranks)
    found = loss_named(loss)
    study = _study(y, found, weights, regs, folds, held_out, seed)
    fitter = Fitter(
        study,
        _iteration(iteration, found).to(y.device),
        iteration,
        whole_number("the replicates", replicates),
        _checked_samples(samples),
        {"max_iter": max_iter, "tol": tol},
        None if batch is None else whole_number("batch", batch),
    )
    settings = fitter.description
    text = "" if folder is None else _identity(fitter)
    path = None if folder is None else Path(folder)
    fits = [] if path is None else _kept(path, several, text)
    for fit in fitter.fits([rank for rank in several if rank not in {f.rank for f in fits}]):
        fits.append(fit)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            fit.save(path / _file(fit.rank), text)
        if watch is not None:
            watch(fit)
    return RankSelection(ordered(fits), settings)


def _study(
    y: Tensor,
    loss: Loss,
    weights: Array | None,
    regs: Sequence[Regularizer] | None,
    folds: int | Sequence[Positions],
    held_out: float | None,
    seed: int,
) -> Study:
    if y.ndim != 2:
        raise ValueError(f"select_rank needs a matrix, got shape {tuple(y.shape)}")
    data = observations(y, weights, sparse=True)
    assert isinstance(data, (Dense, Sparse))
    check_values(data, loss)
    found = check_regs((NonNegative(), NonNegative()) if regs is None else regs)
    if any(x.ndim and x.shape[-1] != 1 for reg in found for x in tensors(reg)):
        raise ValueError("the weights of a regularizer must be the same for all components")
    seed = check_seed(seed)
    parts = tuple(folds) if isinstance(folds, Sequence) else _drawn(data, folds, held_out, seed)
    kept = _checked_folds(parts, data)
    return Study(data, kept, loss, tuple(reg.to(data.device) for reg in found), seed)


def _drawn(
    data: Dense | Sparse, folds: int, held_out: float | None, seed: int
) -> tuple[Positions, ...]:
    """Folds at random among what is observed; of sparse data no more than it stores."""
    shape = (data.shape[0], data.shape[1])
    if isinstance(data, Dense):
        seen = None if data.weights is None else data.weights > 0
        return speckled_folds(shape, folds, held_out, seed, seen)
    pattern, _, weights = data.entries
    if not data.zeros:
        stored = ... if weights is None else weights > 0
        places = Positions(pattern.row[stored].long().cpu(), pattern.col[stored].long().cpu())
        return speckled_folds(shape, folds, held_out, seed, places)
    if held_out is None and whole_number("the number of folds", folds):
        held_out = min(1 / max(folds, 2), len(pattern.col) / (shape[0] * shape[1]))
    return speckled_folds(shape, folds, held_out, seed)


def _checked_folds(folds: Sequence[Positions], data: Dense | Sparse) -> tuple[Positions, ...]:
    """The folds without what is missing, which nothing can be compared with."""
    kept, shape = [], tuple(data.shape)
    for fold in folds:
        if not isinstance(fold, Positions):
            raise TypeError(f"a fold is made of Positions(rows, cols), got {kind_of(fold)}")
        ends = [int(index.amax()) if len(index) else shape[0] for index in fold]
        if ends[0] >= shape[0] or ends[1] >= shape[1] or min(int(x.amin()) for x in fold) < 0:
            raise ValueError(f"a fold needs some entries of a matrix of shape {shape}")
        _, weights = data.at(*(index.to(data.device) for index in fold))
        kept.append(Positions(*(index[weights.cpu() > 0] for index in fold)))
    if not kept or not all(len(fold.rows) for fold in kept):
        raise ValueError("there must be a fold, and in each fold an entry that is observed")
    return tuple(kept)


def _iteration(iteration: str | BlockIteration | Iteration | None, loss: Loss) -> Iteration:
    if isinstance(iteration, Iteration):
        return iteration
    block = block_iteration_named(iteration, loss, "hals")
    return Alternating(block, inner=INNER if loss.quadratic else 1)


def _checked_ranks(ranks: Sequence[int]) -> list[int]:
    try:
        found = [whole_number("a rank", rank) for rank in ranks]
    except TypeError as error:
        raise TypeError(f"ranks is a list of integers, got {type(ranks).__name__}") from error
    if not found or len(set(found)) < len(found):
        raise ValueError(f"ranks must be some integers, each once, got {list(ranks)}")
    return sorted(found)


def _checked_samples(samples: str) -> str:
    if samples not in ("columns", "rows"):
        raise ValueError(f"samples are 'columns' or 'rows', got {samples!r}")
    return samples


def _kept(folder: Path, ranks: Sequence[int], settings: str) -> list[RankFit]:
    found = (RankFit.load(folder / _file(rank), settings) for rank in ranks)
    return [fit for fit in found if fit is not None]


def _file(rank: int) -> str:
    return f"rank_{rank:03d}.npz"


def _identity(fitter: Fitter) -> str:
    """What tells these settings, data and folds from others."""
    code, data = hashlib.sha256(), fitter.study.data
    parts = [index for fold in fitter.study.folds for index in fold]
    if isinstance(data, Sparse):
        pattern, *values = data.entries
        parts += [pattern.crow, pattern.col, *values]
    else:
        parts += [data.y, data.weights]
    for x in parts:
        if x is not None:
            code.update(np.ascontiguousarray(x.cpu().numpy()).data)
    content = {**fitter.description, "step": repr(fitter.step), "data": code.hexdigest()}
    return json.dumps(content)
