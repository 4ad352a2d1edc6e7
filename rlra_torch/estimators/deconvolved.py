"""What a deconvolution gives back."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..functional.files import replaced_file
from ..iterations import FISTA, Alternating
from ..losses import Frobenius
from ..models import Convolutive
from ..plots import deconvolution
from ..problem import Problem
from ..regularizers import L1, Free, NonNegative
from ..solvers import Traced, solve
from .inputs import Array, to_tensor
from .results import Check, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Deconvolution(Traced):
    """Kernels, where they occur and how much, and how honest that is.

    Args:
        kernels: (*, p_1, ..., p_d, K), of norm one; the kind of array that came in.
        maps: (*, [S], m_1, ..., m_d, K), in the unit of the data.
        bias: (*, [S]), the constant of each signal.
        lam: the weight of the maps (an array for a batch).
        noise: the standard deviation of white noise as its high frequencies tell, for each signal;
            too large where kernels have high frequencies themselves.
        history: the checks of all solves, the first at the start. Objectives are those of the
            problem of each: of the long kernels, of the short ones, of each reweighting.
        converged: whether the last solve met the tolerance (an array for a batch).
        n_iter: iterations of all solves (an array for a batch).
        relative_error: ``||model - y|| / ||y||``, of data without its mean where a bias is free.
        nonnegative: whether the maps are.
        shared: whether several signals share the kernels.
        bias_free: whether a constant was free in each signal.
    """

    kernels: Any
    maps: Any
    bias: Any
    lam: Any
    noise: Any
    history: tuple[Check, ...]
    converged: Any
    n_iter: Any
    relative_error: Any
    nonnegative: bool
    shared: bool
    bias_free: bool

    @property
    def prediction(self) -> Any:  # noqa: ANN401
        """``b + sum_k a_k * x_k``, of the shape of the data."""
        kernels, maps, bias = (torch.as_tensor(x) for x in (self.kernels, self.maps, self.bias))
        model = self._model(False)
        return self._back(model((kernels, maps)) + bias[(..., *(None,) * model.order)])

    def transform(self, y: Array, max_iter: int = 2000, tol: float = 1e-6) -> Transformed:
        """The maps of new data under these kernels, which stay as they are.

        Args:
            y: (*, [S], m_1, ..., m_d), with the leading dimensions of the kernels, if they have
                some, and the length that it likes.
            max_iter: the largest number of iterations.
            tol: on the scale-free optimality residual.

        Raises:
            TypeError, ValueError: bad input, in one sentence.

        Example:
            >>> from rlra_torch import deconvolve
            >>> y = np.convolve(np.eye(60)[[5, 30]].sum(0), [0.8, 0.6])[:60]
            >>> fit = deconvolve(y, 2, lam=0.01, bias=False, nonnegative=True)
            >>> fit.transform(2 * y).maps.ravel()[[5, 30]].round(1)
            array([2., 2.])
        """
        data, back = to_tensor(y, "y")
        kernels = torch.as_tensor(self.kernels).to(data)
        model = self._model(self.bias_free)
        lead = data.shape[: data.ndim - model.ndim]
        own = kernels.shape[: kernels.ndim - model.order - 1]
        if data.ndim < model.ndim or (own and own != lead):
            raise ValueError(
                f"y has shape {tuple(data.shape)} but these kernels, of shape "
                f"{tuple(kernels.shape)}, need {(*own, *('m',) * model.ndim)}".replace("'", "")
            )
        kernels = kernels.expand(*lead, *kernels.shape[len(own) :])
        weight = torch.as_tensor(self.lam).to(data).expand(lead)
        wide = weight.reshape(*lead, *(1,) * model.factor_ndims[1])
        reg = NonNegative(wide) if self.nonnegative else L1(wide)
        dims = tuple(range(-model.order, 0))
        mean = data.mean(dims, keepdim=True) if self.bias_free else torch.zeros_like(data[..., :1])
        problem = Problem(data - mean, model, Frobenius(), (Free(), reg), free=(1,))
        start = kernels, data.new_zeros((*data.shape, kernels.shape[-1]))
        step = Alternating(FISTA()).to(data.device)
        found = solve(step, problem, start, max_iter=max_iter, tol=tol)
        left = data - self._model(False)(found.factors)
        bias = left.mean(dims) if self.bias_free else torch.zeros_like(left.mean(dims))
        return Transformed(back(found.factors[1]), back(bias), plain(found.converged))

    def summary(self) -> str:
        """A few lines that fit a terminal of 80 columns."""
        kernels, maps = ("x".join(str(n) for n in x.shape) for x in (self.kernels, self.maps))
        shares = np.atleast_1d(np.mean(np.asarray(torch.as_tensor(self.maps).cpu()) != 0))
        lines = [
            f"{self.kernels.shape[-1]} short kernels and sparse maps",
            f"  kernels         {kernels}",
            f"  maps            {maps}, {100 * float(shares[0]):.2f}% nonzero",
            f"  lambda          {_show(self.lam, '.4g')}",
            f"  noise           {_show(self.noise, '.4g')}",
            f"  relative error  {_show(self.relative_error, '.5f')}",
            f"  KKT residual    {_show(self.kkt, '.1e')}",
            f"  iterations      {_show(self.n_iter, 'd')}, {self.seconds:.2f} s",
            f"  converged       {_show(self.converged, '')}",
        ]
        return "\n".join(textwrap.fill(line, 80, subsequent_indent=" " * 18) for line in lines)

    def plot(self, y: Array | None = None, index: tuple[int, ...] = ()) -> Figure:
        """The kernels, and the data with what was found in it.

        Args:
            y: the data, drawn behind the prediction.
            index: which problem of a batch, and which of several signals.
        """
        parts = (self.kernels, self.maps, self.prediction)
        kernels, maps, fitted = (torch.as_tensor(x).cpu().numpy() for x in parts)
        given = None if y is None else torch.as_tensor(y).cpu().numpy()[index]
        batch = kernels.ndim - self._model(False).order - 1
        return deconvolution(kernels[index[:batch]], maps[index], fitted[index], given)

    def save(self, path: str | Path) -> None:
        """Write kernels, maps, bias and what they were found with to one ``.npz`` file.

        Raises:
            ValueError: another ending.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"deconvolutions are stored as .npz, got {path.name!r}")
        names = ("kernels", "maps", "bias", "lam", "noise", "converged", "n_iter", "kkt")
        values: dict[str, Any] = {
            name: np.asarray(torch.as_tensor(getattr(self, name)).cpu()) for name in names
        }
        with replaced_file(path) as file:
            np.savez(file, **values)

    def _model(self, centred: bool) -> Convolutive:
        order = self.maps.ndim - np.ndim(self.bias) - 1
        return Convolutive(order, signals=self.shared, centred=centred)

    @property
    def _back(self) -> Callable[[Tensor], Any]:
        return (lambda x: x) if isinstance(self.kernels, Tensor) else (lambda x: x.cpu().numpy())


@dataclass(frozen=True)
class Transformed:
    """The maps of new data under known kernels.

    Args:
        maps: (*, [S], m_1, ..., m_d, K).
        bias: (*, [S]), the constant of each signal.
        converged: whether the solve met its tolerance (an array for a batch).
    """

    maps: Any
    bias: Any
    converged: Any


def _show(value: Any, form: str) -> str:  # noqa: ANN401
    values = np.atleast_1d(value).reshape(-1).tolist()
    shown = ", ".join(format(v, form) for v in values[:4])
    return shown if len(values) <= 4 else f"{shown}, ... ({len(values)})"
