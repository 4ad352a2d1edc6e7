"""Factorize rows that come a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..blocks import QuadraticBlock
from ..data import Data, given
from ..data.rows import RowBlocks
from ..functional.arguments import real_number, whole_number
from ..initialization import random_factors
from ..iterations import HALS, MU, Alternating, BlockIteration
from ..losses import BetaDivergence
from ..models import NMF
from ..problem import Problem
from ..regularizers import NonNegative
from .solve import solve


class OnlineNMF(nn.Module):
    """Nonnegative matrix factorization of rows that are seen once, or in several epochs.

    For each batch of rows, W comes from a few block iterations with H fixed. H then minimizes the
    sum of what bounded the loss of the batches so far, earlier ones weighted by powers of rho. For
    a beta-divergence, with P and N the parts of the gradient in H and ``b = beta``, the bounds are
    those of multiplicative updates, and two statistics like H hold their sum:

        A <- rho A + H^(2 - b) N,   B <- rho B + H^(1 - b) P,   H <- (A / B)^gamma

    with the exponents cut at 0 (``2 - b`` for ``b > 2``, ``1 - b`` for ``b < 1``) and gamma as in
    `MU`; for Kullback-Leibler ``A <- rho A + H N`` and ``H <- A / B``. For least squares the loss
    itself is a quadratic, ``A <- rho A + W^T W`` and ``B <- rho B + Y^T W``, and HALS sweeps over
    the columns of H minimize it, unless W comes from multiplicative updates: then H does so too.
    Everything it knows is in buffers, so that `state_dict` holds where it stands.

    Args:
        columns: n, of the data.
        rank: the number of components.
        loss: a beta-divergence, such as `KullbackLeibler` or `Frobenius`.
        forgetting: rho in [0, 1]. 1 never forgets, 0 knows the last batch only; in several epochs
            about ``1 - 1 / batches``, which remembers one of them.
        inner: block iterations for W, and sweeps over H for least squares.
        iteration: for W; None: `HALS` for least squares, else `MU`.
        regs: for W and for H, that of H counted once for each row, and
            forgotten with it; None: no penalties.
        seed: of the random start of H, an integer or a generator.
        dtype, device: of the factors, which rows must match.

    Raises:
        TypeError, ValueError: arguments of another kind, or out of range.

    References:
        | Lefevre, Bach, Fevotte, Online algorithms for nonnegative matrix factorization with the
        | Itakura-Saito divergence (2011), section 3
        | Mairal, Bach, Ponce, Sapiro, Online learning for matrix factorization and sparse coding
        | (2010), algorithms 1 and 2
        | Zhao, Tan, Xu, Online nonnegative matrix factorization with general divergences (2017)

    Example:
        >>> from rlra_torch.losses import Frobenius
        >>> y = torch.arange(1.0, 7.0)[:, None] * torch.tensor([1.0, 2.0, 3.0])
        >>> online = OnlineNMF(columns=3, rank=1, loss=Frobenius())
        >>> w = online.fit(y.split(2), epochs=3).transform(y)
        >>> bool(torch.allclose(w @ online.h.mT, y, rtol=1e-4))
        True
    """

    h: Tensor
    a: Tensor
    b: Tensor
    seen: Tensor
    known: Tensor

    def __init__(
        self,
        columns: int,
        rank: int,
        loss: BetaDivergence,
        forgetting: float = 0.9,
        *,
        inner: int = 20,
        iteration: BlockIteration | None = None,
        regs: Sequence[NonNegative] | None = None,
        seed: int | torch.Generator = 0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        shape = whole_number("the columns", columns), whole_number("the rank", rank)
        if not isinstance(loss, BetaDivergence):
            raise TypeError(
                f"OnlineNMF needs a beta-divergence such as Frobenius(), got {type(loss).__name__}"
            )
        if not 0 <= real_number("the forgetting", forgetting) <= 1:
            raise ValueError(f"the forgetting must be in [0, 1], got {forgetting}")
        if iteration is None:
            iteration = HALS() if loss.quadratic else MU()
        self.loss, self.forgetting = loss, float(forgetting)
        self.inner = whole_number("the inner iterations", inner)
        self.step = Alternating(iteration, inner=self.inner)
        self.regs = nn.ModuleList((NonNegative(), NonNegative()) if regs is None else regs).to(
            device
        )
        if len(self.regs) != 2 or not all(isinstance(reg, NonNegative) for reg in self.regs):
            raise TypeError("OnlineNMF needs two NonNegative(l1=..., ridge=...), that of W first")
        self.squares = loss.quadratic and not iteration.multiplicative
        (h,) = random_factors([shape], torch.empty(0, dtype=dtype, device=device), seed)
        self.register_buffer("h", h)
        self.register_buffer("a", h.new_zeros((rank, rank) if self.squares else shape))
        self.register_buffer("b", torch.zeros_like(h))
        self.register_buffer("known", h.new_zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long, device=device))

    @torch.no_grad()
    def partial_fit(
        self, rows: Tensor | Data, weights: Tensor | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Learn from a batch of rows.

        Args:
            rows: (k, n), dense or sparse.
            weights: nonnegative weights like them, 0 for what is missing, or None; least squares
                takes none.
            start: (k, r) where W begins, such as what an earlier epoch found; None: constant.

        Returns:
            (k, r) the W with which H was updated.

        Raises:
            TypeError, ValueError: rows that do not fit, before anything changes.
        """
        problem = self.problem(rows, weights)
        if self.squares and not _common_gram(problem):
            raise ValueError(
                "OnlineNMF takes no weights with Frobenius, for each column would need a gram of "
                "its own; use KullbackLeibler, or nmf on Chunks"
            )
        factors = self._start(problem, start)
        problem.validate(factors)
        self.step.check(problem)
        w, h = self.step(self.step.init(factors, problem), problem).factors
        self.known.mul_(self.forgetting).add_(w.shape[0])
        if self.squares:
            self._squares(problem, w, h)
        else:
            self._bounds(problem, w, h)
        self.seen += w.shape[0]
        return w

    def fit(self, loader: Iterable[Any], epochs: int = 1) -> OnlineNMF:
        """Learn from all batches, several times.

        Args:
            loader: gives the batches each time it is iterated over: rows as `partial_fit` takes
                them, alone or in a tuple, or pairs of rows and weights; or `Chunks` of a file.
            epochs: how many times.
        """
        for _ in range(whole_number("the epochs", epochs)):
            for batch in _batches(loader):
                self.partial_fit(*batch)
        return self

    def transform(
        self,
        rows: Tensor | Data,
        weights: Tensor | None = None,
        *,
        max_iter: int = 500,
        tol: float = 1e-5,
    ) -> Tensor:
        """The W of some rows, with H as it is.

        Args:
            rows, weights: as in `partial_fit`.
            max_iter, tol: as in `solve`.

        Returns:
            (k, r).
        """
        problem = self.problem(rows, weights)
        start = self._start(problem, None)
        return solve(self.step, problem, start, max_iter=max_iter, tol=tol).factors[0]

    def problem(self, rows: Tensor | Data, weights: Tensor | None = None) -> Problem:
        """The problem of the W of some rows.

        Args:
            rows, weights: as in `partial_fit`.
        """
        if not isinstance(rows, (Tensor, Data)):
            raise TypeError(f"OnlineNMF takes tensors or Data, got {type(rows).__name__}")
        data = given(rows, weights)
        if len(data.shape) != 2 or data.shape[1] != len(self.h):
            raise ValueError(
                f"OnlineNMF needs rows of {len(self.h)} columns, got shape {tuple(data.shape)}"
            )
        regs = [cast("NonNegative", reg) for reg in self.regs]
        return Problem(data, NMF(), self.loss, regs, free=(0,))

    def _start(self, problem: Problem, start: Tensor | None) -> tuple[Tensor, Tensor]:
        if start is not None:
            return start, self.h
        w = self.h.new_ones(problem.data.shape[0], self.h.shape[1])
        w, h = problem.scaled((w, self.h))
        return w, h

    def _bounds(self, problem: Problem, w: Tensor, h: Tensor) -> None:
        """Add the bound of the loss of a batch, and minimize all of them."""
        positive, negative = problem.block(1, (w, h)).split(h)
        beta = self.loss.beta
        up, down = max(2 - beta, 0.0), max(beta - 1, 0.0)
        self.a.mul_(self.forgetting).add_(h**up * negative)
        self.b.mul_(self.forgetting).add_(h**-down * positive)
        known = self.b > torch.finfo(h.dtype).tiny
        found = (self.a / torch.where(known, self.b, 1)) ** (1 / (up + down))
        found = torch.where(known, found, h)
        if self._penalty.weights != (None, None):
            # There the two parts of the sum of the bounds are equal.
            part = self.b * found**down
            found = self.loss.majorized(found, part, part, *self._penalty.weights)
        # The bounds divide by H, which a penalty may make 0.
        finfo = torch.finfo(h.dtype)
        least = finfo.eps**2 * found.amax().clamp_min(finfo.tiny**0.25)
        self.h.copy_(torch.maximum(found, least))

    def _squares(self, problem: Problem, w: Tensor, h: Tensor) -> None:
        """Add the quadratic of a batch, and minimize the sum column by column."""
        block = problem.block(1, (w, h))
        assert isinstance(block, QuadraticBlock)
        self.a.mul_(self.forgetting).add_(block.gram)
        self.b.mul_(self.forgetting).add_(block.cross)
        together = QuadraticBlock(self.a, self.b, self.loss)
        self.h.copy_(HALS().repeat(h, (), together, self._penalty, self.inner)[0])

    @property
    def _penalty(self) -> NonNegative:
        """That of H, times the rows that are known."""
        reg = self.regs[1]
        assert isinstance(reg, NonNegative)
        l1, ridge = (0.0 if weight is None else weight * self.known for weight in reg.weights)
        return NonNegative(l1, ridge)


def _common_gram(problem: Problem) -> bool:
    """Whether all columns of the data share one gram, which weights prevent."""
    return all(stored.weights is None for stored in problem.data.stored())


def _batches(loader: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    if isinstance(loader, RowBlocks):
        return ((data,) for data, _ in loader.each())
    return (tuple(batch) if isinstance(batch, (list, tuple)) else (batch,) for batch in loader)
