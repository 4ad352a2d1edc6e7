"""Uniform random starting factors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlra_torch.functional.randomized import as_generator


def random_factors(
    shapes: Sequence[tuple[int, ...]], like: Tensor, seed: int | torch.Generator
) -> tuple[Tensor, ...]:
    """Independent uniform entries in (0, 1], one factor a shape.

    Zero is left out because a multiplicative update never leaves it. The numbers are drawn on the
    generator's device (the CPU for an integer seed) and moved, so that a seed gives the same
    factors on every device.

    Args:
        shapes: Shape of each factor, rank last.
        like: Tensor whose device and dtype the factors take.
        seed: Integer seed, or a generator, which advances.

    Returns:
        One tensor a shape, in order.

    References:
        D. D. Lee and H. S. Seung, Learning the parts of objects by non-negative matrix
        factorization, Nature 401, 1999.

    Example:
        >>> w, h = random_factors([(4, 2), (5, 2)], torch.zeros(4, 5), seed=0)
        >>> w.shape, h.shape, bool((w > 0).all())
        (torch.Size([4, 2]), torch.Size([5, 2]), True)
    """
    generator = as_generator(seed)
    draws = (
        torch.rand(shape, generator=generator, dtype=like.dtype, device=generator.device)
        for shape in shapes
    )
    return tuple((1 - draw).to(like.device) for draw in draws)
