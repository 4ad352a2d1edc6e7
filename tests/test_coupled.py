"""Coupled factorizations: data sets of different kinds that share factors."""

import numpy as np
import pytest
import scipy.sparse
import torch
from conformance import check_falls, close, run
from zoo import normal, uniform

from rlra_torch import CoupledFactorization, Problem, coupled, solve
from rlra_torch.data import Terms
from rlra_torch.functional.layouts import common_layout, moved_gram
from rlra_torch.iterations import (
    FISTA,
    HALS,
    MSOM,
    MU,
    ActiveSet,
    Alternating,
    CoordinateNewton,
    Counted,
    Extrapolated,
    JointMM,
    ProjectedLeastSquares,
)
from rlra_torch.losses import BetaDivergence, Frobenius, ItakuraSaito, KullbackLeibler, Several
from rlra_torch.models import CP, NMF, Coupled, Multilinear, Tucker
from rlra_torch.models.base import replaced
from rlra_torch.regularizers import L1, ColumnsFrom, Free, Group, NonNegative, Sum, UnitNorm

SIZES = (5, 4, 3, 6)
CMTF = Coupled([(CP(3), (0, 1, 2)), (NMF(), (0, 3))])
# The first mode of the slices is a batch of PARAFAC2, the rows of a matrix, and part of a rank.
MIXED = Coupled(
    [
        (Multilinear("ir,kr,kjr->ijk"), (0, 1, 2)),
        (NMF(), (1, 3)),
        (Multilinear("ak,kr,br->ab"), (4, 1, 5)),
    ]
)
MIXED_SHAPES = ((4, 2), (3, 2), (3, 5, 2), (6, 2), (2, 3), (4, 2))
LOSSES = {
    "frobenius": Frobenius(),
    "several frobenius": Several((Frobenius(), Frobenius()), (0.5, 3.0)),
    "kl": KullbackLeibler(),
    "frobenius and kl": Several((Frobenius(), KullbackLeibler()), (2.0, 0.7)),
    "kl and is": Several((KullbackLeibler(), ItakuraSaito())),
    "beta 3 and frobenius": Several((BetaDivergence(3.0), Frobenius())),
}


def cmtf(generator, loss="frobenius", batch=(), weights=False, reg=NonNegative, rank=2):
    """Noisy data of a tensor and a matrix that share their first factor, and a start."""
    truth = tuple(uniform(generator, *batch, n, rank, low=0.1) for n in SIZES)
    noisy = [x * uniform(generator, *x.shape, low=0.8, high=1.2) for x in CMTF(truth)]
    seen = [(uniform(generator, *x.shape) > 0.3).double() for x in noisy] if weights else None
    problem = Problem(
        tuple(noisy), CMTF, LOSSES[loss], [reg() for _ in SIZES], tuple(seen) if seen else None
    )
    return problem, tuple(x * uniform(generator, *x.shape, low=0.8, high=1.2) for x in truth)


def by_hand(problem, factors):
    """The objective written out."""
    total, several = 0, isinstance(problem.loss, Several)
    for i, (prediction, y) in enumerate(zip(problem.model(factors), problem.y, strict=True)):
        loss = problem.loss.loss(i) if several else problem.loss
        entries = loss(prediction, y)
        if problem.weights is not None:
            entries = problem.weights[i] * entries
        weight = problem.loss.weight(i) if several else None
        total = total + (1 if weight is None else weight) * entries.sum()
    return total + sum(reg(x).sum() for reg, x in zip(problem.regs, factors, strict=True))


