"""Numbers and figures that the manuscript prints, reproduced."""

import numpy as np
import pytest
import torch

from rlra_torch import Problem, solve
from rlra_torch.iterations import MSOM, MU, Alternating, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF
from rlra_torch.regularizers import NonNegative


@pytest.mark.parametrize(
    ("iteration", "printed"),
    [(MU(floor=0.0), 2e-3), (ProjectedGradient(1.9), 1e-6), (MSOM(1.9), 1e-7)],
    ids=["mu", "projected gradient", "msom"],
)
def test_msom_ends_orders_of_magnitude_below(iteration, printed):
    """Section 16.3: half the squared error after 1000 outer iterations of 10 inner ones."""
    random = np.random.RandomState(27)
    n, m, r = 100, 80, 5
    w, h = random.rand(n, r), np.abs(random.randn(m, r))
    y = w @ h.T + 1e-6 * random.randn(n, m)
    start = [torch.from_numpy(np.abs(random.randn(size, r))) for size in (n, m)]
    problem = Problem(torch.from_numpy(y), NMF(), Frobenius(), (NonNegative(), NonNegative()))
    found = solve(
        Alternating(iteration, 10), problem, start, max_iter=1000, tol=0, check_every=1000
    )
    assert printed / 2 < float(found.objective) < 2 * printed
