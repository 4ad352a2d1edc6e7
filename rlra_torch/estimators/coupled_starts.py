"""Where a coupled factorization starts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..data import Dense, Terms
from ..functional.randomized import as_generator
from ..models import Coupled, Model
from ..problem import Problem
from .inputs import Array, like
from .modes import Modes

CoupledStart = str | Mapping[str, Array] | None


def coupled_start(problem: Problem, modes: Modes, seed: int, init: CoupledStart) -> list[Tensor]:
    """One factor for each mode.

    Args:
        problem: whose data and regularizers are asked.
        modes: the letters.
        seed: of random entries.
        init: "random", "svd": the leading singular vectors of the unfoldings of all data sets with
            a mode, each divided by its norm; or the factors by letter. None: "svd" for factors of
            any sign, else "random".

    Raises:
        ValueError: an unknown name, or other letters.
    """
    data = problem.data
    assert isinstance(data, Terms)
    sizes = modes.sizes([part.shape for part in data.several])
    if isinstance(init, Mapping) and set(init) == set(modes.letters):
        named = ((f"the factor of mode {letter!r}", init[letter]) for letter in modes.letters)
        return [like(x, name, data).clone() for name, x in named]
    if init not in ("random", "svd", None):
        raise ValueError(
            f"init is 'random', 'svd', or one factor for each of the modes {modes.letters}"
        )
    generator, found = as_generator(seed), []
    for n, letter in enumerate(modes.letters):
        shape = sizes[letter], modes.columns(letter)
        draw = torch.randn(shape, generator=generator, dtype=data.dtype, device=generator.device)
        draw, first = draw.to(data.device), problem.regs[n].terms[0]
        tiny = torch.finfo(data.dtype).tiny
        signed = bool((first.prox(-draw.abs(), tiny) < 0).any())
        signed = signed and not problem.loss_of(n).nonnegative
        if init == "svd" or (init is None and signed):
            leading = _leading(data, problem.model, modes, letter, draw.shape[1])
            draw = torch.cat((leading, draw[:, leading.shape[1] :]), 1)
        if not signed:
            # Each entry away from 0, which a multiplicative update never leaves.
            draw = draw.abs() + 0.1 * draw.abs().mean(0)
        found.append(first.prox(draw, tiny))
    return found


def _leading(data: Terms, model: Model, modes: Modes, letter: str, count: int) -> Tensor:
    """The leading singular vectors of all dense unfoldings with a mode; none without those."""
    assert isinstance(model, Coupled)
    gram = torch.zeros((), dtype=data.dtype, device=data.device)
    for i, (part, name) in enumerate(zip(data.several, modes.names, strict=True)):
        if letter in name and isinstance(part, Dense):
            y = part.imputed(model.model(i)).movedim(name.index(letter), 0).flatten(1)
            tiny = torch.finfo(y.dtype).tiny
            gram = gram + (y @ y.mT) / y.square().sum().clamp_min(tiny)
    if not gram.ndim:
        return gram.new_zeros(modes.sizes([p.shape for p in data.several])[letter], 0)
    return torch.linalg.eigh(gram).eigenvectors.flip(-1)[:, :count]
