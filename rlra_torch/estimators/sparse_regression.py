"""Nonnegative regressions with few nonzeros, exactly, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..functional.allotment import allot
from ..functional.arguments import whole_number
from ..functional.sparse_regression import reduced, sparse_regression
from ..losses import Frobenius
from .inputs import Array, Back, like, to_tensor
from .regression import check_entries, check_shapes

Search = Literal["enumeration", "branch and bound"]


@dataclass(frozen=True)
class SparseRegression:
    """Sparse solutions, all arrays of the kind that came in.

    Args:
        x: (*, r) or (*, r, n), nonnegative.
        residuals: ``||A x - y||`` of each right-hand side, (*) or (*, n).
        optimal: whether no sparse solution is better; False where the search was cut off.
        nodes: how many supports least squares was solved on.
    """

    x: Any
    residuals: Any
    optimal: Any
    nodes: Any

    @property
    def supports(self) -> Any:  # noqa: ANN401
        """Where the solutions are positive, like ``x``."""
        return self.x > 0


@dataclass(frozen=True)
class SparsePath:
    """The best solutions with at most p nonzeros for p = 0, 1, ..., k, which come first.

    Where entries sum to one there is no solution for p = 0: zeros, with an infinite residual.

    Args:
        x: (k + 1, *, r) or (k + 1, *, r, n), nonnegative, of the kind that came in.
        residuals: ``||A x - y||``, (k + 1, *) or (k + 1, *, n), which do not rise.
        optimal, nodes: as in `SparseRegression`, like the residuals.
        vector: whether there is one right-hand side, without a dimension of its own.
    """

    x: Any
    residuals: Any
    optimal: Any
    nodes: Any
    vector: bool = False

    @property
    def supports(self) -> Any:  # noqa: ANN401
        """Where the solutions are positive, like ``x``."""
        return self.x > 0

    def select(self, k: Any) -> SparseRegression:  # noqa: ANN401
        """The solutions with at most ``k`` nonzeros.

        Args:
            k: an integer, or one for each right-hand side.

        Raises:
            ValueError: not an integer from 0 to the last level, or another shape.

        Example:
            >>> A, Y = torch.eye(2), torch.tensor([[3.0, 1.0], [2.0, 2.0]])
            >>> sparse_nnls_path(A, Y).select(torch.tensor([1, 2])).x
            tensor([[3., 1.],
                    [0., 2.]])
        """
        own = [torch.as_tensor(part) for part in (self.x, *self._rest())]
        x, *rest = [part[..., None] for part in own] if self.vector else own
        levels = _levels(k, rest[0].shape[1:], len(x) - 1).to(x.device)
        chosen = [part.gather(0, levels[None])[0] for part in rest]
        place = levels[None, ..., None, :].expand_as(x[:1])
        parts = [x.gather(0, place)[0], *chosen]
        return SparseRegression(*(self._like(p[..., 0] if self.vector else p) for p in parts))

    def within(self, budget: int) -> SparseRegression:
        """The solutions with at most ``budget`` nonzeros in all, and the least sum of squares.

        Each right-hand side gets as many nonzeros as the whole gains most from, at most as many as
        the path has levels. Of leading dimensions each problem has a budget of its own.

        Args:
            budget: an integer; at least the number of right-hand sides where entries sum to one.

        Raises:
            ValueError: not an integer, or too small.

        References:
            | Nadisic, Cohen, Vandaele, Gillis, Matrix-wise l0-constrained sparse nonnegative least
            | squares (2022)

        Example:
            >>> A, Y = torch.eye(2), torch.tensor([[3.0, 1.0], [2.0, 2.0]])
            >>> sparse_nnls_path(A, Y).within(3).x
            tensor([[3., 0.],
                    [2., 2.]])
        """
        squares = torch.as_tensor(self.residuals).double().square()
        squares = squares[..., None] if self.vector else squares
        least = squares.shape[-1] if bool(squares[0].isinf().any()) else 0
        budget = whole_number("the budget of nonzeros", budget, least)
        costs = squares.movedim(0, -1)
        if costs.shape[-1] == 1:
            return self.select(0)
        flat = costs.reshape(-1, *costs.shape[-2:])
        levels = torch.stack([allot(each, budget) for each in flat]).reshape(costs.shape[:-1])
        return self.select(levels[..., 0] if self.vector else levels)

    def _rest(self) -> tuple[Any, Any, Any]:
        return self.residuals, self.optimal, self.nodes

    def _like(self, part: Tensor) -> Any:  # noqa: ANN401
        return part if isinstance(self.x, Tensor) else part.numpy()


def sparse_nnls(
    A: Array,  # noqa: N803
    Y: Array,  # noqa: N803
    k: int | Array,
    *,
    budget: int | None = None,
    sum_to_one: bool = False,
    search: Search | None = None,
    max_nodes: int | None = None,
) -> SparseRegression:
    """Sparse nonnegative least squares, ``min ||A x - y||^2 / 2``, ``x >= 0``, ``||x||_0 <= k``.

    Solved to global optimality for each column y of Y: by enumeration of the supports, which all
    columns share, or by branch and bound on the nodes of all columns at once, whichever takes fewer
    operations. Ten columns of A take milliseconds either way; the time grows exponentially with r.

    Args:
        A: (*, m, r).
        Y: (*, m) or (*, m, n).
        k: the most nonzeros, an integer or one for each right-hand side; 0 gives zeros.
        budget: the most nonzeros of all right-hand sides together, or None: `SparsePath.within`.
        sum_to_one: whether the entries of each x sum to one.
        search: "enumeration" or "branch and bound"; None: what takes fewer operations.
        max_nodes: of branch and bound, for each right-hand side; where it needs more it keeps the
            best solution found and says that this may not be optimal. None: no limit.

    Returns:
        a `SparseRegression` with ``x`` (*, r) or (*, r, n).

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Nadisic, Vandaele, Gillis, Cohen, Exact sparse nonnegative least squares (2020)
        | Cohen, Regularized low-rank approximations (HDR, 2026), chapter 15

    Example:
        >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> fit = sparse_nnls(A, torch.tensor([2.0, 3.0]), k=1)
        >>> fit.x, bool(fit.optimal)
        (tensor([0.0000, 0.0000, 2.5000]), True)
    """
    if budget is not None:
        path = sparse_nnls_path(A, Y, k, sum_to_one=sum_to_one, search=search, max_nodes=max_nodes)
        return path.within(budget)
    a, y, back, vector = _given(A, Y)
    shape = (*y.shape[:-2], y.shape[-1])
    levels = _levels(k, shape, None, int(sum_to_one)).to(y.device)
    parts = _solved(a, y, levels[..., None], sum_to_one, search, max_nodes)
    parts = [part[0, ..., 0] if vector else part[0] for part in parts]
    return SparseRegression(*map(back, parts))


def sparse_nnls_path(
    A: Array,  # noqa: N803
    Y: Array,  # noqa: N803
    k: int | None = None,
    *,
    sum_to_one: bool = False,
    search: Search | None = None,
    max_nodes: int | None = None,
) -> SparsePath:
    """All of `sparse_nnls` for 0, 1, ..., k nonzeros, where the right number is not known.

    Args:
        A, Y, sum_to_one, search, max_nodes: as in `sparse_nnls`.
        k: the most nonzeros; None: as many as A has columns.

    Returns:
        a `SparsePath` with ``x`` (k + 1, *, r) or (k + 1, *, r, n).

    Raises:
        TypeError, ValueError: bad input, in one sentence.

    References:
        | Nadisic, Cohen, Vandaele, Gillis, Matrix-wise l0-constrained sparse nonnegative least
        | squares (2022)

    Example:
        >>> path = sparse_nnls_path(torch.eye(3), torch.tensor([3.0, -1.0, 4.0]))
        >>> path.residuals.square()
        tensor([26., 10.,  1.,  1.])
    """
    a, y, back, vector = _given(A, Y)
    most = a.shape[-1] if k is None else whole_number("k", k, int(sum_to_one))
    levels = torch.arange(most + 1, device=y.device).expand(*y.shape[:-2], y.shape[-1], -1)
    first = int(sum_to_one)
    parts = list(_solved(a, y, levels[..., first:], sum_to_one, search, max_nodes))
    if sum_to_one:
        missing = (0.0, torch.inf, True, 0)
        ends = (torch.full_like(p[:1], m) for p, m in zip(parts, missing, strict=True))
        parts = [torch.cat(pair) for pair in zip(ends, parts, strict=True)]
    parts = [part[..., 0] if vector else part for part in parts]
    return SparsePath(*map(back, parts), vector=vector)


def _given(A: Array, Y: Array) -> tuple[Tensor, Tensor, Back, bool]:  # noqa: N803
    y, back = to_tensor(Y, "Y")
    a = like(A, "A", y)
    vector = y.ndim == a.ndim - 1
    y = y[..., None] if vector else y
    check_shapes(a, y, Y)
    check_entries(a, y, Frobenius())
    return a, y, back, vector


def _solved(
    a: Tensor,
    y: Tensor,
    levels: Tensor,
    total: bool,
    search: Search | None,
    max_nodes: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Solutions (levels, *, r, n), residuals, whether optimal, and nodes (levels, *, n)."""
    if search not in (None, "enumeration", "branch and bound"):
        raise ValueError(f"search is 'enumeration' or 'branch and bound', got {search!r}")
    if max_nodes is not None:
        max_nodes = whole_number("max_nodes", max_nodes)
        if search == "enumeration":
            raise ValueError("max_nodes limits branch and bound; leave it out for enumeration")
    branch = None if search is None else search == "branch and bound"
    root, target = reduced(a, y)
    found = sparse_regression(root, target, levels, total, branch, max_nodes)
    x = found.x.movedim(-2, 0).mT
    residuals = torch.stack([torch.linalg.vector_norm(a @ each - y, dim=-2) for each in x])
    return x, residuals, found.optimal.movedim(-1, 0), found.nodes.movedim(-1, 0)


def _levels(k: Any, shape: tuple[int, ...], most: int | None, least: int = 0) -> Tensor:  # noqa: ANN401
    """The numbers of nonzeros as int64 tensor of a shape."""
    if isinstance(k, (str, float, bool)) or k is None:
        raise ValueError(f"k is an integer or an array of integers, got {k!r}")
    levels = torch.as_tensor(k)
    if levels.is_floating_point() or levels.is_complex() or levels.dtype == torch.bool:
        raise ValueError(f"k is an integer or an array of integers, got {levels.dtype}")
    if levels.ndim and levels.shape != shape and (*levels.shape, 1) != tuple(shape):
        raise ValueError(
            f"k has shape {tuple(levels.shape)}; give one integer or one for each right-hand "
            f"side: {tuple(shape)}"
        )
    wrong = (levels < least) | (levels > (levels if most is None else most))
    if bool(wrong.any()):
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"k must be {bound}, got {int(levels[wrong].flatten()[0])}")
    return levels.long().reshape(levels.shape if not levels.ndim else shape).expand(shape)
