"""All subsets of a given size, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations, islice
from math import comb

import numpy as np
import torch
from torch import Tensor


def subset_count(r: int, least: int, most: int) -> int:
    """How many subsets of ``r`` elements have ``least`` to ``most`` of them.

    Example:
        >>> subset_count(5, 1, 2)
        15
    """
    return sum(comb(r, p) for p in range(least, most + 1))


def subsets(r: int, p: int, most: int) -> Iterator[Tensor]:
    """The subsets of ``p`` of ``r`` elements in the order of the dictionary.

    Args:
        r: how many elements there are.
        p: how many each subset has.
        most: how many subsets a piece has at most.

    Yields:
        int64 (count, p), each row increasing.

    Example:
        >>> [piece.tolist() for piece in subsets(3, 2, most=2)]
        [[[0, 1], [0, 2]], [[1, 2]]]
    """
    every = combinations(range(r), p)
    while piece := list(islice(every, most)):
        flat = np.fromiter(chain.from_iterable(piece), np.int64, len(piece) * p)
        yield torch.from_numpy(flat.reshape(-1, p))