# --- The model and its blocks ------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_add_whatever_the_layouts(weighted, generator):
    """Against the derivatives of the objective, in one factor after the other."""
    factors = tuple(uniform(generator, *shape) for shape in MIXED_SHAPES)
    data = tuple(uniform(generator, *p.shape) for p in MIXED(factors))
    seen = tuple(uniform(generator, *y.shape) for y in data) if weighted else None
    loss = Several([Frobenius()] * 3, (1.0, 2.0, 0.5))
    problem = Problem(data, MIXED, loss, [Free()] * 6, seen)
    for n, x in enumerate(factors):
        gradient = torch.func.grad(lambda x, n=n: by_hand(problem, replaced(factors, n, x)))
        block, packed = problem.block(n, factors), problem.pack(n, factors)
        close(problem.unpack(n, factors, block.gradient(packed))[n], gradient(x), 1e-10)
        direction = normal(generator, *x.shape)
        _, wanted = torch.func.jvp(gradient, (x,), (direction,))
        found = block.hessian_product(packed, problem.pack(n, replaced(factors, n, direction)))
        close(problem.unpack(n, factors, found)[n], wanted, 1e-10)
        split = problem.parts(factors).splits[n]
        close(problem.unpack(n, factors, split[0] - split[1])[n], gradient(x), 1e-10)
        largest = torch.linalg.eigvalsh(_dense(gradient, x)).max()
        assert (block.lipschitz() >= largest * (1 - 1e-9)).any()


def _dense(gradient, x):
    return torch.func.jacrev(gradient)(x).reshape(x.numel(), x.numel())


def test_the_model_sums_over_its_terms(generator):
    factors = tuple(uniform(generator, *shape) for shape in MIXED_SHAPES)
    residual = tuple(normal(generator, *p.shape) for p in MIXED(factors))
    weights = tuple(uniform(generator, *p.shape) for p in MIXED(factors))
    for n, x in enumerate(factors):
        _, vjp = torch.func.vjp(lambda x, n=n: MIXED(replaced(factors, n, x)), x)
        close(MIXED.adjoint(factors, n, residual), vjp(residual)[0])
        layout = MIXED.layout(n)
        block = layout.pack(x)
        ones = tuple(torch.ones_like(r) for r in residual)
        close(MIXED.column_sum(factors, n).expand_as(block), layout.pack(vjp(ones)[0]))
        for weight in (None, weights):
            gram = MIXED.gram(factors, n, weight)
            rows = gram if gram.ndim > block.ndim else gram.unsqueeze(-3)
            dense = _gauss_newton(lambda x, n=n: MIXED(replaced(factors, n, x)), x, weight)
            found = layout.unpack((rows @ block[..., None])[..., 0], x)
            close(found.flatten(), dense @ x.flatten(), 1e-10)
        energy = MIXED.column_energy(factors, n).expand_as(block)
        diagonal = _gauss_newton(lambda x, n=n: MIXED(replaced(factors, n, x)), x, None).diagonal()
        close(layout.unpack(energy, x).flatten(), diagonal, 1e-10)


def _gauss_newton(predict, x, weights):
    jacobians = [j.reshape(-1, x.numel()) for j in torch.func.jacrev(predict)(x)]
    weights = [1.0] * len(jacobians) if weights is None else [w.reshape(-1, 1) for w in weights]
    return sum(j.mT @ (w * j) for j, w in zip(jacobians, weights, strict=True))


def test_rank_in_one_term_and_rows_in_another():
    rows, rank = NMF().layout(0), Multilinear("ai,ir,br->ab").layout(1)
    target = common_layout([rows, rank])
    gram = moved_gram(torch.ones(2, 2), rows, target, torch.zeros(3, 2), False)
    close(gram, torch.block_diag(*[torch.ones(2, 2)] * 3))


