"""What is factorized."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch

from rlra_torch.datasets import load_counts, load_image, load_orl, note_spectrogram, topics

Matrix = np.ndarray | scipy.sparse.csr_array
Pair = tuple[np.ndarray, np.ndarray]


class Data(NamedTuple):
    """A matrix in float32, dense or sparse, and where it was observed (None: everywhere)."""

    y: Matrix
    observed: np.ndarray | None = None

    @property
    def sparse(self) -> bool:
        return scipy.sparse.issparse(self.y)

    @property
    def megabytes(self) -> float:
        """The memory of its stored values and, where it is sparse, of their places."""
        if isinstance(self.y, np.ndarray):
            return self.y.nbytes / 1e6
        return (self.y.data.nbytes + self.y.indices.nbytes + self.y.indptr.nbytes) / 1e6

    def describe(self) -> str:
        rows, columns = self.y.shape
        if isinstance(self.y, np.ndarray):
            missing = 0.0 if self.observed is None else 1 - self.observed.mean()
            return f"{rows} x {columns}" + (f", {missing:.0%} missing" if missing else "")
        return f"{rows} x {columns} sparse, {self.y.nnz} stored"


@dataclass(frozen=True)
class Task:
    """A problem and how long to work on it.

    Args:
        title: what it is.
        loss: "frobenius" or "kl".
        rank: of the factors.
        seconds: for each method and run.
        make: the data; with True, a small piece of them, to try things out.
    """

    title: str
    loss: str
    rank: int
    seconds: float
    make: Callable[[bool], Data]


def start(data: Data, rank: int, seed: int) -> Pair:
    """Uniform factors whose product has the mean of the observed data, for all methods the same."""
    draw = np.random.default_rng(seed)
    y = data.y
    mean = y.sum() / math.prod(y.shape) if data.observed is None else y[data.observed].mean()
    scale = np.sqrt(4 * float(mean) / rank)
    w, h = (scale * draw.random((size, rank), dtype=np.float32) for size in y.shape)
    return w.astype(np.float32), h.astype(np.float32)


def _pines(small: bool) -> Data:
    y = load_image("indian_pines").scaled().matrix
    return Data(np.ascontiguousarray(y[:, ::20] if small else y))


def _faces(small: bool) -> Data:
    images = load_orl().images / 255
    images = images[::4, ::4, ::4] if small else images
    return Data(np.ascontiguousarray(images.flatten(1).mT))


def _spectrogram(small: bool) -> Data:
    return Data(note_spectrogram(seconds=3.0 if small else 46.4).Y.numpy())


def _debian(small: bool) -> Data:
    y = _scipy(load_counts("debian").counts)
    if small:
        y = y[::30]
        y = scipy.sparse.csr_array(y[:, np.flatnonzero(y.sum(0) > 1)])
    return Data(y)


def _lda(small: bool) -> Data:
    return Data(_scipy(topics(*((2000, 1000) if small else (100_000, 50_000)), rank=20).counts))


def _missing(small: bool) -> Data:
    y = _pines(small).y
    observed = np.random.default_rng(0).random(y.shape) > 0.2
    return Data(np.where(observed, y, 0).astype(np.float32), observed)


def _scipy(counts: torch.Tensor) -> scipy.sparse.csr_array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = (counts.values(), counts.col_indices(), counts.crow_indices())
    values, columns, rows = (part.numpy() for part in parts)
    places = (columns.astype(np.int32), rows.astype(np.int32))
    return scipy.sparse.csr_array((values, *places), shape=tuple(counts.shape))


TASKS = {
    "pines": Task("Indian Pines", "frobenius", 6, 5.0, _pines),
    "orl": Task("ORL faces", "frobenius", 25, 20.0, _faces),
    "orl-kl": Task("ORL faces", "kl", 25, 60.0, _faces),
    "spectrogram": Task("spectrogram of notes", "kl", 12, 40.0, _spectrogram),
    "debian": Task("Debian's package descriptions", "kl", 20, 60.0, _debian),
    "lda": Task("draw from a topic model", "kl", 20, 90.0, _lda),
    "missing": Task("Indian Pines, entries missing", "frobenius", 6, 20.0, _missing),
}
