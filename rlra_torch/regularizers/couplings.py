"""Linear relations between factors of different data sets, by a latent factor that all know."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..functional.linalg import solve_gram


class Coupling(nn.Module, ABC):
    """``A_n X_n B_n = E_n Delta F_n`` for some factors ``X_n`` and an unknown ``Delta``.

    The maps are known; each kind of coupling has some of them, and the others are identities.

    Args:
        maps: for each factor, by its number, its maps: a tensor (or a pair where the kind has two).

    Raises:
        TypeError: maps that are not matrices of real numbers.
        ValueError: fewer than two factors.

    Attributes:
        roles: which of A ("left"), B ("right"), E ("rows") and F ("columns") the maps are.

    References:
        | Schenker, Cohen, Acar, A flexible optimization framework for regularized matrix-tensor
        | factorizations with linear couplings (2021), section III
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 18.2
    """

    roles: tuple[str, ...] = ()

    def __init__(self, maps: Mapping[int, Any]) -> None:
        super().__init__()
        if not isinstance(maps, Mapping) or len(maps) < 2:
            raise ValueError(
                f"{type(self).__name__} couples at least two factors, by number, got {maps!r}"
            )
        self.factors = tuple(sorted(maps))
        for n in self.factors:
            several = maps[n] if isinstance(maps[n], (list, tuple)) else (maps[n],)
            if len(several) != len(self.roles):
                raise TypeError(
                    f"{type(self).__name__} takes {len(self.roles)} maps for factor {n}, "
                    f"got {len(several)}"
                )
            for role, own in zip(self.roles, several, strict=True):
                if not isinstance(own, Tensor) or own.ndim != 2 or not own.is_floating_point():
                    raise TypeError(
                        f"{type(self).__name__} takes a matrix of real numbers for factor {n}, "
                        f"got {own!r}"
                    )
                self.register_buffer(f"{role}{n}", own)

    def map(self, role: str, n: int) -> Tensor | None:
        """A map of factor ``n``, or None for the identity."""
        return getattr(self, f"{role}{n}") if role in self.roles else None

    def renamed(self, numbers: Mapping[Any, int]) -> Coupling:
        """The same coupling of factors with other numbers, such as those of letters."""
        other = type(self).__new__(type(self))
        maps = {
            numbers[n]: tuple(getattr(self, f"{role}{n}") for role in self.roles)
            for n in self.factors
        }
        Coupling.__init__(other, maps)
        return other

    def seen(self, n: int, x: Tensor) -> Tensor:
        """``A X B``."""
        return _between(self.map("left", n), x, self.map("right", n))

    def pulled(self, n: int, y: Tensor) -> Tensor:
        """``A^T Y B^T``, like the factor."""
        return _between(_turned(self.map("left", n)), y, _turned(self.map("right", n)))

    def predicted(self, n: int, delta: Tensor) -> Tensor:
        """``E Delta F``."""
        return _between(self.map("rows", n), delta, self.map("columns", n))

    @property
    def free(self) -> bool:
        """Whether the factors themselves are images of Delta, ``X = E Delta F``."""
        return not {"left", "right"} & set(self.roles)

    def latent(self, wanted: Mapping[int, Tensor], weights: Mapping[int, Tensor]) -> Tensor:
        """``argmin over Delta of sum_n w_n ||E_n Delta F_n - T_n||^2``.

        Args:
            wanted: ``w_n T_n`` of each factor.
            weights: ``w_n``, (*, 1, 1).
        """
        right = [
            _between(_turned(self.map("rows", n)), wanted[n], _turned(self.map("columns", n)))
            for n in self.factors
        ]
        total = sum(right[1:], right[0])
        if "rows" in self.roles:
            return solve_gram(self._gram("rows", weights), total.mT).mT
        if "columns" in self.roles:
            return solve_gram(self._gram("columns", weights), total)
        several = [weights[n] for n in self.factors]
        return total / sum(several[1:], several[0])

    def nearest(self, factors: tuple[Tensor, ...]) -> Tensor:
        """The Delta that fits the factors best, each in its own scale."""
        seen = {n: self.seen(n, factors[n]) for n in self.factors}
        tiny = torch.finfo(factors[0].dtype).tiny
        weights = {
            n: 1 / x.square().sum((-2, -1), keepdim=True).clamp_min(tiny) for n, x in seen.items()
        }
        return self.latent({n: weights[n] * x for n, x in seen.items()}, weights)

    def gap(self, factors: tuple[Tensor, ...], delta: Tensor | None = None) -> Tensor:
        """The largest ``||A X B - E Delta F|| / ||A X B||`` of the factors, (*,).

        Args:
            factors: all factors of the model.
            delta: None for `nearest`.
        """
        delta = self.nearest(factors) if delta is None else delta
        found = []
        for n in self.factors:
            seen = self.seen(n, factors[n])
            size = torch.linalg.vector_norm(seen, dim=(-2, -1))
            gap = torch.linalg.vector_norm(seen - self.predicted(n, delta), dim=(-2, -1))
            found.append(gap / size.clamp_min(torch.finfo(size.dtype).tiny))
        return torch.stack(found).amax(0)

    def check(self, factors: tuple[Tensor, ...]) -> None:
        """Check that factors and maps fit.

        Raises:
            TypeError: other types or devices.
            ValueError: other shapes.
        """
        name, shapes = type(self).__name__, {}
        for n in self.factors:
            x = factors[n]
            for role in self.roles:
                own = getattr(self, f"{role}{n}")
                if (own.dtype, own.device) != (x.dtype, x.device):
                    raise TypeError(
                        f"the map of {name} for factor {n} is {own.dtype} on {own.device} but the "
                        f"factor is {x.dtype} on {x.device}; convert one"
                    )
            shapes[n] = self._latent_shape(n, x)
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"{name} needs one latent factor but its factors ask for the shapes {shapes}"
            )

    def _gram(self, role: str, weights: Mapping[int, Tensor]) -> Tensor:
        """``sum_n w_n E_n^T E_n`` or ``sum_n w_n F_n F_n^T``."""
        found = []
        for n in self.factors:
            own = getattr(self, f"{role}{n}")
            found.append(weights[n] * (own.mT @ own if role == "rows" else own @ own.mT))
        return sum(found[1:], found[0])

    def _latent_shape(self, n: int, x: Tensor) -> tuple[int, int]:
        rows, columns = x.shape[-2:]
        left, right, e, f = (self.map(role, n) for role in ("left", "right", "rows", "columns"))
        fits = left is None or left.shape[1] == rows
        fits = fits and (right is None or right.shape[0] == columns)
        rows = rows if left is None else left.shape[0]
        columns = columns if right is None else right.shape[1]
        fits = fits and (e is None or e.shape[0] == rows) and (f is None or f.shape[1] == columns)
        if not fits:
            given = {role: tuple(getattr(self, f"{role}{n}").shape) for role in self.roles}
            raise ValueError(
                f"the maps of {type(self).__name__} for factor {n} have the shapes {given}, "
                f"which do not fit a factor of shape {tuple(x.shape)}"
            )
        return (rows if e is None else e.shape[1], columns if f is None else f.shape[0])

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.factors))


class Same(Coupling):
    """``X_n = Delta``: the factors are equal.

    Args:
        factors: their numbers.

    Example:
        >>> Same(0, 3).factors
        (0, 3)
    """

    def __init__(self, *factors: int) -> None:
        super().__init__({n: () for n in factors})


class MappedRows(Coupling):
    """``H_n X_n = Delta``: the factors agree after known maps of their rows, such as averages.

    Args:
        maps: H_n, (p, rows), for each factor.

    Example:
        >>> coupling = MappedRows({0: torch.eye(2), 3: torch.full((2, 4), 0.25)})
        >>> coupling.seen(3, torch.ones(4, 1))
        tensor([[1.],
                [1.]])
    """

    roles = ("left",)


class MappedColumns(Coupling):
    """``X_n H_n = Delta``: combinations of the components are shared.

    Args:
        maps: H_n, (rank, q), for each factor; columns of an identity choose components.

    Example:
        >>> MappedColumns({0: torch.eye(3)[:, :2], 3: torch.eye(2)}).seen(0, torch.ones(1, 3))
        tensor([[1., 1.]])
    """

    roles = ("right",)


class RowsFrom(Coupling):
    """``X_n = H_n Delta``: each factor has rows made from a latent one, such as other samplings.

    Args:
        maps: H_n, (rows, p), for each factor.

    Example:
        >>> RowsFrom({0: torch.eye(2), 3: torch.eye(2)[:1]}).predicted(3, torch.ones(2, 1))
        tensor([[1.]])
    """

    roles = ("rows",)


class ColumnsFrom(Coupling):
    """``X_n = Delta H_n``: components made from latent ones; some shared, the others private.

    Args:
        maps: H_n, (q, rank), for each factor.

    Example:
        >>> ColumnsFrom({0: torch.eye(3), 3: torch.eye(3)[:, :2]}).predicted(3, torch.ones(1, 3))
        tensor([[1., 1.]])
    """

    roles = ("columns",)


class MappedRowsFromColumns(Coupling):
    """``G_n X_n = Delta H_n``: mapped rows, and some components shared.

    Args:
        maps: pairs (G_n, H_n), (p, rows) and (q, rank), for each factor.

    Example:
        >>> pair = torch.eye(2), torch.ones(1, 3)
        >>> MappedRowsFromColumns({0: pair, 3: pair}).predicted(0, torch.ones(2, 1)).shape
        torch.Size([2, 3])
    """

    roles = ("left", "columns")


def _between(left: Tensor | None, x: Tensor, right: Tensor | None) -> Tensor:
    x = x if left is None else left @ x
    return x if right is None else x @ right


def _turned(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.mT
