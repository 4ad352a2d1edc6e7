"""Networks of the literature, each a list of layers."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..functional.arguments import whole_number
from ..iterations import (
    LISTA,
    MSOM,
    MU,
    Alternating,
    BlockIteration,
    Gain,
    Gained,
    Inertial,
    Regularized,
)
from ..losses import Frobenius, KullbackLeibler, Loss
from ..models import NMF, Convolutive
from ..regularizers import L1, Free, NonNegative
from .gains import ComponentGain, ConvolutionalGain, RowGain
from .learned import learned
from .starts import GivenStart, SeparableStart, Start, TemplateStart
from .unrolled import Unrolled


def nalmu(
    rank: int,
    depth: int = 25,
    gains: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    momentum: float = 0.0,
    start: Start | None = None,
    loss: Loss | None = None,
    checkpointed: bool = False,
) -> Unrolled:
    """Non-adaptive learned multiplicative updates: a gain for each layer and factor.

        W <- W * A_W^k * (Y H) / (W H^T H),    H <- H * A_H^k * (Y^T W) / (H W^T W)

    Args:
        rank: the number of components.
        depth: layers.
        gains: the shapes of A_W and A_H, each broadcasting with its factor: () one number,
            (rank,) one a component, (rows, 1) one a row, (rows, rank) for all entries. One number
            alone for both only moves the scale between them.
        momentum: learned in each layer from this start, see `Inertial`; 0: none, as published.
        start: from the data to the first factors; None: `SeparableStart`.
        loss: None: Frobenius.
        checkpointed: as in `Unrolled`.

    Raises:
        ValueError: no layers, or gains that are not two shapes.

    References:
        | Kervazo, Chetoui, Cohen, Deep unrolling of the multiplicative updates algorithm for blind
        | source separation (2024)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.3

    Example:
        >>> import torch
        >>> net = nalmu(rank=2, depth=3, gains=((5, 1), (2,)))
        >>> [tuple(x.shape) for x in net(torch.rand(5, 8))]
        [(5, 2), (8, 2)]
        >>> sum(p.numel() for p in net.parameters())
        21
    """
    if len(gains) != 2 or not all(isinstance(shape, (tuple, list)) for shape in gains):
        raise ValueError(f"gains are two shapes, that of A_W and that of A_H, got {gains!r}")
    layers = [
        Alternating([_inertial(Gained(MU(), Gain(*shape)), momentum) for shape in gains])
        for _ in _layers(depth)
    ]
    return _nmf(layers, start or SeparableStart(rank), loss, checkpointed)


def ralmu(
    rank: int,
    depth: int = 25,
    hidden: int = 8,
    momentum: float = 0.0,
    image: tuple[int, int] | None = None,
    start: Start | None = None,
    loss: Loss | None = None,
    checkpointed: bool = False,
) -> Unrolled:
    """Adaptive multiplicative updates: small networks predict the gains from the factors.

    A `RowGain` for each factor, or for the abundances convolutions over each map where they form
    an image. The networks fit any rank and any number of bands and pixels.

    Args:
        rank: the number of components.
        depth: layers.
        hidden: units and channels of the networks.
        momentum: learned in each layer from this start, see `Inertial`; 0: none.
        image: (height, width) of the abundance maps, or None: pixels without an order.
        start: from the data to the first factors; None: `SeparableStart`.
        loss: None: Frobenius.
        checkpointed: as in `Unrolled`.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 19.1.3

    Example:
        >>> import torch
        >>> [tuple(x.shape) for x in ralmu(rank=2, depth=3)(torch.rand(5, 8))]
        [(5, 2), (8, 2)]
    """

    def layer() -> Alternating:
        maps = RowGain(hidden) if image is None else ConvolutionalGain(hidden, image=image)
        return Alternating(
            [_inertial(Gained(MU(), gain), momentum) for gain in (RowGain(hidden), maps)]
        )

    return _nmf(
        [layer() for _ in _layers(depth)], start or SeparableStart(rank), loss, checkpointed
    )


def unrolled_nnls(
    depth: int = 15, gamma: float = 1.0, momentum: float = 0.5, l1: float = 1e-3
) -> Unrolled:
    """Nonnegative least squares for a known ``W``: mSOM with learned steps, momentum, thresholds.

    It is called with the factors to start from, ``net(y, (W, H))``, and leaves ``W`` as it is.

    Args:
        depth: layers.
        gamma: relaxation that every layer starts from.
        momentum: that every layer starts from.
        l1: weight of the sum of H that every layer starts from.

    References:
        | Pham, Cohen, Chonavel, A fast multiplicative updates algorithm for nonnegative matrix
        | factorization (2026), section 4
        | Gregor, LeCun, Learning fast approximations of sparse coding (2010)

    Example:
        >>> import torch
        >>> w, h = torch.eye(3)[:, :2], torch.full((4, 2), 0.5)
        >>> w_same, found = unrolled_nnls()(torch.ones(3, 4), (w, h))
        >>> w_same is w, bool(((found - 1).abs() < 0.01).all())
        (True, True)
    """
    layers = []
    for _ in _layers(depth):
        step = learned(Inertial(learned(MSOM(gamma), "gamma"), momentum), "momentum")
        penalty = learned(NonNegative(l1=l1), "l1")
        layers.append(Regularized(Alternating(step), (NonNegative(), penalty)))
    regs = (NonNegative(), NonNegative())
    return Unrolled(layers, NMF(), Frobenius(), regs, GivenStart(), free=(1,))


def unrolled_regression(
    start: TemplateStart,
    depth: int = 15,
    gain: Callable[[int], nn.Module] = Gain,
    loss: Loss | None = None,
) -> Unrolled:
    """Activations of known or learned templates: multiplicative updates with learned gains.

        X <- X * A^k * N / P,   with P - N the gradient of the loss in the activations X

    For templates with a window the model is `Convolutive`, else a matrix product. Untrained it is
    as many iterations of MU.

    Args:
        start: holds the templates, see `TemplateStart`.
        depth: layers.
        gain: from the number of templates to the gain of a layer, of (frames, templates): `Gain`
            for a number for each of them (NALMU), or ``lambda n: RowGain()`` and the like (RALMU).
        loss: None: Kullback-Leibler.

    References:
        | Kervazo, Chetoui, Cohen, Deep unrolling of the multiplicative updates algorithm for blind
        | source separation (2024)
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 19.1.3 and 21.2.3

    Example:
        >>> import torch
        >>> net = unrolled_regression(TemplateStart(torch.rand(5, 3, 2)), depth=4)
        >>> [tuple(x.shape) for x in net(torch.rand(5, 8))], len(list(net.parameters()))
        ([(5, 3, 2), (8, 2)], 4)
    """
    templates = start.templates
    convolved, count = templates.ndim == 3, templates.shape[-1]
    model = Convolutive(channels=True, cyclic=False) if convolved else NMF()
    layers = [Alternating(Gained(MU(), ComponentGain(gain(count), count))) for _ in _layers(depth)]
    regs = (NonNegative(), NonNegative())
    return Unrolled(layers, model, loss or KullbackLeibler(), regs, start, free=(1,))


def lista(rank: int, depth: int = 15, l1: float = 0.1) -> Unrolled:
    """Sparse coding in a known dictionary ``W``: `LISTA` with a learned threshold in every layer.

    It is called with the factors to start from, ``net(y, (W, H))``, and leaves ``W`` as it is.

    Args:
        rank: the number of atoms.
        depth: layers.
        l1: the weight of ``sum |H|`` that every layer starts from.

    References:
        | Gregor, LeCun, Learning fast approximations of sparse coding (2010)
        | Chen, Liu, Wang, Yin, Theoretical linear convergence of unfolded ISTA and its practical
        | weights and thresholds (2018)

    Example:
        >>> import torch
        >>> w, h = torch.eye(3), torch.zeros(1, 3)
        >>> _, found = lista(rank=3, l1=0.5)(torch.tensor([[1.0], [0.2], [-2.0]]), (w, h))
        >>> found.detach().round(decimals=2)
        tensor([[ 0.5000,  0.0000, -1.5000]])
    """
    layers = [
        Regularized(Alternating(LISTA(rank)), (Free(), learned(L1(l1), "l1")))
        for _ in _layers(depth)
    ]
    return Unrolled(layers, NMF(), Frobenius(), (Free(), L1(l1)), GivenStart(), free=(1,))


def _inertial(iteration: BlockIteration, momentum: float) -> BlockIteration:
    return learned(Inertial(iteration, momentum), "momentum") if momentum else iteration


def _layers(depth: int) -> range:
    return range(whole_number("the depth of a network", depth))


def _nmf(
    layers: list[Alternating], start: Start, loss: Loss | None, checkpointed: bool
) -> Unrolled:
    regs = (NonNegative(), NonNegative())
    return Unrolled(layers, NMF(), loss or Frobenius(), regs, start, checkpointed=checkpointed)
