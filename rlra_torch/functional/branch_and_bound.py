"""Exactly sparse nonnegative least squares by branch and bound, the nodes of all rows together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .supports import Rows, nonnegative_on

# Entries of the largest temporary tensors of one step.
ENTRIES = 2**22


class Found(NamedTuple):
    """The best solution of each row.

    Args:
        x: (n, r).
        squares: (n,), the squared residuals.
        nodes: (n,), on how many supports nonnegative least squares was solved.
        optimal: bool (n,), whether the search was finished.
    """

    x: Tensor
    squares: Tensor
    nodes: Tensor
    optimal: Tensor


class Nodes(NamedTuple):
    """Parts of the search: the supports between a forced and an allowed one.

    Args:
        row: (N,) whose.
        allowed: bool (N, r).
        forced: bool (N, r), within the allowed; at most k.
        x: (N, r), a feasible start on the allowed.
        bound: (N,), no solution of this part has a smaller squared residual.
    """

    row: Tensor
    allowed: Tensor
    forced: Tensor
    x: Tensor
    bound: Tensor

    def at(self, index: Tensor | slice) -> Nodes:
        """Some of them."""
        return Nodes(*(part[index] for part in self))


def branch_and_bound(
    rows: Rows,
    k: Tensor,
    total: bool = False,
    max_nodes: int | None = None,
) -> Found:
    """``min ||R x - q||`` over ``x >= 0`` with at most k nonzeros, for all rows.

    Nonnegative least squares on all that a node allows is a bound for what lies below it. Where
    that solution has more than k nonzeros, a better one lacks some of them: the first that it
    lacks, the largest coming first, tells the children apart, and those before it are forced. The
    child with k forced is a leaf, the k largest of its parent, and is looked at first. Nodes of all
    rows are solved together, each from the solution of its parent.

    Args:
        rows: the problems.
        k: int64 (n,), the most nonzeros of each row; at least 1 where entries sum to one.
        total: whether entries sum to one; R and q are then `lifted`.
        max_nodes: for each row; one that needs more keeps the best solution found.

    References:
        | Nadisic, Vandaele, Gillis, Cohen, Exact sparse nonnegative least squares (2020)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 15.2

    Example:
        >>> rows = Rows(torch.eye(3)[None], torch.tensor([0]), torch.tensor([[3.0, -1.0, 4.0]]))
        >>> branch_and_bound(rows, torch.tensor([1])).x
        tensor([[0., 0., 4.]])
    """
    best = _start(rows, total)
    norms = torch.linalg.vector_norm(rows.roots, dim=-2)
    # Bounds are compared as norms, which rounding moves by that much.
    eps = torch.finfo(norms.dtype).eps
    slack = 32 * eps * torch.linalg.vector_norm(rows.target, dim=-1)
    size = max(1, ENTRIES // rows.roots[0].numel())
    stack = [_roots(k, best.x)]
    while stack:
        nodes = _open(_taken(stack, size), best, slack)
        if max_nodes is not None:
            spent = _spent(nodes.row, best.nodes, max_nodes)
            best.optimal[nodes.row[spent]] = False
            nodes = nodes.at(~spent)
        best.nodes.index_add_(0, nodes.row, torch.ones_like(nodes.row))
        own = rows.at(nodes.row)
        x = nonnegative_on(own, nodes.allowed, nodes.x, total)
        squares = own.residual(x).square().sum(-1)
        sparse = (x > 0).sum(-1) <= k[nodes.row]
        _record(best, nodes.row[sparse], x[sparse], squares[sparse])
        solved = _open(nodes._replace(x=x, bound=squares).at(~sparse), best, slack)
        children = _children(solved, norms[rows.owner[solved.row]], k, total)
        if len(children.row):
            stack.append(children)
    return best


def _start(rows: Rows, total: bool) -> Found:
    """Zero, or the best single one where entries sum to one."""
    n = len(rows.target)
    x = rows.target.new_zeros(n, rows.roots.shape[-1])
    if total:
        gram, cross = rows.normal()
        distances = gram.diagonal(dim1=-2, dim2=-1) - 2 * cross
        x.scatter_(-1, distances.argmin(-1, keepdim=True), 1.0)
    nodes = torch.zeros(n, dtype=torch.long, device=x.device)
    return Found(x, rows.residual(x).square().sum(-1), nodes, nodes == 0)


def _roots(k: Tensor, x: Tensor) -> Nodes:
    """Everything is allowed and nothing forced, for all rows that may have nonzeros."""
    row = k.nonzero()[:, 0]
    nothing = torch.zeros_like(x[row], dtype=torch.bool)
    return Nodes(row, ~nothing, nothing, x[row], x.new_zeros(len(row)))


def _taken(stack: list[Nodes], size: int) -> Nodes:
    """The last ``size`` nodes, taken from the stack."""
    taken, count = [], 0
    while stack and count < size:
        last = stack.pop()
        keep = max(0, len(last.row) - (size - count))
        if keep:
            stack.append(last.at(slice(keep)))
        taken.append(last.at(slice(keep, None)))
        count += len(taken[-1].row)
    return Nodes(*(torch.cat(parts) for parts in zip(*taken, strict=True)))


def _open(nodes: Nodes, best: Found, slack: Tensor) -> Nodes:
    """Those below which there may be something better."""
    known = best.squares[nodes.row].sqrt()
    return nodes.at(nodes.bound.sqrt() < known - slack[nodes.row])


def _spent(row: Tensor, nodes: Tensor, most: int) -> Tensor:
    """Which are more than a row may have, the last of the stack coming first."""
    ordered, order = row.flip(0).sort(stable=True)
    place = torch.arange(len(row), device=row.device) - torch.searchsorted(ordered, ordered)
    spent = torch.empty_like(row, dtype=torch.bool)
    spent[order] = nodes[ordered] + place >= most
    return spent.flip(0)


def _record(best: Found, row: Tensor, x: Tensor, squares: Tensor) -> None:
    """Keep what is better than before; of equals the first, so that every run finds the same."""
    least = best.squares.scatter_reduce(0, row, squares, "amin")
    first = ((squares == least[row]) & (least < best.squares)[row]).nonzero()[:, 0]
    winner = torch.full_like(best.nodes, len(row)).scatter_reduce(0, row[first], first, "amin")
    won = winner < len(row)
    best.x[won] = x[winner[won]]
    best.squares.copy_(least)


def _children(nodes: Nodes, norms: Tensor, k: Tensor, total: bool) -> Nodes:
    """What lacks a nonzero, by the first that it lacks; the most forced come last."""
    free = (nodes.x > 0) & ~nodes.forced
    worth = torch.where(free, nodes.x * norms, -1)
    place = worth.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    spare = k[nodes.row] - nodes.forced.sum(-1)
    found = []
    for j in range(1 + (int(spare.max()) if len(spare) else -1)):
        # A solution with more than k nonzeros has more free ones than there are to spare.
        own, turn, full = (part[spare >= j] for part in (nodes.row, place, spare == j))
        own = nodes.at(spare >= j)
        forced = own.forced | (free[spare >= j] & (turn < j))
        allowed = torch.where(full[:, None], forced, own.allowed & (turn != j))
        x = torch.where(allowed, own.x, 0)
        if total:
            x = x / x.sum(-1, keepdim=True)
        found.append(Nodes(own.row, allowed, forced, x, own.bound))
    return Nodes(*(torch.cat(parts) for parts in zip(*found, strict=True))) if found else nodes
