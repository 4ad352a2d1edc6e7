"""Rows on several devices: the same factors as on one."""

import pytest
import torch
from conformance import close
from two_processes import counts, fit, share_rows, solvers

from rlra_torch.data import given


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What each of two processes found, for all solvers."""
    folder = tmp_path_factory.mktemp("shards")
    torch.multiprocessing.spawn(share_rows, (str(folder), list(solvers())), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("name", solvers())
def test_two_processes_find_what_one_finds(shared, name, kind):
    y, start = counts()
    alone = fit(given(y), start, name)
    for found in shared:
        factors, objective, kkt = found[name, kind]
        for x, expected in zip(factors, alone.factors, strict=True):
            close(x, expected, 1e-9)
        close(objective, alone.objective, 1e-11)
        close(kkt, alone.kkt, 1e-6)
