"""Networks for configurations, where a class path needs numbers for modules with learned parts."""

from __future__ import annotations

from ..implicit import ImplicitRegression
from ..iterations import ActiveSet, Alternating
from ..losses import Frobenius
from ..models import NMF
from ..regularizers import NonNegative
from ..unrolled import learned


def implicit_nnls(l1: float = 1e-3, ridge: float = 1e-3) -> ImplicitRegression:
    """Solved nonnegative least squares for a known ``W``, with learned penalties.

        H = argmin_{H >= 0} ||Y - W H^T||^2 / 2 + l1 sum H + ridge ||H||^2 / 2

    It is called with the factors to start from, ``net(y, (W, H))``, and leaves ``W`` as it is.
    Problems whose solve ends above its tolerance get no gradient, and a warning says so.

    Args:
        l1: weight of the sum that training starts from, positive.
        ridge: weight of half the sum of squares that training starts from, positive.

    Raises:
        ValueError: a weight that is not positive.

    References:
        | Cohen, Regularized low-rank approximations (HDR, 2026), sections 7.1 and 19.1.2

    Example:
        >>> import torch
        >>> net = implicit_nnls(l1=0.5, ridge=1.0)
        >>> _, found = net(torch.tensor([[2.5], [-1.0]]), (torch.eye(2), torch.ones(1, 2)))
        >>> found.detach(), len(list(net.parameters()))
        (tensor([[1., 0.]]), 2)
    """
    penalty = learned(NonNegative(l1=l1, ridge=ridge), "l1", "ridge")
    net = ImplicitRegression(
        Alternating(ActiveSet(pivots=5)),
        NMF(),
        Frobenius(),
        (NonNegative(), penalty),
        free=(1,),
        strict=False,
    )
    net.check_every = 1
    return net
