"""The penalty on a network of rectified linear units that makes it a convex problem."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.activations import gates, regions
from ..functional.cones import project_onto_dual_cone
from ..functional.proximal import group_shrink
from .base import Regularizer
from .gauges import Gauge
from .joint import ProjectiveNorm
from .polar import Enclosure, weighed

DRAWS = 256  # activations that are tried where there are too many to try all


class ReLUNorm(ProjectiveNorm):
    """``weight sum_k ||u_k||_2 gauge(z_k)`` for the units ``relu(V u_k) z_k^T`` of a `ReLU` model.

    Like the terms it is of degree two, so that the least penalty of all networks with one
    prediction is a convex function of the prediction: a local minimum that passes
    `diagnostics.certificate` is a global one, of all widths. With an l2 norm for the outputs it is
    weight decay, ``weight / 2 (||U||^2 + ||Z||^2)``, at its best scales.

    Steps on U keep the signs of ``V U``, where the model is linear; units of other signs come in by
    `estimators.grow`.

    Args:
        weight: a float, or a tensor that broadcasts with (*, 1, 1).
        inputs: V, (p, n), those of the model.
        outputs: the gauge of the weights of a unit to the outputs; None: the l2 norm.

    References:
        | Haeffele, Vidal, Global optimality in tensor factorization, deep learning, and beyond
        | (2015), sections 3 and 4
        | Pilanci, Ergen, Neural networks are convex regularizers (2020), theorem 1

    Example:
        >>> norm = ReLUNorm(2.0, torch.tensor([[1.0], [-1.0]]))
        >>> norm.penalty((torch.tensor([[-3.0]]), torch.tensor([[2.0]]))).round(decimals=4)
        tensor(12.)
    """

    inputs: Tensor

    def __init__(
        self, weight: float | Tensor, inputs: Tensor, outputs: Gauge | None = None
    ) -> None:
        super().__init__(weight, Gauge(), Gauge() if outputs is None else outputs)
        self.register_buffer("inputs", inputs)

    @property
    def cones(self) -> Tensor:
        return self.inputs

    def block(self, n: int, factors: tuple[Tensor, ...]) -> Regularizer:
        gauge = self.weighed(n, factors)
        if n == 1:
            return gauge
        signs = 2 * gates(self.inputs, factors[0]) - 1
        return GaugeOnCones(gauge, signs.mT[..., None] * self.inputs)

    def polar(self, M: Tensor, seed: int = 0) -> Enclosure:  # noqa: N803
        """``sup <M, relu(V u) z^T>`` over units of penalty 1, cone by cone, from below and above.

        With D the activations of a cone K and ``A = V^T D M`` it is ``sup ||A^T u||``, in the dual
        norm of the gauge of z, over u of length one in K. For one output, or where that gauge is an
        l1 norm, it is the length of a projection, ``max_j ||P_K(+-A_j)||``: a convex problem for
        each cone. Else there are bounds: the projections over ``l1 + l2 / sqrt(c)``, and the
        largest singular value of A over ``l1 + l2``. From below by alternating maximization.

        Where there are too many cones to try all, the upper bound is ``||M||_2 ||V||_2``.

        Args:
            M: (*, p, c).
            seed: of the activations that are drawn then.
        """
        outputs, every = self.gauges[1], regions(self.inputs)
        patterns = self._drawn(seed) if every is None else every
        A = torch.einsum("...pc,jp,pn->...jnc", M, patterns, self.inputs)  # noqa: N806
        cones = (2 * patterns - 1)[..., None] * self.inputs
        sides = A if outputs.nonnegative else torch.cat([A, -A], -1)
        nearest = project_onto_dual_cone(cones, sides)
        lower, vectors = self._attained(M, A, cones, nearest)
        if every is None:
            size = torch.linalg.matrix_norm(M, 2) * torch.linalg.matrix_norm(self.inputs, 2)
            upper, method = size / (outputs.l1 + outputs.l2), "norms"
        else:
            projected = nearest.norm(dim=-2).amax(-1)
            projected = projected / (outputs.l1 + outputs.l2 / M.shape[-1] ** 0.5)
            singular = torch.linalg.matrix_norm(A, 2) / (outputs.l1 + outputs.l2)
            upper, method = projected.minimum(singular).amax(-1), "cones"
        found = Enclosure(lower, upper.maximum(lower), vectors, method)
        return weighed(self.gauges, self.weight, found)

    def _attained(
        self,
        M: Tensor,  # noqa: N803
        A: Tensor,  # noqa: N803
        cones: Tensor,
        u: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The best of one alternation for each column (*, j, n, s) of a cone, and its vectors."""
        outputs, count = self.gauges[1], u.shape[-1]
        for step in range(4):
            u = u / u.norm(dim=-2, keepdim=True).clamp_min(torch.finfo(u.dtype).tiny)
            units = u.movedim(-3, -2).flatten(-2)
            found = outputs.polar(M.mT @ (self.inputs @ units).relu())
            if step == 3 or M.shape[-1] == 1:
                break
            z = found.maximizer.unflatten(-1, (-1, count)).movedim(-2, -3)
            u = project_onto_dual_cone(cones, A @ z)
        best = found.lower.argmax(-1, keepdim=True)
        vectors = tuple(
            x.gather(-1, best[..., None, :].expand(*x.shape[:-1], 1))[..., 0]
            for x in (units, found.maximizer)
        )
        return found.lower.gather(-1, best)[..., 0], vectors

    def _drawn(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        u = torch.randn(self.inputs.shape[-1], DRAWS, generator=generator, dtype=torch.float64)
        return gates(self.inputs, u.to(self.inputs)).mT.unique(dim=0)


class GaugeOnCones(Regularizer):
    """``weight ||u_k||_2`` of each column in a cone of its own, ``C_k u_k >= 0``.

    Its proximal map is the projection onto the cone, then that of the norm: both are positively
    homogeneous.

    Args:
        gauge: an l2 norm with its weights.
        cones: C, (*, r, p, n).

    Example:
        >>> reg = GaugeOnCones(Gauge(), torch.eye(2)[None])
        >>> reg.prox(torch.tensor([[3.0], [-4.0]]), 1.0).round(decimals=4)
        tensor([[2.],
                [0.]])
    """

    degree = 1.0
    couples = (-2,)

    def __init__(self, gauge: Gauge, cones: Tensor) -> None:
        super().__init__()
        self.gauge, self.cones = gauge, cones

    def forward(self, x: Tensor) -> Tensor:
        return self.gauge(x)

    def onto(self, x: Tensor) -> Tensor:
        return project_onto_dual_cone(self.cones, x.mT[..., None])[..., 0].mT

    def prox(self, x: Tensor, step: Tensor | float) -> Tensor:
        return group_shrink(self.onto(x), (self.gauge.weight * step).to(x.dtype), -2)
