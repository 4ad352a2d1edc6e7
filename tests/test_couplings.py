"""Linear couplings between factors: the maps, the inner solves, and planted problems."""

import pytest
import torch
from conformance import close
from scipy.linalg import solve_sylvester
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal, uniform

from rlra_torch import Problem, solve
from rlra_torch.blocks import QuadraticBlock
from rlra_torch.functional.sylvester import Sylvester, rows_and_blocks
from rlra_torch.iterations import ADMM, HALS, Alternating, CoupledADMM
from rlra_torch.iterations.coupled_admm import Link
from rlra_torch.iterations.rows_step import RowsStep, coupled_step
from rlra_torch.losses import Frobenius, KullbackLeibler, Several
from rlra_torch.metrics.factors import factor_match
from rlra_torch.models import CP, NMF, Coupled, Multilinear
from rlra_torch.regularizers import (
    L1,
    ColumnsFrom,
    Free,
    MappedColumns,
    MappedRows,
    MappedRowsFromColumns,
    NonNegative,
    RowsFrom,
    Same,
    Sum,
    UnitNorm,
)

KINDS = ("same", "rows", "columns", "from rows", "from columns", "rows from columns")
MODEL = Coupled([(CP(3), (0, 1, 2)), (NMF(), (3, 4))])


def eye(rows, columns=None):
    return torch.eye(rows, columns or rows, dtype=torch.float64)


