"""Several starts as one batch, and the products that sweeps and checks of a solve share."""

import pytest
import torch
from conformance import close
from torch.utils.flop_counter import FlopCounterMode
from zoo import uniform

from rlra_torch.iterations import HALS, Alternating, CoupledADMM, Extrapolated
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import factor_match
from rlra_torch.models import CP, NMF, Coupled
from rlra_torch.problem import Problem
from rlra_torch.regularizers import ColumnsFrom, MappedColumns, NonNegative, Quadratic
from rlra_torch.solvers import best_start, solve


def random_starts(problem, shapes, generator, count):
    return [
        problem.scaled(tuple(uniform(generator, *shape) for shape in shapes)) for _ in range(count)
    ]


def tensor_problem(generator, *sizes, rank=3):
    truth = tuple(uniform(generator, size, rank) for size in sizes)
    return Problem(CP(3)(truth), CP(3), Frobenius(), [NonNegative()] * 3), truth


def test_the_best_of_a_batch_goes_on_as_it_would_alone(generator):
    problem, truth = tensor_problem(generator, 5, 6, 7)
    starts = random_starts(problem, [x.shape for x in truth], generator, 4)
    step = Extrapolated(Alternating(HALS()))
    progress, objectives = best_start(step, problem, starts, iterations=12)
    ends = [solve(step, problem, start, max_iter=12, tol=0) for start in starts]
    close(torch.tensor(objectives).double(), torch.stack([end.objective for end in ends]), 1e-6)
    best = min(range(4), key=lambda n: objectives[n])
    assert progress.history[-1].iteration == 12 and len(progress.history) == 3
    further = solve(step, problem, progress, max_iter=20, tol=0)
    alone = solve(step, problem, starts[best], max_iter=20, tol=0)
    assert further.n_iter == 20
    close(further.objective, alone.objective, 1e-8)


def test_starts_one_by_one_where_data_cannot_be_repeated(generator):
    y = uniform(generator, 5, 6).to_sparse_csr()
    problem = Problem(y, NMF(), Frobenius(), [NonNegative()] * 2)
    starts = random_starts(problem, [(5, 2), (6, 2)], generator, 3)
    progress, objectives = best_start(Alternating(HALS()), problem, starts, iterations=5)
    assert problem.repeated(2) is None
    assert float(progress.history[-1].objective) == min(objectives)


@pytest.mark.parametrize("kind", ["columns", "columns from"])
def test_columns_that_are_coupled_are_found_from_random_starts(kind, generator):
    first = uniform(generator, 8, 3)
    others = [uniform(generator, n, r) for n, r in ((5, 3), (7, 3), (8, 2))]
    truth = (first, *others[:2], first[:, :2], others[2])
    model = Coupled([(CP(3), (0, 1, 2)), (NMF(), (3, 4))])
    some, every = torch.eye(3, 2).double(), torch.eye(3).double()
    link = MappedColumns({0: some, 3: every[:2, :2]})
    if kind == "columns from":
        link = ColumnsFrom({0: every, 3: some})
    problem = Problem(model(truth), model, Frobenius(), [NonNegative()] * 5, couplings=(link,))
    starts = random_starts(problem, [x.shape for x in truth], generator, 12)
    progress, _ = best_start(CoupledADMM(), problem, starts, iterations=60)
    found = solve(CoupledADMM(), problem, progress, max_iter=300, tol=1e-5, check_every=20)
    assert factor_match(found.factors[:3], truth[:3]) > 0.99


def test_a_check_shares_its_products_with_the_sweeps(generator):
    problem, truth = tensor_problem(generator, 20, 20, 20)
    start = tuple(uniform(generator, *x.shape) for x in truth)
    spent = []
    for check_every in (100, 1):
        with FlopCounterMode(display=False) as counter:
            solve(Alternating(HALS()), problem, start, max_iter=20, tol=0, check_every=check_every)
        spent.append(counter.get_total_flops())
    # A check of its own would take two large products, as a sweep does, and the prediction.
    assert spent[1] < 1.7 * spent[0]


def test_what_is_shared_is_that_of_the_data_at_hand(generator):
    problem, truth = tensor_problem(generator, 4, 5, 6)
    shared = problem.for_solve()
    close(torch.stack(shared.measure(truth)), torch.stack(problem.measure(truth)))
    moved = tuple(2 * x for x in truth)
    close(torch.stack(shared.measure(moved)), torch.stack(problem.measure(moved)))
    for n in range(3):
        block, plain = shared.block(n, moved), problem.block(n, moved)
        close(block.gram, plain.gram)
        close(block.cross, plain.cross)


def test_columns_under_a_quadratic_penalty_are_balanced(generator):
    regs = [Quadratic(torch.eye(n, dtype=torch.float64)) for n in (4, 5)]
    y = uniform(generator, 4, 5)
    problem = Problem(y, NMF(), Frobenius(), regs)
    factors = (uniform(generator, 4, 2), 9 * uniform(generator, 5, 2))
    w, h = problem.balanced(factors)
    close(w.norm(dim=0), h.norm(dim=0))
    close(w @ h.mT, factors[0] @ factors[1].mT)
