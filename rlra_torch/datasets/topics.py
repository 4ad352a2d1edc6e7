"""Counts of terms in documents, drawn from a topic model with its truth."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.datasets.synthetic import _check_sizes, _generator

_CHUNK = 8192
"""Documents drawn at once: bounds the memory for tokens, whatever the number of documents."""


class Topics(NamedTuple):
    """Documents drawn from topics: counts[d, t] ~ Poisson((W Hᵀ)[d, t]), independently.

    Attributes:
        counts: How often each term occurs in each document, (documents, terms), sparse CSR.
        W: How many tokens of a document are to be expected from each topic, (documents, rank).
        H: The topics: the distribution of each over the terms, (terms, rank); columns sum to one.
    """

    counts: Tensor
    W: Tensor
    H: Tensor


def topics(
    documents: int,
    terms: int,
    rank: int,
    length: float = 40.0,
    mixing: float = 0.1,
    concentration: float = 0.1,
    seed: int | torch.Generator = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Topics:
    """Draw documents from latent Dirichlet allocation over a Zipf vocabulary.

    Term t has the frequency p_t ∝ 1 / t; a topic is a draw from Dirichlet(concentration · terms ·
    p), so that frequent terms occur in all topics and rare ones in few; a document mixes the topics
    by a draw from Dirichlet(mixing), and its length is Poisson with a Gamma-distributed mean (shape
    2, mean ``length``). Given the factors, counts are independent Poisson with mean W Hᵀ: the model
    of which Kullback-Leibler NMF is the maximum likelihood. The table is never dense: time and
    memory grow with the number of tokens.

    Args:
        documents: Number of rows.
        terms: Number of columns.
        rank: Number of topics.
        length: Mean number of tokens of a document.
        mixing: Dirichlet parameter of the topics in a document; small means few topics in each.
        concentration: Mean Dirichlet parameter of a term in a topic; small means topics that differ
            much and have few terms.
        seed: Integer, or a generator that lives on ``device``.
        dtype: Floating-point type of the result.
        device: Where the draw is made; by default the device of the generator, else the CPU.

    Raises:
        ValueError: A size or a parameter is not positive.

    References:
        Latent Dirichlet allocation (Blei, Ng and Jordan, 2003).

    Example:
        >>> drawn = topics(documents=100, terms=50, rank=3)
        >>> [tuple(part.shape) for part in drawn]
        [(100, 50), (100, 3), (50, 3)]
        >>> drawn.H.sum(0)
        tensor([1.0000, 1.0000, 1.0000])
    """
    _check_sizes({"documents": documents, "terms": terms, "rank": rank})
    for name, value in (("length", length), ("mixing", mixing), ("concentration", concentration)):
        if not value > 0:
            raise ValueError(f"{name} is {value}, but it must be positive")
    draw = _generator(seed, device)
    zipf = 1 / torch.arange(1, terms + 1, dtype=torch.float64, device=draw.device)
    H = _dirichlet((concentration * terms * zipf / zipf.sum()).expand(rank, terms), draw)
    shape = torch.full((documents, rank), mixing, dtype=torch.float64, device=draw.device)
    means = _gamma(shape.new_full((documents, 1), 2.0), draw) * (length / 2)
    W = means * _dirichlet(shape, draw)
    counts = _tokens(W, H, draw, dtype)
    return Topics(counts, W.to(dtype), H.mT.contiguous().to(dtype))


def _tokens(W: Tensor, H: Tensor, draw: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Poisson counts with mean W H, token by token: a number from each topic, a term for each."""
    rank, terms = H.shape
    # One increasing sequence for all topics: topic k occupies (k, k + 1].
    steps = (H.cumsum(1) + torch.arange(rank, device=H.device)[:, None]).flatten()
    rows, columns, values = [], [], []
    for chunk in W.split(_CHUNK):
        numbers = torch.poisson(chunk, generator=draw).long().flatten()
        source = torch.repeat_interleave(torch.arange(numbers.numel(), device=H.device), numbers)
        topic, document = source % rank, source // rank
        height = torch.rand(source.shape, generator=draw, dtype=H.dtype, device=H.device)
        # Rounding of the last step of a topic must not lead into the next one.
        term = torch.searchsorted(steps, topic + height) - topic * terms
        cells = document * terms + term.clamp(0, terms - 1)
        cells, times = torch.unique(cells, return_counts=True)
        rows.append(torch.bincount(cells // terms, minlength=len(chunk)))
        columns.append(cells % terms)
        values.append(times.to(dtype))
    pointers = torch.cat([rows[0].new_zeros(1), torch.cat(rows).cumsum(0)])
    return torch.sparse_csr_tensor(
        pointers,
        torch.cat(columns),
        torch.cat(values),
        size=(len(W), terms),
        check_invariants=True,
    )


def _dirichlet(shape: Tensor, draw: torch.Generator) -> Tensor:
    """A draw from the Dirichlet distribution in each row."""
    gamma = _gamma(shape, draw)
    return gamma / gamma.sum(1, keepdim=True)


def _gamma(shape: Tensor, draw: torch.Generator) -> Tensor:
    # What torch.distributions.Gamma draws from, which takes no generator.
    return torch._standard_gamma(shape.contiguous(), generator=draw)  # pyright: ignore[reportPrivateImportUsage]