def pairs(rows):
    """The averages of neighbouring rows."""
    return eye(rows // 2).repeat_interleave(2, 1) / 2


def coupling(kind, rows=6, rank=3):
    """A coupling of factor 0 (of the tensor) with factor 3 (of the matrix)."""
    half, fewer = rows // 2, rank - 1
    return {
        "same": lambda: Same(0, 3),
        "rows": lambda: MappedRows({0: pairs(rows), 3: eye(half)}),
        "columns": lambda: MappedColumns({0: eye(rank, fewer), 3: eye(fewer)}),
        "from rows": lambda: RowsFrom({0: eye(rows), 3: eye(rows)[::2]}),
        "from columns": lambda: ColumnsFrom({0: eye(rank), 3: eye(rank, fewer)}),
        "rows from columns": lambda: MappedRowsFromColumns(
            {0: (pairs(rows), eye(rank)), 3: (eye(half), eye(rank, fewer))}
        ),
    }[kind]()


def planted(kind, generator, rows=6, rank=3, batch=(), draw=uniform):
    """Factors that meet the coupling: of a tensor, then of a matrix."""
    first = draw(generator, *batch, rows, rank)
    second = first
    if kind in ("rows", "rows from columns"):
        second = pairs(rows) @ second
    if kind == "from rows":
        second = second[..., ::2, :]
    if "columns" in kind:
        second = second[..., :-1]
    sizes = ((5, rank), (7, rank), (8, second.shape[-1]))
    b, c, d = (draw(generator, *batch, *shape) for shape in sizes)
    return first, b, c, second.clone(), d


# --- The maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_maps(kind, generator):
    link, factors = coupling(kind), planted(kind, generator)
    link.check(factors)
    assert link.gap(factors) < 1e-12
    delta = link.nearest(factors)
    for n in link.factors:
        seen = link.seen(n, factors[n])
        close(seen, link.predicted(n, delta), 1e-10)
        y = normal(generator, *seen.shape)
        close((seen * y).sum(), (factors[n] * link.pulled(n, y)).sum(), 1e-10)
    # The latent factor is the best one: no other fits better.
    wanted = {n: normal(generator, *link.seen(n, factors[n]).shape) for n in link.factors}
    weights = {0: torch.full((1, 1), 2.0, dtype=torch.float64), 3: torch.tensor([[0.5]]).double()}
    best = link.latent({n: weights[n] * t for n, t in wanted.items()}, weights)

    def misfit(delta):
        gaps = (weights[n] * (link.predicted(n, delta) - wanted[n]).square() for n in wanted)
        return sum(gap.sum() for gap in gaps)

    assert torch.func.grad(misfit)(best).abs().max() < 1e-10


# --- Inner solves ------------------------------------------------------------------------------


def test_sylvester_against_scipy(generator):
    a, b = normal(generator, 3, 6, 6), normal(generator, 3, 4, 4)
    left, right, c = a @ a.mT, b @ b.mT, normal(generator, 3, 6, 4)
    found = Sylvester.of(left, right, torch.full((3, 1, 1), 0.7, dtype=torch.float64))(c)
    for i in range(3):
        wanted = solve_sylvester(0.7 * left[i].numpy(), right[i].numpy(), c[i].numpy())
        close(found[i], torch.from_numpy(wanted), 1e-9)
    blocks = right.unsqueeze(-3).expand(3, 6, 4, 4)
    whole = rows_and_blocks(0.7 * left, blocks)
    dense = torch.linalg.solve(whole, c.flatten(-2)).reshape(3, 6, 4)
    close(found, dense, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("terms", [0, 1])
@pytest.mark.parametrize("by_row", [False, True])
def test_steps_against_dense_solves(kind, terms, by_row, generator):
    """Of the least-squares problem in one factor, written out."""
    link, factors = coupling(kind), planted(kind, generator)
    rho = torch.full((1, 1), 1.7, dtype=torch.float64)
    for n in link.factors:
        x = factors[n]
        rows, rank = x.shape
        square = normal(generator, rows if by_row else 1, 5, rank)
        gram = square.mT @ square
        gram = gram if by_row else gram[0]
        block = QuadraticBlock(gram, normal(generator, rows, rank), Frobenius())
        linear = normal(generator, rows, rank)
        step = coupled_step(block, x, rho, terms, link, n)
        held = terms * 1.7 + (0 if link.free or terms else 1.7e-3)

        def cost(x, n=n, gram=gram, block=block, linear=linear, held=held):
            quadratic = (
                0.5 * (x[:, None] @ (gram @ x[..., None])).sum()
                if by_row
                else (0.5 * (x * (x @ gram)).sum())
            )
            coupled = 0.5 * 1.7 * link.seen(n, x).square().sum()
            return (
                quadratic
                - (x * (block.cross + linear)).sum()
                + coupled
                + (0.5 * held * x.square().sum())
            )

        hessian = torch.func.hessian(cost)(x).reshape(x.numel(), x.numel())
        slope = torch.func.grad(cost)(torch.zeros_like(x)).flatten()
        close(step(x, linear).flatten(), -torch.linalg.solve(hessian, slope), 1e-8)


def test_majorized_steps_descend(generator):
    """Where the loss gives no gram, in a factor whose rows are mapped."""
    truth = planted("rows", generator)
    problem = Problem(MODEL(truth), MODEL, KullbackLeibler(), [NonNegative()] * 5)
    start = tuple(x * uniform(generator, *x.shape, low=0.5) for x in truth)
    block, x = problem.block(0, start), start[0]
    matrix = pairs(6).mT @ pairs(6)
    linear, weight = normal(generator, *x.shape), torch.full((1, 1), 0.3, dtype=torch.float64)
    step = RowsStep.of(block, x, weight, matrix, torch.ones(1, 1, dtype=torch.float64))

    def cost(x):
        quadratic = 0.5 * (x * (matrix @ x)).sum() + 0.15 * x.square().sum()
        return block.value(x) + quadratic - (x * linear).sum()

    values = [cost(x)]
    for _ in range(300):
        x = step(x, linear)
        values.append(cost(x))
    assert (torch.stack(values).diff() <= 1e-10).all() and (x >= 0).all()
    slope = block.gradient(x) + matrix @ x + 0.3 * x - linear
    assert torch.where(x > 1e-6, slope.abs(), (-slope).clamp_min(0)).max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_inner_iterations_against_a_dense_solve(kind, generator):
    """Two coupled least-squares problems, by their linear system with multipliers."""
    link, truth = coupling(kind), planted(kind, generator)
    noisy = tuple(y + 0.3 * normal(generator, *y.shape) for y in MODEL(truth))
    problem = Problem(noisy, MODEL, Frobenius(), [Free()] * 5, couplings=(link,))
    step = CoupledADMM(inner=1000)
    state = step.init(truth, problem)
    memory, links = state.memory
    members, delta = step._joint(problem, 0, truth, memory, Link(*links[0]))
    found = torch.cat([member.answer(delta).flatten() for member in members])
    wanted = _constrained(problem, link, truth)
    close(found, wanted[: len(found)], 1e-5)


def _constrained(problem, link, factors):
    """Minimize both quadratics under ``A X B = E Delta F``, all unknowns in one vector."""
    shapes = [factors[n].shape for n in link.factors] + [link.nearest(factors).shape]
    sizes = [shape.numel() for shape in shapes]

    def parts(v):
        return [x.reshape(s) for x, s in zip(v.split(sizes), shapes, strict=True)]

    def cost(v):
        *several, _ = parts(v)
        blocks = [problem.block(n, factors) for n in link.factors]
        return sum(block.value(x) for block, x in zip(blocks, several, strict=True))

    def gaps(v):
        *several, delta = parts(v)
        pairs = zip(link.factors, several, strict=True)
        return torch.cat([(link.seen(n, x) - link.predicted(n, delta)).flatten() for n, x in pairs])

    zero = torch.zeros(sum(sizes), dtype=torch.float64)
    hessian, slope = torch.func.hessian(cost)(zero), torch.func.grad(cost)(zero)
    rows = torch.func.jacrev(gaps)(zero)
    corner = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    system = torch.cat((torch.cat((hessian, rows.mT), 1), torch.cat((rows, corner), 1)))
    right = torch.cat((-slope, corner[0]))
    return torch.linalg.lstsq(system, right[:, None], driver="gelsd").solution[:, 0]


# --- Planted problems --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reg"),
    [*((kind, NonNegative) for kind in KINDS), ("rows", Free), ("from columns", Free)],
)
def test_noiseless_problems_are_recovered(kind, reg, generator):
    truth, link = planted(kind, generator), coupling(kind)
    problem = Problem(MODEL(truth), MODEL, Frobenius(), [reg()] * 5, couplings=(link,))
    start = problem.scaled(tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth))
    found = solve(CoupledADMM(), problem, start, max_iter=60, tol=1e-6)
    assert factor_match(found.factors[:3], truth[:3]) > 0.99
    assert max(problem.relative_errors(found.factors)) < 0.01
    tighter = solve(CoupledADMM(inner=100), problem, found.factors, max_iter=2, tol=0.0)
    assert link.gap(tighter.factors) < 1e-6
    if reg is NonNegative:
        assert all((x >= 0).all() for x in found.factors)


