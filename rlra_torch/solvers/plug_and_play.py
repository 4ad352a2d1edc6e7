"""Pictures from measurements with a denoiser in the place of a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..losses import KullbackLeibler


class Resolved(Protocol):
    """What is asked of an operator: `operators.Patterns` offer it."""

    shape: tuple[int, ...]
    curvature: float

    def __call__(self, x: Tensor, /) -> Tensor: ...
    def adjoint(self, y: Tensor, /) -> Tensor: ...
    def resolvent(self, z: Tensor, rho: float | Tensor, /) -> Tensor: ...


class Pictures(NamedTuple):
    """Pictures found.

    Args:
        x: (*, n, p), or (*, n, r) where spectra are known.
        n_iter: iterations done.
        converged: whether the copies of the pictures, and of what they predict, agree.
    """

    x: Tensor
    n_iter: int
    converged: bool


@torch.no_grad()
def plug_and_play(
    camera: Resolved,
    y: Tensor,
    denoiser: Callable[[Tensor], Tensor],
    *,
    spectra: Tensor | None = None,
    counts: bool = False,
    max_iter: int = 100,
    tol: float = 1e-5,
    check_every: int = 10,
) -> Pictures:
    """``min_X f(A X V^T, Y) + sum_k c_k R(x_k)`` by ADMM, a denoiser as the proximal map of R.

        X = argmin ||A X V^T - T||^2 / 2 + c |X - Z + U|^2 / 2,  Z = denoiser(X + U),  U += X - Z

    For least squares T is Y. For counts f is Kullback-Leibler, the prediction has a copy of its
    own, ``W = argmin t f(W, Y) + |W - P|^2 / 2`` at ``P = A X V^T + D``, and ``T = W - D``; the
    norm is weighed by 1 over t, the mean of each band, which is about the curvature of f.

    All of it is in closed form: ``A^T A`` has a resolvent and V few columns. c is the curvature of
    the data in the pictures, so that R is weighed in the unit of the pictures. With a clamp at zero
    it is nonnegative regression, with the proximal map of ``R`` it is exact; with any other
    denoiser it is plug-and-play.

    Args:
        camera: A, with its resolvent in closed form.
        y: (*, m, p).
        denoiser: of pictures (*, p or r, *shape), such as a trained ``nn.Module``.
        spectra: V, (p, r); None: a picture of each band.
        counts: whether f is Kullback-Leibler rather than half the squared distance.
        max_iter: the largest number of iterations.
        tol: on the distance between the copies and on the last step, relative to the pictures.
        check_every: iterations between two checks.

    References:
        | Venkatakrishnan, Bouman, Wohlberg, Plug-and-play priors for model based reconstruction
        | (2013)
        | Figueiredo, Bioucas-Dias, Restoration of Poissonian images using alternating direction
        | optimization (2010)

    Example:
        >>> from rlra_torch.operators import RasterScan
        >>> y = torch.tensor([[1.0], [-1.0]])
        >>> plug_and_play(RasterScan((1, 2)), y, lambda x: x.clamp_min(0)).x.flatten().round()
        tensor([1., 0.])
    """
    seen = _Seen(camera, y, spectra, counts)
    back = seen.back(y)
    z, w, converged, k = torch.zeros_like(back), y, False, 0
    u, d = z, torch.zeros_like(y)
    for k in range(1, max_iter + 1):
        x = seen.solved(back, z - u)
        old, z = z, seen.denoised(denoiser, x + u)
        u = u + x - z
        apart = torch.maximum((x - z).norm(), (z - old).norm()) / z.norm()
        if counts:
            predicted = seen(x)
            w = seen.likely(predicted + d)
            d = d + predicted - w
            back = seen.back(w - d)
            apart = torch.maximum(apart, (predicted - w).norm() / w.norm())
        if k % check_every == 0:
            converged = bool(apart.nan_to_num(0.0) <= tol)
            if converged:
                break
    return Pictures(z, k, converged)


class _Seen:
    """``X -> A X V^T`` and the normal equations of it, bands weighed by 1 over t."""

    def __init__(self, camera: Resolved, y: Tensor, spectra: Tensor | None, counts: bool) -> None:
        self.camera, self.y, self.spectra = camera, y, spectra
        mean = y.mean(-2, keepdim=True)
        least = torch.finfo(y.dtype).eps * mean.mean(-1, keepdim=True)
        self.step = mean.clamp_min(least) if counts else torch.ones_like(mean)
        self.step = torch.where(self.step > 0, self.step, 1)
        if spectra is None:
            return
        values, self.turn = torch.linalg.eigh(spectra.mT @ (spectra / self.step.mT))
        values = values.unsqueeze(-2)
        self.rho = values.mean(-1, keepdim=True)
        self.values = values.clamp_min(torch.finfo(y.dtype).eps * values[..., -1:])

    def __call__(self, x: Tensor) -> Tensor:
        return self.camera(x if self.spectra is None else x @ self.spectra.mT)

    def back(self, y: Tensor) -> Tensor:
        """The adjoint; without spectra each band in its own unit."""
        if self.spectra is None:
            return self.camera.adjoint(y)
        return self.camera.adjoint(y / self.step @ self.spectra)

    def solved(self, back: Tensor, near: Tensor) -> Tensor:
        c = self.camera.curvature
        if self.spectra is None:
            return self.camera.resolvent(back + c * near, c)
        turned = (back + c * self.rho * near) @ self.turn / self.values
        return self.camera.resolvent(turned, c * self.rho / self.values) @ self.turn.mT

    def likely(self, p: Tensor) -> Tensor:
        """The proximal map of t KL(., y)."""
        step = self.step.expand_as(p)
        one = torch.ones_like(p)
        return KullbackLeibler().majorized(one, step, step * self.y, -p, one)

    def denoised(self, denoiser: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        shape = self.camera.shape
        pictures = x.mT.reshape(*x.shape[:-2], x.shape[-1], *shape)
        return denoiser(pictures).flatten(-len(shape)).mT
