"""Low-rank sparse component analysis: exact coding, planted components, identifiability."""

from itertools import combinations

import pytest
import torch
from conformance import close
from experiments.mixed import components, worst_cosine
from torch._subclasses.fake_tensor import FakeTensorMode
from zoo import normal

from rlra_torch.blocks import QuadraticBlock
from rlra_torch.diagnostics import cdl_identifiable, samples_needed
from rlra_torch.estimators import complete_dictionary_learning, sparse_component_analysis
from rlra_torch.iterations import Alternating, BestSubset, ProjectedLeastSquares
from rlra_torch.iterations.best_subset import require_few_subsets
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import Free, KSparse, NonNegative
from rlra_torch.solvers import solve


def rows_problem(generator, batch=()):
    A, Y = normal(generator, *batch, 8, 5), normal(generator, *batch, 8, 12)
    return A, Y, QuadraticBlock(A.mT @ A, Y.mT @ A, Frobenius())


# --- Exactly sparse coding ---------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_best_subset_is_that_of_enumeration(k, generator):
    A, Y, block = rows_problem(generator)
    found, _ = BestSubset()(torch.zeros(12, 5, dtype=A.dtype), (), block, KSparse(k, dim=-1))
    assert ((found != 0).sum(-1) <= k).all()
    least = torch.full((12,), torch.inf, dtype=A.dtype)
    for some in combinations(range(5), k):
        z = torch.linalg.lstsq(A[:, some], Y).solution
        least = least.minimum((Y - A[:, some] @ z).square().sum(0))
    close((Y - A @ found.mT).square().sum(0), least, 1e-10)


def test_best_subset_of_a_batch_in_pieces_and_on_other_devices(generator, monkeypatch):
    _, _, block = rows_problem(generator, (2, 3))
    x, reg = torch.zeros(2, 3, 12, 5, dtype=torch.float64), KSparse(2, dim=-1)
    whole, _ = BestSubset()(x, (), block, reg)
    monkeypatch.setattr("rlra_torch.iterations.best_subset.CHUNK", 1)
    close(BestSubset()(x, (), block, reg)[0], whole)
    kept, _ = BestSubset()(whole, (), block, reg)
    close(kept, whole)
    with FakeTensorMode():
        blank = torch.empty(3, 5, 5, device="cuda"), torch.empty(3, 12, 5, device="cuda")
        fake, _ = BestSubset()(blank[1], (), QuadraticBlock(*blank, Frobenius()), reg)
    assert fake.device.type == "cuda" and fake.shape == (3, 12, 5)


def test_alternating_never_rises_and_says_what_it_cannot_do(generator):
    y, start = (
        normal(generator, 4, 6, 20),
        (normal(generator, 4, 6, 4), normal(generator, 4, 20, 4)),
    )
    step = Alternating([ProjectedLeastSquares(), BestSubset()])
    problem = Problem(y, NMF(), Frobenius(), (Free(), KSparse(2, dim=-1)))
    begin = (start[0], KSparse(2, dim=-1).prox(start[1], 1.0))
    history = solve(step, problem, begin, max_iter=30, tol=0, check_every=1).history
    trace = torch.stack([record.objective for record in history])
    assert (trace.diff(dim=0) <= 1e-12 * trace[0]).all()
    for reg in (NonNegative(), KSparse(2), KSparse(2, True, dim=-1)):
        with pytest.raises(TypeError, match="BestSubset solves for KSparse"):
            BestSubset().check(problem.regularized((Free(), reg)), 1)
    with pytest.raises(ValueError, match="supports of 10, too many"):
        require_few_subsets(20, 10)


# --- Planted components ------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "k"), [(3, 2), (4, 2), (4, 3)])
def test_planted_components_at_twice_the_count(rank, k):
    found = []
    for seed in range(2):
        planted = components(rank, k, 2 * samples_needed(rank, k).facet, seed)
        assert cdl_identifiable(planted.h, k).identifiable
        fit = sparse_component_analysis(planted.y, rank, k, seed=seed)
        close(fit.W.norm(dim=0), torch.ones(rank, dtype=fit.W.dtype))
        assert ((fit.H != 0).sum(-1) <= k).all()
        close(fit.residual, (planted.y - fit.W @ fit.H.mT).norm() / planted.y.norm(), atol=1e-12)
        close(fit.residuals.amin(), fit.residual, atol=1e-9)
        assert (fit.history.diff() <= 1e-12 * fit.history[0]).all()
        found.append(worst_cosine(fit.W, planted.w) > 1 - 1e-6)
    assert sum(found) == 2


def test_at_the_count():
    planted = [components(3, 2, samples_needed(3, 2).facet, seed) for seed in range(3)]
    assert all(cdl_identifiable(each.h, 2).identifiable for each in planted)
    fits = [sparse_component_analysis(each.y, 3, 2, starts=20) for each in planted]
    good = [worst_cosine(fit.W, each.w) > 1 - 1e-6 for fit, each in zip(fits, planted, strict=True)]
    assert sum(good) >= 2


def test_below_the_count_another_basis_fits_as_well(generator):
    """The nine points where the sides of two triangles meet: three on each side of both."""
    triangles = normal(generator, 2, 3, 3)
    sides = torch.linalg.inv(triangles)
    y = torch.linalg.cross(sides[0][:, None], sides[1][None]).reshape(9, 3).mT
    y = y / y.norm(dim=0)
    fit = sparse_component_analysis(y, 3, 2, starts=40)
    assert fit.residual < 1e-4
    same = [worst_cosine(fit.W, each / each.norm(dim=0)) for each in triangles]
    assert max(same) < 1 or min(same) < 0.999  # never both
    assert not cdl_identifiable(fit.H, 2).identifiable


def test_under_noise_and_in_batches():
    planted = [components(4, 2, 20, seed, noise=0.02) for seed in range(2)]
    y = torch.stack([each.y for each in planted])
    fit = sparse_component_analysis(y, 4, 2)
    assert fit.residual.shape == (2,) and fit.residuals.shape == (10, 2)
    assert (fit.residual < 0.025).all()
    for w, each in zip(fit.W, planted, strict=True):
        assert worst_cosine(w, each.w) > 0.99


def test_the_answer_stands_under_complete_dictionary_learning():
    planted = components(3, 2, 8, 0)
    basis = torch.linalg.svd(planted.y, full_matrices=False).U[:, :3]
    fit = sparse_component_analysis(planted.y, 3, 2)
    within = (basis.mT @ fit.W, fit.H)
    again = complete_dictionary_learning(basis.mT @ planted.y, within, 2, max_iter=20)
    close(basis @ again.factors[0], fit.W, atol=1e-4)


def test_the_count():
    assert samples_needed(3, 2) == (4, 12)
    for rank in range(2, 9):
        assert samples_needed(rank, 1).total == rank
        assert samples_needed(rank, rank - 1).total == rank**3 - 2 * rank**2 + rank
    with pytest.raises(ValueError, match="take k < 3"):
        samples_needed(3, 3)


def test_edges_and_bad_input():
    fit = sparse_component_analysis(torch.zeros(4, 6), 2, 1, starts=2)
    assert fit.residual == 0 and fit.W.isfinite().all() and not fit.H.any()
    y = torch.eye(4)
    for arguments, kind, message in (
        ((y.long(), 2, 1), TypeError, "tensor of real numbers"),
        ((y / 0, 2, 1), ValueError, "NaN or infinite"),
        ((y, 5, 1), ValueError, "from 2 to 4"),
        ((y, 2, 2), ValueError, "take k < 2"),
    ):
        with pytest.raises(kind, match=message):
            sparse_component_analysis(*arguments)