def test_identities_reduce_to_sharing(generator):
    """All kinds with identities, and type 3 and 4 with rotations, are one shared factor."""
    truth = planted("same", generator, draw=normal)
    noisy = tuple(y + 0.05 * normal(generator, *y.shape) for y in MODEL(truth))
    shared = Coupled([(CP(3), (0, 1, 2)), (NMF(), (0, 3))])
    exact = Problem(noisy, shared, Frobenius(), [Free()] * 4)
    best = solve(Alternating(HALS(), 3), exact, (*truth[:3], truth[4]), max_iter=300, tol=1e-6)
    turn = torch.linalg.qr(normal(generator, 6, 6)).Q
    for link in (
        Same(0, 3),
        MappedRows({0: turn, 3: turn}),
        MappedColumns({0: eye(3), 3: eye(3)}),
        RowsFrom({0: turn, 3: turn}),
        ColumnsFrom({0: eye(3), 3: eye(3)}),
        MappedRowsFromColumns({0: (turn, eye(3)), 3: (turn, eye(3))}),
    ):
        problem = Problem(noisy, MODEL, Frobenius(), [Free()] * 5, couplings=(link,))
        found = solve(CoupledADMM(), problem, truth, max_iter=300, tol=1e-6)
        assert abs(found.objective / best.objective - 1) < 1e-6
        close(found.factors[0], found.factors[3], 1e-5)


def test_rotated_rows_are_a_change_of_data(generator):
    """``X_3 = Q X_0`` is a shared factor of the data turned back."""
    truth = planted("same", generator, draw=normal)
    turn = torch.linalg.qr(normal(generator, 6, 6)).Q
    y, z = (x + 0.05 * normal(generator, *x.shape) for x in MODEL(truth))
    shared = Coupled([(CP(3), (0, 1, 2)), (NMF(), (0, 3))])
    exact = Problem((y, z), shared, Frobenius(), [Free()] * 4)
    best = solve(Alternating(HALS(), 3), exact, (*truth[:3], truth[4]), max_iter=300, tol=1e-6)
    link = RowsFrom({0: eye(6), 3: turn})
    problem = Problem((y, turn @ z), MODEL, Frobenius(), [Free()] * 5, couplings=(link,))
    start = (*truth[:3], turn @ truth[3], truth[4])
    found = solve(CoupledADMM(), problem, start, max_iter=300, tol=1e-6)
    assert abs(found.objective / best.objective - 1) < 1e-6


# --- Constraints, losses, layouts --------------------------------------------------------------


