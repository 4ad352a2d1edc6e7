"""Compressed sampling of the bands of an image: a convolution of random phase, then few pixels."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..functional.arguments import real_number, whole_number
from .base import Operator


class RandomPhase(Operator):
    """``Phi_b x = (F^-1 (phase_b F x))[pixels_b]`` for each band b, a tight frame of norm one.

    All frequencies pass, each with a random phase, so that every pixel of the convolved image
    depends on all of the scene; of these pixels each band keeps others. ``Phi Phi^T = I``. A matrix
    ``W H^T`` is measured without being formed: transforms of the columns of H are mixed by W.

    Args:
        shape: of the image, such as (rows, cols).
        bands: how many.
        ratio: pixels for each one that is measured, at least 1.
        seed: of the phases and the pixels, an int or a `torch.Generator`.
        dtype: of what it reads.

    Raises:
        TypeError, ValueError: sizes or a ratio that are none.

    References:
        | Romberg, Compressive sensing by random convolution (2009)
        | Golbabaee, Vandergheynst, Joint trace/TV norm minimization: a new efficient approach for
        | spectral compressive imaging (2012)

    Example:
        >>> phi = RandomPhase((4, 6), bands=3, ratio=4)
        >>> y = phi(torch.ones(3, 24))
        >>> y.shape, bool(torch.allclose(phi(phi.adjoint(y)), y, atol=1e-5))
        (torch.Size([3, 6]), True)
    """

    input_ndim = 2
    output_ndim = 2
    phases: Tensor
    pixels: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        bands: int,
        ratio: float,
        seed: int | torch.Generator = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        for name, size in (("bands", bands), *(("pixels along a side", side) for side in shape)):
            whole_number(f"the number of {name}", size)
        count = prod(shape)
        if not 1 <= real_number("the ratio of pixels to samples", ratio) <= count:
            raise ValueError(f"the ratio of {count} pixels to samples is 1 to {count}, got {ratio}")
        self.shape, self.ratio = tuple(shape), float(ratio)
        draw = seed
        if not isinstance(draw, torch.Generator):
            draw = torch.Generator().manual_seed(draw)
        noise = torch.randn(bands, *shape, generator=draw, dtype=torch.float64, device=draw.device)
        spectrum = torch.fft.rfftn(noise, dim=self._axes)
        # As pairs of reals: a complex buffer would lose its imaginary part in `.to(dtype)`.
        self.register_buffer("phases", torch.view_as_real(spectrum.sgn()).to(dtype))
        order = torch.rand(bands, count, generator=draw, device=draw.device).argsort(-1)
        self.register_buffer("pixels", order[:, : max(1, round(count / ratio))].sort(-1).values)

    def forward(self, x: Tensor) -> Tensor:
        """``Phi X`` for X (*, bands, pixels): (*, bands, samples)."""
        return self._seen(self._spectrum(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """``Phi^T Y`` for Y (*, bands, samples): (*, bands, pixels)."""
        return self._image(self._unseen(y))

    def product(self, w: Tensor, h: Tensor) -> Tensor:
        """``Phi (W H^T)`` for W (*, bands, r) and H (*, pixels, r)."""
        return self._seen(_mixed(w, self._spectrum(h.mT)))

    def product_adjoint(self, y: Tensor, w: Tensor, h: Tensor, n: int) -> Tensor:
        """``(Phi^T Y) H`` for n = 0, ``(Phi^T Y)^T W`` for n = 1."""
        back = self._unseen(y)
        if n:
            return self._image(_mixed(w.mT, back)).mT
        columns = torch.view_as_real(self._spectrum(h.mT)).clone()
        # Half a spectrum stands for both halves, but for the columns that are their own mirror.
        own = 1 if self.shape[-1] % 2 else 2
        columns[..., 1 : columns.shape[-2] - own + 1, :] *= 2
        lead = len(self.shape) + 1
        return torch.view_as_real(back).flatten(-lead) @ columns.flatten(-lead).mT

    def squared_norm(self) -> Tensor:
        return self.phases.new_ones(())

    def extra_repr(self) -> str:
        return f"shape={self.shape}, bands={len(self.pixels)}, ratio={self.ratio:g}"

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.shape), 0))

    def _spectrum(self, x: Tensor) -> Tensor:
        return torch.fft.rfftn(x.unflatten(-1, self.shape), dim=self._axes, norm="ortho")

    def _image(self, spectrum: Tensor) -> Tensor:
        x = torch.fft.irfftn(spectrum, s=self.shape, dim=self._axes, norm="ortho")
        return x.flatten(-len(self.shape))

    def _seen(self, spectrum: Tensor) -> Tensor:
        x = self._image(spectrum * torch.view_as_complex(self.phases))
        return x.gather(-1, self.pixels.expand(*x.shape[:-1], -1))

    def _unseen(self, y: Tensor) -> Tensor:
        """The spectrum of the adjoint."""
        x = y.new_zeros(*y.shape[:-1], prod(self.shape))
        x = x.scatter(-1, self.pixels.expand_as(y), y)
        return self._spectrum(x) * torch.view_as_complex(self.phases).conj()


def _mixed(w: Tensor, spectrum: Tensor) -> Tensor:
    """``W`` times spectra, in real arithmetic."""
    parts = torch.view_as_real(spectrum)
    own = parts.ndim - w.ndim + 1
    mixed = w @ parts.flatten(-own)
    return torch.view_as_complex(mixed.unflatten(-1, parts.shape[-own:]))
