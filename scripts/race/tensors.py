"""CP, Tucker and coupled fits beside TensorLy: 20 small random problems of each kind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlra_torch import coupled, cp, tucker
from rlra_torch.iterations import Alternating, Extrapolated, ProjectedLeastSquares
from rlra_torch.regularizers import Free, NonNegative

PROBLEMS = 20
RANKS = (4, 3, 5)


class Outcome(NamedTuple):
    """Seconds, and the squared error that the factors have, ours and theirs."""

    seconds: tuple[float, float]
    squares: tuple[float, float]


class Kind(NamedTuple):
    """One kind of fit.

    Args:
        make: a problem from its seed.
        ours, theirs: from the problem to factors whose prediction `squares` compares with the data.
    """

    make: Callable[[int], Any]
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]


def tensors(rounds: int, device: str, out: Path) -> str:
    """CP, Tucker and coupled fits: 20 small random problems of each kind against TensorLy."""
    lines = ["### Fits of 20 random problems each: ours, and TensorLy to its tolerance 1e-8", ""]
    lines += ["| fit | seconds | TensorLy | ratio | objective, most | median |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, kind in KINDS.items():
        run(kind, 0)  # what is loaded or planned at the first call
        found = [run(kind, seed) for seed in range(PROBLEMS)]
        seconds = [sum(pair) for pair in zip(*(one.seconds for one in found), strict=True)]
        ratios = [one.squares[0] / one.squares[1] for one in found]
        lines.append(
            f"| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} | {seconds[0] / seconds[1]:.2f} "
            f"| {max(ratios):.5f} | {statistics.median(ratios):.5f} |"
        )
    lines += ["", "Ratios of ours to theirs; squared errors of feasible factors, recomputed."]
    return "\n".join(lines) + "\n"


def run(kind: Kind, seed: int) -> Outcome:
    """Both on one problem, the first one in turns."""
    problem, seconds, found = kind.make(seed), [0.0, 0.0], [None, None]
    for which in (seed % 2, 1 - seed % 2):
        begin = time.perf_counter()
        found[which] = (kind.ours, kind.theirs)[which](problem)
        seconds[which] = time.perf_counter() - begin
    ours, theirs = (sum(squares(problem, factors)) for factors in found)
    return Outcome((seconds[0], seconds[1]), (ours, theirs))


def squares(problem: Any, factors: Any) -> list[float]:
    """The squared error of each data set of a problem."""
    return [
        float(np.square(y - np.einsum(equation, *(factors[n] for n in which), optimize=True)).sum())
        for y, equation, which in problem["terms"]
    ]


# ---- problems -----------------------------------------------------------------------------------


def cp_problem(seed: int) -> dict[str, Any]:
    """60 x 50 x 40 of rank 4, 10% noise, and a random start."""
    state = np.random.RandomState(seed)
    truth = [state.rand(size, 4) for size in (60, 50, 40)]
    y = noisy(np.einsum("ir,jr,kr->ijk", *truth), 0.1, state)
    start = [state.rand(size, 4) for size in y.shape]
    return {"y": y, "start": start, "terms": [(y, "ir,jr,kr->ijk", (0, 1, 2))]}


def tucker_problem(seed: int) -> dict[str, Any]:
    """30 x 25 x 20 of ranks (4, 3, 5), 10% noise."""
    state = np.random.RandomState(seed)
    truth = [state.rand(size, rank) for size, rank in zip((30, 25, 20), RANKS, strict=True)]
    y = noisy(np.einsum("ia,jb,kc,abc->ijk", *truth, state.rand(*RANKS)), 0.1, state)
    return {"y": y, "terms": [(y, "ia,jb,kc,abc->ijk", (0, 1, 2, 3))]}


def coupled_problem(seed: int) -> dict[str, Any]:
    """20 x 15 x 12 and 20 x 10 of rank 3 that share a mode, 5% noise."""
    state = np.random.RandomState(seed)
    a, b, c, v = (state.rand(size, 3) for size in (20, 15, 12, 10))
    x, y = noisy(np.einsum("ir,jr,kr->ijk", a, b, c), 0.05, state), noisy(a @ v.T, 0.05, state)
    terms = [(x, "ir,jr,kr->ijk", (0, 1, 2)), (y, "ir,lr->il", (0, 3))]
    return {"x": x, "y": y, "terms": terms}


def noisy(clean: np.ndarray, level: float, state: np.random.RandomState) -> np.ndarray:
    noise = state.randn(*clean.shape)
    return clean + level * noise * np.linalg.norm(clean) / np.linalg.norm(noise)


# ---- ours ---------------------------------------------------------------------------------------


def our_cp(free: bool) -> Callable[[Any], Any]:
    least_squares = Extrapolated(Alternating(ProjectedLeastSquares()))
    iteration, tol = (least_squares, 3e-4) if free else (None, 1e-4)
    regs = [Free() if free else NonNegative() for _ in range(3)]

    def fit(problem: Any) -> Any:
        y, start = problem["y"], problem["start"]
        return cp(y, 4, iteration=iteration, regs=regs, init=start, tol=tol).factors

    return fit


def our_tucker(free: bool) -> Callable[[Any], Any]:
    regs = None if free else [NonNegative() for _ in range(4)]

    def fit(problem: Any) -> Any:
        return tucker(problem["y"], RANKS, regs=regs, tol=1e-4).factors

    return fit


def our_coupled(problem: Any) -> Any:
    fit = coupled([(problem["x"], "ijk"), (problem["y"], "il")], 3, regs=Free(), tol=1e-4)
    return [fit[letter] for letter in "ijkl"]


# ---- theirs -------------------------------------------------------------------------------------


def their_cp(name: str, **settings: Any) -> Callable[[Any], Any]:
    def fit(problem: Any) -> Any:
        import tensorly.decomposition as peer
        from tensorly.cp_tensor import CPTensor

        init = CPTensor((None, [x.copy() for x in problem["start"]]))
        found = getattr(peer, name)(problem["y"], 4, n_iter_max=500, init=init, **settings)
        weights, factors = found
        return [factors[0] * (1 if weights is None else weights), *factors[1:]]

    return fit


def their_tucker(name: str, **settings: Any) -> Callable[[Any], Any]:
    def fit(problem: Any) -> Any:
        import tensorly.decomposition as peer

        core, factors = getattr(peer, name)(problem["y"], list(RANKS), **settings)
        return [*factors, core]

    return fit


def their_coupled(problem: Any) -> Any:
    from tensorly.decomposition._cmtf_als import coupled_matrix_tensor_3d_factorization as peer

    found: Any = peer(problem["x"], problem["y"], 3, n_iter_max=1000)
    tensor, matrix, _ = found
    return [*tensor.factors, matrix.factors[1]]


KINDS = {
    "CP, least squares": Kind(cp_problem, our_cp(free=True), their_cp("parafac", tol=1e-8)),
    "nonnegative CP": Kind(
        cp_problem,
        our_cp(free=False),
        their_cp("non_negative_parafac_hals", tol=1e-8),
    ),
    "constrained CP": Kind(
        cp_problem,
        our_cp(free=False),
        their_cp("constrained_parafac", non_negative=True, tol_outer=1e-8),
    ),
    "Tucker": Kind(
        tucker_problem,
        our_tucker(free=True),
        their_tucker("tucker", n_iter_max=500, tol=1e-8),
    ),
    "nonnegative Tucker": Kind(
        tucker_problem,
        our_tucker(free=False),
        their_tucker("non_negative_tucker_hals", n_iter_max=100, tol=1e-8),
    ),
    "coupled": Kind(coupled_problem, our_coupled, their_coupled),
}