# --- The problem -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [False, True])
def test_objective_kkt_and_scale(loss, weights, generator):
    problem, start = cmtf(generator, loss, weights=weights)
    problem.validate(start)
    close(problem.objective(start), by_hand(problem, start))
    value, residual = problem.measure(start)
    close(value, by_hand(problem, start))
    assert residual > 0
    scaled = problem.scaled(tuple(7 * x for x in start))
    assert problem.objective(scaled) < problem.objective(tuple(7 * x for x in start))
    for n in range(4):
        for c in (0.99, 1.01):
            moved = replaced(scaled, n, c * scaled[n])
            if n in (2, 3):  # the last of each data set to be scaled
                assert problem.objective(moved) >= problem.objective(scaled) * (1 - 1e-12)
    for found, prediction, y in zip(
        problem.relative_errors(start), CMTF(start), problem.y, strict=True
    ):
        if not weights:
            close(found, (prediction - y).norm() / y.norm())
    if not weights:
        error = sum((p - y).square().sum() for p, y in zip(CMTF(start), problem.y, strict=True))
        energy = sum(y.square().sum() for y in problem.y)
        close(problem.relative_error(start), (error / energy).sqrt())


def test_the_residual_does_not_see_units(generator):
    problem, start = cmtf(generator)
    y = tuple(1e3 * x for x in problem.y)
    larger = Problem(y, CMTF, problem.loss, problem.regs)
    moved = (1e3 * start[0], *start[1:])
    close(larger.kkt(moved), problem.kkt(start), 1e-10)
    stronger = Problem(problem.y, CMTF, Several([Frobenius()] * 2, (5.0, 5.0)), problem.regs)
    close(stronger.kkt(start), problem.kkt(start), 1e-10)


# --- Iterations --------------------------------------------------------------------------------

