"""One of everything: a new class gets one line here, and its conformance tests come free."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rlra_torch.iterations import (
    ADMM,
    FISTA,
    HALS,
    LISTA,
    MSOM,
    MU,
    SOM,
    AcceleratedMU,
    ActiveSet,
    Alternating,
    Balanced,
    BestSubset,
    BlockIteration,
    BurgMirrorDescent,
    Carried,
    CoordinateNewton,
    Counted,
    CoupledADMM,
    Extrapolated,
    Gain,
    Gained,
    Inertial,
    InertialDescent,
    Iteration,
    JointMM,
    Majorized,
    Marginals,
    Nesterov,
    ProALS,
    ProjectedGradient,
    ProjectedLeastSquares,
    ProjectedNewton,
    Regularized,
    Repeat,
    Safeguarded,
    ScalarNewton,
    SparseNNLS,
)
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler, Loss
from rlra_torch.models import (
    CP,
    NMF,
    Coded,
    Convolutive,
    Factors,
    Model,
    Multilinear,
    Parafac2,
    Sensed,
    Tucker,
)
from rlra_torch.operators import Dense, Patterns, RasterScan, SMatrix, SplitHadamard
from rlra_torch.problem import Problem
from rlra_torch.regularizers import (
    L1,
    Atoms,
    Box,
    ElasticNet,
    Free,
    Gauge,
    Group,
    InducedL1,
    KSparse,
    LogDet,
    LowerBound,
    Monotone,
    NonNegative,
    Orthonormal,
    Regularizer,
    Ridge,
    Simplex,
    Smooth,
    SparseSimplex,
    Sphere,
    Sum,
    SumAtMost,
    TotalVariation,
    Unimodal,
    UnitNorm,
)
from rlra_torch.unrolled import (
    ConvolutionalGain,
    GivenStart,
    RowGain,
    SeparableStart,
    TemplateStart,
    Unrolled,
    learned,
    lista,
    nalmu,
    ralmu,
    unrolled_nnls,
    unrolled_regression,
)


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    unit = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
    return low + (high - low) * unit


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)


# --- Losses ------------------------------------------------------------------------------------


class LossCase(NamedTuple):
    make: Callable[[], Loss]
    convex: bool = True  # in the prediction: `curvature` is then the second derivative
    zeros: bool = True  # the data may hold zeros


def _beta(beta: float) -> LossCase:
    return LossCase(partial(BetaDivergence, beta), convex=1 <= beta <= 2, zeros=beta > 0)


LOSSES = {
    "frobenius": LossCase(Frobenius),
    "kl": LossCase(KullbackLeibler),
    "is": LossCase(ItakuraSaito, convex=False, zeros=False),
    "beta=-0.5": _beta(-0.5),
    "beta=0.5": _beta(0.5),
    "beta=1.3": _beta(1.3),
    "beta=1.5": _beta(1.5),
    "beta=2.5": _beta(2.5),
    "beta=3": _beta(3.0),
}


# --- Patterns of single-pixel cameras ------------------------------------------------------------

PATTERNS: dict[str, Callable[[], Patterns]] = {
    "split hadamard": partial(SplitHadamard, (4, 8)),
    "half of split hadamard": partial(SplitHadamard, (4, 4), "cake_cutting", 8),
    "s-matrix": partial(SMatrix, (3, 5)),
    "raster scan": partial(RasterScan, (3, 5), 4),
}


# --- Regularizers ------------------------------------------------------------------------------


def _stays(x: Tensor) -> Tensor:
    return x


def _positive(x: Tensor) -> Tensor:
    return x.clamp_min(0)


def _onto_simplex(x: Tensor, dim: int) -> Tensor:
    x = x.clamp_min(0) + (x.amax(dim, keepdim=True) <= 0)
    return x / x.sum(dim, keepdim=True)


def _onto_sphere(x: Tensor, dim: int) -> Tensor:
    return x / x.norm(dim=dim, keepdim=True)


def _onto_sparse(x: Tensor, k: int, dim: int) -> Tensor:
    smallest_kept = x.abs().sort(dim, descending=True).values.narrow(dim, k - 1, 1)
    return torch.where(x.abs() >= smallest_kept, x, 0)


def _onto_unimodal(x: Tensor) -> Tensor:
    """Each entry becomes the least of the largest before and the largest after."""
    return torch.minimum(x.cummax(-2).values, x.flip(-2).cummax(-2).values.flip(-2))


def _onto_orthonormal(x: Tensor) -> Tensor:
    q, r = torch.linalg.qr(x)
    return q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)


class _Atoms(Atoms):
    """Cut to the rows of what it is applied to, as the others are made for any number of rows."""

    def __init__(self) -> None:
        d = uniform(torch.Generator().manual_seed(3), 8, 6, low=0.01) ** 2
        super().__init__(d)

    def near(self, x: Tensor) -> Tensor:
        own = copy(self)
        own._buffers = {"dictionary": self.dictionary[: x.shape[-2]]}
        return Atoms.near(own, x)

    def by_sums(self, x: Tensor) -> Tensor:
        """The atom that is nearest in the sum of differences, times the ratio of the sums."""
        d = self.dictionary[: x.shape[-2]]
        total, d = x.sum(-2, keepdim=True), d / d.sum(-2)
        gaps = (x[..., None] - total[..., None] * d[:, None, :]).abs().sum(-3)
        return total.clamp_min(0) * d.mT[gaps.argmin(-1)].mT


class RegularizerCase(NamedTuple):
    make: Callable[[], Regularizer]
    onto: Callable[[Tensor], Tensor] = _stays  # a map onto its set that is not its prox


def _net(lower: float, upper: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x.clamp(lower, upper)


ORTHONORMAL = "orthonormal columns"  # of both signs, which not every loss can take
REGULARIZERS = {
    "free": RegularizerCase(Free),
    "nonnegative": RegularizerCase(NonNegative, _positive),
    "nonnegative l1": RegularizerCase(lambda: NonNegative(l1=0.3), _positive),
    "nonnegative ridge": RegularizerCase(lambda: NonNegative(ridge=0.4), _positive),
    "nonnegative elastic": RegularizerCase(lambda: NonNegative(0.2, 0.5), _positive),
    "l1": RegularizerCase(lambda: L1(0.3)),
    "ridge": RegularizerCase(lambda: Ridge(0.4)),
    "elastic net": RegularizerCase(lambda: ElasticNet(0.2, 0.5, -0.4, 0.6), _net(-0.4, 0.6)),
    "lower bound": RegularizerCase(lambda: LowerBound(0.2), _net(0.2, torch.inf)),
    "box": RegularizerCase(lambda: Box(0.0, 0.8), _net(0.0, 0.8)),
    "simplex of rows": RegularizerCase(Simplex, lambda x: _onto_simplex(x, -1)),
    "simplex of columns": RegularizerCase(
        lambda: Simplex(2.0, dim=-2), lambda x: 2 * _onto_simplex(x, -2)
    ),
    "sparse simplex of rows": RegularizerCase(
        lambda: SparseSimplex(2),
        lambda x: _onto_simplex(_onto_sparse(x - x.amin(-1, True), 2, -1), -1),
    ),
    "unit columns": RegularizerCase(UnitNorm, lambda x: _onto_sphere(x, -2)),
    "unit nonnegative columns": RegularizerCase(
        lambda: UnitNorm(nonnegative=True), lambda x: _onto_sphere(x.abs(), -2)
    ),
    "unit rows": RegularizerCase(lambda: UnitNorm(dim=-1), lambda x: _onto_sphere(x, -1)),
    "sparse columns": RegularizerCase(lambda: KSparse(2), lambda x: _onto_sparse(x, 2, -2)),
    "sparse nonnegative rows": RegularizerCase(
        lambda: KSparse(2, True, dim=-1), lambda x: _onto_sparse(x.clamp_min(0), 2, -1)
    ),
    "group of columns": RegularizerCase(lambda: Group(0.3)),
    "group of nonnegative rows": RegularizerCase(lambda: Group(0.3, True, dim=-1), _positive),
    "induced l1": RegularizerCase(lambda: InducedL1(0.3)),
    "induced l1 of nonnegative columns": RegularizerCase(lambda: InducedL1(0.3, True), _positive),
    "gauge of nonnegative columns": RegularizerCase(
        lambda: Gauge(0.2, nonnegative=True), _positive
    ),
    "increasing": RegularizerCase(Monotone, lambda x: x.cummax(-2).values),
    "decreasing nonnegative rows": RegularizerCase(
        lambda: Monotone(True, True, dim=-1), lambda x: x.clamp_min(0).cummin(-1).values
    ),
    "unimodal": RegularizerCase(Unimodal, _onto_unimodal),
    "unimodal nonnegative": RegularizerCase(
        lambda: Unimodal(nonnegative=True), lambda x: _onto_unimodal(x.clamp_min(0))
    ),
    "total variation": RegularizerCase(lambda: TotalVariation(0.3)),
    "total variation of nonnegative rows": RegularizerCase(
        lambda: TotalVariation(0.3, True, dim=-1), _positive
    ),
    "smooth": RegularizerCase(lambda: Smooth(0.4)),
    "smooth rows, zero ends": RegularizerCase(lambda: Smooth(0.4, True, dim=-1)),
    ORTHONORMAL: RegularizerCase(Orthonormal, _onto_orthonormal),
    "atoms": RegularizerCase(_Atoms, _Atoms().by_sums),
    "sphere": RegularizerCase(Sphere, lambda x: _onto_sphere(x, -2)),
    "sphere of nonnegative columns": RegularizerCase(
        lambda: Sphere(nonnegative=True), lambda x: _onto_sphere(x.abs(), -2)
    ),
    "sparse rows": RegularizerCase(lambda: KSparse(2, dim=-1), lambda x: _onto_sparse(x, 2, -1)),
    "volume": RegularizerCase(lambda: LogDet(0.3, delta=0.5)),
    "sum at most one": RegularizerCase(
        SumAtMost, lambda x: _positive(x) / _positive(x).sum(-1, keepdim=True).clamp_min(1)
    ),
    "sum of one": RegularizerCase(lambda: Sum(NonNegative(0.3)), _positive),
}
ELASTIC = tuple(name for name in REGULARIZERS if name.startswith("nonnegative"))
MAJORIZED = ("group of columns", "group of nonnegative rows", "gauge of nonnegative columns")
SPLITS = (*ELASTIC, "lower bound", "box", *MAJORIZED)
ROWWISE = tuple(name for name, case in REGULARIZERS.items() if -1 in case.make().couples)


# --- Models ------------------------------------------------------------------------------------


class ModelCase(NamedTuple):
    make: Callable[[], Model]
    shapes: tuple[tuple[int, ...], ...]

    def factors(self, generator: torch.Generator, batch: tuple[int, ...] = ()) -> Factors:
        """Positive, each block with one solution: every component has its own place."""
        return tuple(
            uniform(generator, *batch, *shape, low=0.1, high=0.6)
            + _places(shape).to(generator.device)
            for shape in self.shapes
        )


def _places(shape: tuple[int, ...]) -> Tensor:
    grid = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
    return (sum(grid[:-1], torch.zeros(())) % shape[-1] == grid[-1]).to(torch.float64)


def _sensed() -> Model:
    matrix = uniform(torch.Generator().manual_seed(7), 6, 5)
    return Sensed(NMF(), Dense(matrix))


MODELS = {
    "nmf": ModelCase(NMF, ((5, 3), (4, 3))),
    "cp": ModelCase(partial(CP, 3), ((4, 2), (3, 2), (5, 2))),
    "tucker": ModelCase(partial(Tucker, 3), ((4, 2), (3, 2), (3, 3), (2, 2, 3))),
    "parafac2": ModelCase(Parafac2, ((4, 2), (3, 2), (3, 5, 2))),
    "single pixel": ModelCase(partial(Multilinear, "mp,pr,sr->ms"), ((4, 2), (2, 2), (5, 2))),
    "coded": ModelCase(Coded, ((5, 3), (3, 2), (4, 2))),
    "rank first": ModelCase(partial(Multilinear, "ri,rj->ij"), ((3, 5), (3, 4))),
    "convolutive": ModelCase(Convolutive, ((3, 2), (6, 2))),
    "convolutive nmf": ModelCase(
        partial(Convolutive, channels=True, cyclic=False), ((4, 3, 2), (7, 2))
    ),
    "convolutive by fourier": ModelCase(Convolutive, ((33, 1), (36, 1))),
    "convolved images": ModelCase(partial(Convolutive, 2, signals=True), ((2, 2, 2), (3, 4, 3, 2))),
    "sensed nmf": ModelCase(_sensed, ((5, 3), (4, 3))),
}
EQUATIONS = tuple(name for name, case in MODELS.items() if isinstance(case.make(), Multilinear))
PLAIN = ("nmf", "cp")


# --- Iterations --------------------------------------------------------------------------------


class IterationCase(NamedTuple):
    make: Callable[[], BlockIteration]
    losses: tuple[str, ...] = ("frobenius",)
    regs: tuple[str, ...] = ("nonnegative",)
    descends: tuple[str, ...] = ()  # the losses for which the objective never rises
    unconvex: bool = False  # ... with regularizers that are not convex too
    gram: bool = False  # it needs a least-squares block
    ordered: bool = False  # it treats one component after the other
    plain: bool = False  # it needs factors that are matrices with components as columns

    def takes(self, model: str) -> bool:
        """Whether it works on all factors of a model."""
        return (model in EQUATIONS or not self.gram) and (not self.plain or model in PLAIN)

    @property
    def reg(self) -> str:
        """What it is tried with first."""
        return "nonnegative" if "nonnegative" in self.regs else self.regs[0]


LEAST_SQUARES = ("frobenius",)
EVERY_LOSS = tuple(LOSSES)
EVERY_REG = tuple(REGULARIZERS)
BLOCK_ITERATIONS = {
    "mu": IterationCase(MU, EVERY_LOSS, SPLITS, EVERY_LOSS),
    "hals": IterationCase(
        HALS,
        regs=tuple(name for name in REGULARIZERS if name not in ROWWISE),
        descends=LEAST_SQUARES,
        unconvex=True,
        gram=True,
        ordered=True,
    ),
    "msom": IterationCase(MSOM, EVERY_LOSS, EVERY_REG, LEAST_SQUARES),
    "msom gamma=1": IterationCase(
        lambda: MSOM(1.0), LEAST_SQUARES, EVERY_REG, LEAST_SQUARES, unconvex=True
    ),
    "som u=x": IterationCase(lambda: SOM(_stays, 1.0), ("frobenius", "kl"), ELASTIC, LEAST_SQUARES),
    "projected gradient": IterationCase(
        ProjectedGradient, regs=EVERY_REG, descends=LEAST_SQUARES, unconvex=True
    ),
    "projected gradient gamma=1.9": IterationCase(
        lambda: ProjectedGradient(1.9), regs=EVERY_REG, descends=LEAST_SQUARES
    ),
    "fista": IterationCase(FISTA, regs=EVERY_REG),
    "active set": IterationCase(
        lambda: ActiveSet(2), regs=ELASTIC, descends=LEAST_SQUARES, gram=True
    ),
    "sparse nnls": IterationCase(
        SparseNNLS,
        regs=("nonnegative", "sparse nonnegative rows", "sparse simplex of rows"),
        descends=LEAST_SQUARES,
        unconvex=True,
        gram=True,
    ),
    "best subset": IterationCase(
        BestSubset,
        regs=("sparse rows",),
        descends=LEAST_SQUARES,
        unconvex=True,
        gram=True,
        plain=True,
    ),
    "majorized hals": IterationCase(
        lambda: Majorized(HALS()),
        regs=("nonnegative", "volume"),
        descends=LEAST_SQUARES,
        unconvex=True,
        gram=True,
        ordered=True,
        plain=True,
    ),
    "admm": IterationCase(ADMM, EVERY_LOSS, tuple(sorted(set(EVERY_REG) - {ORTHONORMAL}))),
    "burg": IterationCase(BurgMirrorDescent, ("kl",), SPLITS, ("kl",)),
    "accelerated mu": IterationCase(AcceleratedMU, EVERY_LOSS, SPLITS),
    "ccd": IterationCase(CoordinateNewton, ("kl",), SPLITS, gram=True, ordered=True),
    "sn": IterationCase(ScalarNewton, ("kl",), SPLITS, ("kl",), gram=True, ordered=True),
    "sn twice": IterationCase(
        lambda: ScalarNewton(2), ("kl",), SPLITS, ("kl",), gram=True, ordered=True
    ),
    "ccd or sn": IterationCase(
        lambda: Safeguarded(CoordinateNewton(), ScalarNewton()),
        ("kl",),
        SPLITS,
        ("kl",),
        gram=True,
        ordered=True,
    ),
    "msom or mu": IterationCase(
        lambda: Safeguarded(MSOM(), MU()), ("frobenius", "kl"), ELASTIC, ("frobenius", "kl")
    ),
    "fista or projected gradient": IterationCase(
        lambda: Safeguarded(FISTA(), ProjectedGradient()), regs=EVERY_REG, descends=LEAST_SQUARES
    ),
    "burg with marginals": IterationCase(
        lambda: Marginals(BurgMirrorDescent()), ("kl",), SPLITS, ("kl",), gram=True
    ),
    "newton": IterationCase(ProjectedNewton, ("frobenius", "kl"), ELASTIC, gram=True),
    "projected least squares": IterationCase(ProjectedLeastSquares, regs=EVERY_REG, gram=True),
    "pro-als": IterationCase(ProALS, regs=EVERY_REG, gram=True),
    "nesterov": IterationCase(lambda: Nesterov(ProjectedGradient()), regs=EVERY_REG),
    "nesterov mu": IterationCase(lambda: Nesterov(MU()), ("frobenius", "kl"), SPLITS),
    "gained mu": IterationCase(
        lambda: Gained(MU(), Gain()), ("frobenius", "kl", "is"), SPLITS, ("frobenius", "kl", "is")
    ),
    "mu gained by rows": IterationCase(
        lambda: Gained(MU(), RowGain(4)), ("frobenius", "kl"), descends=("frobenius", "kl")
    ),
    "hals gained by convolutions": IterationCase(
        lambda: Gained(HALS(), ConvolutionalGain(4, 3)),
        descends=LEAST_SQUARES,
        gram=True,
        ordered=True,
    ),
    "inertial msom": IterationCase(lambda: Inertial(MSOM(1.0)), ("frobenius", "kl"), EVERY_REG),
    "inertial mu": IterationCase(lambda: Inertial(MU(), 0.3), ("frobenius", "kl"), SPLITS),
}
ITERATIONS: dict[str, tuple[Callable[[], Iteration], tuple[str, ...]]] = {
    name: (lambda case=case: Alternating(case.make()), case.losses)
    for name, case in BLOCK_ITERATIONS.items()
} | {
    "hals, counted": (lambda: Alternating(HALS(), inner=Counted()), LEAST_SQUARES),
    "joint mm": (JointMM, ("kl",)),
    "coupled admm": (CoupledADMM, LEAST_SQUARES),
    "repeated mu": (lambda: Repeat(Alternating(MU()), 2), ("frobenius", "kl")),
    "extrapolated hals": (lambda: Extrapolated(Alternating(HALS())), LEAST_SQUARES),
    "extrapolated mu": (lambda: Extrapolated(Alternating(MU())), ("frobenius", "kl")),
    "balanced hals": (lambda: Balanced(Alternating(HALS())), LEAST_SQUARES),
    "balanced inertial mu": (
        lambda: Balanced(Alternating(Inertial(MU(), 0.3))),
        ("frobenius", "kl"),
    ),
    "carried gradient": (
        lambda: Carried(Alternating(Nesterov(ProjectedGradient()))),
        LEAST_SQUARES,
    ),
    "lista": (lambda: Alternating(LISTA(3)), LEAST_SQUARES),
    "inertial descent": (InertialDescent, LEAST_SQUARES),
    "regularized mu": (
        lambda: Regularized(Alternating(MU()), (NonNegative(), NonNegative(0.01))),
        ("frobenius", "kl"),
    ),
}
# Two factors of rank three: the models of the iterations that are made for so many; components that
# are the last dimension of every factor; and kernels on the sphere.
_CONVOLUTIONS = ("convolutive", "convolutive nmf", "convolutive by fourier", "convolved images")
ONLY = dict.fromkeys(("lista", "regularized mu"), ("nmf", "rank first", "sensed nmf")) | {
    "carried gradient": ("nmf", "cp", "sensed nmf", *_CONVOLUTIONS),
    "inertial descent": ("convolutive", "convolutive by fourier"),
}
ONLY |= {name: PLAIN for name, case in BLOCK_ITERATIONS.items() if case.plain}
MADE_FOR = {"inertial descent": ("sphere", "nonnegative")} | {
    name: case.reg for name, case in BLOCK_ITERATIONS.items() if case.reg != "nonnegative"
}
"""The regularizers, of all factors or of each, of the iterations that take no other."""


def regularizers(names: tuple[str, ...] | str, count: int) -> list[Regularizer]:
    """One for each factor, from their names or from that of all."""
    several = (names,) if isinstance(names, str) else names
    several = several * (count if len(several) == 1 else 1)
    return [REGULARIZERS[name].make() for name in several]


# --- Networks ----------------------------------------------------------------------------------

ROWS, COLUMNS, IMAGE, COMPONENTS = 4, 6, (2, 3), 2  # the data that the networks below are made for


class NetworkCase(NamedTuple):
    make: Callable[[], Unrolled]
    loss: str = "frobenius"
    given: bool = False  # it is called with the factors to start from


def _layers(make: Callable[[], Iteration], loss: Loss, tied: bool = False) -> Unrolled:
    layers = [make()] * 2 if tied else [make() for _ in range(2)]
    regs = (NonNegative(), NonNegative())
    return Unrolled(layers, NMF(), loss, regs, SeparableStart(COMPONENTS))


def _gained() -> Iteration:
    return Alternating([Gained(MU(), Gain(COMPONENTS)), Gained(MU(), Gain())])


def _fista() -> Iteration:
    return Regularized(Alternating(FISTA()), (NonNegative(), learned(NonNegative(0.01), "l1")))


def _gradient() -> Iteration:
    return Alternating(learned(ProjectedGradient(1.2), "gamma"))


def _msom() -> Iteration:
    return Alternating(learned(Inertial(learned(MSOM(0.8), "gamma"), 0.3), "momentum"))


def _sparse_codes() -> Unrolled:
    layers = [Regularized(Alternating(LISTA(COMPONENTS)), (Free(), L1(0.01))) for _ in range(2)]
    return Unrolled(layers, NMF(), Frobenius(), (Free(), L1(0.01)), GivenStart(), free=(1,))


_ALL_GAINS = ((ROWS, COMPONENTS), (COLUMNS, COMPONENTS))
NETWORKS = {
    "nalmu": NetworkCase(lambda: nalmu(COMPONENTS, 2)),
    "nalmu, components": NetworkCase(lambda: nalmu(COMPONENTS, 2, ((COMPONENTS,),) * 2)),
    "nalmu, rows": NetworkCase(lambda: nalmu(COMPONENTS, 2, ((ROWS, 1), (COLUMNS, 1)))),
    "nalmu, entries": NetworkCase(lambda: nalmu(COMPONENTS, 2, _ALL_GAINS)),
    "nalmu, kl": NetworkCase(lambda: nalmu(COMPONENTS, 2, loss=KullbackLeibler()), "kl"),
    "nalmu, kl, entries": NetworkCase(
        lambda: nalmu(COMPONENTS, 2, _ALL_GAINS, loss=KullbackLeibler()), "kl"
    ),
    "nalmu, is": NetworkCase(lambda: nalmu(COMPONENTS, 2, loss=ItakuraSaito()), "is"),
    "nalmu, tied": NetworkCase(lambda: _layers(_gained, Frobenius(), tied=True)),
    "nalmu, tied, kl": NetworkCase(lambda: _layers(_gained, KullbackLeibler(), tied=True), "kl"),
    "nalmu, momentum": NetworkCase(
        lambda: nalmu(COMPONENTS, 2, ((COMPONENTS,), (1,)), momentum=0.2)
    ),
    "ralmu": NetworkCase(lambda: ralmu(COMPONENTS, 2, hidden=2)),
    "ralmu, image": NetworkCase(lambda: ralmu(COMPONENTS, 2, hidden=2, image=IMAGE)),
    "ralmu, kl": NetworkCase(
        lambda: ralmu(COMPONENTS, 2, hidden=2, momentum=0.1, loss=KullbackLeibler()), "kl"
    ),
    "unrolled nnls": NetworkCase(lambda: unrolled_nnls(2), given=True),
    "unrolled regression": NetworkCase(
        lambda: unrolled_regression(TemplateStart(torch.ones(ROWS, COMPONENTS)), 2), "kl", True
    ),
    "lista": NetworkCase(lambda: lista(COMPONENTS, 2, l1=0.01), given=True),
    "lista, one threshold": NetworkCase(_sparse_codes, given=True),
    "unrolled hals": NetworkCase(lambda: _layers(lambda: Alternating(HALS()), Frobenius())),
    "unrolled fista": NetworkCase(lambda: _layers(_fista, Frobenius())),
    "unrolled gradient": NetworkCase(lambda: _layers(_gradient, Frobenius())),
    "unrolled msom": NetworkCase(lambda: _layers(_msom, Frobenius())),
    "unrolled msom, kl": NetworkCase(lambda: _layers(_msom, KullbackLeibler()), "kl"),
}


def trained(net: Unrolled, generator: torch.Generator, size: float = 0.3) -> Unrolled:
    """The network with random changes of all its parameters, as if it had been trained."""
    for parameter in net.parameters():
        noise = normal(generator, *parameter.shape).to(parameter)
        parameter.data = parameter.data + size * noise
    return net


def mixture(generator: torch.Generator, *batch: int) -> tuple[Tensor, Factors]:
    """Data for the networks above, and factors to start from."""
    w = uniform(generator, *batch, ROWS, COMPONENTS, low=0.1)
    h = uniform(generator, *batch, COLUMNS, COMPONENTS, low=0.1)
    y = w @ h.mT * uniform(generator, *batch, ROWS, COLUMNS, low=0.8, high=1.2)
    start = tuple(x * uniform(generator, *x.shape, low=0.7, high=1.3) for x in (w, h))
    return y, start


def example(
    generator: torch.Generator,
    model: str = "nmf",
    loss: str = "frobenius",
    reg: tuple[str, ...] | str = "nonnegative",
    batch: tuple[int, ...] = (),
) -> tuple[Problem, Factors]:
    """Noisy data of a model and a start near its factors; all positive, as every loss takes."""
    case, device = MODELS[model], generator.device
    truth = case.factors(generator, batch)
    clean = case.make().to(device)(truth)
    y = clean * uniform(generator, *clean.shape, low=0.8, high=1.2)
    regs = [own.to(device) for own in regularizers(reg, len(case.shapes))]
    problem = Problem(y, case.make().to(device), LOSSES[loss].make(), regs)
    return problem, tuple(x * uniform(generator, *x.shape, low=0.8, high=1.2) for x in truth)


def example_for(
    name: str, generator: torch.Generator, loss: str, batch: tuple[int, ...] = ()
) -> tuple[Problem, Factors]:
    """The `example` of the first model and the regularizers that an iteration is made for."""
    model, *_ = ONLY.get(name, ("nmf",))
    reg = MADE_FOR.get(name, "nonnegative")
    problem, start = example(generator, model, loss, reg, batch)
    names = (reg,) * len(start) if isinstance(reg, str) else reg
    return problem, tuple(REGULARIZERS[n].onto(x) for n, x in zip(names, start, strict=True))
