"""Mixed sparse coding as a quadratic in the codes, and the codes on given supports."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..blocks import QuadraticBlock
from ..functional.arguments import whole_number
from ..functional.linalg import solve_gram
from ..functional.proximal import keep_largest
from ..iterations import ActiveSet
from ..losses import Frobenius
from ..regularizers import NonNegative


@dataclass(frozen=True)
class MixedCodes:
    """Codes with at most k nonzeros in each column.

    Args:
        codes: X, (*, d, r).
        support: (*, r, k) the atoms of each column, in increasing order; some have a code of
            0 where fewer than k are of use.
        residual: (*,) ``||Y - D X B^T|| / ||Y||``.
        history: (steps, *) the residual after each step of the search, the best so far.
    """

    codes: Tensor
    support: Tensor
    residual: Tensor
    history: Tensor


@dataclass(frozen=True)
class Mixture:
    """``||Y - D X B^T||^2 / 2 = <X, P X Q> / 2 - <X, C> + ||Y||^2 / 2``, in double precision.

    Least squares through grams square the condition numbers of D and B.

    Args:
        y, d, b: Y (*, m, n), D (*, m, d), B (*, n, r).
        left, right, cross: ``P = D^T D``, ``Q = B^T B``, ``C = D^T Y B``.
        k: nonzeros of each column.
        nonnegative: whether the codes are.
    """

    y: Tensor
    d: Tensor
    b: Tensor
    left: Tensor
    right: Tensor
    cross: Tensor
    k: int
    nonnegative: bool

    @classmethod
    def of(cls, Y: Tensor, D: Tensor, B: Tensor, k: int, nonnegative: bool) -> Mixture:  # noqa: N803
        """With the leading dimensions of all three.

        Raises:
            TypeError, ValueError: types, shapes or values that do not fit.
        """
        _check(Y, D, B, k)
        lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (Y, D, B)))
        y, d, b = (x.expand(*lead, *x.shape[-2:]).to(torch.float64) for x in (Y, D, B))
        return cls(y, d, b, d.mT @ d, b.mT @ b, d.mT @ (y @ b), k, nonnegative)

    def begin(self, start: Tensor | None) -> Tensor:
        """X to start from: the best codes on the largest entries of a start, or zero."""
        if start is None:
            return torch.zeros_like(self.cross)
        wanted = tuple(self.cross.shape[-2:])
        if not isinstance(start, Tensor) or tuple(start.shape[-2:]) != wanted:
            raise ValueError(f"the start is X of shape {wanted}, got {_named(start)}")
        return self.debiased(start.to(torch.float64).expand(self.cross.shape))

    def value(self, x: Tensor) -> Tensor:
        """The objective up to its constant, (*,)."""
        return (x * (0.5 * self.left @ x @ self.right - self.cross)).sum((-2, -1))

    def residual(self, x: Tensor) -> Tensor:
        """``||Y - D X B^T|| / ||Y||``, (*,); 0 for data of zeros that are met."""
        error = torch.linalg.matrix_norm(self.y - self.d @ x @ self.b.mT)
        size = torch.linalg.matrix_norm(self.y)
        return error / torch.where(size > 0, size, 1)

    def refit(self, support: Tensor) -> Tensor:
        """The best codes on a support, the columns together: X, (*, d, r).

        Args:
            support: (*, r, k), the atoms of each column.
        """
        r, k = support.shape[-2:]
        atom = support.flatten(-2)
        column = torch.arange(r, device=atom.device).repeat_interleave(k)
        gram = gathered(self.left, atom, atom) * self.right[..., column, :][..., column]
        cross = self.cross.mT.gather(-1, support).flatten(-2)
        z = least_squares(gram.unsqueeze(-3), cross.unsqueeze(-2), self.nonnegative)
        return self.scattered(support, z.reshape(support.shape))

    def debiased(self, x: Tensor) -> Tensor:
        """The best codes on the k largest entries of each column."""
        return self.refit(self.support(x))

    def support(self, x: Tensor) -> Tensor:
        """The k largest entries of each column, (*, r, k) in increasing order."""
        size = (x.clamp_min(0) if self.nonnegative else x.abs()).mT
        kept = size.sort(dim=-1, descending=True, stable=True).indices[..., : self.k]
        return kept.sort(-1).values

    def scattered(self, support: Tensor, values: Tensor) -> Tensor:
        """The values at the atoms of each column, as X."""
        x = torch.zeros_like(self.cross.mT)
        return x.scatter(-1, support, values).mT

    def result(self, x: Tensor, history: list[Tensor], dtype: torch.dtype) -> MixedCodes:
        """What was found, in the type of the data."""
        x = keep_largest(x, self.k, -2)
        residual, trace = self.residual(x), torch.stack(history)
        return MixedCodes(x.to(dtype), self.support(x), residual.to(dtype), trace.to(dtype))


def gathered(gram: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``G[i, j]`` for i among the rows and j among the columns, (*, p, q)."""
    taken = torch.take_along_dim(gram, rows[..., None], -2)
    return torch.take_along_dim(taken, columns[..., None, :], -1)


def least_squares(gram: Tensor, cross: Tensor, nonnegative: bool) -> Tensor:
    """``argmin <z, G z> / 2 - <z, c>`` for each row, or the least over ``z >= 0``.

    Args:
        gram: (*, rows, p, p).
        cross: (*, rows, p).
        nonnegative: which.
    """
    z = solve_gram(gram, cross)
    if not nonnegative or bool((z >= 0).all()):
        return z
    block, reg, step = QuadraticBlock(gram, cross, Frobenius()), NonNegative(), ActiveSet()
    passive = (z > 0,)
    z, before = z.clamp_min(0), None
    for _ in range(10 * cross.shape[-1]):
        before = z
        z, passive = step(z, passive, block, reg)
        if bool((z == before).all()):
            break
    return z


def _check(Y: Tensor, D: Tensor, B: Tensor, k: int) -> None:  # noqa: N803
    for name, x in (("Y", Y), ("D", D), ("B", B)):
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2:
            raise TypeError(f"{name} must be a matrix of real numbers, got {_named(x)}")
        if not bool(x.isfinite().all()):
            raise ValueError(f"{name} has NaN or infinite entries; leave their rows out")
    if len({(x.dtype, x.device) for x in (Y, D, B)}) > 1:
        raise TypeError(
            f"Y, D and B must have one type and device, got {Y.dtype}, {D.dtype} and {B.dtype} on "
            f"{Y.device}, {D.device} and {B.device}"
        )
    if (Y.shape[-2], Y.shape[-1]) != (D.shape[-2], B.shape[-2]):
        raise ValueError(
            f"Y of shape {tuple(Y.shape)} needs a dictionary of {Y.shape[-2]} rows and B of "
            f"{Y.shape[-1]}, got {tuple(D.shape)} and {tuple(B.shape)}"
        )
    if whole_number("k, the nonzeros of each column,", k) > D.shape[-1]:
        raise ValueError(f"{k} nonzeros need as many atoms; the dictionary has {D.shape[-1]}")


def _named(x: object) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