STEPS = {
    "mu": lambda: Alternating(MU()),
    "hals": lambda: Alternating(HALS(), Counted()),
    "msom": lambda: Alternating(MSOM(1.0)),
    "active set": lambda: Alternating(ActiveSet(2)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("weights", [False, True])
def test_least_squares_descends(name, weights, generator):
    problem, start = cmtf(generator, "several frobenius", (2,), weights)
    step = STEPS[name]()
    step.check(problem)
    trace = run(step, problem, start, 8)
    values = torch.stack([problem.objective(x) for x in trace])
    assert (values.diff(dim=0) <= 1e-12 * values[0]).all() and (values[-1] < values[0]).all()
    alone = Problem(
        tuple(y[1] for y in problem.y),
        CMTF,
        problem.loss,
        problem.regs,
        tuple(w[1] for w in problem.weights) if weights else None,
    )
    for x, y in zip(run(step, alone, tuple(x[1] for x in start), 8)[-1], trace[-1], strict=True):
        close(x, y[1], 1e-9)


@pytest.mark.parametrize("loss", [name for name in LOSSES if "kl" in name or "beta" in name])
@pytest.mark.parametrize("weights", [False, True])
def test_mu_descends_for_any_pair_of_losses(loss, weights, generator):
    problem, start = cmtf(generator, loss, weights=weights, reg=lambda: NonNegative(0.01, 0.02))
    step = Alternating(MU())
    step.check(problem)
    values = torch.stack([problem.objective(x) for x in run(step, problem, start, 20)])
    assert (values.diff() <= 1e-13 * values[0]).all() and values[-1] < values[0]


def test_joint_updates_and_mixed_steps(generator):
    problem, start = cmtf(generator, "kl", weights=True)
    JointMM().check(problem)
    values = torch.stack([problem.objective(x) for x in run(JointMM(), problem, start, 10)])
    assert (values.diff() <= 0).all()
    # A private factor takes the step that its own loss allows.
    problem, start = cmtf(generator, "frobenius and kl")
    step = Alternating([MU(), HALS(), HALS(), MU()])
    step.check(problem)
    assert solve(step, problem, start, max_iter=100).kkt < 1e-3
    with pytest.raises(TypeError, match="least-squares block but Several"):
        Alternating(HALS()).check(problem)
    with pytest.raises(TypeError, match="not Several; use MU"):
        Alternating(CoordinateNewton()).check(cmtf(generator, "kl")[0])


def test_a_batch_shrinks_as_its_problems_are_done(generator):
    problem, start = cmtf(generator, batch=(4,))
    found = solve(Alternating(HALS()), problem, start, max_iter=60, tol=3e-3)
    assert found.converged.any() and len(set(found.n_iter.tolist())) > 1
    for i in range(4):
        alone = Problem(tuple(y[i] for y in problem.y), CMTF, Frobenius(), problem.regs)
        one = solve(Alternating(HALS()), alone, tuple(x[i] for x in start), max_iter=60, tol=3e-3)
        assert int(one.n_iter) == int(found.n_iter[i])
        for x, y in zip(one.factors, found.factors, strict=True):
            close(x, y[i], 1e-8)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_sparse_terms_are_their_dense_selves(loss, generator):
    problem, start = cmtf(generator, loss)
    sparse = problem.y[1] * (uniform(generator, *problem.y[1].shape) > 0.5)
    dense = Problem((problem.y[0], sparse), CMTF, problem.loss, problem.regs)
    same = Problem((problem.y[0], sparse.to_sparse_csr()), CMTF, problem.loss, problem.regs)
    for a, b in zip(dense.measure(start), same.measure(start), strict=True):
        close(a, b, 1e-10)
    step = Alternating(MU())
    for x, y in zip(run(step, dense, start, 3)[-1], run(step, same, start, 3)[-1], strict=True):
        close(x, y, 1e-9)


# --- Reference values --------------------------------------------------------------------------


def reference():
    """A 20 x 15 x 12 tensor and a 20 x 10 matrix of rank 3 with 5 % noise each."""
    random = np.random.RandomState(0)
    a, b, c, v = (random.rand(n, 3) for n in (20, 15, 12, 10))
    clean = np.einsum("ir,jr,kr->ijk", a, b, c), a @ v.T
    noise = [random.randn(*y.shape) for y in clean]
    return tuple(
        torch.from_numpy(y + 0.05 * e * np.linalg.norm(y) / np.linalg.norm(e))
        for y, e in zip(clean, noise, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_coupled_reference_value(seed):
    problem = Problem(reference(), CMTF, Frobenius(), [Free()] * 4)
    generator = torch.Generator().manual_seed(seed)
    start = problem.scaled(tuple(uniform(generator, n, 3) for n in (20, 15, 12, 10)))
    step = Extrapolated(Alternating(ProjectedLeastSquares() if seed else HALS(), 3))
    found = solve(step, problem, start, max_iter=600, tol=3e-7)
    assert abs(2 * float(found.objective) - 2.10007267) < 2e-6


def test_least_squares_steps_agree():
    problem = Problem(reference(), CMTF, Frobenius(), [Free()] * 4)
    start = tuple(uniform(torch.Generator().manual_seed(0), n, 3) for n in (20, 15, 12, 10))
    block = problem.block(0, start)
    exact = torch.linalg.solve(block.gram, block.cross.mT).mT
    for step, times in ((ProjectedLeastSquares(), 1), (HALS(), 1000), (FISTA(), 1000)):
        found, _ = step.repeat(start[0], step.init(start[0], Free()), block, Free(), times)
        close(found, exact, 1e-6)


# --- Partial sharing ---------------------------------------------------------------------------


def test_a_frozen_selection_shares_some_components(generator):
    """The matrix sees three of four components of the tensor."""
    model = Coupled([(CP(3), (0, 1, 2)), (Multilinear("ia,ar,jr->ij"), (0, 4, 3))])
    truth = tuple(uniform(generator, *s) for s in ((8, 4), (6, 4), (7, 4), (9, 3)))
    truth = (*truth, torch.eye(4, 3, dtype=torch.float64))
    problem = Problem(model(truth), model, Frobenius(), [NonNegative()] * 5, free=(0, 1, 2, 3))
    start = tuple(x * uniform(generator, *x.shape, low=0.9, high=1.1) for x in truth[:4])
    found = solve(Alternating(HALS(), 3), problem, (*start, truth[4]), max_iter=200, tol=1e-6)
    assert max(float(e) for e in problem.relative_errors(found.factors)) < 3e-3
    assert torch.equal(found.factors[4], truth[4])


def test_an_l1_weight_of_components_finds_which_are_shared(generator):
    """Unit columns in the shared factor, norms of the private ones penalized (ACMTF)."""
    truth = [normal(generator, n, 3) for n in (20, 12, 10, 15)]
    truth = [x / x.norm(dim=0) for x in truth]
    truth[2], truth[3] = (
        truth[2] * torch.tensor([1.0, 1.0, 0.0]),
        truth[3] * torch.tensor([1.0, 0.0, 1.0]),
    )
    regs = [UnitNorm(), UnitNorm(), Group(0.01), Group(0.01)]
    problem = Problem(CMTF(tuple(truth)), CMTF, Frobenius(), regs)
    start = [x + 0.1 * normal(generator, *x.shape) for x in truth]
    start[:2] = [x / x.norm(dim=0) for x in start[:2]]
    found = solve(Alternating(HALS(), 3), problem, tuple(start), max_iter=100, tol=1e-6)
    norms = torch.stack([found.factors[n].norm(dim=0) for n in (2, 3)])
    wanted = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    assert (norms - wanted).abs().max() < 0.05


# --- In one call -------------------------------------------------------------------------------


def test_letters_name_what_is_shared(generator):
    x, y = (part.numpy() for part in reference())
    fit = coupled([(x, "ijk"), (y, "il")], rank=3, regs=Free(), tol=1e-6)
    assert abs(2 * fit.objective - 2.10007267) < 2e-6 and fit.converged
    assert {letter: fit[letter].shape for letter in "ijkl"} == {
        "i": (20, 3),
        "j": (15, 3),
        "k": (12, 3),
        "l": (10, 3),
    }
    models = np.einsum("ir,jr,kr->ijk", *(fit[a] for a in "ijk")), fit["i"] @ fit["l"].T
    errors = [
        np.linalg.norm(m - d) / np.linalg.norm(d) for m, d in zip(models, (x, y), strict=True)
    ]
    np.testing.assert_allclose(fit.relative_errors, errors, rtol=1e-9)
    summary = fit.summary().splitlines()
    assert "ijk 0.04919, il 0.04439" in summary[3] and max(map(len, summary)) <= 80
    with pytest.raises(KeyError, match="no mode 'z': there are j, k, l, i"):
        fit["z"]
    again = coupled([(x, "ijk"), (y, "il")], rank=3, regs=Free(), tol=1e-6, init=fit.by_mode)
    assert again.n_iter == 0


def test_a_fit_is_saved(tmp_path, generator):
    a = uniform(generator, 4, 2)
    link = ColumnsFrom({"i": torch.eye(2).double(), "t": torch.eye(2, 1).double()})
    fit = coupled([(a @ a.T, "ij"), (a, "tl")], (2, 1), couplings=(link,), starts=1, max_iter=5)
    fit.save(tmp_path / "fit.npz")
    back = CoupledFactorization.load(tmp_path / "fit.npz")
    assert back.description == fit.description and back.n_iter == 5
    for name in ("relative_errors", "shares", "gaps"):
        np.testing.assert_array_equal(getattr(back, name), getattr(fit, name))
    assert torch.equal(back["t"], fit["t"]) and "coupling gaps" in back.summary()


def test_components_that_some_data_sets_lack(generator):
    truth = {a: uniform(generator, n, r) for a, n, r in (("i", 9, 3), ("j", 8, 3), ("l", 7, 2))}
    x = torch.einsum("ir,jr->ij", truth["i"], truth["j"])
    y = torch.einsum("ir,lr->il", truth["i"][:, [0, 2]], truth["l"])
    fit = coupled([(x, "ij"), (y, "il")], 3, components=[None, (0, 2)], max_iter=300)
    assert fit["l"].shape == (7, 2) and (fit.relative_errors < 0.02).all()
    assert fit.shares.shape == (2, 3) and (fit.shares[1, 1] == 0)
    norms = fit["i"][:, 2].norm() * fit["l"][:, 1].norm()
    assert fit.shares[1, 2] == pytest.approx(float(norms))


def test_losses_weights_and_missing_entries(generator):
    a, b, c = (uniform(generator, n, 2) for n in (8, 7, 6))
    x, y = (a @ b.T).numpy(), torch.poisson(50 * a @ c.T, generator=generator).numpy()
    x[0, 0] = np.nan
    mask = np.ones_like(y, dtype=bool)
    mask[2, 2] = False
    y[2, 2] = -1.0
    data = [(x, "ij"), (y, "il")]
    fit = coupled(
        data,
        2,
        ["frobenius", "kl"],
        weights=(100.0, 1.0),
        masks=(None, mask),
        starts=1,
        max_iter=60,
    )
    assert (fit.relative_errors < 0.3).all() and fit.description["iteration"] == "Alternating"
    assert all((factor >= 0).all() for factor in fit.factors)
    sparse = scipy.sparse.csr_array(np.where(mask, y, 0))
    for step in ("mu", "joint"):
        assert coupled([(x, "ij"), (sparse, "il")], 2, "kl", step, max_iter=20).n_iter == 20
    sums = {"i": Sum(NonNegative(), L1(1e-3))}
    fit = coupled([(x, "ij"), (y.clip(0), "il")], 2, regs=sums, max_iter=20)
    assert fit.description["iteration"] == "CoupledADMM"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"data": torch.ones(2)}, TypeError, "a list of pairs"),
        ({"data": [(torch.ones(4, 3), 3)]}, TypeError, "data set 0 must be a pair"),
        ({"data": [(torch.ones(4, 3), "ijk")]}, ValueError, "but 3 letters: 'ijk'"),
        ({"data": [(torch.ones(4, 3), "ii")]}, ValueError, "repeats a letter"),
        ({"data": [(torch.ones(4, 3), "i2")]}, ValueError, "needs two letters or more"),
        ({"data": [(torch.ones(4, 3), "ij"), (torch.ones(5, 2), "il")]}, ValueError, "size 4 in"),
        ({"rank": 0}, ValueError, "the rank must be an integer of at least 1"),
        ({"rank": (2, 3)}, ValueError, "share a mode but have the ranks 2 and 3"),
        ({"rank": (2,)}, ValueError, "1 ranks for 2 data sets"),
        ({"components": [(0, 5), None]}, ValueError, "some of 0..1, each once"),
        ({"components": [None]}, ValueError, "components of 1 sets for 2"),
        ({"loss": ["kl"]}, ValueError, "there are 1 losses for 2 data sets"),
        ({"regs": {"z": Free()}}, ValueError, "regs name"),
        ({"regs": 3}, TypeError, "a regularizer or one by letter"),
        ({"couplings": (3,)}, ValueError, "by letter, such as"),
        ({"weights": (1.0,)}, ValueError, "one weight for each of 2"),
        ({"masks": (None,)}, ValueError, "masks is a list"),
        ({"init": {"i": torch.ones(4, 2)}}, ValueError, "one factor for each"),
    ],
)
def test_bad_calls(change, kind, message):
    settings = {"data": [(torch.ones(4, 3), "ij"), (torch.ones(4, 2), "il")], "rank": 2}
    with pytest.raises(kind, match=message):
        coupled(**(settings | change))