def test_sphere_and_signs_with_partial_sharing(generator):
    """Unit nonnegative columns, three of four components shared, noise."""
    truth = [uniform(generator, n, 4) for n in (10, 8, 9)] + [None, uniform(generator, 11, 3)]
    truth[0], truth[1] = (x / x.norm(dim=0) for x in truth[:2])
    truth[3] = truth[0][:, :3]
    clean = MODEL(tuple(truth))
    noisy = tuple(
        y + 0.05 * y.norm() * (e := normal(generator, *y.shape)) / e.norm() for y in clean
    )
    unit = UnitNorm(nonnegative=True)
    regs = [unit, unit, NonNegative(), unit, NonNegative()]
    link = ColumnsFrom({0: eye(4), 3: eye(4, 3)})
    loss = Several([Frobenius()] * 2, [1 / float(y.square().sum()) for y in noisy])
    problem = Problem(noisy, MODEL, loss, regs, couplings=(link,))
    start = [x * uniform(generator, *x.shape, low=0.7) for x in truth]
    start = [reg.prox(x, 1.0) for reg, x in zip(regs, start, strict=True)]
    found = solve(CoupledADMM(), problem, tuple(start), max_iter=150, tol=1e-7)
    assert all((x >= 0).all() for x in found.factors)
    close(found.factors[0].norm(dim=0), torch.ones(4).double())
    assert link.gap(found.factors) < 1e-4
    assert factor_match(found.factors[:3], truth[:3]) > 0.97
    assert max(problem.relative_errors(found.factors)) < 0.06


@pytest.mark.parametrize("kind", ["same", "rows"])
def test_counts_and_intensities(kind, generator):
    """Kullback-Leibler for the tensor, least squares for the matrix."""
    truth, link = planted(kind, generator), coupling(kind)
    counts = torch.poisson(200 * MODEL(truth)[0], generator=generator) / 200
    problem = Problem(
        (counts, MODEL(truth)[1]),
        MODEL,
        Several((KullbackLeibler(), Frobenius())),
        [NonNegative()] * 5,
        couplings=(link,),
    )
    start = tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth)
    CoupledADMM().check(problem)
    found = solve(CoupledADMM(), problem, start, max_iter=80, tol=1e-4)
    assert found.objective < problem.objective(truth)
    assert link.gap(found.factors) < 1e-3
    assert factor_match(found.factors[:3], truth[:3]) > 0.95


def test_missing_entries_and_sums_of_penalties(generator):
    truth, link = planted("rows", generator), coupling("rows")
    seen = tuple((uniform(generator, *y.shape) > 0.2).double() for y in MODEL(truth))
    data = tuple(torch.where(s > 0, y, 1e3) for y, s in zip(MODEL(truth), seen, strict=True))
    regs = [Sum(NonNegative(), L1(1e-6)), *[NonNegative()] * 4]
    problem = Problem(data, MODEL, Frobenius(), regs, seen, couplings=(link,))
    start = tuple(x * uniform(generator, *x.shape, low=0.9) for x in truth)
    found = solve(CoupledADMM(), problem, start, max_iter=150, tol=1e-7)
    assert max(problem.relative_errors(found.factors)) < 0.01
    assert link.gap(found.factors) < 1e-4


def test_the_batch_of_slices_is_coupled_like_any_factor(generator):
    """The first mode of PARAFAC2 slices, which is a batch of their model."""
    model = Coupled([(Multilinear("ir,kr,kjr->ijk"), (0, 1, 2)), (NMF(), (3, 4))])
    shapes = ((4, 2), (6, 2), (6, 5, 2), (6, 2), (7, 2))
    truth = [uniform(generator, *shape) for shape in shapes]
    truth[3] = truth[1]
    problem = Problem(
        model(tuple(truth)), model, Frobenius(), [Free()] * 5, couplings=(Same(1, 3),)
    )
    start = tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth)
    found = solve(CoupledADMM(), problem, start, max_iter=200, tol=1e-6)
    assert max(problem.relative_errors(found.factors)) < 1e-3
    assert problem.gaps(found.factors)[0] < 1e-6


