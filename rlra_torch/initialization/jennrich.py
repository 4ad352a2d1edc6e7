"""An algebraic start of canonical polyadic decompositions."""

from __future__ import annotations

import torch
from torch import Tensor

from rlra_torch.functional.randomized import as_generator
from rlra_torch.functional.tucker import leading_basis, mode_product


def jennrich(y: Tensor, rank: int, seed: int | torch.Generator = 0) -> tuple[Tensor, ...]:
    """The factors of a tensor from one eigenvalue decomposition, exact where it has them exactly.

    With p and q the two largest modes, random weights of all other modes give two matrices

        S = A diag(s) B^T,   T = A diag(t) B^T,   S T^+ = A diag(s / t) A^+

    (in bases of r singular vectors), whose eigenvectors are the factor of mode p up to scale. Its
    pseudo-inverse splits the data into one tensor for each component, and the leading singular
    vectors of those are the other factors. Data with noise can give complex pairs; their real and
    imaginary parts are taken then.

    Signs are chosen so that each column but those of the last mode has more positive than negative
    energy; all columns of a component have the same norm.

    Args:
        y: tensor of order 3 or more, (n_1, ..., n_d).
        rank: the number of components, at most the second largest size.
        seed: of the random weights.

    Returns:
        d factors (n_i, rank).

    Raises:
        ValueError: a matrix, or a rank that is too large.

    References:
        | Harshman, Foundations of the PARAFAC procedure (1970)
        | Leurgans, Ross, Abel, A decomposition for three-way arrays (1993)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 6.2.2

    Example:
        >>> a, b = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([[1.0, 3.0]])
        >>> y = torch.einsum("ir,jr,kr->ijk", a, a, torch.cat((b, b.flip(1))))
        >>> x = jennrich(y, 2)
        >>> bool((torch.einsum("ir,jr,kr->ijk", *x) - y).abs().max() < 1e-4)
        True
    """
    largest = sorted(range(y.ndim), key=lambda mode: -y.shape[mode])[:2]
    if y.ndim < 3 or not 1 <= rank <= y.shape[largest[1]]:
        raise ValueError(
            f"jennrich was given rank {rank} for data of shape {tuple(y.shape)} and needs a tensor "
            'of order 3 or more and a rank up to its second largest size; use init="random" instead'
        )
    y, generator = y.detach(), as_generator(seed)
    p, q = sorted(largest)
    bases = [leading_basis(y, mode - y.ndim, rank) for mode in (p, q)]
    core = mode_product(y, bases[0].mT, p - y.ndim)
    small = mode_product(core, bases[1].mT, q - y.ndim).movedim((p, q), (0, 1)).flatten(2)
    weights = torch.randn(
        small.shape[-1], 2, generator=generator, dtype=y.dtype, device=generator.device
    ).to(y.device)
    first, second = (small @ weights).unbind(-1)
    inside = _eigenvectors(first @ torch.linalg.pinv(second))
    apart = mode_product(core, torch.linalg.pinv(inside), p - y.ndim).movedim(p, 0)
    columns = [_rank_one(part) for part in apart]
    others = [m for m in range(y.ndim) if m != p]
    found = {m: torch.stack([column[k] for column in columns], -1) for k, m in enumerate(others)}
    found[p] = bases[0] @ inside
    return _conventional([found[mode] for mode in range(y.ndim)])


def _eigenvectors(matrix: Tensor) -> Tensor:
    """Real columns that span what the eigenvectors span."""
    values, vectors = torch.linalg.eig(matrix)
    # Of a complex pair one has the real part, the other one the imaginary part.
    return torch.where(values.imag < 0, vectors.imag, vectors.real)


def _rank_one(y: Tensor) -> list[Tensor]:
    """The leading singular vector of each mode, the last one with the scale."""
    columns = []
    for _ in range(y.ndim - 1):
        basis = leading_basis(y, -y.ndim, 1)
        columns.append(basis[:, 0])
        y = mode_product(y, basis.mT, -y.ndim)[0]
    return [*columns, y]


def _conventional(factors: list[Tensor]) -> tuple[Tensor, ...]:
    """Columns of equal norm in each component, positive in the sense of energy but for the last."""
    norms = torch.stack([torch.linalg.vector_norm(x, dim=0) for x in factors])
    size = norms.log().mean(0).exp()
    sign, out = torch.ones_like(size), []
    for n, (x, norm) in enumerate(zip(factors, norms, strict=True)):
        own = torch.where((x * x.abs()).sum(0) < 0, -1.0, 1.0).to(x.dtype)
        sign = sign * own
        own = sign * own if n == len(factors) - 1 else own
        out.append(x * torch.where(norm > 0, own * size / norm, 0))
    return tuple(out)