# --- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Coupled([]), TypeError, "takes a list of"),
        (lambda: Coupled([(NMF(), (0, 1, 2))]), ValueError, "NMF has 2 factors but the term names"),
        (lambda: Coupled([(NMF(), (0, 0))]), ValueError, "names one twice"),
        (lambda: Coupled([(NMF(), (0, 2))]), ValueError, "factor 1 is in no term"),
        (lambda: Coupled([(NMF(), "ab")]), TypeError, "a list of numbers"),
        (lambda: Coupled([(CMTF, (0, 1, 2, 3))]), TypeError, "has a model such as"),
        (lambda: Coupled([(Tucker(3), (0, 1, 2, 3)), (NMF(), (3, 4))]), ValueError, "dimensions"),
        (lambda: Several((Frobenius(),), (1.0, 2.0)), ValueError, "one weight for each of 1"),
        (lambda: Several((Frobenius(),), (-1.0,)), ValueError, "positive and finite"),
        (lambda: Several((Frobenius(),), ("a",)), TypeError, "is a number"),
        (lambda: Several((3,)), TypeError, "a list of losses"),
        (lambda: Terms(()), ValueError, "at least one data set"),
    ],
)
def test_bad_parts(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda y: {"y": y[:1]}, ValueError, "2 terms for 1 data sets"),
        (lambda y: {"model": NMF(), "regs": [Free()] * 2}, TypeError, "use Coupled"),
        (lambda y: {"y": (y[0], y[1].float())}, TypeError, "float32"),
        (lambda y: {"weights": (y[0],)}, ValueError, "a tuple of 2 weights"),
        (lambda y: {"loss": Several([Frobenius()] * 3)}, ValueError, "3 losses for 2 data sets"),
        (lambda y: {"y": (y[0], None)}, TypeError, "the data of a Problem"),
        (lambda y: {"y": (y[0], y[1][:3])}, ValueError, "data set 1, whose factors are"),
        (lambda y: {"y": (y[0], y[1].expand(2, 5, 6))}, ValueError, "leading dimensions"),
        (lambda y: {"loss": KullbackLeibler(), "y": (y[0], -y[1])}, ValueError, "negative"),
    ],
)
def test_bad_problems(change, kind, message, generator):
    problem, start = cmtf(generator)
    settings = {"y": problem.y, "model": CMTF, "loss": Frobenius(), "regs": [Free()] * 4}
    with pytest.raises(kind, match=message):
        Problem(**(settings | change(problem.y))).validate(start)