def test_a_batch_is_as_many_problems(generator):
    truth, link = planted("rows", generator, batch=(2,)), coupling("rows")
    regs = [NonNegative()] * 5
    start = tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth)
    data, step = MODEL(truth), CoupledADMM()
    both = Problem(data, MODEL, Frobenius(), regs, couplings=(link,))
    found = solve(step, both, start, max_iter=20, tol=0.0)
    for i in range(2):
        alone = Problem(tuple(y[i] for y in data), MODEL, Frobenius(), regs, couplings=(link,))
        one = solve(step, alone, tuple(x[i] for x in start), max_iter=20, tol=0.0)
        for x, y in zip(one.factors, found.factors, strict=True):
            close(x, y[i], 1e-8)
        close(one.kkt, found.kkt[i], 1e-6)


def test_without_couplings_it_is_admm(generator):
    truth = planted("same", generator)
    problem = Problem(MODEL(truth), MODEL, Frobenius(), [NonNegative()] * 5)
    start = tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth)
    one = solve(CoupledADMM(), problem, start, max_iter=10, tol=0.0)
    other = solve(Alternating(ADMM(), 5), problem, start, max_iter=10, tol=0.0)
    for x, y in zip(one.factors, other.factors, strict=True):
        close(x, y, 0.0)
    close(one.kkt, other.kkt, 0.0)


# --- As torch wants it -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [Frobenius, KullbackLeibler])
def test_nothing_waits_for_the_device(kind, loss, generator):
    truth, link = planted(kind, generator), coupling(kind)
    shapes = [x.shape for x in truth]
    with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad():
        start = tuple(torch.empty(shape, device="cuda") for shape in shapes)
        for name, own in list(link.named_buffers()):
            link.register_buffer(name, torch.empty(own.shape, device="cuda"))
        data = tuple(torch.empty_like(y) for y in MODEL(start))
        problem = Problem(data, MODEL, loss(), [NonNegative()] * 5, couplings=(link,))
        step = CoupledADMM()
        state = step(step.init(start, problem), problem)
        measured = step.measure(state, problem)
        assert all(x.device.type == "cuda" for x in (*state.factors, *measured))


@pytest.mark.parametrize("kind", ["rows", "from columns"])
def test_gradients(kind, generator):
    """Through two whole iterations, in the data."""
    truth, link = planted(kind, generator, rows=4, rank=2), coupling(kind, rows=4, rank=2)
    start = tuple(x * uniform(generator, *x.shape, low=0.8) for x in truth)
    step = CoupledADMM(inner=2)

    def found(matrix):
        data = (MODEL(truth)[0], matrix)
        problem = Problem(
            data, MODEL, Frobenius(), [NonNegative(), *[Free()] * 4], couplings=(link,)
        )
        state = step.init(start, problem)
        for _ in range(2):
            state = step(state, problem)
        return sum(x.square().sum() for x in state.factors)

    matrix = MODEL(truth)[1] + 0.1
    assert torch.autograd.gradcheck(found, matrix.requires_grad_(), fast_mode=True)


# --- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Same(0), ValueError, "at least two factors"),
        (lambda: MappedRows({0: eye(2), 3: 4}), TypeError, "a matrix of real numbers for factor 3"),
        (lambda: MappedRows({0: eye(2), 3: (eye(2), eye(2))}), TypeError, "takes 1 maps"),
        (lambda: MappedRowsFromColumns({0: eye(2), 3: eye(2)}), TypeError, "takes 2 maps"),
    ],
)
def test_bad_couplings(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("couplings", "kind", "message"),
    [
        ((3,), TypeError, "a coupling is one such as"),
        ((Same(0, 9),), ValueError, "couples factor 9"),
        ((Same(0, 1),), ValueError, "of one data set"),
        ((Same(0, 3), Same(0, 4)), ValueError, "in two couplings"),
        ((Same(0, 4),), ValueError, "one latent factor"),
        ((MappedRows({0: eye(5), 3: eye(6)}),), ValueError, "do not fit a factor of shape"),
        ((MappedRows({0: eye(6).float(), 3: eye(6)}),), TypeError, "convert one"),
    ],
)
def test_bad_problems(couplings, kind, message, generator):
    truth = planted("same", generator)
    with pytest.raises(kind, match=message):
        Problem(MODEL(truth), MODEL, Frobenius(), [Free()] * 5, couplings=couplings).validate(truth)


def test_other_iterations_say_that_they_cannot(generator):
    truth = planted("same", generator)
    problem = Problem(MODEL(truth), MODEL, Frobenius(), [Free()] * 5, couplings=(Same(0, 3),))
    with pytest.raises(TypeError, match="does not keep couplings between factors; use CoupledADMM"):
        solve(Alternating(HALS()), problem, truth)
