"""Pictures from measurements with a denoiser in the place of a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Resolved(Protocol):
    """What is asked of an operator: `operators.Patterns` offer it."""

    shape: tuple[int, ...]
    curvature: float

    def adjoint(self, y: Tensor, /) -> Tensor: ...
    def resolvent(self, z: Tensor, rho: float, /) -> Tensor: ...


class Pictures(NamedTuple):
    """Pictures found.

    Args:
        x: (*, n, p).
        n_iter: iterations done.
        converged: whether the two copies of the pictures agree.
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
    max_iter: int = 100,
    tol: float = 1e-5,
    check_every: int = 10,
) -> Pictures:
    """``min_x ||A x - y||^2 / 2 + c R(x)`` by ADMM, with a denoiser as the proximal map of R.

        x = (A^T A + c I)^-1 (A^T y + c (z - u)),   z = denoiser(x + u),   u = u + x - z

    c is the curvature of the camera, so that R is weighed in the unit of the pictures. With a clamp
    at zero it is nonnegative least squares, with the proximal map of ``R`` it is exact; with any
    other denoiser it is plug-and-play.

    Args:
        camera: A, with its resolvent in closed form.
        y: (*, m, p).
        denoiser: of pictures (*, p, *shape), such as a trained ``nn.Module``.
        max_iter: the largest number of iterations.
        tol: on the distance between the two copies and on the last step, relative to the pictures.
        check_every: iterations between two checks.

    References:
        | Venkatakrishnan, Bouman, Wohlberg, Plug-and-play priors for model based reconstruction
        | (2013)

    Example:
        >>> from rlra_torch.operators import RasterScan
        >>> y = torch.tensor([[1.0], [-1.0]])
        >>> plug_and_play(RasterScan((1, 2)), y, lambda x: x.clamp_min(0)).x.flatten().round()
        tensor([1., 0.])
    """
    rho, back = camera.curvature, camera.adjoint(y)

    def denoised(x: Tensor) -> Tensor:
        pictures = x.mT.reshape(*x.shape[:-2], x.shape[-1], *camera.shape)
        return denoiser(pictures).flatten(-len(camera.shape)).mT

    z = torch.zeros_like(camera.resolvent(back, rho))
    u, converged, k = z, False, 0
    for k in range(1, max_iter + 1):
        x = camera.resolvent(back + rho * (z - u), rho)
        old, z = z, denoised(x + u)
        u = u + x - z
        if k % check_every == 0:
            distance = torch.maximum((x - z).norm(), (z - old).norm())
            converged = bool(distance <= tol * z.norm())
            if converged:
                break
    return Pictures(z, k, converged)