def test_several_losses_need_several_data_sets():
    with pytest.raises(TypeError, match="for the data sets of a Coupled model"):
        Problem(torch.ones(2, 2), NMF(), Several([Frobenius()]), [Free()] * 2)
    problem = Problem((torch.ones(5, 4, 3), torch.ones(5, 6)), CMTF, Frobenius(), [L1(0.1)] * 4)
    with pytest.raises(ValueError, match="no start that reads them"):
        _ = problem.imputed


def test_objectives_fall(generator):
    problem, start = cmtf(generator)
    single = Problem(problem.y[:1], Coupled([(CP(3), (0, 1, 2))]), Frobenius(), problem.regs[:3])
    plain = Problem(problem.y[0], CP(3), Frobenius(), problem.regs[:3])
    close(single.kkt(start[:3]), plain.kkt(start[:3]))
    check_falls(plain, run(Alternating(HALS()), single, start[:3], 5))


def test_the_scale_of_matrices_that_share_some_components_does_not_drift(generator):
    """Extrapolated HALS, along scales that neither matrix sees."""
    a, b, c = (uniform(generator, n, k) for n, k in ((15, 4), (10, 3), (12, 3)))
    clean = a[:, :3] @ b.T, a[:, 1:] @ c.T
    noisy = [y + 0.1 * uniform(generator, *y.shape) for y in clean]
    settings = {"components": [[0, 1, 2], [1, 2, 3]], "starts": 1, "tol": 0, "check_every": 800}
    fit = coupled([(noisy[0], "ij"), (noisy[1], "il")], 4, max_iter=800, **settings)
    assert all(1e-2 < float(x.norm()) < 1e2 for x in fit.factors)
    assert fit.kkt < 1e-4
